"""What is shown and recorded while a run goes on, read from the ledger alone."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from omni_msa.config.lookups import num_train_clips, uses
from omni_msa.execution.progress import RunningTrial, Snapshot
from omni_msa.ledger.ledger import Ledger
from omni_msa.ledger.trial_folder import Status
from omni_msa.ledger.trials import PlannedTrial, stands
from omni_msa.search.forecast import Outlook

_DONE = ("complete", "pruned")
_ENDED = (*_DONE, "failed")
_OUTLOOK_LASTS_S = 10.0

_Key = tuple[str, bool, int | None]
"""A trial and how far it is to be run: its id, whether test is open, and after which epoch it stops."""


class Monitor:
    """Follows the trials of a plan.

    Args:
        trials: the trials of the plan. A search adds its trials to this list while it runs; a trial that it promotes or
            opens for test replaces its entry, or is added as a second one.
        ledger: the ledger with these trials.
        show: called with each snapshot, for the display.
        record: called with each trial that runs or has just ended, and its state, for MLflow.
        outlook: returns what searches are still expected to run, as from `forecast.lookout`; None without a search.
    """

    def __init__(
        self,
        trials: Sequence[PlannedTrial],
        ledger: Ledger,
        show: Callable[[Snapshot], None],
        record: Callable[[PlannedTrial, str], None],
        outlook: Callable[[], Outlook] | None = None,
    ) -> None:
        self._all, self._ledger, self._show, self._record = trials, ledger, show, record
        self._running_since: dict[str, float] = {}
        self._complete: dict[_Key, Status] = {}
        self._recorded: dict[_Key, str] = {}
        self._ask = outlook
        self._outlook: Outlook | None = None
        self._states: dict[_Key, str] | None = None
        self._asked_at = -math.inf
        self._proposals: dict[str, None] = {}

    def look(self) -> None:
        """Read the state of every trial and show it."""
        trials = self._trials()
        statuses = {trial.trial_id: self._status(trial) for trial in trials}
        self._update_proposals(trials, statuses)
        self._update_outlook(trials, statuses)
        self._show(self._snapshot(trials, statuses))

    def follow(self) -> None:
        """Record the trials that run, and those that have ended since the last call."""
        for trial in self._trials():
            state = self._status(trial).state
            if state == "running" or (state in _ENDED and self._recorded.get(trial.run_key) != state):
                self._record(trial, state)
                self._recorded[trial.run_key] = state

    def _trials(self) -> list[PlannedTrial]:
        """Return each trial once; of several entries for a trial the last one counts."""
        return list({trial.trial_id: trial for trial in tuple(self._all)}.values())

    def _status(self, trial: PlannedTrial) -> Status:
        """Return a trial's status; only complete ones are cached, as failed and pruned trials may continue."""
        status = self._complete.get(trial.run_key)
        if status is None:
            status = stands(trial.config, trial.trial_id, self._ledger)
            if status.state == "complete":
                self._complete[trial.run_key] = status
        return status

    def _update_proposals(self, trials: Sequence[PlannedTrial], statuses: Mapping[str, Status]) -> None:
        """Add a line for each proposal that has begun or whose test split was opened since the first `look`."""
        for trial in trials:
            state, key = statuses[trial.trial_id].state, trial.run_key
            had_ended = self._states is None or self._states.get(key) in _ENDED
            if self._ask is None or not (state == "running" or (state in _ENDED and not had_ended)):
                continue
            name = trial.cells[0].rpartition(", ")[0]
            for what in (trial.detail, "its test split is opened" if trial.config.opens_test else ""):
                if what:
                    self._proposals.setdefault(f"{name}: {what}")

    def _update_outlook(self, trials: Sequence[PlannedTrial], statuses: Mapping[str, Status]) -> None:
        """Ask for the outlook again if a state has changed, nothing runs, or the last one is outdated."""
        now, before = time.monotonic(), self._states
        self._states = {trial.run_key: statuses[trial.trial_id].state for trial in trials}
        is_outdated = now - self._asked_at >= _OUTLOOK_LASTS_S or "running" not in self._states.values()
        if self._ask is not None and (is_outdated or self._states != before):
            outlook, self._asked_at = self._ask(), now
            if len(self._trials()) == len(trials):
                self._outlook = outlook
            else:  # trials were added meanwhile: ask again at the next call, which has them
                self._asked_at = -math.inf

    def _snapshot(self, trials: Sequence[PlannedTrial], statuses: Mapping[str, Status]) -> Snapshot:
        outlook = self._outlook or Outlook()
        elsewhere = outlook.done - statuses.keys()  # of cells that another run or sweep completed
        by_state = {
            state: [trial for trial in trials if statuses[trial.trial_id].state == state]
            for state in (*_ENDED, "running")
        }
        return Snapshot(
            len(elsewhere) + sum(len(by_state[state]) for state in _DONE),
            [self._running(trial, statuses[trial.trial_id]) for trial in by_state["running"]],
            {trial.name: (statuses[trial.trial_id].failure or {}).get("message", "") for trial in by_state["failed"]},
            retried={
                trial.name: [_retry_text(entry) for entry in status.history if entry.get("retried")]
                for trial in trials
                if (status := statuses[trial.trial_id]).history
            },
            num_trials=None if self._outlook is None else len(trials) + len(elsewhere) + outlook.num_new,
            is_least=outlook.is_least,
            ends={trial.name: _end(trial) for state in _DONE for trial in self._just_ended(by_state[state])},
            proposals=tuple(self._proposals),
            num_stopped=len(by_state["pruned"]),
        )

    def _just_ended(self, trials: Sequence[PlannedTrial]) -> list[PlannedTrial]:
        return [trial for trial in trials if self._running_since.pop(trial.trial_id, None) is not None]

    def _running(self, trial: PlannedTrial, status: Status) -> RunningTrial:
        began = self._running_since.setdefault(trial.trial_id, time.monotonic())
        rows = self._ledger.trial(trial.trial_id).metrics()
        metric = trial.config.training.select_metric
        num_epochs, num_steps = _length(trial)
        return RunningTrial(
            label=trial.cells[0],
            seed=trial.config.seed,
            epoch=sum(f"valid_{metric}" in row for row in rows),
            num_epochs=num_epochs,
            step=status.step,
            num_steps=num_steps,
            train_loss=_latest(rows, "train_loss"),
            valid=_latest(rows, f"valid_{metric}"),
            valid_metric=metric,
            elapsed_s=time.monotonic() - began,
        )


def _end(trial: PlannedTrial) -> str:
    """Return how a trial ended that ran as far as its configuration says."""
    config = trial.config
    stopped = f"stopped after epoch {config.stops_after_epoch} of {config.training.epochs}"
    return "done" if config.stops_after_epoch is None else stopped


def _retry_text(entry: Mapping[str, Any]) -> str:
    return f"{entry.get('kind')}: {entry.get('message')}; {entry.get('reaction')}"


def _length(trial: PlannedTrial) -> tuple[int, int]:
    """Return a trial's number of epochs and of steps until it stops, (0, 0) if there are none or unknown."""
    training, num_train = trial.config.training, num_train_clips(trial.config)
    if not num_train or not uses(trial.config, "training"):
        return 0, 0
    num_trained = min(training.epochs, trial.config.stops_after_epoch or training.epochs)
    return training.epochs, num_trained * math.ceil(num_train / training.batch_size)


def _latest(rows: Sequence[dict[str, Any]], name: str) -> float | None:
    values = [row[name] for row in rows if isinstance(row.get(name), int | float)]
    return float(values[-1]) if values else None
