"""A ridge regression, written independently of the product."""

import numpy as np
import torch

LABELS = torch.tensor([2.4, -2.1, 0.3, -0.9, 1.5, -2.8, 0.0, 2.9])


def ridge(features, labels, others, strength):
    """Ridge regression through the normal equations: on standardised features, without a penalty on the intercept."""
    mean, std = features.mean(0), features.std(0)
    x = np.hstack([(features - mean) / std, np.ones((len(features), 1))])
    penalty = strength * np.diag([1.0] * features.shape[1] + [0.0])
    weights = np.linalg.solve(x.T @ x + penalty, x.T @ labels)
    return np.hstack([(others - mean) / std, np.ones((len(others), 1))]) @ weights
