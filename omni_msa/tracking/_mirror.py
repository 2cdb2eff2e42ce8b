"""Sends the content of the ledger to every tracker of a sweep, while trials run and after they have ended."""

from collections.abc import Callable
from typing import Any

from omni_msa.config import plugins
from omni_msa.evidence.search_findings import locked_cells
from omni_msa.evidence.sweep_summary import SweepSummary
from omni_msa.ledger.ledger import Ledger
from omni_msa.ledger.trials import PlannedTrial
from omni_msa.planning.plan import Plan
from omni_msa.tracking._base import TRACKERS, SweepView, Tracker, TrackerPlugin, TrialView

RECORDED = ("complete", "failed", "pruned")


class LedgerMirror:
    """Sends a sweep to its trackers.

    Args:
        plan: of the sweep.

    Raises:
        InputError: a tracker of the sweep does not exist or cannot be used.
    """

    def __init__(self, plan: Plan) -> None:
        self._ledger = plan.ledger
        self._mirrors = [_Mirror(plugins.load(TRACKERS, name), plan) for name in plan.sweep.file.trackers]

    def trial(self, trial: PlannedTrial, state: str) -> None:
        """Send the new data of one trial.

        Args:
            trial: of the plan.
            state: "running", or its final state.
        """
        for mirror in self._mirrors:
            mirror.send(lambda tracker: _send(tracker, trial, state, self._ledger))

    def close(self, plan: Plan, summary: SweepSummary) -> None:
        """Send all finished trials, the statistics of cells and the reports, and close all runs.

        Args:
            plan: with current states.
            summary: of the sweep.
        """
        for trial in plan.trials:
            if trial.status.state in RECORDED:
                self.trial(trial, trial.status.state)
        for mirror in self._mirrors:
            mirror.send(lambda tracker: _summarise(tracker, plan, summary))

    def how_to_look(self) -> list[str]:
        """Return a line for each tracker without an error: how to view the sweep."""
        working = (mirror.plugin for mirror in self._mirrors if mirror.error is None)
        return [f"{plugin.title}: {plugin.how_to_look(self._ledger)}" for plugin in working]

    def errors(self) -> dict[str, Exception]:
        """Return the first error of each tracker that failed, by its title."""
        return {mirror.plugin.title: mirror.error for mirror in self._mirrors if mirror.error is not None}


class _Mirror:
    """One tracker, opened on first use, because opening can take seconds in which Ray can start.

    Its errors must not end the trials: after the first error nothing more is sent.
    """

    def __init__(self, plugin: TrackerPlugin, plan: Plan) -> None:
        self.plugin, self._plan = plugin, plan
        self.error: Exception | None = None
        self._tracker: Tracker | None = None

    def send(self, what: Callable[[Tracker], None]) -> None:
        if self.error is None:
            try:
                what(self._open())
            except Exception as error:
                self.error = error

    def _open(self) -> Tracker:
        if self._tracker is None:
            sweep = self._plan.sweep
            tracker = self.plugin.open(SweepView(sweep.name, sweep.file.question, self._plan.ledger))
            tracker.start(_cells(self._plan))
            self._tracker = tracker
        return self._tracker


def _cells(plan: Plan) -> dict[str, dict[str, Any]]:
    return {cell.name: {**cell.axes, **cell.parameters} for cell in plan.sweep.cells}


def _send(tracker: Tracker, trial: PlannedTrial, state: str, ledger: Ledger) -> None:
    folder, config = ledger.trial(trial.trial_id).path, trial.config.model_dump(mode="json")
    view = TrialView(trial.trial_id, trial.cells[0], trial.config.seed, folder, state, config)
    (tracker.follow if state == "running" else tracker.finish)(view)


def _summarise(tracker: Tracker, plan: Plan, summary: SweepSummary) -> None:
    tracker.start(_cells(plan))
    for cell in summary.cells:
        tracker.cell_metrics(cell)
    for cell in locked_cells(plan):
        tracker.cell_metrics(cell, of_valid=True)
    tracker.reports(plan.ledger.report_folder(plan.sweep.name))
    tracker.close()
