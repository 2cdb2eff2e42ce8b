"""The trials of a plan: id, configuration, and status in the ledger."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from omni_msa.config.identity import fit_id, trial_id
from omni_msa.config.trial import TrialConfig
from omni_msa.ledger.ledger import Ledger
from omni_msa.ledger.trial_folder import Status


@dataclass(frozen=True)
class PlannedTrial:
    """One trial of a plan.

    Args:
        trial_id, fit_id: ids of the trial and of its training; not valid if the data of the plan cannot be read.
        cells: labels of the cells it belongs to, at least one.
        config: its configuration.
        status: its status in the ledger.
        detail: more about its cell, for display: the values of a proposal; the purpose of a stand-in.
    """

    trial_id: str
    fit_id: str
    cells: tuple[str, ...]
    config: TrialConfig
    status: Status
    detail: str = ""

    @property
    def name(self) -> str:
        """Name of the trial for display: cell and seed."""
        seed = "" if self.config.seed is None else f", seed {self.config.seed}"
        return (self.cells or ("to be proposed",))[0] + seed

    @property
    def run_key(self) -> tuple[str, bool, int | None]:
        """Identifies one run of the trial: its id and how far it goes. A promoted or unlocked trial runs again."""
        return self.trial_id, self.config.opens_test, self.config.stops_after_epoch


def missing(trials: Iterable[PlannedTrial], retry: bool) -> list[PlannedTrial]:
    """Return the trials that a run would start; one marked as running was left by a driver that has died."""
    ends = ("complete", "pruned") if retry else ("complete", "pruned", "failed")
    return [trial for trial in trials if trial.status.state not in ends]


def planned(
    config: TrialConfig, fingerprint: str, ledger: Ledger, cells: tuple[str, ...], detail: str = ""
) -> PlannedTrial:
    """Compute the ids of a trial and look up its status in the ledger.

    Args:
        config: of the trial.
        fingerprint: of its dataset.
        ledger: the trials on disk.
        cells: labels of the cells it belongs to.
        detail: more about its cell, for display.
    """
    name = trial_id(config, fingerprint)
    return PlannedTrial(name, fit_id(config, fingerprint), cells, config, stands(config, name, ledger), detail)


def stands(config: TrialConfig, trial_id: str, ledger: Ledger) -> Status:
    """Return the status of a trial; whether it counts as pruned depends on how far its configuration goes."""
    folder, valid = ledger.trial(trial_id, config.opens_test), f"valid_{config.training.select_metric}"
    status, last = folder.status(), config.stops_after_epoch
    if status.state in ("complete", "running"):
        return status
    if last is not None and any(row.get("epoch") == last and valid in row for row in folder.metrics()):
        return replace(status, state="pruned")
    return replace(status, state="pending") if status.state == "pruned" else status
