"""From the ledger to what people read: tables, figures, report.html, MLflow. Repeating it changes nothing."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omni_msa.aggregate import TrialRow
from omni_msa.evidence import Evidence, gather
from omni_msa.finish_search import find, is_best, locked_cells, write_searches
from omni_msa.ledger.trials import PlannedTrial
from omni_msa.planning.plan import Plan, opened
from omni_msa.search_verdict import choice_notes, headline
from omni_msa.system.files import new_folder
from omni_msa.tables import write_tables

if TYPE_CHECKING:
    from omni_msa.tracking import Tracker

RECORDED = ("complete", "failed", "pruned")
_OURS = (
    *("table.*", "pivot.*", "trials.csv", "aggregate.json", "dropped_clips.csv", "probe.csv", "neighbours.csv"),
    *("report.html", "figures", ".*", "search.json", "search_*.csv"),
)


@dataclass(frozen=True)
class Report:
    """What has been written.

    Args:
        evidence: that it was made from.
        folder: where it lies.
        problem: why there are no figures and no page, "" if there are.
    """

    evidence: Evidence
    folder: Path
    problem: str = ""


def write_report(plan: Plan, command: str = "") -> Report:
    """Write tables, figures and `report.html` of a sweep; its old report stays until the new one is whole.

    Args:
        plan: with the states as they are now; of a search only cells whose test split is open are in the tables.
        command: that ran the sweep, for the page.
    """
    evidence = _with_searches(gather(opened(plan)), find(plan))
    folder = plan.ledger.report_folder(plan.sweep.name)
    with new_folder(folder, lambda name: is_best(name, plan) or any(fnmatch(name, each) for each in _OURS)) as draft:
        write_tables(draft, evidence.summary, trial_rows(evidence), plan.sweep.file.pivot)
        write_searches(plan, evidence.searches, draft)
        problem = _illustrate(evidence, draft, command)
    return Report(evidence, folder, problem)


def _with_searches(evidence: Evidence, found: Sequence[dict[str, Any]]) -> Evidence:
    """Of a sweep with a search the answer is what that found, on fresh seeds and on valid: it is the one verdict."""
    if not found:
        return evidence
    notes = [*evidence.summary["notes"], *choice_notes(found)]
    summary = {**evidence.summary, "notes": notes, "verdict": headline(found, evidence.summary["cells"])}
    return replace(evidence, searches=found, summary=summary)


def _illustrate(evidence: Evidence, folder: Path, command: str) -> str:
    """Draw the figures and write the page; return what went wrong: numbers must not be lost for want of a picture."""
    try:
        from omni_msa.figures.draw import draw_all
        from omni_msa.page.page import write_page

        write_page(evidence, draw_all(evidence, folder), folder, command)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def trial_rows(evidence: Evidence) -> list[TrialRow]:
    """Return one row for each trial of each cell."""
    axes = {cell.label: cell.axes for cell in evidence.plan.sweep.cells}
    return [
        TrialRow(axes[label], record.seed, record.trial_id, record.trial.status.state, record.metrics)
        for record in evidence.records
        for label in record.trial.cells
    ]


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
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self._plan.ledger.root / 'mlflow.db'}"

    def _open(self) -> "Tracker":
        if self._tracker is None:
            from omni_msa.tracking import Tracker

            sweep, artifacts = self._plan.sweep, self._plan.ledger.root / "artifacts"
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
        from omni_msa.tracking import TrialView

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
