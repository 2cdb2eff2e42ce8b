"""From the ledger to what people read: aggregate, tables, MLflow. Repeating it changes nothing."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omni_msa import plugins
from omni_msa.aggregate import CellResults, PairedDifference, TrialRow, aggregate, compare
from omni_msa.errors import InputError
from omni_msa.files import csv_text, write_text
from omni_msa.plan import Plan, PlannedTrial
from omni_msa.preflight import root_of
from omni_msa.tables import write_tables

if TYPE_CHECKING:
    from omni_msa.tracking import Tracker

RECORDED = ("complete", "failed", "pruned")


def cell_results(plan: Plan) -> list[CellResults]:
    """Return the test metrics and costs of every complete trial, by cell and seed."""
    measured = {trial.trial_id: metrics(plan, trial) for trial in plan.trials}
    return [
        CellResults(
            axes=cell.axes,
            label=cell.label,
            deterministic=cell.deterministic,
            seeds=cell.seeds,
            values={
                trial.config.seed: found
                for trial in plan.trials
                if cell.label in trial.cells and (found := measured[trial.trial_id])
            },
        )
        for cell in plan.sweep.cells
    ]


def metrics(plan: Plan, trial: PlannedTrial) -> dict[str, float | None]:
    """Return a trial's test metrics and costs, empty unless it is complete."""
    folder = plan.ledger.trial(trial.trial_id)
    result = folder.result()
    return {} if result is None else {**(folder.test_metrics() or {}), **result.get("cost", {})}


def write_report(plan: Plan) -> tuple[dict[str, Any], Mapping[str, float] | None]:
    """Write the sweep's tables into its report folder.

    Args:
        plan: with the states as they are now.

    Returns:
        the aggregate, as in `aggregate.json`, and the metrics of a human rater, if there are any.
    """
    cells, file = cell_results(plan), plan.sweep.file
    summary = aggregate(plan.sweep.name, cells, file.question)
    differences: list[PairedDifference] = []
    if file.compare is not None:
        differences = compare(cells, file.compare.against, file.compare.metric)
    summary |= dropped_clips(plan)
    summary["notes"] += probe_figures(plan)
    dataset, human = _dataset(plan)
    if any(clip["split"] == "test" for clip in summary["dropped_clips"]):
        human = None  # it is over other clips
    folder = plan.ledger.report_folder(plan.sweep.name)
    write_tables(folder, summary, trial_rows(plan), differences, human, dataset)
    return summary, human


def trial_rows(plan: Plan) -> list[TrialRow]:
    """Return one row for each trial of each cell."""
    axes = {cell.label: cell.axes for cell in plan.sweep.cells}
    return [
        TrialRow(axes[label], trial.config.seed, trial.trial_id, trial.status.state, metrics(plan, trial))
        for trial in plan.trials
        for label in trial.cells
    ]


def dropped_clips(plan: Plan) -> dict[str, Any]:
    """Return `dropped_clips`, one row for each clip that every trial leaves out, and `notes` on the data."""
    found = [store.found for store in plan.stores.values() if store.found is not None]
    rows = [{"dataset": one.dataset, **vars(fault)} for one in found for fault in one.clips.values()]
    return {"dropped_clips": rows, "notes": [*plan.data_notes, *(text for one in found if (text := one.text()))]}


def probe_figures(plan: Plan) -> list[str]:
    """Draw the trials that read every layer or pooling, with `probe.csv` of all of them; return the notes that say so.

    Args:
        plan: with the states as they are now.
    """
    folder = plan.ledger.report_folder(plan.sweep.name)
    for old in (folder / "probe.csv", *(folder / "figures").glob("probe_*")):
        old.unlink(missing_ok=True)
    joined: list[dict[str, Any]] = []
    for trial in (trial for trial in plan.trials if trial.status.state == "complete"):
        rows, name, cell = plan.ledger.trial(trial.trial_id).table("probe"), trial.trial_id, trial.cells[0]
        if rows and _is_drawn(rows, cell, folder / "figures" / f"probe_{name}"):
            joined += [{"cell": cell, "trial_id": name, **row} for row in rows]
    if not joined:
        return []
    write_text(folder / "probe.csv", csv_text(joined))
    return ["Layer by layer (on valid): probe.csv and figures/."]


def _is_drawn(rows: list[dict[str, str]], title: str, path: Path) -> bool:
    from omni_msa.report import draw_probe

    try:
        draw_probe(rows, title, path)
    except (KeyError, TypeError, ValueError):  # somebody changed the file
        return False
    return True


def _dataset(plan: Plan) -> tuple[str, Mapping[str, float] | None]:
    """Return name and human row of the dataset, if the whole sweep has the same one."""
    first, *others = {cell.config.dataset: None for cell in plan.sweep.cells}
    if others:
        return "", None
    try:
        human: Mapping[str, float] | None = plugins.load("datasets", first.name).human_row(root_of(first), first)
    except InputError:  # a report is possible without the data
        human = None
    if human is not None:  # with a handful of clips a correlation can be undefined
        human = {name: value for name, value in human.items() if math.isfinite(value)}
    return first.name, human


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
            tracker.start({cell.label: cell.axes for cell in sweep.cells})
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
                self._summarise(plan, summary)
            except Exception as error:
                self.error = error

    def _summarise(self, plan: Plan, summary: Mapping[str, Any]) -> None:
        tracker = self._open()
        for cell in summary["cells"]:
            tracker.cell_metrics(cell)
        tracker.reports(plan.ledger.report_folder(plan.sweep.name))
        tracker.close()
