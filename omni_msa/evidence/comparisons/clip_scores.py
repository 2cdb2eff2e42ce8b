"""What the trials of a cell predicted on the test clips, in one order, and what each clip adds to each metric."""

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
_SAME = 1e-6  # a metric of the stored predictions that is further from the recorded one is another


@dataclass(frozen=True)
class ClipScores:
    """Test predictions of trials that were all tested on the same clips.

    Args:
        clips: names the clips and their labels; equal names, equal clips.
        seeds: of the trials, in order.
        labels: float64 (N,), in the order of the clips' ids.
        scores: float64 (S, N), of each trial.
        conventions: one of `metrics.HEADLINES`.
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
        """Metric name to float (S,), of each trial."""
        once = np.ones((1, self.num_clips))
        return {name: values[0] for name, values in self.weighted(once).items()}

    @cached_property
    def jackknife(self) -> dict[str, Array]:
        """Metric name to float (N, S), of each trial without each clip in turn."""
        return jackknife_metrics(self.labels, self.scores, self.conventions)

    def only(self, row: int) -> "ClipScores":
        """Return the predictions of one of the trials, by its place."""
        return replace(self, seeds=(self.seeds[row],), scores=self.scores[[row]])

    def influences(self, metric: str) -> Array:
        """Return what each clip adds to a metric of each trial: float (N, S)."""
        return influences(self.jackknife[metric])

    def weighted(self, weights: Array) -> dict[str, Array]:
        """Return metric name to float (B, S), with the clips counted by weights, float (B, N)."""
        return weighted_metrics(self.labels, self.scores, weights, self.conventions)


@dataclass
class Resampler:
    """Resamples clips: equal clips are resampled alike, so that cells can be compared.

    Args:
        seed: of all draws.
    """

    seed: int
    _weights: dict[str, Array] = field(default_factory=dict)

    def weights(self, tested: ClipScores) -> Array:
        """Return how often each clip counts in each resample, float (B, N)."""
        if tested.clips not in self._weights:
            generator = self.generator(tested.clips)
            self._weights[tested.clips] = clip_weights(tested.num_clips, NUM_RESAMPLES, generator)
        return self._weights[tested.clips]

    def generator(self, purpose: str) -> np.random.Generator:
        """Return a generator for one purpose; the same one each time."""
        return np.random.default_rng([self.seed, int(hashlib.sha256(purpose.encode()).hexdigest()[:8], 16)])

    def intervals(self, tested: ClipScores, minus: ClipScores | None = None) -> dict[str, tuple[float, float]]:
        """Return 95 % intervals over clips of the metrics of one trial, or of its differences to another one's.

        BCa; of differences, for which that is too short where few clips differ, Student's t with the jackknife.

        Args:
            tested: of one trial.
            minus: of one other trial on the same clips.

        Returns:
            By metric; without those that so few clips do not allow, or that are not defined.
        """
        if tested.num_clips < MIN_CLIPS:
            return {}
        weights = self.weights(tested)
        parts = _parts(tested, weights)
        if minus is not None:
            others = _parts(minus, weights)
            parts = {name: tuple(a - b for a, b in zip(parts[name], others[name], strict=True)) for name in parts}
        found = {}
        for name, (replicates, jackknife, estimate) in parts.items():
            if minus is not None:
                interval = clip_interval(float(estimate[0]), influences(jackknife[:, None])[:, 0])
            else:
                interval = bca_interval(replicates, float(estimate[0]), jackknife)
            if interval is not None:
                found[name] = interval
        return found


def _parts(tested: ClipScores, weights: Array) -> dict[str, tuple[Array, ...]]:
    """Return for each metric of one trial its replicates (B,), jackknife values (N,), and value (1,)."""
    drawn = tested.weighted(weights)
    return {
        name: (drawn[name][:, 0], tested.jackknife[name][:, 0], values[:1]) for name, values in tested.metrics.items()
    }


def tested_of(records: Mapping[Seed, TrialRecord], conventions: str) -> tuple[ClipScores | None, list[str]]:
    """Bring the test predictions of a cell's trials into one order.

    Args:
        records: complete trials of one cell, by seed.
        conventions: those by which they were scored.

    Returns:
        The predictions, None if no trial has any that can be used, and what is wrong with those left out. If trials
        were tested on different clips, those of the first one's clips count.
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
            notes.append(f"{record.trial.label}: {problem}; what is said over clips leaves it out.")
    if not rows:
        return None, notes
    return ClipScores(next(iter(names.values())), tuple(names), labels, np.stack(rows), conventions), notes


def _in_order(predictions: Predictions) -> tuple[str, Array, Array]:
    order = np.argsort(predictions.clip_ids, kind="stable")
    ids, labels = predictions.clip_ids[order], predictions.labels[order]
    total = hashlib.sha256("\n".join(ids.tolist()).encode() + labels.tobytes())
    return total.hexdigest(), labels, predictions.scores[order]


def _disagreement(predictions: Predictions, record: TrialRecord, conventions: str) -> str:
    """Return in which metric a trial's predictions and its record do not agree, "" if they do."""
    found = weighted_metrics(
        predictions.labels, predictions.scores[None, :], np.ones((1, len(predictions.labels))), conventions
    )
    for name, values in found.items():
        recorded = record.test.get(name)
        if recorded is not None and not math.isclose(values[0, 0], recorded, abs_tol=_SAME, rel_tol=_SAME):
            return f"its test predictions give another {name} ({values[0, 0]:.6g}) than it recorded ({recorded:.6g})"
    return ""


def correctness(tested: ClipScores) -> dict[str, NDArray[np.bool_]]:
    """Return for each accuracy which clips count and are right: bool (2, S, N), counted first."""
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
    """Return the seeds at which two cells can be paired; a single trial without a seed pairs with every one."""
    if tuple(first) == (None,):
        return list(second)
    return list(first) if tuple(second) == (None,) else [seed for seed in first if seed in set(second)]


def common_trials(
    first: Mapping[Seed, TrialRecord], second: Mapping[Seed, TrialRecord]
) -> dict[Seed, tuple[TrialRecord, TrialRecord]]:
    """Return the trials of two cells that can be paired, by their seed; see `common_seeds`."""
    seeds = common_seeds(list(first), list(second))
    return {seed: (first[seed if seed in first else None], second[seed if seed in second else None]) for seed in seeds}
