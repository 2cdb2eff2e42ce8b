"""Projections of hidden states to few dimensions: PCA and t-SNE."""

import numpy as np
from numpy.typing import NDArray

NUM_COMPONENTS = 50  # principal components that t-SNE gets, after van der Maaten and Hinton (2008, JMLR 9)
_PERPLEXITY = 30.0
_SEED = 0
_NUM_STEPS = 500

Array = NDArray[np.float64]


def principal_components(states: Array, labels: Array, num: int) -> tuple[Array, Array]:
    """Return the scores on the first principal components, and the share of the variance that each explains.

    Args:
        states: (N, D), N > 1.
        labels: (N,); the sign of each component is chosen so that it correlates positively with them.
        num: number of components; those beyond min(N, D) are zero.

    Returns:
        (N, num) and (num,).
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # with several threads, sums differ in their last bits from run to run
        left, sizes, _ = np.linalg.svd(states - states.mean(axis=0), full_matrices=False)
    scores, shares = np.zeros((len(states), num)), np.zeros(num)
    there = min(num, len(sizes))
    scores[:, :there] = left[:, :there] * sizes[:there]
    if total := float(np.sum(sizes**2)):
        shares[:there] = sizes[:there] ** 2 / total
    return scores * np.where((labels - labels.mean()) @ scores < 0, -1.0, 1.0), shares


def tsne(scores: Array) -> Array:
    """Return a t-SNE embedding (N, 2), reproducible: one thread, a fixed seed, initialised by PCA.

    Args:
        scores: (N, D), N at least 10, D at least 2: principal components, the first ones first.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    if not np.ptp(scores, axis=0).any():
        return np.zeros((len(scores), 2))
    with threadpool_limits(1):  # as above
        start = scores[:, :2] / scores[:, 0].std() * 1e-4
        settings = TSNE(2, perplexity=perplexity(len(scores)), init=start, random_state=_SEED, max_iter=_NUM_STEPS)
        return np.asarray(settings.fit_transform(scores), dtype=np.float64)


def perplexity(num_clips: int) -> float:
    """Return the perplexity of t-SNE for a number of clips: 30, or about a third of it if there are few."""
    return min(_PERPLEXITY, (num_clips - 1) / 3)
