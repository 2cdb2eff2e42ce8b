"""The clips worth looking at: those that all cells get most wrong, and those on which two cells disagree most."""

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
    """What one cell said of a clip.

    Args:
        cell: its label; `role`: what it is to the comparison, "" if nothing.
        scores: of each seed, as text.
        texts: what was decoded, each text once, with how often; of `expected_value` its most probable answers.
        error: mean absolute error over seeds; of classes the share of seeds that were wrong.
    """

    cell: str
    role: str
    scores: list[str]
    texts: list[str]
    error: float


@dataclass(frozen=True)
class Example:
    """One clip to look at; `error` is the mean over the trained cells, `why` it was chosen."""

    dataset: DatasetOptions
    clip_id: str
    label: str
    error: float
    why: str
    answers: list[Answer]


@dataclass
class _Scores:
    """The scores of one dataset's test clips: of each cell, float (S, N), in the order of its `records`."""

    dataset: DatasetOptions
    clip_ids: list[str]
    labels: NDArray[np.float64]
    classes: tuple[str, ...]
    scores: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    records: dict[str, list[TrialRecord]] = field(default_factory=dict)

    def error(self, cell: str) -> NDArray[np.float64]:
        """Return the mean absolute error over seeds, float (N,); of classes the share of seeds that were wrong."""
        scores = self.scores[cell]
        return np.mean(scores != self.labels if self.classes else np.abs(scores - self.labels), axis=0)

    def distance(self, one: str, other: str) -> NDArray[np.float64]:
        """Return how far two cells' mean scores are apart, float (N,); of classes the share of pairs that differ."""
        a, b = self.scores[one], self.scores[other]
        if self.classes:
            return np.mean(a[:, None] != b[None], axis=(0, 1))
        return np.abs(a.mean(axis=0) - b.mean(axis=0))

    def text(self, value: float) -> str:
        """Return a label or score as people read it."""
        if not self.classes:
            return f"{value:+.2f}"
        return self.classes[int(value)] if 0 <= value < len(self.classes) else "no class"


def compared_pair(evidence: Evidence) -> tuple[str, ...]:
    """Return the labels of the cell that others are compared with and of the best of these, as far as there are any.

    Without a comparison in the sweep file, they are the two best cells.
    """
    compare, cells = evidence.plan.sweep.file.compare, evidence.plan.sweep.cells
    against = find_cell(cells, compare.against) if compare else None
    metric = METRICS[evidence.summary.metric]
    known = {cell.name: mean for cell in evidence.summary.cells if (mean := cell.of(metric.name).mean) is not None}
    ranked = sorted(known, key=lambda label: known[label], reverse=metric.better == "higher")
    if against is None:
        return tuple(ranked[:2])
    return (against.label, *[label for label in ranked if label != against.label][:1])


def choose(evidence: Evidence) -> list[Example]:
    """Return the clips with the largest error over all trained cells, then those most in dispute, each clip once.

    Args:
        evidence: of a sweep; a cell counts where its trials have predictions. If none is trained, all cells count.
    """
    pair = compared_pair(evidence)
    found = [_examples(scores, pair) for scores in _by_dataset(evidence)]
    worst = sorted((one for ones, _ in found for one in ones), key=lambda one: -one.error)[:NUM_WORST]
    known = {(one.dataset, one.clip_id) for one in worst}
    disputed = [one for _, ones in found for one in ones if (one.dataset, one.clip_id) not in known]
    return worst + disputed[:NUM_DISPUTED]


def _by_dataset(evidence: Evidence) -> list[_Scores]:
    found: dict[DatasetOptions, _Scores] = {}
    for record in evidence.records:
        if (said := record.test_predictions) is None:
            continue
        dataset = record.trial.config.dataset
        if dataset not in found:
            found[dataset] = _Scores(dataset, said.clip_ids.tolist(), said.labels, classes_of(dataset))
        if (scores := _in_order(said, found[dataset].clip_ids)) is not None:
            for cell in record.trial.cells:
                found[dataset].records.setdefault(cell, []).append(record)
                before = found[dataset].scores.get(cell)
                found[dataset].scores[cell] = scores[None] if before is None else np.vstack([before, scores])
    return list(found.values())


def _in_order(said: Predictions, clip_ids: Sequence[str]) -> NDArray[np.float64] | None:
    """Return the scores in the order of some clips, or None if these are others (somebody changed a file)."""
    own = said.clip_ids.tolist()
    if own == clip_ids:
        return said.scores
    places = {clip_id: place for place, clip_id in enumerate(own)}
    if places.keys() != set(clip_ids):
        return None
    return said.scores[[places[clip_id] for clip_id in clip_ids]]


def _examples(scores: _Scores, pair: tuple[str, ...]) -> tuple[list[Example], list[Example]]:
    """Return the worst clips of a dataset, and the most disputed ones (with enough of them for all to be new)."""
    errors = {cell: scores.error(cell) for cell in scores.scores}
    trained = [cell for cell, records in scores.records.items() if uses(records[0].trial.config, "adapter")]
    overall = np.mean([errors[cell] for cell in trained or errors], axis=0)
    shown = _shown(list(errors), pair)
    texts = _Texts(scores)

    def example(place: int, why: str) -> Example:
        answers = [_answer(scores, texts, cell, place, errors[cell], pair) for cell in shown]
        label = scores.text(scores.labels[place])
        return Example(scores.dataset, scores.clip_ids[place], label, float(overall[place]), why, answers)

    worst = [example(place, WORST) for place in np.argsort(-overall, kind="stable")[:NUM_WORST].tolist()]
    if len(pair) < 2 or not set(pair) <= errors.keys():
        return worst, []
    order = np.argsort(-scores.distance(*pair), kind="stable")[: NUM_WORST + NUM_DISPUTED]
    return worst, [example(place, DISPUTED) for place in order.tolist()]


def _shown(cells: list[str], pair: tuple[str, ...]) -> list[str]:
    first = [cell for cell in pair if cell in cells]
    return (first + [cell for cell in cells if cell not in first])[:NUM_CELLS_MAX]


class _Texts:
    """What trials decoded on test, each file read once."""

    def __init__(self, scores: _Scores) -> None:
        self._scores = scores
        self._known: dict[str, dict[str, str]] = {}

    def of(self, cell: str, clip_id: str) -> list[str]:
        """Return the distinct texts of a cell's trials for a clip, the empty one left out."""
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
        """Whether the score is the mean over all answers, so that it is no reading of the text, the likeliest one."""
        return self._scores.records[cell][0].trial.config.readout.name == "expected_value"


def _answer(
    scores: _Scores, texts: _Texts, cell: str, place: int, errors: NDArray[np.float64], pair: tuple[str, ...]
) -> Answer:
    role = dict(zip(pair, ("compared with", "runner-up"), strict=False)).get(cell, "")
    said = [scores.text(value) for value in scores.scores[cell][:, place]]
    return Answer(cell, role, said, texts.of(cell, scores.clip_ids[place]), float(errors[place]))
