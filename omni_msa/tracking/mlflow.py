"""The MLflow view of the ledger: one experiment per sweep, with a parent run, a run per cell and a run per trial.

The only file that imports mlflow. The only writer is the driver. All data come from the ledger, so the database can be
deleted and rebuilt, and repeating a call changes nothing. Runs are identified by tags and written through
`MlflowClient` with explicit run ids, never through the fluent global state.
"""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omni_msa.evidence.summary import CellSummary
from omni_msa.ledger import names
from omni_msa.ledger.ledger import Ledger
from omni_msa.ledger.trial_folder import TrialFolder
from omni_msa.system.files import digest, short_path
from omni_msa.system.sqlite import put_damaged_aside
from omni_msa.text import as_text, flatten
from omni_msa.tracking._artifacts import link, prune
from omni_msa.tracking._base import SweepView, TrialView
from omni_msa.tracking._model_card import ADAPTER, model_card, weights_of
from omni_msa.tracking._numbers import as_number, cell_numbers, final_metrics, milliseconds, shown_name
from omni_msa.tracking._runs import Point, Run

if TYPE_CHECKING:
    from mlflow import MlflowClient

_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
_STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}
_DIGESTED = (names.CONFIG, names.METRICS, names.RESULT, names.TEST, names.ERROR)
_ATTACHED = (names.ALL_PREDICTIONS, names.CONFIG, names.ERROR)
_VERSION = 2  # version of the recorded content; raise it to record trials again
_PAGE = 200  # runs per request; each comes with all its data
_NOTE = "mlflow.note.content"  # shown as description in the browser
_PARENT = "mlflow.parentRunId"  # determines the nesting in the browser
Texts = Mapping[str, str] | None


title = "MLflow"


def open(sweep: SweepView) -> "MlflowTracker":
    """Return the tracker that writes a sweep into MLflow."""
    return MlflowTracker(_uri(sweep.ledger), sweep.ledger.artifacts, sweep.name, sweep.question)


def how_to_look(ledger: Ledger) -> str:
    """Return the command that opens MLflow in a browser."""
    kind, colon, path = _uri(ledger).partition("sqlite:///")
    uri = f"{kind}{colon}{short_path(Path(path))}" if colon and not kind else _uri(ledger)
    return f"mlflow ui --backend-store-uri {uri}"


def _uri(ledger: Ledger) -> str:
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{ledger.mlflow_database}"


class MlflowTracker:
    """Writes one sweep into MLflow.

    Args:
        tracking_uri: such as `sqlite:////path/mlruns/mlflow.db`; the variable `MLFLOW_TRACKING_URI` takes precedence.
        artifact_root: folder for artifacts; not used if the variable names a server.
        sweep_name: name of the experiment.
        question: of the sweep, shown with the experiment and its parent run.
    """

    def __init__(self, tracking_uri: str, artifact_root: Path, sweep_name: str, question: str) -> None:
        given = os.environ.get("MLFLOW_TRACKING_URI")
        self.sweep, self.question = sweep_name, question
        self._client = _connect(given or tracking_uri)
        location = None if given else (artifact_root.absolute() / names.folder_name(sweep_name)).as_uri()
        self.experiment_id = self._experiment(location)
        self._runs = self._find_runs()
        self._axes: dict[str, dict[str, str]] = {}  # of each cell, as parameters
        self._cell_of: dict[str, str] = {}  # a trial that two cells share belongs to the first

    def _experiment(self, location: str | None) -> str:
        experiment = self._client.get_experiment_by_name(self.sweep)
        if experiment is None:
            return self._client.create_experiment(self.sweep, location, {_NOTE: self.question})
        if experiment.lifecycle_stage == "deleted":
            self._client.restore_experiment(experiment.experiment_id)
        if experiment.tags.get(_NOTE) != self.question:
            self._client.set_experiment_tag(experiment.experiment_id, _NOTE, self.question)
        return experiment.experiment_id

    def _find_runs(self) -> dict[tuple[str, str], Run]:
        """Return all runs of the sweep by kind and key; of two with the same key the later is deleted."""
        runs: dict[tuple[str, str], Run] = {}
        duplicates = []
        for run in self._all_runs():
            key = (run.tags.get("kind", ""), run.tags.get("trial_id") or run.tags.get("cell", ""))
            if run.tags.get("sweep") != self.sweep:
                continue  # not written by us
            if runs.setdefault(key, run) is not run:
                duplicates.append(run.run_id)
            if key[0] == "trial":
                run.forget()
        for run_id in duplicates:
            self._client.delete_run(run_id)
        return runs

    def _all_runs(self) -> Iterator[Run]:
        """Yield the runs of the experiment, the earliest first, with one page in memory at a time."""
        token: str | None = ""
        while token is not None:
            order = ["attributes.start_time ASC"]
            page = self._client.search_runs([self.experiment_id], "", 1, _PAGE, order, token or None)
            for run in page:
                info, data = run.info, run.data
                held = dict(data.params), dict(data.metrics)
                yield Run(info.run_id, info.status, dict(data.tags), info.artifact_uri, *held)
            token = page.token or None

    def _load(self, run: Run) -> None:
        """Load parameters and metrics again if they were discarded."""
        if not run.is_whole:
            data = self._client.get_run(run.run_id).data
            run.params, run.metrics, run.is_whole = dict(data.params), dict(data.metrics), True

    def start(self, cells: Mapping[str, Mapping[str, Any]]) -> None:
        """Create the parent run and a run per cell if they are missing.

        Args:
            cells: axes by the label of the cell, in the order of the plan.
        """
        self._parent()
        for label, axes in cells.items():
            self._axes[label] = {name: as_text(value) for name, value in axes.items()}
            self._log(self._cell(label), params=self._axes[label])

    def _parent(self) -> Run:
        return self._run("sweep", "", self.sweep, {_NOTE: self.question})

    def _cell(self, label: str) -> Run:
        return self._run("cell", label, label or self.sweep, {"cell": label, _PARENT: self._parent().run_id})

    def _trial(self, trial: TrialView) -> Run:
        label = self._cell_of.setdefault(trial.trial_id, trial.cell)
        tags = {"trial_id": trial.trial_id, "cell": label, _PARENT: self._cell(label).run_id}
        name = label if trial.seed is None else f"{label}, seed {trial.seed}"
        return self._run("trial", trial.trial_id, name, tags, trial.folder)

    def _run(self, kind: str, key: str, name: str, tags: dict[str, str], folder: Path | None = None) -> Run:
        """Return the run with this key, created if missing; tags are updated, as the sweep file may have changed."""
        if (kind, key) not in self._runs:
            tags = {"kind": kind, "sweep": self.sweep, **tags}
            rows = TrialFolder(folder).metrics() if folder else []
            start_ms = milliseconds(rows[0].get("time")) if rows else None
            run = self._client.create_run(self.experiment_id, start_ms, tags, name)
            self._runs[kind, key] = Run(run.info.run_id, "RUNNING", {**tags}, run.info.artifact_uri)
        self._log(self._runs[kind, key], tags=tags)
        return self._runs[kind, key]

    def follow(self, trial: TrialView) -> None:
        """Send the steps of a trial's `metrics.jsonl` that MLflow lacks; show a running trial as running."""
        run = self._trial(trial)
        self._load(run)
        if trial.state == "running":
            for above in (self._parent(), self._cell(self._cell_of[trial.trial_id]), run):
                self._set_status(above, "RUNNING")
        points = self._new_steps(run, TrialFolder(trial.folder).metrics())
        self._log(run, self._axes.get(run.tags["cell"]), points)

    def _new_steps(self, run: Run, rows: Sequence[Mapping[str, Any]]) -> list[Point]:
        points: list[Point] = []
        for row in rows:
            for name in row.keys() - {"step", "epoch", "time"}:
                shown = shown_name(name)
                if row["step"] > self._last_step(run, shown):
                    run.last_steps[shown] = row["step"]
                    points.append((shown, as_number(row[name]), milliseconds(row.get("time")), row["step"]))
        return points

    def _last_step(self, run: Run, name: str) -> int:
        """Return the last step sent; MLflow is asked once per run and metric, because there is no other writer."""
        if name not in run.last_steps:
            history = self._client.get_metric_history(run.run_id, name) if name in run.metrics else ()
            run.last_steps[name] = max((point.step for point in history), default=-1)
        return run.last_steps[name]

    def finish(self, trial: TrialView) -> None:
        """Record a trial that is complete, pruned or failed: parameters, curves, final metrics, artifacts, status.

        Parameters are the settings by dotted path and the axes of its cell under their own names, for use in charts.
        Final metrics are `test_*`, the costs, and `best_valid_*` (of the chosen epoch; `valid_*` is the curve).
        """
        run, folder = self._trial(trial), TrialFolder(trial.folder, trial.config.get("opens_test", True))
        locked = "" if folder.opens_test else " locked"  # it will be recorded again when test is unlocked
        content = digest(f"{trial.state} {_VERSION}{locked}", [trial.folder / name for name in _DIGESTED])
        if run.tags.get("ledger") == content and run.status == _STATUS[trial.state]:
            return
        self._load(run)
        status = folder.status()
        ended = milliseconds(status.since or None)
        self._attach(run, trial, folder)
        config = {name: value for name, value in trial.config.items() if name != "runtime"}
        points = self._new_steps(run, folder.metrics()) + run.news(final_metrics(folder), ended)
        failure = ": ".join((status.failure or {}).values()) if trial.state == "failed" else ""
        tags = {"state": trial.state, "seed": str(trial.seed), "failure": failure, "ledger": content}
        self._log(run, flatten(config) | self._axes.get(run.tags["cell"], {}), points, tags)
        self._set_status(run, _STATUS[trial.state], ended)
        run.forget()

    def _attach(self, run: Run, trial: TrialView, folder: TrialFolder) -> None:
        for name in _ATTACHED:
            for path in (path for path in sorted(trial.folder.glob(name)) if folder.shows(path.name)):
                self._client.log_artifact(run.run_id, str(path))
        if trial.state == "complete":
            weights, artifacts, is_linked = weights_of(folder), run.folder(self._client.tracking_uri), False
            if weights is not None and weights.is_file() and artifacts is not None:
                is_linked = link(weights, artifacts / ADAPTER)
            gpu = model_card(folder, run.tags["cell"], trial.config, is_linked)
            self._client.log_text(run.run_id, gpu, "model_card.md")

    def cell_metrics(self, cell: CellSummary, of_valid: bool = False) -> None:
        """Write the statistics of every metric of one cell.

        Args:
            cell, of_valid: as in `cell_numbers`.
        """
        run, seeds = self._cell(cell.name), ", ".join(map(str, cell.seeds))
        tags = {"missing_seeds": " ".join(map(str, cell.missing))}
        if not cell.deterministic:
            tags[_NOTE] = f"Means over the seeds {seeds}; each seed's own numbers are in the runs below."
        self._log(run, points=run.news(cell_numbers(cell, of_valid), milliseconds(None)), tags=tags)

    def reports(self, folder: Path) -> None:
        """Attach the files of a report folder to the parent run; outdated ones are removed, except on a server."""
        run, files = self._parent(), sorted(path for path in folder.rglob("*") if path.is_file())
        content = digest("\n".join(str(path.relative_to(folder)) for path in files), files)
        if run.tags.get("reports") == content:
            return
        self._client.log_artifacts(run.run_id, str(folder), "reports")
        if (artifacts := run.folder(self._client.tracking_uri)) is not None:
            prune(artifacts / "reports", folder)
        self._log(run, tags={"reports": content})

    def close(self) -> None:
        """Close all runs: an unfinished trial becomes KILLED; cells and sweep get the worst status of their trials."""
        for (kind, _), run in self._runs.items():
            if kind == "trial" and run.status == "RUNNING":
                self._set_status(run, "KILLED")
        for (kind, label), run in self._runs.items():
            if kind == "cell" and (run.status == "RUNNING" or label in self._cell_of.values()):
                self._set_status(run, self._worst(label))
        self._set_status(self._parent(), self._worst())

    def _worst(self, label: str | None = None) -> str:
        trials = [trial_id for trial_id, cell in self._cell_of.items() if label in (None, cell)]
        states = {self._runs["trial", trial_id].status for trial_id in trials}
        return next((status for status in ("KILLED", "FAILED") if status in states), "FINISHED")

    def _set_status(self, run: Run, status: str, end_ms: int | None = None) -> None:
        if run.status == status:
            return
        if status == "RUNNING":
            self._client.update_run(run.run_id, status)
        else:
            self._client.set_terminated(run.run_id, status, end_ms)
        run.status = status

    def _log(self, run: Run, params: Texts = None, points: Sequence[Point] = (), tags: Texts = None) -> None:
        """Send what the run lacks. Parameters cannot be changed in MLflow: the first value remains."""
        from mlflow.entities import Metric, Param, RunTag

        new_params = {name: value for name, value in (params or {}).items() if name not in run.params}
        new_tags = {name: value for name, value in (tags or {}).items() if run.tags.get(name) != value}
        if new_params or new_tags or points:
            texts = [Param(*item) for item in new_params.items()], [RunTag(*item) for item in new_tags.items()]
            self._client.log_batch(run.run_id, [Metric(*point) for point in points], *texts)
        run.params |= new_params
        run.tags |= new_tags
        run.metrics |= {name: value for name, value, _, _ in points}


def _make_database(path: Path) -> None:
    """Create the database under a temporary name: it takes seconds, and MLflow cannot open a half-made one."""
    from mlflow.tracking.client import MlflowClient

    path.parent.mkdir(parents=True, exist_ok=True)
    put_damaged_aside(path)
    if not path.exists():
        draft = path.with_name(f".{path.name}.{os.getpid()}.db")
        MlflowClient(f"sqlite:///{draft}").search_experiments(max_results=1)
        os.replace(draft, path)


def _connect(uri: str) -> "MlflowClient":
    """Connect to MLflow without telemetry and messages."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    from mlflow.tracking.client import MlflowClient  # half the import time of `mlflow`

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # errors are also raised
    if uri.startswith("sqlite:///"):
        _make_database(Path(uri.removeprefix("sqlite:///")))
    return MlflowClient(uri)
