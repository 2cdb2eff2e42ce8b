"""Intervals of a metric: over seeds, over clips, and over both at once."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omni_msa.stats.paired import all_equal

Interval = tuple[float, float]
CONFIDENCE = 0.95
MIN_SEEDS = {"t": 2, "bca": 20, "two_level": 3}
"""The smallest number of seeds with which each interval covers 93 to 97 %; with fewer, its function returns None.

Source: `python benchmarks/interval_coverage.py`. The two-level interval covers up to 99 % with three seeds; with two it
is too wide to be useful.
"""
MIN_CLIPS = 60
"""The smallest number of clips with which the intervals over clips, and over both, have that coverage."""
MIN_TELLING = 5
"""The smallest number of informative clips (`num_telling`), such as wrong ones, or those on which two cells differ.

With fewer of them, the interval of a share near 0 or 1 misses the true value too often; same source.
"""
_ROUNDING = 1e-9  # below this, all influences are 0 up to rounding


def moments(values: Sequence[float]) -> tuple[float | None, float | None, Interval | None]:
    """Return mean, standard deviation (ddof 1) and Student-t interval; None for those that need more values.

    Args:
        values: float (n,), finite.
    """
    if not len(values):
        return None, None, None
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, None, None
    return mean, _std(values), t_interval(values)


def t_interval(values: Sequence[float], num_compared: int = 1) -> Interval | None:
    """Return the 95 % Student-t interval of a mean over seeds, None with fewer than two or if all are equal.

    It is valid for new seeds on the same clips. Equal values carry no information about the spread of others.

    Args:
        values: float (n,), finite, one per seed.
        num_compared: number of intervals examined together; they hold jointly at 95 % (Bonferroni; Dunn, JASA 1961).
    """
    if len(values) < MIN_SEEDS["t"] or all_equal(values):
        return None
    mean = math.fsum(values) / len(values)
    half = _t(len(values) - 1, num_compared) * _std(values) / math.sqrt(len(values))
    return mean - half, mean + half


def num_telling(influences: ArrayLike) -> int:
    """Return the number of clips whose influence on a metric is at least half of the root mean square of all.

    These clips carry the variance of the metric: for a share near 1 the wrong clips, for a difference of shares those
    on which only one cell is right, for MAE and Corr a large part of all clips.

    Args:
        influences: float (N,), influence of each clip, with sum 0.
    """
    sizes = np.abs(np.asarray(influences, float))
    scale = math.sqrt(float(np.mean(sizes**2)))
    return int(np.sum(sizes >= scale / 2)) if scale > _ROUNDING else 0


def bca_interval(replicates: ArrayLike, estimate: float, jackknife: ArrayLike) -> Interval | None:
    """Return the 95 % bias-corrected and accelerated bootstrap interval of an estimate over clips (or seeds).

    Efron 1987 (Journal of the American Statistical Association 82, 171-185). Its normal quantile is
    replaced by that of Student's t times sqrt(n / (n - 1)), as Hesterberg 2015 (The American Statistician 69, 371-386)
    does for the percentile interval. Without it the interval is too short with 20 seeds; with 100 clips the effect is
    small.

    Args:
        replicates: float (B,), estimates on B resamples; undefined ones (NaN) are left out if they are at most 1 %.
        estimate: on all clips.
        jackknife: float (n,), estimates without each unit (clip or seed) in turn.

    Returns:
        None with fewer than 20 units, fewer than 5 informative ones (`num_telling`), an undefined estimate, or too many
        undefined replicates. Over clips it has its coverage from 60 on (`MIN_CLIPS`), but not for differences of
        correlations: see `clip_interval`.
    """
    from scipy.special import ndtr, ndtri

    drawn, without = np.asarray(replicates, float), np.asarray(jackknife, float)
    valid = drawn[np.isfinite(drawn)]
    is_defined = math.isfinite(estimate) and bool(np.isfinite(without).all())
    if len(without) < MIN_SEEDS["bca"] or not is_defined or len(valid) < max(0.99 * len(drawn), 2):
        return None
    below = (np.mean(valid < estimate) + np.mean(valid <= estimate)) / 2  # a tie counts half
    deviations = without.mean() - without
    if not 0 < below < 1 or valid.min() == valid.max() or num_telling((len(without) - 1) * deviations) < MIN_TELLING:
        return None
    bias = ndtri(below)
    scale = float(np.sum(deviations**2)) ** 1.5
    acceleration = float(np.sum(deviations**3)) / (6 * scale)
    quantiles = bias + np.array([-1, 1]) * _t(len(without) - 1) * math.sqrt(len(without) / (len(without) - 1))
    low, high = np.quantile(valid, ndtr(bias + quantiles / (1 - acceleration * quantiles)))
    return float(low), float(high)


def clip_interval(estimate: float, influences: ArrayLike, correlation: bool = False) -> Interval | None:
    """Return a 95 % interval of a metric, or of a difference, for new clips and the given trials.

    Student's t with the variance of the jackknife (Efron and Stein 1981, Annals of Statistics 9, 586-596). Unlike the
    BCa bootstrap it has its coverage for differences of correlations on a few hundred clips.

    Args:
        estimate: on all clips.
        influences: float (N,), influence of each clip, with sum 0: `resampling.influences`.
        correlation: the metric is a correlation, so the interval is computed on Fisher's z scale; not for differences.

    Returns:
        None with fewer than 60 clips, fewer than 5 informative ones, or if a value is undefined.
    """
    effects = np.asarray(influences, float)
    if len(effects) < MIN_CLIPS or not (math.isfinite(estimate) and np.isfinite(effects).all()):
        return None
    if num_telling(effects) < MIN_TELLING:
        return None
    variance = float(np.sum(effects**2)) / len(effects) / (len(effects) - 1)
    return _around(estimate, _t(len(effects) - 1) * math.sqrt(variance), correlation)


def two_level_interval(values: ArrayLike, influences: ArrayLike, correlation: bool = False) -> Interval | None:
    """Return a 95 % interval of the mean of a metric over seeds, for new seeds *and* new clips.

    Every seed scores the same clips, so seeds and clips are crossed: the variance of the mean is that over seeds, plus
    that of the mean influences over clips, minus the part contained in both (Owen 2007, Annals of Applied Statistics 1,
    386-411), with the degrees of freedom of Satterthwaite 1946 (Biometrics Bulletin 2, 110-114). It is never narrower
    than Student's interval over the seeds alone (for a correlation, on Fisher's scale), so with three seeds its
    coverage is too high rather than too low.

    Args:
        values: float (S,), metric of each seed, or difference of each pair.
        influences: float (N, S), influence of each clip, columns with sum 0: `resampling.influences`.
        correlation: values are correlations, so the interval is computed on Fisher's z scale; not for differences.

    Returns:
        None with fewer than 3 seeds or 60 clips, fewer than 5 informative clips, or if a value is undefined.
    """
    metric, effects = np.asarray(values, float), np.asarray(influences, float)
    num_clips, num_seeds = effects.shape
    defined = bool(np.isfinite(metric).all() and np.isfinite(effects).all())
    if num_seeds < MIN_SEEDS["two_level"] or num_clips < MIN_CLIPS or not defined:
        return None
    if num_telling(effects.mean(1)) < MIN_TELLING:
        return None
    return _around(float(metric.mean()), _half_width(metric, effects), correlation)


def _around(mean: float, half: float, correlation: bool) -> Interval:
    if not correlation or abs(mean) >= 1:
        return mean - half, mean + half
    half_z = half / (1 - mean**2)
    return math.tanh(math.atanh(mean) - half_z), math.tanh(math.atanh(mean) + half_z)


def _half_width(metric: NDArray[np.float64], effects: NDArray[np.float64]) -> float:
    num_clips, num_seeds = effects.shape
    by_clip = effects.mean(1)
    freedom = np.array([num_seeds - 1, num_clips - 1, (num_seeds - 1) * (num_clips - 1)])
    squares = (
        float(np.sum((metric - metric.mean()) ** 2)) / num_seeds,
        float(np.sum(by_clip**2)) / num_clips,
        float(np.sum((effects - by_clip[:, None]) ** 2)) / (num_seeds * num_clips),
    )
    of_seeds, of_clips, of_both = parts = np.array(squares) / freedom  # each as a variance of the mean
    variance = max(of_seeds + of_clips - of_both, of_seeds, of_clips)
    degrees = variance**2 / float(np.sum(parts**2 / freedom))
    return max(_t(degrees) * math.sqrt(variance), _t(num_seeds - 1) * math.sqrt(of_seeds))


def _std(values: Sequence[float]) -> float:
    return 0.0 if all_equal(values) else float(np.std(values, ddof=1))  # not the rounding error of equal values


def _t(freedom: float, num_compared: int = 1) -> float:
    from scipy.special import stdtrit  # quantile of Student's t; imports much faster than scipy.stats

    return float(stdtrit(freedom, 1 - (1 - CONFIDENCE) / 2 / num_compared))
