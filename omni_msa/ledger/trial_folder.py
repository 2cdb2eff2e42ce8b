"""The folder of a trial: its files, and where it stands by them."""

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


_STEPS_MAX = 2**63  # of a column in a database


_TRACES_LENGTH_MAX = 200_000


@dataclass(frozen=True)
class Status:
    """Where a trial stands. `state` is one of `STATES`; a trial whose process is gone counts as pending.

    Args:
        attempt: the number of the latest one, from 1; 0 if there was none.
        host, pid, pid_started, place: the process of the latest attempt, as in `omni_msa.system.process.Process`.
        since: start of this state, ISO time.
        heartbeat: last sign of life, ISO time.
        epoch, step: how far the latest attempt was, counted from 1.
        failure: of a failed trial: `kind`, `message`, and what else is known.
        history: every failed attempt so far: as `failure`, with `attempt`, `time`, `reaction`, and `retried`.
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
    """One trial's files. Every write is atomic; `result.json` is written last and is the one sign of completion.

    For a search `opens_test` is False: a trial is complete without `test.json`, and what tells of test is locked.
    """

    def __init__(self, path: Path, opens_test: bool = True) -> None:
        self.path, self.opens_test = path, opens_test

    @property
    def trial_id(self) -> str:
        """The trial this folder belongs to: its name."""
        return self.path.name

    @property
    def stacks(self) -> Path:
        """Where the stacks of an attempt that hangs are written."""
        return self.path / names.STACKS

    @property
    def pulse(self) -> Path:
        """The file whose time is the last sign of life of an attempt."""
        return self.path / names.STATUS

    @property
    def config_file(self) -> Path:
        """Where the configuration of the last attempt is."""
        return self.path / names.CONFIG

    def config(self) -> dict[str, Any] | None:
        """Return the configuration of the last attempt as plain values, or None (missing, torn or foreign file)."""
        return read_json(self.config_file)

    def provenance(self) -> dict[str, Any]:
        """Return what the last attempt recorded of commit, versions, machine and times, empty if there is nothing."""
        return read_json(self.path / names.PROVENANCE) or {}

    def add_provenance(self, **values: Any) -> None:
        """Add to what the running attempt has recorded; nothing where it has recorded nothing."""
        if known := self.provenance():
            write_json(self.path / names.PROVENANCE, {**known, **values})

    @property
    def error_file(self) -> Path:
        """Where the traces of all failed attempts are."""
        return self.path / names.ERROR

    def error_text(self) -> str:
        """Return the traces of all failed attempts, the latest last, empty if there are none."""
        try:
            return self.error_file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def recorded_result(self) -> dict[str, Any] | None:
        """Return what `result.json` holds, whether the trial stands as complete or not."""
        return read_json(self.path / names.RESULT)

    def predictions_file(self, split: str) -> Path:
        """Return where the predictions of a split are.

        Raises:
            PermissionError: of the test split, while a search chooses.
        """
        self.check_open(split)
        return self.path / names.PREDICTIONS.format(split=split)

    def result(self) -> dict[str, Any] | None:
        """Return `result.json`, or None if the trial is not complete (missing, torn or foreign file)."""
        result = read_json(self.path / names.RESULT)
        if result is None or result.get("trial_id") != self.trial_id:
            return None
        if not (_are_metrics(result.get("valid")) and _are_metrics(result.get("cost"))):
            return None
        is_whole = not self.opens_test or (self.test_metrics() is not None and result.get("test_is_locked") is not True)
        return result if is_whole else None

    def _locked(self) -> dict[str, Any] | None:
        """Return the result of an attempt that left test locked, None if there is none."""
        result = TrialFolder(self.path, opens_test=False).result()
        return result if result is not None and result.get("test_is_locked") is True else None

    def check_open(self, split: str) -> None:
        """Raise PermissionError for what tells of the test split while a search chooses."""
        if split == "test" and not self.opens_test:
            raise PermissionError("the test split is locked for a search until its winner has been named")

    def shows(self, name: str) -> bool:
        """Return whether a file of the folder may be shown: while test is locked none that tells of test."""
        return self.opens_test or ".test." not in f".{name}"

    def test_metrics(self) -> dict[str, float | None] | None:
        """Return `test.json`: the metrics on the test split, or None if it is missing, torn or foreign."""
        self.check_open("test")
        metrics = read_json(self.path / names.TEST)
        return metrics if _are_metrics(metrics) else None

    def status(self) -> Status:
        """Return where the trial stands, judged by its files and by whether its process lives."""
        if self.result() is not None:
            return Status("complete", **self._kept("attempt", "since", "epoch", "step", "history"))
        status = self.written_status()
        if status.state == "running" and not self._is_running(status):
            return replace(status, state="pending")
        return status

    def written_status(self) -> Status:
        """Return what `status.json` says, whether its process lives or not."""
        values = self._kept(*Status.__dataclass_fields__)
        if values.get("state") not in ("running", "failed", "pruned"):
            values["state"] = "pending"
        return Status(**values)

    def _is_running(self, status: Status) -> bool:
        process = read_process(vars(status))
        if process.is_here:
            return not process.is_gone
        return is_held(self.path.parents[1] / names.DRIVER)  # a process elsewhere lives as long as its driver

    def _kept(self, *fields: str) -> dict[str, Any]:
        path = self.path / names.STATUS
        raw = read_json(path) or {}
        default = Status()
        same = {name: raw[name] for name in fields if name in raw and type(raw[name]) is type(getattr(default, name))}
        if "failure" in fields and isinstance(raw.get("failure"), dict):
            same["failure"] = {str(key): str(value) for key, value in raw["failure"].items()}
        if "history" in fields and isinstance(raw.get("history"), list):
            same["history"] = tuple(_flat(entry) for entry in raw["history"] if isinstance(entry, dict))
        if "heartbeat" in fields:
            same["heartbeat"] = changed(path)
        return same

    def begin(self, config: TrialConfig, provenance: dict[str, Any]) -> None:
        """Open a new attempt: writes configuration, provenance and a running status; an older outcome is removed.

        What a search chose by stays: the result that was made while test was locked.
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
        """Say how far the running attempt is."""
        status = self.written_status()
        self._write(replace(status, state="running", since=status.since or now(), epoch=epoch, step=step))

    def fail(
        self, kind: str, message: str, trace: str, facts: dict[str, str] | None = None, reaction: str = ""
    ) -> None:
        """Close the attempt as failed or, with a reaction, as one to be made again.

        Args:
            kind: what sort of failure, a short word such as `bug` or `not finite`.
            message: one line.
            trace: everything known, for `error.txt`, which keeps those of all attempts, the latest last.
            facts: more about it.
            reaction: what is done about it; the trial is then pending again. Empty: it has failed.
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
        """Close the attempt as interrupted, or as "pruned": the next one goes on from its checkpoint."""
        self._write(replace(self.written_status(), state=state, since=now()))

    def complete(self, result: dict[str, Any]) -> None:
        """Close the attempt as complete; the result says which attempts failed before, and what was done about it.

        Opening the test split adds to what a search chose by and changes none of it: valid and cost are the first ones.
        """
        status, locked = self.written_status(), self._locked() or {}
        kept = {name: locked[name] for name in ("valid", "cost") if name in locked}
        more = {"attempts": status.attempt, "history": list(status.history), "test_is_locked": not self.opens_test}
        write_json(self.path / names.RESULT, {"trial_id": self.trial_id, **finite(result), **kept, **more})
        self._write(replace(status, state="complete", since=now()))

    def _write(self, status: Status) -> None:
        values = {**vars(status), **asdict(this_process()), "history": list(status.history)}
        del values["heartbeat"]  # the file's own time
        write_json(self.path / names.STATUS, values)

    def metrics(self) -> list[dict[str, Any]]:
        """Return the lines of `metrics.jsonl`; a torn last line is left out, and what is no number."""
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
        """Replace `metrics.jsonl` (at most some hundred lines, so it is rewritten whole and never torn)."""
        write_text(self.path / names.METRICS, "".join(json.dumps(finite(row)) + "\n" for row in rows))

    def write_predictions(self, split: str, predictions: "pandas.DataFrame") -> None:
        """Write `predictions.<split>.parquet`; columns clip_id, label, score, text, parsed, in_range."""
        path = self.predictions_file(split)
        write_atomic(path, lambda temporary: predictions.to_parquet(temporary, index=False))

    def write_states(self, found: States | None) -> None:
        """Write `states.test.npz`: hidden states of test clips; nothing where the readout reads none."""
        self.check_open("test")
        if found is not None:
            write_atomic(self.path / names.HIDDEN_STATES, found.write)

    def states(self) -> States | None:
        """Return what `states.test.npz` holds, or None: no backbone, an older version, or a damaged file."""
        self.check_open("test")
        return read_states(self.path / names.HIDDEN_STATES)

    @property
    def shows_states(self) -> bool:
        """Whether hidden states of test clips were written and may be shown."""
        return self.shows(names.HIDDEN_STATES) and (self.path / names.HIDDEN_STATES).is_file()

    def write_table(self, name: str, rows: list[dict[str, Any]]) -> None:
        """Write `<name>.csv`, such as `probe.csv`: what a readout found while it was fitted."""
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
