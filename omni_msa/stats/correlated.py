"""Tests of two models on the same clips: accuracies (McNemar) and correlations (Williams)."""

import math

import numpy as np
from numpy.typing import ArrayLike


def mcnemar_p(correct_a: ArrayLike, correct_b: ArrayLike) -> float:
    """Return the exact two-sided p-value of equal accuracy of two models (McNemar 1947, Psychometrika 12).

    Args:
        correct_a, correct_b: bool (N,), whether each model is right on each clip.

    Returns:
        the p-value from the binomial distribution of clips on which only one model is right; 1.0 without such clips.
    """
    from scipy.special import bdtr

    a, b = np.asarray(correct_a, bool), np.asarray(correct_b, bool)
    num_a, num_b = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    return min(1.0, 2 * float(bdtr(min(num_a, num_b), num_a + num_b, 0.5))) if num_a + num_b else 1.0


def williams_p(r_xy: float, r_xz: float, r_yz: float, n: int) -> float | None:
    """Return the two-sided p-value of two equal correlations with the same labels, by Williams' T2.

    Williams 1959 (Journal of the Royal Statistical Society B 21, 396-399) as recommended by Steiger 1980
    (Psychological Bulletin 87, 245-251), equation 7: t with n - 3 degrees of freedom. It assumes normal data.

    Args:
        r_xy, r_xz: correlation of the labels with the scores of either model.
        r_yz: correlation of the scores of both models.
        n: number of clips, > 3.

    Returns:
        None if it is undefined (a correlation is NaN, or the scores of one model are a linear function of the other's).
    """
    from scipy.special import stdtr

    determinant = 1 - r_xy**2 - r_xz**2 - r_yz**2 + 2 * r_xy * r_xz * r_yz
    mean = (r_xy + r_xz) / 2
    scale = 2 * (n - 1) / (n - 3) * determinant + mean**2 * (1 - r_yz) ** 3
    if not scale > 1e-12:  # NaN too
        return None
    t = (r_xy - r_xz) * math.sqrt((n - 1) * (1 + r_yz) / scale)
    return 2 * float(stdtr(n - 3, -abs(t)))
