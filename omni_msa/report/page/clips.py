"""The clips to inspect: those with the largest error over all cells, and those on which two cells differ most."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from omni_msa.config.lookups import uses
from omni_msa.config.sections import DatasetOptions
from omni_msa.config.trial import classes_of
from omni_msa.evidence.gather import Evidence
from omni_msa.evidence.records import Predictions, TrialRecord, read_texts
from omni_msa.stats.metrics import METRICS
from omni_msa.sweep.sweep import find_cell

NUM_WORST, NUM_DISPUTED, NUM_CELLS_MAX = 12, 6, 12
WORST, DISPUTED = "largest mean error", "the two cells disagree"
MOST_PROBABLE = "most probable:"
_TEXT_LENGTH_MAX = 200


@dataclass(frozen=True)
class Answer:
    """What one cell predicted for a clip.

    Args:
        cell: its label; `role`: its part in the compared pair, "" if it has none.
        scores: of each seed, as text.
        texts: the decoded texts, each once, with its count if above 1; for `expected_value` the most probable answers.
        error: mean absolute error over seeds; for classes the share of seeds that were wrong.
    """

    cell: str
    role: str
    scores: list[str]
    texts: list[str]
    error: float


@dataclass(frozen=True)
class Example:
    """One clip to inspect: `error` is the mean over the trained cells, `why` the reason it was chosen."""

    dataset: DatasetOptions
    clip_id: str
    label: str
    error: float
    why: str
    answers: list[Answer]


@dataclass
class _Scores:
    """The scores of one dataset's test clips: for each cell float (S, N), rows in the order of `records`."""

    dataset: DatasetOptions
    clip_ids: list[str]
    labels: NDArray[np.float64]
    classes: tuple[str, ...]
    scores: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    records: dict[str, list[TrialRecord]] = field(default_factory=dict)

    def error(self, cell: str) -> NDArray[np.float64]:
        """Return the mean absolute error over seeds, float (N,); for classes the share of seeds that were wrong."""
        scores = self.scores[cell]
        return np.mean(scores != self.labels if self.classes else np.abs(scores - self.labels), axis=0)

    def distance(self, one: str, other: str) -> NDArray[np.float64]:
        """Return how far the mean scores of two cells are apart, float (N,); for classes the share of unequal pairs."""
        a, b = self.scores[one], self.scores[other]
        if self.classes:
            return np.mean(a[:, None] != b[None], axis=(0, 1))
        return np.abs(a.mean(axis=0) - b.mean(axis=0))

    def text(self, value: float) -> str:
        """Return a label or score as text for the page."""
        if not self.classes:
            return f"{value:+.2f}"
        return self.classes[int(value)] if 0 <= value < len(self.classes) else "no class"


def compared_pair(evidence: Evidence) -> tuple[str, ...]:
    """Return the labels of the cell that others are compared with and of the best other cell, as far as they exist.

    Without a comparison in the sweep file, these are the two best cells by mean.
    """
    compare, cells = evidence.plan.sweep.file.compare, evidence.plan.sweep.cells
    against = find_cell(cells, compare.against) if compare else None
    metric = METRICS[evidence.summary.metric]
    known = {cell.name: mean for cell in evidence.summary.cells if (mean := cell.of(metric.name).mean) is not None}
    ranked = sorted(known, key=lambda label: known[label], reverse=metric.better == "higher")
    if against is None:
        return tuple(ranked[:2])
    return (against.name, *[label for label in ranked if label != against.name][:1])


def choose(evidence: Evidence) -> list[Example]:
    """Return the clips with the largest error over all trained cells, then those on which the pair differs most.

    Args:
        evidence: of a sweep. Cells with test predictions count; if none of them is trained, all of them do.

    Returns:
        Each clip at most once.
    """
    pair = compared_pair(evidence)
    found = [_examples(scores, pair) for scores in _by_dataset(evidence)]
    worst = sorted((clip for examples, _ in found for clip in examples), key=lambda clip: -clip.error)[:NUM_WORST]
    known = {(clip.dataset, clip.clip_id) for clip in worst}
    disputed = [clip for _, examples in found for clip in examples if (clip.dataset, clip.clip_id) not in known]
    return worst + disputed[:NUM_DISPUTED]


def _by_dataset(evidence: Evidence) -> list[_Scores]:
    known: dict[DatasetOptions, _Scores] = {}
    for record in evidence.records:
        if (predictions := record.test_predictions) is None:
            continue
        dataset = record.trial.config.dataset
        if dataset not in known:
            known[dataset] = _Scores(dataset, predictions.clip_ids.tolist(), predictions.labels, classes_of(dataset))
        if (scores := _in_order(predictions, known[dataset].clip_ids)) is not None:
            for cell in record.trial.cells:
                known[dataset].records.setdefault(cell, []).append(record)
                before = known[dataset].scores.get(cell)
                known[dataset].scores[cell] = scores[None] if before is None else np.vstack([before, scores])
    return list(known.values())


def _in_order(predictions: Predictions, clip_ids: Sequence[str]) -> NDArray[np.float64] | None:
    """Return the scores in the order of `clip_ids`, or None if they are of other clips (a file was changed)."""
    own = predictions.clip_ids.tolist()
    if own == clip_ids:
        return predictions.scores
    indices = {clip_id: index for index, clip_id in enumerate(own)}
    if indices.keys() != set(clip_ids):
        return None
    return predictions.scores[[indices[clip_id] for clip_id in clip_ids]]


def _examples(scores: _Scores, pair: tuple[str, ...]) -> tuple[list[Example], list[Example]]:
    """Return the clips with the largest error, and enough of the most disputed ones even if they overlap with these."""
    errors = {cell: scores.error(cell) for cell in scores.scores}
    trained = [cell for cell, records in scores.records.items() if uses(records[0].trial.config, "adapter")]
    overall = np.mean([errors[cell] for cell in trained or errors], axis=0)
    shown = _shown(list(errors), pair)
    texts = _Texts(scores)

    def example(index: int, why: str) -> Example:
        answers = [_answer(scores, texts, cell, index, errors[cell], pair) for cell in shown]
        label = scores.text(scores.labels[index])
        return Example(scores.dataset, scores.clip_ids[index], label, float(overall[index]), why, answers)

    worst = [example(index, WORST) for index in np.argsort(-overall, kind="stable")[:NUM_WORST].tolist()]
    if len(pair) < 2 or not set(pair) <= errors.keys():
        return worst, []
    order = np.argsort(-scores.distance(*pair), kind="stable")[: NUM_WORST + NUM_DISPUTED]
    return worst, [example(index, DISPUTED) for index in order.tolist()]


def _shown(cells: list[str], pair: tuple[str, ...]) -> list[str]:
    first = [cell for cell in pair if cell in cells]
    return (first + [cell for cell in cells if cell not in first])[:NUM_CELLS_MAX]


class _Texts:
    """The texts that trials decoded on test; each file is read once."""

    def __init__(self, scores: _Scores) -> None:
        self._scores = scores
        self._known: dict[str, dict[str, str]] = {}

    def of(self, cell: str, clip_id: str) -> list[str]:
        """Return the distinct texts that a cell's trials decoded for a clip, without the empty one."""
        found: dict[str, int] = {}
        for record in self._scores.records[cell]:
            if record.trial_id not in self._known:
                self._known[record.trial_id] = read_texts(record.folder, "test")
            text = self._known[record.trial_id].get(clip_id, "")
            found[text] = found.get(text, 0) + 1
        times = {text: f" ({num} times)" if num > 1 else "" for text, num in found.items() if text}
        said = [f"“{text[:_TEXT_LENGTH_MAX]}”{more}" for text, more in times.items()]
        return [f"{MOST_PROBABLE} {said[0]}", *said[1:]] if said and self._is_read_off(cell) else said

    def _is_read_off(self, cell: str) -> bool:
        """Whether the score is the mean over all answers; the text, the most probable one, is then not the score."""
        return self._scores.records[cell][0].trial.config.readout.name == "expected_value"


def _answer(
    scores: _Scores, texts: _Texts, cell: str, index: int, errors: NDArray[np.float64], pair: tuple[str, ...]
) -> Answer:
    role = dict(zip(pair, ("compared with", "best other cell"), strict=False)).get(cell, "")
    shown = [scores.text(value) for value in scores.scores[cell][:, index]]
    return Answer(cell, role, shown, texts.of(cell, scores.clip_ids[index]), float(errors[index]))
