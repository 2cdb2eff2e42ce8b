"""What every tracker is: a view of one sweep for people who compare runs, kept up to date from the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from omni_msa.config.plugins import Kind
from omni_msa.evidence.summary import CellSummary
from omni_msa.ledger.ledger import Ledger


@dataclass(frozen=True)
class SweepView:
    """What a tracker needs to know of a sweep.

    Args:
        name: of the sweep; no other sweep of this ledger has it.
        question: what the sweep asks.
        ledger: what is viewed; a tracker keeps its own files in its folder.
    """

    name: str
    question: str
    ledger: Ledger


@dataclass(frozen=True)
class TrialView:
    """What a tracker needs to know of a trial.

    Args:
        trial_id, seed: its identity and its seed (None where the cell is deterministic).
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
    """Writes one sweep. All of it comes from the ledger: every call may be repeated, and changes nothing then.

    What a method raises ends the tracking of this sweep, not its trials; `--report` writes it anew.
    """

    def start(self, cells: Mapping[str, Mapping[str, Any]]) -> None:
        """Make the sweep and its cells where they are missing; called again when a search has proposed further ones.

        Args:
            cells: name of each cell to its values on the axes, in the order of the plan.
        """
        ...

    def follow(self, trial: TrialView) -> None:
        """Send the new rows of a running trial's `metrics.jsonl`."""
        ...

    def finish(self, trial: TrialView) -> None:
        """Record a trial that is complete, pruned or failed."""
        ...

    def cell_metrics(self, cell: CellSummary, is_valid: bool = False) -> None:
        """Write the statistics of one cell.

        Args:
            cell: its statistics over seeds.
            is_valid: they are of the valid split, because the test split of a search's proposal stays locked.
        """
        ...

    def reports(self, folder: Path) -> None:
        """Attach the files of the sweep's report folder."""
        ...

    def close(self) -> None:
        """Leave no run shown as running."""
        ...


class TrackerPlugin(Protocol):
    """A service or a format that sweeps are tracked in; `trackers: [name]` in a sweep file asks for it."""

    name: str
    title: str
    """What people call it, as "MLflow"."""

    def open(self, sweep: SweepView) -> Tracker:
        """Return what writes a sweep. It is called in the driver, once something is to be written."""
        ...

    def how_to_look(self, ledger: Ledger) -> str:
        """Return the command, address or file by which a person sees what was tracked; nothing is opened."""
        ...


CONTRACT = TrackerPlugin
TRACKERS = Kind[TrackerPlugin]("tracking")
