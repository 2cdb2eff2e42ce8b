"""Paired comparisons of two cells: randomisation tests, probability of improvement, effect size."""

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

NUM_EXACT_MAX = 16  # 2 ** 16 sign patterns are enumerated in milliseconds
NUM_DRAWS = 99_999  # sign patterns drawn if there are too many to enumerate
_NUM_ROWS = 512  # sign patterns drawn at a time: 512 x 5,000 clips are 20 MB
_ROUNDING = 1e-12  # relative; larger than the rounding error of a subtraction
_SAME = 1e-9  # relative tolerance for sums of equal numbers in another order


def sign_flip_p(
    differences: ArrayLike, generator: np.random.Generator | None = None, num_draws: int = NUM_DRAWS
) -> float:
    """Return the two-sided sign-flip p-value of a mean difference (Fisher's randomisation test).

    Args:
        differences: float (n,), n >= 1, finite, one per pair.
        generator: draws sign patterns if there are too many to enumerate; by default with seed 0.
        num_draws: number of drawn patterns.

    Returns:
        up to 16 pairs the share of all 2^n sign patterns whose absolute sum is at least the observed one; at least
        `p_floor(n)`. Beyond, (k + 1) / (num_draws + 1) with k the number of drawn patterns for which that holds
        (Phipson and Smyth 2010, Statistical Applications in Genetics and Molecular Biology 9:39).
    """
    values = np.asarray(differences, float)
    if len(values) > NUM_EXACT_MAX:
        return float(paired_clip_p(values[:, None], generator or np.random.default_rng(0), num_draws)[0])
    sums = values[:1]  # the first sign is fixed: flipping all signs changes no absolute sum
    for value in values[1:]:
        sums = np.concatenate([sums + value, sums - value])  # (2^(n - 1),) in the end
    return float(np.mean(np.abs(sums) >= abs(math.fsum(values)) - _SAME * np.abs(values).sum()))


def sign_flip_floor(num_pairs: int) -> float:
    """Return the smallest possible p-value of the exact sign-flip test with n pairs (>= 1): 2 / 2^n."""
    return 2 / 2**num_pairs


def p_floor(num_pairs: int, num_draws: int = NUM_DRAWS) -> float:
    """Return the smallest possible p-value of `sign_flip_p`.

    Args:
        num_pairs: number of pairs, at least 1; up to 16 the test is exact.
        num_draws: sign patterns drawn for more pairs: no p-value is below 1 / (num_draws + 1).
    """
    return sign_flip_floor(num_pairs) if num_pairs <= NUM_EXACT_MAX else 1 / (num_draws + 1)


def paired_clip_p(
    differences: ArrayLike, generator: np.random.Generator, num_draws: int = 9_999
) -> NDArray[np.float64]:
    """Test over clips for the given seeds: two-sided sign-flip p-values of mean differences.

    Args:
        differences: float (N, K), finite, of each clip in each of K comparisons: `clip_differences`.
        generator: draws the sign patterns, the same for all comparisons.
        num_draws: number of drawn patterns.

    Returns:
        float (K,): (k + 1) / (num_draws + 1), with k the number of drawn patterns whose absolute sum is at least the
        observed one.
    """
    values = np.asarray(differences, float)
    least = np.abs(values.sum(0)) - _SAME * np.abs(values).sum(0)
    num_at_least = np.zeros(values.shape[1])
    for first in range(0, num_draws, _NUM_ROWS):
        num_rows = min(_NUM_ROWS, num_draws - first)
        bits = np.unpackbits(generator.integers(0, 256, (num_rows, -(-len(values) // 8)), np.uint8), axis=1)
        sums = (1.0 - 2.0 * bits[:, : len(values)]) @ values  # (rows, K)
        num_at_least += np.sum(np.abs(sums) >= least, 0)
    return (num_at_least + 1) / (num_draws + 1)


def clip_differences(differences: ArrayLike, influences: ArrayLike) -> NDArray[np.float64]:
    """Return the contribution of each clip to the mean difference of a metric: float (N,), with that mean.

    For MAE and accuracies these are the differences of the losses or hits of each clip, averaged over seeds; for other
    metrics they are the pseudo-values of the jackknife (Tukey 1958).

    Args:
        differences: float (S,), difference of the metric for each pair of seeds.
        influences: float (N, S), influence of each clip on them: that in the first cell minus that in the second.
    """
    return float(np.mean(np.asarray(differences, float))) + np.asarray(influences, float).mean(1)


def improvement(differences: ArrayLike, better: Literal["lower", "higher"] = "lower") -> float | None:
    """Return the share of pairs in which the first cell is better; a tie counts half.

    After Agarwal et al. 2021 (NeurIPS, arXiv 2108.13264), with pairs in place of all combinations.

    Args:
        differences: float, any shape, first minus second; NaN are left out.
        better: direction of improvement of the metric.

    Returns:
        the share, None without pairs.
    """
    values = np.asarray(differences, float)
    values = values[~np.isnan(values)] * (-1 if better == "lower" else 1)
    return float(np.mean((values > 0) + (values == 0) / 2)) if len(values) else None


def all_equal(values: ArrayLike) -> bool:
    """Return whether values, float (n,), n >= 1, are equal up to the rounding error of a subtraction."""
    array = np.asarray(values, float)
    return bool(np.ptp(array) <= _ROUNDING * max(1.0, float(np.abs(array).max())))


def effect_size(differences: ArrayLike) -> float | None:
    """Return Cohen's d of paired differences (mean over standard deviation) with Hedges' correction.

    Hedges 1981 (Journal of Educational Statistics 6, 107-128): with few pairs d is too large on average.

    Args:
        differences: float (n,), finite, one per pair.

    Returns:
        d, None with fewer than three pairs or if all are equal.
    """
    from scipy.special import gammaln

    values = np.asarray(differences, float)
    freedom = len(values) - 1
    if freedom < 2 or all_equal(values):
        return None
    correction = math.exp(gammaln(freedom / 2) - gammaln((freedom - 1) / 2)) / math.sqrt(freedom / 2)
    return float(correction * values.mean() / values.std(ddof=1))
