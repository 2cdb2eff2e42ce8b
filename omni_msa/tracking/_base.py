"""The contract of an experiment tracker, which shows a sweep from the ledger for comparing runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from omni_msa.config.plugins import Kind
from omni_msa.evidence.summary import CellSummary
from omni_msa.ledger.ledger import Ledger


@dataclass(frozen=True)
class SweepView:
    """What a tracker needs to know about a sweep.

    Args:
        name: of the sweep, unique in the ledger.
        question: of the sweep.
        ledger: the data to show; a tracker may keep its own files in the folder of the ledger.
    """

    name: str
    question: str
    ledger: Ledger


@dataclass(frozen=True)
class TrialView:
    """What a tracker needs to know about a trial.

    Args:
        trial_id, seed: id and seed (None if the cell is deterministic).
        cell: name of its cell.
        folder: its ledger folder.
        state, config: one of the ledger's states; nested plain values.
    """

    trial_id: str
    cell: str
    seed: int | None
    folder: Path
    state: str
    config: Mapping[str, Any]


class Tracker(Protocol):
    """Writes one sweep to a tracker. All data come from the ledger; repeating a call changes nothing.

    An exception ends the tracking of this sweep but not its trials; `--report` writes it again.
    """

    def start(self, cells: Mapping[str, Mapping[str, Any]]) -> None:
        """Create the sweep and its cells if missing; called again when a search has proposed further cells.

        Args:
            cells: values on the axes by the name of the cell, in the order of the plan.
        """
        ...

    def follow(self, trial: TrialView) -> None:
        """Send the new rows of a running trial's `metrics.jsonl`."""
        ...

    def finish(self, trial: TrialView) -> None:
        """Record a trial that is complete, pruned or failed."""
        ...

    def cell_metrics(self, cell: CellSummary, of_valid: bool = False) -> None:
        """Write the statistics of one cell.

        Args:
            cell: its statistics over seeds.
            of_valid: they are of the valid split, because the test split of a search's proposal stays locked.
        """
        ...

    def reports(self, folder: Path) -> None:
        """Attach the files of the sweep's report folder."""
        ...

    def close(self) -> None:
        """Close the sweep: no run is shown as running any more."""
        ...


class TrackerPlugin(Protocol):
    """A service or format for tracking sweeps; `trackers: [name]` in a sweep file selects it."""

    name: str
    title: str
    """Name for display, such as "MLflow"."""

    def open(self, sweep: SweepView) -> Tracker:
        """Return the tracker of a sweep; called in the driver before the first write."""
        ...

    def how_to_look(self, ledger: Ledger) -> str:
        """Return the command, address or file for viewing the tracked data; nothing is opened."""
        ...


CONTRACT = TrackerPlugin
TRACKERS = Kind[TrackerPlugin]("tracking")
