"""How many seeds it takes to tell two cells apart."""

import math
from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from omni_msa.stats.paired import NUM_EXACT_MAX, sign_flip_floor

NUM_SEEDS_MAX = 10_000
_NUM_STEPS_MAX = 64  # so many p-values below the level: beyond, the t test's power is within a point
_NUM_SAMPLES = 6000  # simulated: the standard error of a power of 80 % is about 0.3 points


def num_seeds_least(level: float = 0.05, num_comparisons: int = 1) -> int:
    """Return the fewest seeds with which the exact sign-flip test can reject at all: 2 / 2^n <= level / comparisons.

    Args:
        level: of the test.
        num_comparisons: over which Holm's correction is made (the smallest p-value is multiplied by it).
    """
    num = 1
    while sign_flip_floor(num) > level / num_comparisons:
        num += 1
    return num


def num_seeds_needed(
    difference: float | None, std: float | None, power: float = 0.8, level: float = 0.05, num_comparisons: int = 1
) -> int | None:
    """Return how many seeds, in pairs, the sign-flip test needs to find a difference with some power.

    Args:
        difference: mean of the paired differences to be found; std: their standard deviation, in the same unit.
        power: the chance to find it; level: of the two-sided test, divided by num_comparisons.

    Returns:
        At least `num_seeds_least`; None without a difference or a spread, or if it takes more than 10,000.
    """
    if not difference or std is None or not math.isfinite(difference) or not math.isfinite(std):
        return None
    least, level = num_seeds_least(level, num_comparisons), level / num_comparisons
    effect = abs(difference) / std if std else math.inf
    if effect == math.inf:
        return least
    for num in range(least, NUM_EXACT_MAX + 1):  # one by one: with few p-values below the level power may fall
        if sign_flip_power(effect, num, level) >= power:
            return num
    low, high = max(least, NUM_EXACT_MAX), NUM_SEEDS_MAX  # from here on it grows: bisect
    if sign_flip_power(effect, high, level) < power:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if sign_flip_power(effect, middle, level) >= power else (middle, high)
    return high


def sign_flip_power(effect: float, num_pairs: int, level: float = 0.05) -> float:
    """Return the power of the exact sign-flip test for normal differences, nearly.

    Its p-values are multiples of 2 / 2^n, so it rejects at the largest multiple up to the level. Where that is the
    first one it rejects when all differences have one sign; up to the 64th, with at most 16 pairs, its power is
    simulated, always with the same draws; elsewhere it is taken as the t test's at the level that it attains
    (`benchmarks/interval_coverage.py` compares).

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
    """Return for simulated samples the least sample mean at which the test rejects upwards, float (6000,).

    With d the mean of a sample and z its deviations from it, turning the signs of a set of pairs gives no smaller sum
    if the mean of z over the set is at most -d. The test rejects if fewer than num_steps sets do so, thus from minus
    the num_steps-th smallest of these means on. Of every split of a set in two one part has no larger mean than the
    set: sets of s pairs are at best the 2^(s - 1)-th smallest, and large ones need no look. The sample means need no
    simulation: they are normal, and independent of the deviations.

    Args:
        num_pairs: of each sample; num_steps: p-values up to the level.
    """
    sizes = range(1, min(num_pairs, int(math.log2(num_steps)) + 1) + 1)
    sets = [each for size in sizes for each in combinations(range(num_pairs), size)]
    shares = np.zeros((len(sets), num_pairs))
    for row, each in zip(shares, sets, strict=True):
        row[list(each)] = 1 / len(each)
    draws = np.random.default_rng(0).normal(size=(_NUM_SAMPLES, num_pairs))
    draws -= draws.mean(1, keepdims=True)
    blocks = np.array_split(draws, 24)  # of 26,000 sets of 16 pairs 50 MB at a time
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
    """Return the one-sided upper confidence limit of a standard deviation, by chi squared (normal data).

    Args:
        std: sample standard deviation (ddof 1) of n values.
        n: their number; None is returned below 2.
        level: confidence of the limit.
    """
    from scipy.special import chdtri

    return std * math.sqrt((n - 1) / float(chdtri(n - 1, level))) if n >= 2 else None
