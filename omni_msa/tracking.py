"""The MLflow view of the ledger: one experiment a sweep, a parent run, a run per cell, a run per trial below its cell.

The only file that imports mlflow. One writer: the driver. Everything shown comes from the ledger, so the database can be
deleted and rebuilt; every call may be repeated, and a second time it finds nothing to do. Runs are known by tags, never
by MLflow's own ids, and written through `MlflowClient` with explicit run ids, never through the fluent global state.
"""

import hashlib
import json
import logging
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omni_msa.ledger import TrialFolder

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}
_STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}
_DIGESTED = ("config.json", "metrics.jsonl", "result.json", "test.json", "error.txt")
_VALUE_LENGTH_MAX = 5000  # MLflow refuses parameters over 6000 characters
_PAGE = 1000


@dataclass(frozen=True)
class TrialView:
    """What the tracker needs to know of a trial.

    Args:
        trial_id: its identity.
        cell: label of its cell.
        seed: None where the cell is deterministic.
        folder: its ledger folder.
        state: one of the ledger's states.
        config: its configuration as nested plain values.
    """

    trial_id: str
    cell: str
    seed: int | None
    folder: Path
    state: str
    config: Mapping[str, Any]


@dataclass
class _Run:
    """What MLflow holds of one run, kept up to date as we write."""

    run_id: str
    status: str
    tags: dict[str, str]
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    last_steps: dict[str, int] | None = None


class Tracker:
    """Writes one sweep into MLflow.

    Args:
        tracking_uri: where, such as `sqlite:////path/mlruns/mlflow.db`; the variable `MLFLOW_TRACKING_URI` wins.
        artifact_root: folder for artifacts; a server named by the variable keeps them where it wants.
        sweep_name: names the experiment.
        question: what the sweep asks, shown with the experiment and its parent run.
    """

    def __init__(self, tracking_uri: str, artifact_root: Path, sweep_name: str, question: str) -> None:
        given = os.environ.get("MLFLOW_TRACKING_URI")
        self.sweep, self.question = sweep_name, question
        self._client = _connect(given or tracking_uri)
        location = None if given else (artifact_root.absolute() / sweep_name).as_uri()
        self.experiment_id = self._experiment(location)
        self._runs = self._find_runs()
        self._cell_of: dict[str, str] = {}  # a trial that two cells share belongs to the first

    def _experiment(self, location: str | None) -> str:
        tags = {"mlflow.note.content": self.question}
        found = self._client.get_experiment_by_name(self.sweep)
        if found is None:
            return self._client.create_experiment(self.sweep, location, tags)
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        if found.tags.get("mlflow.note.content") != self.question:
            self._client.set_experiment_tag(found.experiment_id, "mlflow.note.content", self.question)
        return found.experiment_id

    def _find_runs(self) -> dict[tuple[str, str], _Run]:
        """Know all runs of the sweep by kind and key; of two alike the later is deleted."""
        runs: dict[tuple[str, str], _Run] = {}
        for run in sorted(self._search(), key=lambda run: (run.info.start_time, run.info.run_id)):
            tags = dict(run.data.tags)
            key = (tags.get("kind", ""), tags.get("trial_id", tags.get("cell", "")))
            if tags.get("sweep") != self.sweep:
                continue  # somebody else's run in our experiment
            if key in runs:
                self._client.delete_run(run.info.run_id)
            else:
                data = run.data
                runs[key] = _Run(run.info.run_id, run.info.status, tags, dict(data.params), dict(data.metrics))
        return runs

    def _search(self) -> "Iterator[Run]":
        token: str | None = None
        while True:
            page = self._client.search_runs([self.experiment_id], max_results=_PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def start(self, plan_cells: Mapping[str, Mapping[str, Any]]) -> None:
        """Make the parent run and a run per cell where MLflow lacks them.

        Args:
            plan_cells: cell label to its axes, in the order of the plan.
        """
        self._parent()
        for label, axes in plan_cells.items():
            run = self._cell(label)
            self._log(run, params={name: _text(value) for name, value in axes.items()})

    def _parent(self) -> _Run:
        run = self._run("sweep", "", self.sweep, {"mlflow.note.content": self.question})
        self._log(run, tags={"mlflow.note.content": self.question})
        return run

    def _cell(self, label: str) -> _Run:
        return self._run(
            "cell", label, label or self.sweep, {"cell": label, "mlflow.parentRunId": self._parent().run_id}
        )

    def _trial(self, trial: TrialView) -> _Run:
        label = self._cell_of.setdefault(trial.trial_id, trial.cell)
        place = {"cell": label, "mlflow.parentRunId": self._cell(label).run_id}
        tags = {"trial_id": trial.trial_id, **place}
        name = label if trial.seed is None else f"{label}, seed {trial.seed}"
        run = self._run("trial", trial.trial_id, name, tags, _start_ms(trial))
        self._log(run, tags=place)  # the sweep file may have renamed the cell since
        return run

    def _run(self, kind: str, key: str, name: str, tags: Mapping[str, str], start_ms: int | None = None) -> _Run:
        if (kind, key) not in self._runs:
            tags = {"kind": kind, "sweep": self.sweep, **tags}
            run = self._client.create_run(self.experiment_id, start_ms, dict(tags), name)
            self._runs[kind, key] = _Run(run.info.run_id, "RUNNING", dict(tags), last_steps={})
        return self._runs[kind, key]

    def follow(self, trial: TrialView) -> None:
        """Send the steps of a trial's `metrics.jsonl` that MLflow lacks; a running trial's runs are shown as running."""
        run = self._trial(trial)
        if trial.state == "running":
            for above in (self._parent(), self._cell(self._cell_of[trial.trial_id]), run):
                self._set_status(above, "RUNNING")
        self._send_steps(run, TrialFolder(trial.folder).metrics())

    def _send_steps(self, run: _Run, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            return
        names = dict.fromkeys(name for row in rows for name in row if name not in ("step", "epoch", "time"))
        if run.last_steps is None:  # asked once a run: afterwards we are the only writer
            run.last_steps = {name: self._last_step(run, name) for name in names if name in run.metrics}
        points = []
        for row in rows:
            for name in names:
                if name in row and row["step"] > run.last_steps.get(name, -1):
                    run.last_steps[name] = row["step"]
                    points.append((name, _number(row[name]), _ms(row.get("time")), row["step"]))
        self._log(run, points=points)

    def _last_step(self, run: _Run, name: str) -> int:
        return max(point.step for point in self._client.get_metric_history(run.run_id, name))

    def finish(self, trial: TrialView) -> None:
        """Record a trial that is complete, pruned or failed: parameters, curves, final metrics, artifacts, status.

        Final metrics are `test_*`, the costs, and `best_valid_*` (of the epoch kept; `valid_*` is the curve).
        """
        run, folder = self._trial(trial), TrialFolder(trial.folder)
        digest = _digest(trial.state, [trial.folder / name for name in _DIGESTED])
        if run.tags.get("ledger") == digest and run.status == _STATUS[trial.state]:
            return
        self._send_steps(run, folder.metrics())
        status = folder.status()
        ended = _ms(status.since or None)
        for path in (*sorted(trial.folder.glob("predictions.*.parquet")), trial.folder / "error.txt"):
            if path.exists():
                self._client.log_artifact(run.run_id, str(path))
        config = {name: value for name, value in trial.config.items() if name != "runtime"}
        known = {name: value for name, value in _final(folder).items() if not _same(run.metrics.get(name), value)}
        points = [(name, value, ended, 0) for name, value in known.items()]
        failure = ": ".join((status.failure or {}).values()) if trial.state == "failed" else ""
        tags = {"state": trial.state, "seed": str(trial.seed), "failure": failure, "ledger": digest}
        self._log(run, _flatten(config), points, tags)
        self._set_status(run, _STATUS[trial.state], ended)

    def cell_metrics(self, cell: Mapping[str, Any]) -> None:
        """Write mean, std and n of every metric of one cell.

        Args:
            cell: an element of `cells` in `aggregate.json`.
        """
        run = self._cell(cell["label"])
        values = {
            f"{name}_{part}": float(summary[part])
            for name, summary in cell["metrics"].items()
            for part in ("mean", "std", "n")
            if summary[part] is not None
        }
        now = _ms(None)
        points = [(name, value, now, 0) for name, value in values.items() if not _same(run.metrics.get(name), value)]
        self._log(run, points=points, tags={"missing_seeds": " ".join(map(str, cell["missing"]))})

    def reports(self, folder: Path) -> None:
        """Attach the files of a report folder to the parent run."""
        run = self._parent()
        digest = _digest("", sorted(path for path in folder.rglob("*") if path.is_file()))
        if run.tags.get("reports") != digest:
            self._client.log_artifacts(run.run_id, str(folder), "reports")
            self._log(run, tags={"reports": digest})

    def close(self) -> None:
        """Leave no run running: an unfinished trial is KILLED, a cell and the sweep get the worst status below them."""
        for (kind, _), run in self._runs.items():
            if kind == "trial" and run.status == "RUNNING":
                self._set_status(run, "KILLED")
        for label in dict.fromkeys(self._cell_of.values()):
            self._set_status(self._cell(label), self._worst(label))
        for (kind, _), run in self._runs.items():
            if kind == "cell" and run.status == "RUNNING":
                self._set_status(run, "FINISHED")  # none of its trials has begun
        self._set_status(self._parent(), self._worst())

    def _worst(self, label: str | None = None) -> str:
        trials = [trial_id for trial_id, cell in self._cell_of.items() if label in (None, cell)]
        states = {self._runs["trial", trial_id].status for trial_id in trials}
        return next((status for status in ("KILLED", "FAILED") if status in states), "FINISHED")

    def _set_status(self, run: _Run, status: str, end_ms: int | None = None) -> None:
        if run.status == status:
            return
        if status == "RUNNING":
            self._client.update_run(run.run_id, status)
        else:
            self._client.set_terminated(run.run_id, status, end_ms)
        run.status = status

    def _log(
        self,
        run: _Run,
        params: Mapping[str, str] | None = None,
        points: Sequence[tuple[str, float, int, int]] = (),
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Send what the run lacks. Parameters cannot change in MLflow: the first value of one stays."""
        from mlflow.entities import Metric, Param, RunTag

        new_params = {name: value for name, value in (params or {}).items() if name not in run.params}
        new_tags = {name: value for name, value in (tags or {}).items() if run.tags.get(name) != value}
        if new_params or new_tags or points:
            self._client.log_batch(
                run.run_id,
                [Metric(*point) for point in points],
                [Param(*item) for item in new_params.items()],
                [RunTag(*item) for item in new_tags.items()],
            )
        run.params |= new_params
        run.tags |= new_tags
        run.metrics |= {name: value for name, value, _, _ in points}


def _connect(uri: str) -> "MlflowClient":
    """Open MLflow quietly; nothing of it calls out."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    from mlflow.tracking.client import MlflowClient  # half the import time of `mlflow`

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    return MlflowClient(uri)


def _final(folder: TrialFolder) -> dict[str, float]:
    result = folder.result() or {}
    groups = (("best_valid_", result.get("valid")), ("test_", folder.test_metrics()), ("", result.get("cost")))
    return {prefix + name: _number(value) for prefix, values in groups for name, value in (values or {}).items()}


def _flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in config.items():
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: _text(value)}
    return flat


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text[:_VALUE_LENGTH_MAX]


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _same(stored: float | None, value: float) -> bool:
    return stored is not None and (stored == value or (math.isnan(stored) and math.isnan(value)))


def _ms(text: str | None) -> int:
    return int(1000 * (datetime.fromisoformat(text).timestamp() if text else time.time()))


def _start_ms(trial: TrialView) -> int:
    rows = TrialFolder(trial.folder).metrics()
    return _ms(rows[0].get("time") if rows else TrialFolder(trial.folder).status().since or None)


def _digest(what: str, paths: Sequence[Path]) -> str:
    """Name a set of files by what they hold; a file that is not there counts as such."""
    total = hashlib.sha256(what.encode())
    for path in paths:
        content = path.read_bytes() if path.is_file() else None
        total.update(f"{path.name}:{None if content is None else len(content)}:".encode() + (content or b""))
    return total.hexdigest()[:16]
