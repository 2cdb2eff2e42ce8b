"""Sends what the ledger holds to MLflow, while trials run and when they have ended."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from omni_msa.evidence.search_findings import locked_cells
from omni_msa.ledger.trials import PlannedTrial
from omni_msa.planning.plan import Plan

if TYPE_CHECKING:
    from omni_msa.tracking.mlflow import Tracker


RECORDED = ("complete", "failed", "pruned")


class Record:
    """Sends trials to MLflow, which is opened on first use: that takes seconds, and Ray can start meanwhile.

    An error of MLflow must not end the trials: after the first one nothing more is sent.

    Args:
        plan: of the sweep.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._tracker: Tracker | None = None
        self.error: Exception | None = None
        """What went wrong, if anything did."""

    @property
    def uri(self) -> str:
        """Where the runs are, as the `mlflow` command takes it."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self._plan.ledger.mlflow_database}"

    def _open(self) -> "Tracker":
        if self._tracker is None:
            from omni_msa.tracking.mlflow import Tracker

            sweep, artifacts = self._plan.sweep, self._plan.ledger.artifacts
            tracker = Tracker(self.uri, artifacts, sweep.name, sweep.file.question)
            tracker.start({cell.label: {**cell.axes, **cell.parameters} for cell in sweep.cells})
            self._tracker = tracker
        return self._tracker

    def trial(self, trial: PlannedTrial, state: str) -> None:
        """Send what is new of one trial.

        Args:
            trial: of the plan.
            state: "running", or how it ended.
        """
        if self.error is None:
            try:
                self._send(trial, state)
            except Exception as error:
                self.error = error

    def _send(self, trial: PlannedTrial, state: str) -> None:
        from omni_msa.tracking.mlflow import TrialView

        folder, config = self._plan.ledger.trial(trial.trial_id).path, trial.config.model_dump(mode="json")
        view = TrialView(trial.trial_id, trial.cells[0], trial.config.seed, folder, state, config)
        if state == "running":
            self._open().follow(view)
        else:
            self._open().finish(view)

    def close(self, plan: Plan, summary: Mapping[str, Any]) -> None:
        """Send all that has ended, the statistics of the cells and the reports, and leave no run open.

        Args:
            plan: with the states as they are now.
            summary: the aggregate.
        """
        for trial in plan.trials:
            if trial.status.state in RECORDED:
                self.trial(trial, trial.status.state)
        if self.error is None:
            try:
                self._open().start({cell.label: {**cell.axes, **cell.parameters} for cell in plan.sweep.cells})
                self._summarise(plan, summary)
            except Exception as error:
                self.error = error

    def _summarise(self, plan: Plan, summary: Mapping[str, Any]) -> None:
        tracker = self._open()
        for cell in (*summary["cells"], *locked_cells(plan)):
            tracker.cell_metrics(cell)
        tracker.reports(plan.ledger.report_folder(plan.sweep.name))
        tracker.close()
