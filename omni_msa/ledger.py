"""The ledger: one folder a trial, the truth about what is done. MLflow, tables and reports are views of it."""

import json
import math
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omni_msa.config import TrialConfig
from omni_msa.files import read_json, write_atomic, write_json, write_text

if TYPE_CHECKING:
    import pandas

STATES = ("pending", "running", "complete", "failed", "pruned")


def now() -> str:
    """Return the time as ISO text in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Status:
    """Where a trial stands. `state` is one of `STATES`; a trial whose process is gone counts as pending.

    Args:
        pid_started: clock ticks from the machine's start to the process's, for a pid can be given again; 0 if unknown.
    """

    state: str = "pending"
    attempt: int = 0
    host: str = ""
    pid: int = 0
    pid_started: int = 0
    since: str = ""
    epoch: int = 0
    step: int = 0
    failure: dict[str, str] | None = None


class TrialFolder:
    """One trial's files. Every write is atomic; `result.json` is written last and is the one sign of completion."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def trial_id(self) -> str:
        """The trial this folder belongs to: its name."""
        return self.path.name

    def result(self) -> dict[str, Any] | None:
        """Return `result.json`, or None if the trial is not complete (missing, torn or foreign file)."""
        result = read_json(self.path / "result.json")
        if result is None or result.get("trial_id") != self.trial_id or not _are_metrics(result.get("valid")):
            return None
        return result if self.test_metrics() is not None else None

    def test_metrics(self) -> dict[str, float | None] | None:
        """Return `test.json`: the metrics on the test split, or None if it is missing, torn or foreign."""
        metrics = read_json(self.path / "test.json")
        return metrics if _are_metrics(metrics) else None

    def status(self) -> Status:
        """Return where the trial stands, judged by its files and, on this host, by its process."""
        if self.result() is not None:
            return Status("complete", **self._kept("attempt", "since", "epoch", "step"))
        values = self._kept(*Status.__dataclass_fields__)
        if values.get("state") not in ("running", "failed", "pruned"):
            values["state"] = "pending"
        owner = (values.get("host", ""), values.get("pid", 0), values.get("pid_started", 0))
        if values["state"] == "running" and not _is_alive(*owner):
            values["state"] = "pending"
        return Status(**values)

    def _kept(self, *fields: str) -> dict[str, Any]:
        raw = read_json(self.path / "status.json") or {}
        default = Status()
        same = {name: raw[name] for name in fields if name in raw and type(raw[name]) is type(getattr(default, name))}
        if "failure" in fields and isinstance(raw.get("failure"), dict):
            same["failure"] = {str(key): str(value) for key, value in raw["failure"].items()}
        return same

    def begin(self, config: TrialConfig, provenance: dict[str, Any]) -> None:
        """Open a new attempt: writes configuration, provenance and a running status; an older outcome is removed."""
        attempt = self.status().attempt + 1
        for outcome in ("result.json", "test.json", "error.txt"):  # a new test.json must not complete an old result
            (self.path / outcome).unlink(missing_ok=True)
        write_json(self.path / "config.json", config.model_dump(mode="json"))
        write_json(self.path / "provenance.json", {**provenance, "attempt": attempt, "started": now()})
        self._write_status("running", attempt)

    def heartbeat(self, epoch: int, step: int) -> None:
        """Say how far the running attempt is."""
        self._write_status("running", self.status().attempt, epoch, step)

    def fail(self, kind: str, message: str, trace: str) -> None:
        """Close the attempt as failed.

        Args:
            kind: what sort of failure, a short word such as `bug` or `not finite`.
            message: one line.
            trace: everything known, for `error.txt`.
        """
        write_text(self.path / "error.txt", trace)
        status = self.status()
        self._write_status("failed", status.attempt, status.epoch, status.step, {"kind": kind, "message": message})

    def interrupt(self) -> None:
        """Close the attempt as interrupted: the trial is pending again and goes on from its checkpoint."""
        status = self.status()
        self._write_status("pending", status.attempt, status.epoch, status.step)

    def complete(self, result: dict[str, Any]) -> None:
        """Close the attempt as complete."""
        status = self.status()
        write_json(self.path / "result.json", {"trial_id": self.trial_id, **finite(result)})
        self._write_status("complete", status.attempt, status.epoch, status.step)

    def _write_status(
        self, state: str, attempt: int, epoch: int = 0, step: int = 0, failure: dict[str, str] | None = None
    ) -> None:
        place = {"host": socket.gethostname(), "pid": os.getpid(), "pid_started": _started(os.getpid())}
        values = {"state": state, "attempt": attempt, **place, "since": now(), "epoch": epoch, "step": step}
        values["failure"] = failure
        write_json(self.path / "status.json", values)

    def metrics(self) -> list[dict[str, Any]]:
        """Return the lines of `metrics.jsonl`; a torn last line is left out."""
        rows = []
        try:
            lines = (self.path / "metrics.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        for line in lines:
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict) and isinstance(row.get("step"), int):
                rows.append(row)
        return rows

    def write_metrics(self, rows: list[dict[str, Any]]) -> None:
        """Replace `metrics.jsonl` (at most some hundred lines, so it is rewritten whole and never torn)."""
        write_text(self.path / "metrics.jsonl", "".join(json.dumps(finite(row)) + "\n" for row in rows))

    def write_predictions(self, split: str, predictions: "pandas.DataFrame") -> None:
        """Write `predictions.<split>.parquet`; columns clip_id, label, score, text, parsed, in_range."""
        path = self.path / f"predictions.{split}.parquet"
        write_atomic(path, lambda temporary: predictions.to_parquet(temporary, index=False))

    def write_test_metrics(self, metrics: dict[str, float]) -> None:
        """Write `test.json`."""
        write_json(self.path / "test.json", finite(metrics))


class Ledger:
    """The folder `mlruns/`: trials, fits, and what is made from them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def trial(self, trial_id: str) -> TrialFolder:
        """Return a trial's folder, which need not exist yet."""
        return TrialFolder(self.root / "trials" / trial_id)

    def fit(self, fit_id: str) -> Path:
        """Return the folder of a fit: its checkpoint and, when trained, `fit.json`."""
        return self.root / "fits" / fit_id

    @property
    def stop_file(self) -> Path:
        """While this file exists, trials checkpoint at their next optimiser step and end."""
        return self.root / "stop"

    def report_folder(self, sweep: str) -> Path:
        """Return where a sweep's tables go."""
        return self.root / "reports" / sweep


def finite(value: Any) -> Any:
    """Return plain data with every number that is not finite replaced by None, for JSON."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _are_metrics(values: Any) -> bool:
    """Return whether a value read from a file is a mapping of names to numbers (None: not a number)."""
    return (
        isinstance(values, dict) and bool(values) and all(type(v) in (int, float, type(None)) for v in values.values())
    )


def _is_alive(host: str, pid: int, pid_started: int) -> bool:
    if host != socket.gethostname():
        return True  # another host's process cannot be seen from here
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # it exists and is another user's
    return 0 in (pid_started, _started(pid)) or _started(pid) == pid_started


def _started(pid: int) -> int:
    """Return the clock ticks from the machine's start to a process's (field 22 of proc(5) stat); 0 if unknown."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0
