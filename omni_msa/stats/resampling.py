"""Metrics of resampled clips: weights, metrics under weights, the jackknife and influence values."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omni_msa.stats.metrics import metrics_of
from omni_msa.stats.sums import features, finish

Array = NDArray[np.float64]
_NUM_TRIALS = 32  # trials processed at a time: 32 x 5,000 clips are 1.3 MB for each of about 20 sums


def clip_weights(num_clips: int, num_resamples: int, generator: np.random.Generator) -> Array:
    """Return bootstrap weights: how often each of N clips occurs in N draws with replacement, float (B, N)."""
    drawn = generator.integers(0, num_clips, (num_resamples, num_clips))
    drawn += np.arange(num_resamples)[:, None] * num_clips
    counts = np.bincount(drawn.ravel(), minlength=num_resamples * num_clips)
    return counts.reshape(num_resamples, num_clips).astype(np.float64)


def weighted_metrics(
    labels: ArrayLike, scores: ArrayLike, weights: ArrayLike, conventions: str = "mosi"
) -> dict[str, Array]:
    """Compute all quality metrics with each clip counted according to its weight.

    Args:
        labels: float (N,), finite, as for `metrics.compute`.
        scores: float (S, N), finite, one row per trial.
        weights: float (B, N), not negative, such as `clip_weights`.
        conventions: one of `metrics.HEADLINES`.

    Returns:
        float (B, S) by metric name; undefined is NaN, as in `metrics.compute`.

    Raises:
        ValueError: the shapes do not match.
    """
    true, score = _checked(labels, scores)
    counts = np.asarray(weights, float)
    if counts.ndim != 2 or counts.shape[1] != len(true):
        raise ValueError(f"need weights of shape (any, {len(true)}), got {counts.shape}")
    values = {name: np.empty((len(counts), len(score))) for name in metrics_of(conventions)}
    for first in range(0, len(score), _NUM_TRIALS):
        block = slice(first, first + _NUM_TRIALS)
        sums = {name: counts @ array.T for name, array in features(true, score[block], conventions).items()}
        for name, array in finish(sums, conventions).items():
            values[name][:, block] = array
    return values


def jackknife_metrics(labels: ArrayLike, scores: ArrayLike, conventions: str = "mosi") -> dict[str, Array]:
    """Compute all quality metrics without each clip in turn.

    Args:
        labels, scores, conventions: as for `weighted_metrics`; N >= 2.

    Returns:
        float (N, S) by metric name.

    Raises:
        ValueError: the shapes do not match.
    """
    true, score = _checked(labels, scores)
    values = {name: np.empty((len(true), len(score))) for name in metrics_of(conventions)}
    for first in range(0, len(score), _NUM_TRIALS):
        block = slice(first, first + _NUM_TRIALS)
        terms = features(true, score[block], conventions)
        sums = {name: (array.sum(1, keepdims=True) - array).T for name, array in terms.items()}  # (N, S)
        for name, array in finish(sums, conventions).items():
            values[name][:, block] = array
    return values


def influences(jackknife: ArrayLike) -> Array:
    """Return the influence of each clip on a metric, by the jackknife; for a mean it is the value minus the mean.

    Args:
        jackknife: float (N, S), the metric without each clip in turn.

    Returns:
        float (N, S), columns with sum 0; their mean square divided by N - 1 is the variance over clips
        (Efron and Stein 1981, Annals of Statistics 9, 586-596).
    """
    without = np.asarray(jackknife, float)
    return (len(without) - 1) * (without.mean(0) - without)


def _checked(labels: ArrayLike, scores: ArrayLike) -> tuple[Array, Array]:
    true, score = np.asarray(labels, float), np.asarray(scores, float)
    if true.ndim != 1 or score.ndim != 2 or score.shape[1] != len(true) or not len(true):
        raise ValueError(f"need scores of shape (any, number of labels), got {score.shape} for {true.shape} labels")
    return true, score
