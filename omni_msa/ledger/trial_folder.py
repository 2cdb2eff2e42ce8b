"""The folder of a trial: its files, and the status that follows from them."""

import csv
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omni_msa.config.trial import TrialConfig
from omni_msa.ledger import names
from omni_msa.ledger.hidden_states import States, read_states
from omni_msa.system.files import changed, csv_text, finite, is_number, read_json, write_atomic, write_json, write_text
from omni_msa.system.lease import is_held
from omni_msa.system.process import now, read_process, this_process

if TYPE_CHECKING:
    import pandas


STATES = ("pending", "running", "complete", "failed", "pruned")


_STEPS_MAX = 2**63  # the largest value of a database column


_TRACES_LENGTH_MAX = 200_000


@dataclass(frozen=True)
class Status:
    """The status of a trial. `state` is one of `STATES`; a running trial whose process has died counts as pending.

    Args:
        attempt: number of the latest attempt, from 1; 0 if there was none.
        host, pid, pid_started, place: the process of the latest attempt, as in `omni_msa.system.process.Process`.
        since: start of this state, ISO time.
        heartbeat: time of the last progress report, ISO time.
        epoch, step: progress of the latest attempt, counted from 1.
        failure: of a failed trial: `kind`, `message` and further facts.
        history: every failed attempt so far: the items of `failure`, and `attempt`, `time`, `reaction`, `retried`.
    """

    state: str = "pending"
    attempt: int = 0
    host: str = ""
    pid: int = 0
    pid_started: int = 0
    place: str = ""
    since: str = ""
    heartbeat: str = ""
    epoch: int = 0
    step: int = 0
    failure: dict[str, str] | None = None
    history: tuple[dict[str, Any], ...] = ()


class TrialFolder:
    """The files of one trial. Every write is atomic; `result.json` is written last and alone marks completion.

    In a search `opens_test` is False: a trial is complete without `test.json`, and files about test are locked.
    """

    def __init__(self, path: Path, opens_test: bool = True) -> None:
        self.path, self.opens_test = path, opens_test

    @property
    def trial_id(self) -> str:
        """The id of the trial, which is the name of the folder."""
        return self.path.name

    @property
    def stacks(self) -> Path:
        """File for the stacks of an attempt that hangs."""
        return self.path / names.STACKS

    @property
    def pulse(self) -> Path:
        """The file whose modification time is the time of the last progress report."""
        return self.path / names.STATUS

    @property
    def config_file(self) -> Path:
        """File of the configuration of the last attempt."""
        return self.path / names.CONFIG

    def config(self) -> dict[str, Any] | None:
        """Return the configuration of the last attempt as plain values, or None if the file is missing or damaged."""
        return read_json(self.config_file)

    def provenance(self) -> dict[str, Any]:
        """Return the provenance of the last attempt (commit, versions, machine, times), or {}."""
        return read_json(self.path / names.PROVENANCE) or {}

    def add_provenance(self, **values: Any) -> None:
        """Add values to the provenance of the running attempt, if it has recorded any."""
        if known := self.provenance():
            write_json(self.path / names.PROVENANCE, {**known, **values})

    @property
    def error_file(self) -> Path:
        """File with the tracebacks of all failed attempts."""
        return self.path / names.ERROR

    def error_text(self) -> str:
        """Return the tracebacks of all failed attempts, the latest last, or ""."""
        try:
            return self.error_file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def recorded_result(self) -> dict[str, Any] | None:
        """Return the content of `result.json`, whether or not the trial counts as complete."""
        return read_json(self.path / names.RESULT)

    def predictions_file(self, split: str) -> Path:
        """Return the file of the predictions of a split.

        Raises:
            PermissionError: the split is test, and it is locked.
        """
        self.check_open(split)
        return self.path / names.PREDICTIONS.format(split=split)

    def result(self) -> dict[str, Any] | None:
        """Return the content of `result.json`, or None if the trial is not complete or the file is damaged."""
        result = read_json(self.path / names.RESULT)
        if result is None or result.get("trial_id") != self.trial_id:
            return None
        if not (_are_metrics(result.get("valid")) and _are_metrics(result.get("cost"))):
            return None
        is_whole = not self.opens_test or (self.test_metrics() is not None and result.get("test_is_locked") is not True)
        return result if is_whole else None

    def _locked(self) -> dict[str, Any] | None:
        """Return the result of an attempt made while test was locked, or None."""
        result = TrialFolder(self.path, opens_test=False).result()
        return result if result is not None and result.get("test_is_locked") is True else None

    def check_open(self, split: str) -> None:
        """Raise PermissionError if the split is test and it is locked."""
        if split == "test" and not self.opens_test:
            raise PermissionError("the test split is locked for a search until its winner has been named")

    def shows(self, name: str) -> bool:
        """Return whether a file of the folder may be shown: files about test only if test is not locked."""
        return self.opens_test or ".test." not in f".{name}"

    def test_metrics(self) -> dict[str, float | None] | None:
        """Return the metrics on the test split from `test.json`, or None if it is missing or damaged."""
        self.check_open("test")
        metrics = read_json(self.path / names.TEST)
        return metrics if _are_metrics(metrics) else None

    def status(self) -> Status:
        """Return the status of the trial, from its files and from whether its process is alive."""
        if self.result() is not None:
            return Status("complete", **self._valid_fields("attempt", "since", "epoch", "step", "history"))
        status = self.written_status()
        if status.state == "running" and not self._is_running(status):
            return replace(status, state="pending")
        return status

    def written_status(self) -> Status:
        """Return the status in `status.json`, without checking its process."""
        values = self._valid_fields(*Status.__dataclass_fields__)
        if values.get("state") not in ("running", "failed", "pruned"):
            values["state"] = "pending"
        return Status(**values)

    def _is_running(self, status: Status) -> bool:
        process = read_process(vars(status))
        if process.is_here:
            return not process.is_gone
        return is_held(self.path.parents[1] / names.DRIVER)  # a process on another machine is alive while its driver is

    def _valid_fields(self, *fields: str) -> dict[str, Any]:
        path = self.path / names.STATUS
        raw = read_json(path) or {}
        default = Status()
        values = {name: raw[name] for name in fields if name in raw and type(raw[name]) is type(getattr(default, name))}
        if "failure" in fields and isinstance(raw.get("failure"), dict):
            values["failure"] = {str(key): str(value) for key, value in raw["failure"].items()}
        if "history" in fields and isinstance(raw.get("history"), list):
            values["history"] = tuple(_flat(entry) for entry in raw["history"] if isinstance(entry, dict))
        if "heartbeat" in fields:
            values["heartbeat"] = changed(path)
        return values

    def begin(self, config: TrialConfig, provenance: dict[str, Any]) -> None:
        """Open a new attempt: write configuration, provenance and a running status, and remove an older outcome.

        A result made while test was locked is kept, because a search has chosen by it.
        """
        status = self.written_status()
        (self.path / names.TEST).unlink(missing_ok=True)
        if self._locked() is None:  # a new test.json must not complete an old result
            (self.path / names.RESULT).unlink(missing_ok=True)
        write_json(self.path / names.CONFIG, config.model_dump(mode="json"))
        attempt = status.attempt + 1
        write_json(self.path / names.PROVENANCE, {**provenance, "attempt": attempt, "started": now()})
        self._write(replace(status, state="running", attempt=attempt, since=now(), epoch=0, step=0, failure=None))

    def heartbeat(self, epoch: int, step: int) -> None:
        """Record the progress of the running attempt."""
        status = self.written_status()
        self._write(replace(status, state="running", since=status.since or now(), epoch=epoch, step=step))

    def fail(
        self, kind: str, message: str, trace: str, facts: dict[str, str] | None = None, reaction: str = ""
    ) -> None:
        """Close the attempt as failed or, with a reaction, as to be repeated.

        Args:
            kind: kind of failure, such as `bug` or `not finite`.
            message: one line.
            trace: traceback, appended to those of earlier attempts in `error.txt`.
            facts: further facts about the failure.
            reaction: what the next attempt does differently; the trial is then pending. "": the trial has failed.
        """
        status = self.written_status()
        failure = {"kind": kind, "message": message, **(facts or {})}
        head = {"attempt": status.attempt, "time": now(), "retried": bool(reaction), "reaction": reaction}
        self._add_trace(f"attempt {status.attempt}, {head['time']}: {kind}", trace)
        history = (*status.history, {**head, **failure})
        state, last = ("pending", None) if reaction else ("failed", failure)
        self._write(replace(status, state=state, since=now(), failure=last, history=history))

    def _add_trace(self, heading: str, trace: str) -> None:
        text = f"{self.error_text()[-_TRACES_LENGTH_MAX:]}== {heading}\n{trace.rstrip()}\n\n"
        write_text(self.error_file, text)

    def interrupt(self, state: str = "pending") -> None:
        """Close the attempt as interrupted, or as "pruned": the next one resumes from its checkpoint."""
        self._write(replace(self.written_status(), state=state, since=now()))

    def complete(self, result: dict[str, Any]) -> None:
        """Close the attempt as complete; the result lists earlier failed attempts and the reactions to them.

        If test was locked before, `valid` and `cost` stay as they were when the search chose by them.
        """
        status, locked = self.written_status(), self._locked() or {}
        unchanged = {name: locked[name] for name in ("valid", "cost") if name in locked}
        more = {"attempts": status.attempt, "history": list(status.history), "test_is_locked": not self.opens_test}
        write_json(self.path / names.RESULT, {"trial_id": self.trial_id, **finite(result), **unchanged, **more})
        self._write(replace(status, state="complete", since=now()))

    def _write(self, status: Status) -> None:
        values = {**vars(status), **asdict(this_process()), "history": list(status.history)}
        del values["heartbeat"]  # the modification time of the file
        write_json(self.path / names.STATUS, values)

    def metrics(self) -> list[dict[str, Any]]:
        """Return the lines of `metrics.jsonl`, without damaged lines and values that are not numbers."""
        rows = []
        try:
            lines = (self.path / names.METRICS).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        for line in lines:
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict) and type(row.get("step")) is int and 0 <= row["step"] < _STEPS_MAX:
                rows.append({name: value for name, value in row.items() if name == "time" or _is_metric(name, value)})
        return rows

    def write_metrics(self, rows: list[dict[str, Any]]) -> None:
        """Replace `metrics.jsonl`; with at most some hundred lines it is rewritten as a whole, atomically."""
        write_text(self.path / names.METRICS, "".join(json.dumps(finite(row)) + "\n" for row in rows))

    def write_predictions(self, split: str, predictions: "pandas.DataFrame") -> None:
        """Write `predictions.<split>.parquet`; columns clip_id, label, score, text, parsed, in_range."""
        path = self.predictions_file(split)
        write_atomic(path, lambda temporary: predictions.to_parquet(temporary, index=False))

    def write_states(self, states: States | None) -> None:
        """Write `states.test.npz`, the hidden states of test clips, unless the readout uses none."""
        self.check_open("test")
        if states is not None:
            write_atomic(self.path / names.HIDDEN_STATES, states.write)

    def states(self) -> States | None:
        """Return the hidden states in `states.test.npz`; None without a backbone or an intact file."""
        self.check_open("test")
        return read_states(self.path / names.HIDDEN_STATES)

    @property
    def shows_states(self) -> bool:
        """Whether hidden states of test clips were written and may be shown."""
        return self.shows(names.HIDDEN_STATES) and (self.path / names.HIDDEN_STATES).is_file()

    def write_table(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Write `<name>.csv`, such as `probe.csv`: further results of fitting a readout."""
        write_text(self.path / f"{name}.csv", csv_text(rows))

    def table(self, name: str) -> list[dict[str, str]]:
        """Return the rows of `<name>.csv`, none if there is no such file."""
        try:
            return list(csv.DictReader((self.path / f"{name}.csv").read_text(encoding="utf-8").splitlines()))
        except (OSError, ValueError, csv.Error):
            return []

    def write_test_metrics(self, metrics: dict[str, float]) -> None:
        """Write `test.json`."""
        self.check_open("test")
        write_json(self.path / names.TEST, finite(metrics))


def _are_metrics(values: Any) -> bool:
    """Return whether a value read from a file is a mapping of names to finite numbers (None: undefined)."""
    return isinstance(values, dict) and bool(values) and all(_is_metric(name, value) for name, value in values.items())


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is None or type(value) in (str, int, bool)}


def _is_metric(name: str, value: Any) -> bool:
    return name.isidentifier() and (value is None or is_number(value))
