"""Alternative methods that the package does not use: their coverage is too low, or they add nothing."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from omni_msa.stats.intervals import CONFIDENCE, Interval, bca_interval

MIN_SEEDS = {"bca": 20, "pigeonhole": 20}
"""With fewer seeds neither interval covers 93 to 97 %."""


def bca_seeds_interval(
    values: Sequence[float], generator: np.random.Generator, num_resamples: int = 9999
) -> Interval | None:
    """Return the BCa interval of a mean over seeds, None with fewer than 20 of them (see `MIN_SEEDS`).

    Args:
        values: float (n,), finite, one a seed.
        generator: draws the resamples.
        num_resamples: their number.
    """
    seeds = np.asarray(values, float)
    if len(seeds) < MIN_SEEDS["bca"]:
        return None
    means = seeds[generator.integers(0, len(seeds), (num_resamples, len(seeds)))].mean(1)
    return bca_interval(means, float(seeds.mean()), (seeds.sum() - seeds) / (len(seeds) - 1))


def pigeonhole_interval(replicates: ArrayLike, generator: np.random.Generator) -> Interval | None:
    """Return a 95 % percentile interval of a metric's mean with clips *and* seeds resampled, from 20 seeds on.

    The pigeonhole bootstrap of Owen 2007 (Annals of Applied Statistics 1, 386-411): both are drawn independently.

    Args:
        replicates: float (B, S), the metric (or difference) of each seed on B resamples of the clips.
        generator: draws the seeds.

    Returns:
        None with fewer than 20 seeds, where anything is undefined, or where nothing varies.
    """
    drawn = np.asarray(replicates, float)
    num_resamples, num_seeds = drawn.shape
    if num_seeds < MIN_SEEDS["pigeonhole"] or not np.isfinite(drawn).all() or drawn.min() == drawn.max():
        return None
    chosen = generator.integers(0, num_seeds, (num_resamples, num_seeds))
    low, high = np.quantile(np.take_along_axis(drawn, chosen, 1).mean(1), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def steiger_p(r_xy: float, r_xz: float, r_yz: float, n: int) -> float | None:
    """Return the two-sided p-value that two correlations with the same labels are equal, by Steiger's Z.

    Steiger 1980 (Psychological Bulletin 87, 245-251), equations 3, 11 and 14: Fisher's transform of both, with
    the covariance at their mean. For normal data.

    Args:
        r_xy, r_xz, r_yz, n: as for `williams_p`.

    Returns:
        None where it is not defined.
    """
    from scipy.special import ndtr

    mean = (r_xy + r_xz) / 2
    if not (max(abs(r_xy), abs(r_xz)) < 1 and abs(r_yz) <= 1):  # NaN too
        return None
    covariance = r_yz * (1 - 2 * mean**2) - mean**2 / 2 * (1 - 2 * mean**2 - r_yz**2)
    spread = 2 - 2 * covariance / (1 - mean**2) ** 2
    if not spread > 1e-12:
        return None
    return 2 * float(ndtr(-abs(math.atanh(r_xy) - math.atanh(r_xz)) * math.sqrt((n - 3) / spread)))
