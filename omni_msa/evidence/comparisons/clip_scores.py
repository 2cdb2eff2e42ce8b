"""The test predictions of a cell's trials in a common order, and the influence of each clip on each metric."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from omni_msa.evidence.records import Predictions, TrialRecord
from omni_msa.stats.intervals import MIN_CLIPS, bca_interval, clip_interval
from omni_msa.stats.resampling import clip_weights, influences, jackknife_metrics, weighted_metrics

Array = NDArray[np.float64]
Seed = int | None
NUM_RESAMPLES = 2000
_SAME = 1e-6  # tolerance, absolute and relative, between a metric recomputed from predictions and the recorded one


@dataclass(frozen=True)
class ClipScores:
    """Test predictions of trials that were all tested on the same clips.

    Args:
        clips: digest of the clips and their labels; equal digests mean equal clips.
        seeds: of the trials, in the order of the rows of `scores`.
        labels: float64 (N,), in the order of the clip ids.
        scores: float64 (S, N), one row for each trial.
        conventions: of the metrics, one of `metrics.HEADLINES`.
    """

    clips: str
    seeds: tuple[Seed, ...]
    labels: Array
    scores: Array
    conventions: str

    @property
    def num_clips(self) -> int:
        """The number of clips."""
        return len(self.labels)

    @cached_property
    def metrics(self) -> dict[str, Array]:
        """Metric name to its value for each trial, float (S,)."""
        once = np.ones((1, self.num_clips))
        return {name: values[0] for name, values in self.weighted(once).items()}

    @cached_property
    def jackknife(self) -> dict[str, Array]:
        """Metric name to its value for each trial without each clip in turn, float (N, S)."""
        return jackknife_metrics(self.labels, self.scores, self.conventions)

    def only(self, row: int) -> "ClipScores":
        """Return the predictions of one of the trials, by its row in `scores`."""
        return replace(self, seeds=(self.seeds[row],), scores=self.scores[[row]])

    def influences(self, metric: str) -> Array:
        """Return the jackknife influence of each clip on a metric of each trial, float (N, S)."""
        return influences(self.jackknife[metric])

    def weighted(self, weights: Array) -> dict[str, Array]:
        """Return each metric by name, float (B, S), with clips weighted by `weights`, float (B, N)."""
        return weighted_metrics(self.labels, self.scores, weights, self.conventions)


@dataclass
class Resampler:
    """Resamples clips: cells with the same clips get the same resamples, so that they can be compared.

    Args:
        seed: of all random draws.
    """

    seed: int
    _weights: dict[str, Array] = field(default_factory=dict)

    def weights(self, tested: ClipScores) -> Array:
        """Return how often each resample has each clip, float (B, N)."""
        if tested.clips not in self._weights:
            generator = self.generator(tested.clips)
            self._weights[tested.clips] = clip_weights(tested.num_clips, NUM_RESAMPLES, generator)
        return self._weights[tested.clips]

    def generator(self, purpose: str) -> np.random.Generator:
        """Return a new random generator for a purpose; equal purposes get equal random numbers."""
        return np.random.default_rng([self.seed, int(hashlib.sha256(purpose.encode()).hexdigest()[:8], 16)])

    def intervals(self, tested: ClipScores, minus: ClipScores | None = None) -> dict[str, tuple[float, float]]:
        """Return 95 % intervals over clips of the metrics of one trial, or of their differences from another trial's.

        They are BCa intervals; those of differences, where BCa is too short if few clips differ, are Student-t
        intervals from the jackknife.

        Args:
            tested: of one trial.
            minus: of one other trial on the same clips.

        Returns:
            Metric name to (low, high), without metrics that are undefined or have too few clips.
        """
        if tested.num_clips < MIN_CLIPS:
            return {}
        weights = self.weights(tested)
        parts = _parts(tested, weights)
        if minus is not None:
            others = _parts(minus, weights)
            parts = {name: tuple(a - b for a, b in zip(parts[name], others[name], strict=True)) for name in parts}
        intervals = {}
        for name, (replicates, jackknife, estimate) in parts.items():
            if minus is not None:
                interval = clip_interval(float(estimate[0]), influences(jackknife[:, None])[:, 0])
            else:
                interval = bca_interval(replicates, float(estimate[0]), jackknife)
            if interval is not None:
                intervals[name] = interval
        return intervals


def _parts(tested: ClipScores, weights: Array) -> dict[str, tuple[Array, ...]]:
    """Return for each metric of one trial its replicates (B,), jackknife values (N,), and value (1,)."""
    drawn = tested.weighted(weights)
    return {
        name: (drawn[name][:, 0], tested.jackknife[name][:, 0], values[:1]) for name, values in tested.metrics.items()
    }


def tested_of(records: Mapping[Seed, TrialRecord], conventions: str) -> tuple[ClipScores | None, list[str]]:
    """Return the test predictions of a cell's trials, in a common order of clips.

    Args:
        records: complete trials of one cell, by seed.
        conventions: of the metrics by which they were scored.

    Returns:
        The predictions, None if no trial has usable ones, and a note on each trial that is left out. If trials were
        tested on different clips, those with the clips of the first one are used.
    """
    names: dict[Seed, str] = {}
    labels: Array = np.empty(0)
    rows: list[Array] = []
    notes: list[str] = []
    for seed, record in records.items():
        predictions = record.test_predictions
        problem = "its test predictions cannot be read"
        if predictions is not None:
            problem = _disagreement(predictions, record, conventions)
        if predictions is not None and not problem:
            name, true, scores = _in_order(predictions)
            if names and name != next(iter(names.values())):
                problem = "it was tested on other clips than the rest of its cell"
            else:
                names[seed], labels = name, true
                rows.append(scores)
        if problem:
            notes.append(f"{record.trial.name}: {problem}; what is said over clips leaves it out.")
    if not rows:
        return None, notes
    return ClipScores(next(iter(names.values())), tuple(names), labels, np.stack(rows), conventions), notes


def _in_order(predictions: Predictions) -> tuple[str, Array, Array]:
    order = np.argsort(predictions.clip_ids, kind="stable")
    ids, labels = predictions.clip_ids[order], predictions.labels[order]
    total = hashlib.sha256("\n".join(ids.tolist()).encode() + labels.tobytes())
    return total.hexdigest(), labels, predictions.scores[order]


def _disagreement(predictions: Predictions, record: TrialRecord, conventions: str) -> str:
    """Return the first metric in which a trial's predictions and its record differ, as text, "" if they agree."""
    recomputed = weighted_metrics(
        predictions.labels, predictions.scores[None, :], np.ones((1, len(predictions.labels))), conventions
    )
    for name, values in recomputed.items():
        recorded = record.test.get(name)
        if recorded is not None and not math.isclose(values[0, 0], recorded, abs_tol=_SAME, rel_tol=_SAME):
            return f"its test predictions give another {name} ({values[0, 0]:.6g}) than it recorded ({recorded:.6g})"
    return ""


def correctness(tested: ClipScores) -> dict[str, NDArray[np.bool_]]:
    """Return for each accuracy which clips it counts, and which are predicted correctly, as bool (2, S, N)."""
    from omni_msa.stats.sums import features

    found = features(tested.labels, tested.scores, tested.conventions)
    everywhere = np.ones(tested.scores.shape, bool)
    right: dict[str, NDArray[np.bool_]] = {
        name: np.stack([everywhere, found[name] > 0]) for name in ("acc7", "acc5", "acc3", "accuracy") if name in found
    }
    for suffix in ("_has0", "_non0", ""):
        if f"counted{suffix}" in found:
            counted, true, named, hits = (found[f"{part}{suffix}"] for part in ("counted", "true", "named", "hits"))
            is_right = 2 * hits + counted - true - named > 0
            right[f"acc2{suffix}"] = np.stack([np.broadcast_to(counted > 0, everywhere.shape), is_right])
    return right


def common_seeds(first: Sequence[Seed], second: Sequence[Seed]) -> list[Seed]:
    """Return the seeds at which two cells can be paired; a trial without a seed pairs with every seed."""
    if tuple(first) == (None,):
        return list(second)
    return list(first) if tuple(second) == (None,) else [seed for seed in first if seed in set(second)]


def common_trials(
    first: Mapping[Seed, TrialRecord], second: Mapping[Seed, TrialRecord]
) -> dict[Seed, tuple[TrialRecord, TrialRecord]]:
    """Return the trials of two cells that can be paired, by their seed; see `common_seeds`."""
    seeds = common_seeds(list(first), list(second))
    return {seed: (first[seed if seed in first else None], second[seed if seed in second else None]) for seed in seeds}
