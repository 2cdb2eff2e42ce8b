"""The statistics of a whole sweep, and how `aggregate.json` has them."""

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
    """A clip that every trial leaves out: of which dataset (the plug-in's name), and why."""

    dataset: str
    fault: Fault

    def as_row(self) -> dict[str, str]:
        """Return it as `aggregate.json` and `dropped_clips.csv` have it."""
        return {"dataset": self.dataset, **asdict(self.fault)}


@dataclass(frozen=True)
class SweepSummary:
    """What the trials of a sweep say of its cells; `aggregate.json` has these fields in this order.

    Args:
        sweep: its name; `question`: that the sweep file asks.
        style: "standard", or "mmsa" for tables in that framework's convention.
        metric: the one that decides the sweep.
        cells: in the order of the sweep.
        differences: comparisons of pairs of cells on that metric; empty where the sweep names none.
        exploratory: of the same pairs on other headline metrics.
        controls: how far each pair is controlled.
        selection: how much was tried, and what was chosen.
        verdict: what the statistics support.
        floor: the name of the constant readout's cell that cells are measured by, None without one.
        human: metrics of a human rater on test in stored units, None where the dataset has none.
        notes: what a reader must know, sentences.
        dropped_clips: that every trial leaves out.
        dataset: the plug-in's name where all cells have the same one, else "".
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
        values: dict[str, Any] = finite(asdict(self) | {"cells": cells, "dropped_clips": clips})
        return values
