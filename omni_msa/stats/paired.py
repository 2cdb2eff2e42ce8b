"""Paired comparisons of two cells: randomisation tests, probability of improvement, effect size."""

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

NUM_EXACT_MAX = 16  # 2 ** 16 sign patterns are enumerated in milliseconds
NUM_DRAWS = 99_999  # sign patterns drawn where there are more
_NUM_ROWS = 512  # sign patterns drawn at a time: 512 x 5,000 clips are 20 MB
_ROUNDING = 1e-12  # metrics are at most about 1: differences of equal differences are smaller than this
_SAME = 1e-9  # sums of the same numbers in another order are equal but for rounding


def sign_flip_p(
    differences: ArrayLike, generator: np.random.Generator | None = None, num_draws: int = NUM_DRAWS
) -> float:
    """Return the two-sided sign-flip p-value of a mean difference (Fisher's randomisation test).

    Args:
        differences: float (n,), n >= 1, finite, one a pair.
        generator: draws sign patterns where there are too many to enumerate; by default one of seed 0.
        num_draws: their number.

    Returns:
        Up to 16 pairs the share of all 2^n sign patterns whose absolute sum is at least the one observed; at least
        `p_floor(n)`. Above, (k + 1) / (num_draws + 1) with k the patterns drawn of which that is so
        (Phipson and Smyth 2010, Statistical Applications in Genetics and Molecular Biology 9:39).
    """
    values = np.asarray(differences, float)
    if len(values) > NUM_EXACT_MAX:
        return float(paired_clip_p(values[:, None], generator or np.random.default_rng(0), num_draws)[0])
    sums = values[:1]  # the first sign stays: turning all of them changes no absolute sum
    for value in values[1:]:
        sums = np.concatenate([sums + value, sums - value])  # (2^(n - 1),) in the end
    return float(np.mean(np.abs(sums) >= abs(math.fsum(values)) - _SAME * np.abs(values).sum()))


def sign_flip_floor(num_pairs: int) -> float:
    """Return the smallest p-value that the exact sign-flip test can give with so many pairs (>= 1): 2 / 2^n."""
    return 2 / 2**num_pairs


def p_floor(num_pairs: int, num_draws: int = NUM_DRAWS) -> float:
    """Return the smallest p-value that `sign_flip_p` can give with so many pairs (>= 1).

    Args:
        num_pairs: up to 16 the test is exact.
        num_draws: sign patterns drawn above: no p-value is below 1 / (num_draws + 1).
    """
    return sign_flip_floor(num_pairs) if num_pairs <= NUM_EXACT_MAX else 1 / (num_draws + 1)


def paired_clip_p(
    differences: ArrayLike, generator: np.random.Generator, num_draws: int = 9_999
) -> NDArray[np.float64]:
    """Test over clips, the seeds as they are: two-sided sign-flip p-values of mean differences.

    Args:
        differences: float (N, K), of each clip in each of K comparisons, finite: `clip_differences`.
        generator: draws the sign patterns, the same ones for all comparisons.
        num_draws: their number.

    Returns:
        Float (K,): (k + 1) / (num_draws + 1), with k the patterns drawn whose absolute sum is at least the one
        observed.
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
    """Return what each clip says about the mean difference of a metric: float (N,), with that mean.

    For MAE and accuracies these are the differences of the clips' losses or hits averaged over seeds; for other
    metrics the jackknife's pseudo-values (Tukey 1958), which stand for them.

    Args:
        differences: float (S,), of the metric for each pair of seeds.
        influences: float (N, S), of every clip on them: the first cell's minus the second's.
    """
    return float(np.mean(np.asarray(differences, float))) + np.asarray(influences, float).mean(1)


def improvement(differences: ArrayLike, better: Literal["lower", "higher"] = "lower") -> float | None:
    """Return the share of pairs in which the first of the two is better; a tie counts half.

    After Agarwal et al. 2021 (NeurIPS, arXiv 2108.13264), with pairs in place of all combinations.

    Args:
        differences: float, any shape, the first minus the second; NaN are left out.
        better: which direction of the metric is an improvement.

    Returns:
        None without a pair.
    """
    values = np.asarray(differences, float)
    values = values[~np.isnan(values)] * (-1 if better == "lower" else 1)
    return float(np.mean((values > 0) + (values == 0) / 2)) if len(values) else None


def all_equal(values: ArrayLike) -> bool:
    """Return whether values, float (n,), n >= 1, are equal but for the rounding of a subtraction."""
    array = np.asarray(values, float)
    return bool(np.ptp(array) <= _ROUNDING * max(1.0, float(np.abs(array).max())))


def effect_size(differences: ArrayLike) -> float | None:
    """Return Cohen's d of paired differences (mean over standard deviation) with Hedges' correction.

    Hedges 1981 (Journal of Educational Statistics 6, 107-128): d is too large on average with few pairs.

    Args:
        differences: float (n,), finite, one a pair.

    Returns:
        None with fewer than three pairs or without spread.
    """
    from scipy.special import gammaln

    values = np.asarray(differences, float)
    freedom = len(values) - 1
    if freedom < 2 or all_equal(values):
        return None
    correction = math.exp(gammaln(freedom / 2) - gammaln((freedom - 1) / 2)) / math.sqrt(freedom / 2)
    return float(correction * values.mean() / values.std(ddof=1))
