"""Power of the tests between two cells, and the number of seeds they need."""

import math
from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from omni_msa.stats.paired import NUM_EXACT_MAX, sign_flip_floor

NUM_SEEDS_MAX = 10_000
_NUM_STEPS_MAX = 64  # with more p-values below the level, the power of the t test is within a percentage point
_NUM_SAMPLES = 6000  # simulated samples: the standard error of a power of 80 % is about 0.3 points


def num_seeds_least(level: float = 0.05, num_comparisons: int = 1) -> int:
    """Return the fewest seeds with which the exact sign-flip test can reject: 2 / 2^n <= level / num_comparisons.

    Args:
        level: of the test.
        num_comparisons: number of comparisons in Holm's correction, which multiplies the smallest p-value by it.
    """
    num = 1
    while sign_flip_floor(num) > level / num_comparisons:
        num += 1
    return num


def num_seeds_needed(
    difference: float | None, std: float | None, power: float = 0.8, level: float = 0.05, num_comparisons: int = 1
) -> int | None:
    """Return the number of paired seeds that the sign-flip test needs to find a difference with a given power.

    Args:
        difference: mean of the paired differences; std: their standard deviation, in the same unit.
        power: probability of finding it; level: of the two-sided test, divided by num_comparisons.

    Returns:
        at least `num_seeds_least`; None without a difference or standard deviation, or if over 10,000 are needed.
    """
    if not difference or std is None or not math.isfinite(difference) or not math.isfinite(std):
        return None
    least, level = num_seeds_least(level, num_comparisons), level / num_comparisons
    effect = abs(difference) / std if std else math.inf
    if effect == math.inf:
        return least
    for num in range(least, NUM_EXACT_MAX + 1):  # one by one: with few p-values below the level, power may fall
        if sign_flip_power(effect, num, level) >= power:
            return num
    low, high = max(least, NUM_EXACT_MAX), NUM_SEEDS_MAX  # from here on power increases
    if sign_flip_power(effect, high, level) < power:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if sign_flip_power(effect, middle, level) >= power else (middle, high)
    return high


def sign_flip_power(effect: float, num_pairs: int, level: float = 0.05) -> float:
    """Return the approximate power of the exact sign-flip test for normal differences.

    Its p-values are multiples of 2 / 2^n, so it rejects up to the largest multiple below the level. If that is the
    first multiple, it rejects if all differences have one sign. Up to the 64th, with at most 16 pairs, the power is
    simulated with fixed draws. Otherwise it is the power of the t test at the attained level
    (`benchmarks/interval_coverage.py` compares them).

    Args:
        effect: mean over standard deviation of the differences, >= 0.
        num_pairs: >= 2.
        level: of the test.
    """
    from scipy.special import ndtr

    floor = sign_flip_floor(min(num_pairs, 40))  # beyond, the steps are too small to matter
    num_steps = math.floor(level / floor + 1e-9)
    if num_steps == 0:
        return 0.0
    if num_steps == 1:
        return float(ndtr(effect) ** num_pairs + ndtr(-effect) ** num_pairs)
    if num_pairs > NUM_EXACT_MAX or num_steps > _NUM_STEPS_MAX:
        return t_power(effect, num_pairs, num_steps * floor)
    above, below = (sign * effect - _least_means(num_pairs, num_steps) for sign in (1, -1))
    return float(np.mean(ndtr(above * math.sqrt(num_pairs)) + ndtr(below * math.sqrt(num_pairs))))


@cache
def _least_means(num_pairs: int, num_steps: int) -> NDArray[np.float64]:
    """Return, for simulated samples, the smallest sample mean at which the test rejects upwards, float (6000,).

    Let d be the mean of a sample and z its deviations from d. Flipping the signs of a set of pairs gives a sum at least
    as large if the mean of z over the set is at most -d. The test rejects if this holds for fewer than num_steps sets,
    that is, if d is above minus the num_steps-th smallest of these means. If a set is split in two, one part has a mean
    at most that of the set; so a set of s pairs is at best the 2^(s - 1)-th smallest, and large sets can be skipped.
    The sample means need no simulation: they are normal and independent of the deviations.

    Args:
        num_pairs: pairs per sample; num_steps: number of p-values up to the level.
    """
    sizes = range(1, min(num_pairs, int(math.log2(num_steps)) + 1) + 1)
    sets = [pairs for size in sizes for pairs in combinations(range(num_pairs), size)]
    shares = np.zeros((len(sets), num_pairs))
    for row, pairs in zip(shares, sets, strict=True):
        row[list(pairs)] = 1 / len(pairs)
    draws = np.random.default_rng(0).normal(size=(_NUM_SAMPLES, num_pairs))
    draws -= draws.mean(1, keepdims=True)
    blocks = np.array_split(draws, 24)  # 50 MB at a time with 26,000 sets of 16 pairs
    means = [np.partition(block @ shares.T, num_steps - 1, axis=1)[:, num_steps - 1] for block in blocks]
    return np.negative(np.concatenate(means))


def t_power(effect: float, num_pairs: int, level: float = 0.05) -> float:
    """Return the power of the two-sided paired t test for normal differences.

    The t statistic has the noncentral t distribution with noncentrality effect * sqrt(n) (Cohen 1988, Statistical
    Power Analysis for the Behavioral Sciences, chapter 2).

    Args:
        effect: mean over standard deviation of the differences, >= 0.
        num_pairs: >= 2.
        level: of the test.
    """
    from scipy.special import nctdtr, stdtrit

    shift, freedom = effect * math.sqrt(num_pairs), num_pairs - 1
    critical = float(stdtrit(freedom, 1 - level / 2))
    tails = (float(nctdtr(freedom, shift, bound)) for bound in (critical, -critical))
    below, other_tail = (0.0 if math.isnan(tail) else tail for tail in tails)  # scipy gives NaN for some tails of 1e-17
    return 1 - below + other_tail


def std_upper_limit(std: float, n: int, level: float = 0.8) -> float | None:
    """Return the one-sided upper confidence limit of a standard deviation, from chi squared (normal data).

    Args:
        std: sample standard deviation (ddof 1) of n values.
        n: number of values; with fewer than 2 the result is None.
        level: confidence of the limit.
    """
    from scipy.special import chdtri

    return std * math.sqrt((n - 1) / float(chdtri(n - 1, level))) if n >= 2 else None
