"""What a run shows while it goes on, read from the ledger and from nothing else."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from omni_msa.estimate import num_train_clips, uses
from omni_msa.ledger import Ledger, Status
from omni_msa.plan import PlannedTrial
from omni_msa.progress import RunningTrial, Snapshot

_ENDED = ("complete", "failed", "pruned")


class Watch:
    """Follows the trials of a plan.

    Args:
        trials: of the plan; those that a search proposes meanwhile are added to it.
        ledger: where they are.
        show: takes each snapshot, for people.
        record: takes each trial that runs or has just ended, with its state, for MLflow.
    """

    def __init__(
        self,
        trials: Sequence[PlannedTrial],
        ledger: Ledger,
        show: Callable[[Snapshot], None],
        record: Callable[[PlannedTrial, str], None],
    ) -> None:
        self._trials, self._ledger, self._show, self._record = trials, ledger, show, record
        self._running_since: dict[str, float] = {}
        self._ended: dict[str, Status] = {}
        self._recorded: dict[str, str] = {}

    def look(self) -> None:
        """Read where every trial stands and show it."""
        self._show(self._snapshot({trial.trial_id: self._status(trial) for trial in self._trials}))

    def follow(self) -> None:
        """Record the trials that run, and those that have ended since the last time."""
        for trial in self._trials:
            state = self._status(trial).state
            if state == "running" or (state in _ENDED and self._recorded.get(trial.trial_id) != state):
                self._record(trial, state)
                self._recorded[trial.trial_id] = state

    def _status(self, trial: PlannedTrial) -> Status:
        """A complete trial is read once; a failed one may be tried again."""
        known = self._ended.get(trial.trial_id)
        if known is None:
            known = self._ledger.trial(trial.trial_id, trial.config.opens_test).status()
            if known.state in ("complete", "pruned"):
                self._ended[trial.trial_id] = known
        return known

    def _snapshot(self, statuses: dict[str, Status]) -> Snapshot:
        num_done = sum(status.state in ("complete", "pruned") for status in statuses.values())
        failures = {
            trial.label: (statuses[trial.trial_id].failure or {}).get("message", "")
            for trial in self._trials
            if statuses[trial.trial_id].state == "failed"
        }
        shown = [
            self._running(trial, status)
            for trial in self._trials
            if (status := statuses[trial.trial_id]).state == "running"
        ]
        retried = {
            trial.label: [_retry_text(entry) for entry in status.history if entry.get("retried")]
            for trial in self._trials
            if (status := statuses[trial.trial_id]).history
        }
        return Snapshot(num_done, shown, failures, retried=retried)

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


def _retry_text(entry: Mapping[str, Any]) -> str:
    return f"{entry.get('kind')}: {entry.get('message')}; {entry.get('reaction')}"


def _length(trial: PlannedTrial) -> tuple[int, int]:
    """Return how many epochs and optimiser steps a trial has, (0, 0) if it has none or they are not known."""
    training, num_train = trial.config.training, num_train_clips(trial.config)
    if not num_train or not uses(trial.config, "training"):
        return 0, 0
    return training.epochs, training.epochs * math.ceil(num_train / training.batch_size)


def _latest(rows: Sequence[dict[str, Any]], name: str) -> float | None:
    values = [row[name] for row in rows if isinstance(row.get(name), int | float)]
    return float(values[-1]) if values else None
