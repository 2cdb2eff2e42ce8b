"""The statistics of a whole sweep, and their form in `aggregate.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from omni_msa.data.faults import Fault
from omni_msa.evidence.comparisons.comparison import Comparison
from omni_msa.evidence.comparisons.controls import Control
from omni_msa.evidence.comparisons.selection import Selection
from omni_msa.evidence.comparisons.verdict import Verdict
from omni_msa.evidence.summary import CellSummary
from omni_msa.system.files import finite


@dataclass(frozen=True)
class DroppedClip:
    """A clip that every trial leaves out: its dataset (name of the plug-in), and the fault found."""

    dataset: str
    fault: Fault

    def as_row(self) -> dict[str, str]:
        """Return the clip as one row of `aggregate.json` and `dropped_clips.csv`."""
        return {"dataset": self.dataset, **asdict(self.fault)}


@dataclass(frozen=True)
class SweepSummary:
    """The statistics of a sweep; `aggregate.json` has these fields in this order.

    Args:
        sweep: its name; `question`: the question of the sweep file.
        style: "standard", or "mmsa" for tables in that framework's convention.
        metric: the primary one, which decides the sweep.
        cells: in the order of the sweep.
        differences: comparisons of pairs of cells on that metric; empty if the sweep names none.
        exploratory: comparisons of the same pairs on other headline metrics.
        controls: how far each pair is controlled.
        selection: how much was tried, and what was chosen.
        verdict: the conclusion that the statistics support.
        floor: the name of the (first) reference cell with the constant readout, None without one.
        human: metrics of a human rater on test in stored units, None where the dataset has none.
        notes: sentences that a reader must know.
        dropped_clips: clips that every trial leaves out.
        dataset: the name of its plug-in if all cells have the same one, else "".
    """

    sweep: str
    question: str
    style: str
    metric: str
    cells: Sequence[CellSummary]
    differences: Sequence[Comparison]
    exploratory: Sequence[Comparison]
    controls: Sequence[Control]
    selection: Selection
    verdict: Verdict
    floor: str | None = None
    human: Mapping[str, float] | None = None
    notes: Sequence[str] = ()
    dropped_clips: Sequence[DroppedClip] = ()
    dataset: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the content of `aggregate.json`: plain values, numbers that are not finite as None."""
        cells, clips = [cell.as_json() for cell in self.cells], [clip.as_row() for clip in self.dropped_clips]
        pairs = {
            key: [_as_pair(pair) for pair in getattr(self, key)] for key in ("differences", "exploratory", "controls")
        }
        values: dict[str, Any] = finite(asdict(self) | {"cells": cells, "dropped_clips": clips, **pairs})
        return values


def _as_pair(pair: Comparison | Control) -> dict[str, Any]:
    values = asdict(pair)
    return {"label": values.pop("name"), **values}
