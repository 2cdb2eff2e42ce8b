"""Trial folders: complete only when whole, never raising over what others left there."""

import ast
import json
import math
import os
import socket
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas
import pytest

from helpers.paths import ROOT
from omni_msa.config.trial import TrialConfig, parse_trial
from omni_msa.errors import InputError
from omni_msa.ledger import names
from omni_msa.ledger.ledger import FORMAT, Ledger
from omni_msa.ledger.trial_folder import STATES, Status, TrialFolder
from omni_msa.system.files import finite, write_json
from omni_msa.system.lease import Lease
from omni_msa.system.process import this_process

NAME = "0123456789abcdef"
HOST = socket.gethostname()
RESULT = {"fit_id": "f" * 16, "seed": 1, "valid": {"mae": 0.5, "corr": math.nan}, "cost": {"train_s": 1.0}}
FOREIGN: list[Any] = [None, 7, "text", [], [1], {}, {"mae": "low"}, {"mae": True}, {"mae": [1.0]}]


@pytest.fixture
def trial(tmp_path: Path) -> TrialFolder:
    return Ledger(tmp_path).trial(NAME)


@pytest.fixture(scope="module")
def config() -> TrialConfig:
    plain = {"dataset": {"name": "vader_av"}, "backbone": {"name": "tiny"}, "readout": {"name": "discriminative"}}
    return parse_trial({**plain, "seed": 1})


def finish(trial: TrialFolder, config: TrialConfig) -> None:
    trial.begin(config, {"commit": "abc"})
    trial.write_test_metrics({"mae": 0.6, "corr": math.nan})
    trial.complete(RESULT)


def test_places(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.trial(NAME).path == tmp_path / "trials" / NAME
    assert ledger.fit(NAME) == tmp_path / "fits" / NAME
    assert ledger.report_folder("smoke") == tmp_path / "reports" / "smoke"
    assert not ledger.stop_file.exists()
    assert list(tmp_path.iterdir()) == []  # looking makes nothing


def test_the_life_of_a_trial(trial: TrialFolder, config: TrialConfig) -> None:
    assert trial.status() == Status("pending")
    trial.begin(config, {"commit": "abc"})
    assert trial.status().state == "running"
    trial.heartbeat(2, 40)
    status = trial.status()
    assert (status.state, status.attempt, status.epoch, status.step) == ("running", 1, 2, 40)
    assert (status.host, status.pid) == (HOST, os.getpid())
    trial.write_test_metrics({"mae": 0.6, "corr": math.nan})
    assert trial.result() is None  # tested, but not complete
    trial.complete(RESULT)
    status = trial.status()
    assert (status.state, status.attempt, status.epoch, status.step) == ("complete", 1, 2, 40)
    assert trial.test_metrics() == {"mae": 0.6, "corr": None}
    result = trial.result()
    assert result is not None
    assert result["trial_id"] == NAME
    assert result["valid"] == {"mae": 0.5, "corr": None}


def test_for_a_search_a_trial_is_complete_without_test_and_what_tells_of_test_is_locked(
    trial: TrialFolder, config: TrialConfig
) -> None:
    locked = TrialFolder(trial.path, opens_test=False)
    locked.begin(config, {})
    locked.complete(RESULT)
    assert locked.status().state == "complete" and locked.result() is not None
    assert trial.status().state == "pending" and trial.result() is None
    trial.begin(config, {})
    trial.write_test_metrics({"mae": 0.6})
    assert trial.result() is None and locked.result() is not None  # the attempt that opens test has not ended yet
    trial.complete({**RESULT, "valid": {"mae": 9.0}})
    assert trial.status().state == "complete" and trial.result() == locked.result()
    assert trial.result()["valid"]["mae"] == RESULT["valid"]["mae"] != 9.0
    writing = (lambda: locked.write_test_metrics({"mae": 0.1}), lambda: locked.write_states(None))
    for touch in (locked.test_metrics, locked.states, *writing):
        with pytest.raises(PermissionError, match="until its winner has been named"):
            touch()
    assert trial.test_metrics() == {"mae": 0.6}


def test_a_pruned_trial_goes_on_with_its_next_attempt(trial: TrialFolder, config: TrialConfig) -> None:
    trial.begin(config, {})
    trial.heartbeat(1, 5)
    trial.interrupt("pruned")
    assert (trial.status().state, trial.status().epoch) == ("pruned", 1)
    trial.begin(config, {})
    assert (trial.status().state, trial.status().attempt) == ("running", 2)


def test_files_have_the_names_and_keys_that_others_read(trial: TrialFolder, config: TrialConfig) -> None:
    finish(trial, config)
    status = json.loads((trial.path / "status.json").read_text())
    assert {"state", "attempt", "host", "pid", "since", "epoch", "step", "failure"} <= set(status)
    assert status["state"] == "complete"
    written = json.loads((trial.path / "config.json").read_text())
    assert written["dataset"]["name"] == "vader_av"
    assert written["modalities"] == ["text", "audio", "video"]
    assert written["seed"] == 1
    assert parse_trial(written) == config
    provenance = json.loads((trial.path / "provenance.json").read_text())
    assert provenance["commit"] == "abc"
    assert provenance["attempt"] == 1


def test_every_attempt_counts_whatever_came_before(trial: TrialFolder, config: TrialConfig) -> None:
    trial.begin(config, {})
    trial.fail("bug", "it broke", "Traceback ...")
    assert trial.status().failure == {"kind": "bug", "message": "it broke"}
    trace = (trial.path / "error.txt").read_text()
    assert trace.startswith("== attempt 1, ") and trace.endswith(": bug\nTraceback ...\n\n")
    trial.begin(config, {})
    assert (trial.status().attempt, trial.status().failure) == (2, None)
    assert (trial.path / "error.txt").read_text() == trace
    trial.heartbeat(1, 5)
    trial.interrupt()
    status = trial.status()
    assert (status.state, status.attempt, status.step) == ("pending", 2, 5)
    finish(trial, config)
    assert (trial.status().state, trial.status().attempt) == ("complete", 3)
    trial.begin(config, {})
    assert (trial.status().state, trial.status().attempt) == ("running", 4)


def test_an_older_result_is_not_completed_by_a_new_attempt(trial: TrialFolder, config: TrialConfig) -> None:
    finish(trial, config)
    (trial.path / "test.json").write_text("{")
    assert trial.status().state != "complete"
    trial.begin(config, {})
    trial.write_test_metrics({"mae": 0.1})
    assert trial.result() is None


@pytest.mark.parametrize("file", ["result.json", "test.json"])
@pytest.mark.parametrize("content", ["", "{", '{"trial_id": "' + NAME, "\0", *map(json.dumps, FOREIGN)])
def test_torn_or_foreign_outcomes_count_as_not_done(
    file: str, content: str, trial: TrialFolder, config: TrialConfig
) -> None:
    finish(trial, config)
    (trial.path / file).write_text(content)
    assert trial.result() is None
    assert trial.status().state == "pending"
    assert trial.status().attempt == 1


@pytest.mark.parametrize("change", [{"trial_id": "another"}, *({"valid": value} for value in FOREIGN)])
def test_a_result_of_another_trial_or_another_shape(
    change: dict[str, Any], trial: TrialFolder, config: TrialConfig
) -> None:
    finish(trial, config)
    result = {**json.loads((trial.path / "result.json").read_text()), **change}
    (trial.path / "result.json").write_text(json.dumps(result))
    assert trial.result() is None


@pytest.mark.parametrize(
    ("content", "state"),
    [
        ("", "pending"),
        ("{", "pending"),
        ("[]", "pending"),
        ('{"state": "complete"}', "pending"),  # only result.json says so
        ('{"state": "dancing"}', "pending"),
        ('{"state": ["running"], "attempt": "2", "pid": null, "failure": 7, "epoch": 1.5}', "pending"),
        ('{"state": "failed", "failure": {"kind": 7}}', "failed"),
        ('{"state": "running", "host": "elsewhere", "place": "elsewhere"}', "pending"),  # no driver there
        ('{"state": "running", "history": 7}', "pending"),
        *(
            (json.dumps({"state": "running", "host": HOST, "pid": pid, "place": this_process().place}), "pending")
            for pid in (-1, 0, 10**30, True, "1")
        ),
    ],
)
def test_a_status_file_of_any_shape_is_read(content: str, state: str, trial: TrialFolder) -> None:
    trial.path.mkdir(parents=True)
    (trial.path / "status.json").write_text(content)
    status = trial.status()
    assert status.state == state
    assert state in STATES
    for name, default in vars(Status()).items():
        assert type(getattr(status, name)) is type(default) or name == "failure"
    trial.heartbeat(1, 1)
    assert trial.status().state == "running"


def claim(trial: TrialFolder, **changes: Any) -> str:
    """Write a running status with changes and return the state that is read."""
    trial.heartbeat(1, 3)
    path = trial.path / "status.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return trial.status().state


def test_running_means_that_its_process_lives(trial: TrialFolder) -> None:
    assert claim(trial) == "running"
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert claim(trial, pid=child.pid, pid_started=0) == "running"
    child.communicate(b"\n")
    assert claim(trial, pid=child.pid, pid_started=0) == "pending"
    assert trial.status().step == 3  # where it goes on
    assert claim(trial, place="another machine") == "pending"  # and no driver has the ledger
    with Lease(Ledger(trial.path.parents[1]).driver):
        assert claim(trial, place="another machine") == "running"  # it lives as long as its driver


def test_a_pid_given_to_another_process_is_not_the_trial(trial: TrialFolder) -> None:
    trial.heartbeat(1, 3)
    ticks = json.loads((trial.path / "status.json").read_text())["pid_started"]
    if not ticks:
        pytest.skip("this system does not say when a process started")
    assert claim(trial, pid_started=ticks + 1) == "pending"
    assert claim(trial, pid_started=ticks) == "running"


def test_a_failure_with_a_reaction_leaves_the_trial_pending_and_is_remembered(
    trial: TrialFolder, config: TrialConfig
) -> None:
    trial.begin(config, {})
    trial.fail("hang", "no sign of life", "stacks", {"limit_s": "3"}, reaction="free retry 1 of 1")
    assert (trial.status().state, trial.status().failure) == ("pending", None)
    trial.begin(config, {})
    trial.write_test_metrics({"mae": 0.6})
    trial.complete(RESULT)
    result = trial.result()
    assert result is not None
    (first,) = result["history"]
    assert {"kind": "hang", "attempt": 1, "retried": True, "reaction": "free retry 1 of 1"}.items() <= first.items()
    assert first["limit_s"] == "3" and result["attempts"] == 2
    assert trial.status().history == (first,)


def test_a_heartbeat_does_not_change_since_when_it_runs(trial: TrialFolder, config: TrialConfig) -> None:
    trial.begin(config, {})
    path = trial.path / "status.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "since": "2001-01-01T00:00:00+00:00"}))
    trial.heartbeat(1, 1)
    status = trial.status()
    assert status.since == "2001-01-01T00:00:00+00:00"
    assert abs(datetime.fromisoformat(status.heartbeat).timestamp() - time.time()) < 60


def test_the_time_is_utc(trial: TrialFolder) -> None:
    trial.heartbeat(1, 1)
    since = datetime.fromisoformat(trial.status().since)
    assert since.utcoffset() == timedelta(0)
    assert abs(since.timestamp() - time.time()) < 60


def test_metrics_come_back_without_what_is_torn_or_foreign(trial: TrialFolder) -> None:
    assert trial.metrics() == []
    rows = [{"step": 1, "valid_mae": math.nan}, {"step": 2, "valid_mae": 0.5}]
    trial.write_metrics(rows)
    assert trial.metrics() == [{"step": 1, "valid_mae": None}, {"step": 2, "valid_mae": 0.5}]
    with (trial.path / "metrics.jsonl").open("ab") as file:
        file.write(b'[]\n7\n{"epoch": 1}\n{"step": "3"}\n\xff\xfe\n' + b"[" * 100_000 + b'\n\n{"step": 3, "va')
    assert [row["step"] for row in trial.metrics()] == [1, 2]
    (trial.path / "metrics.jsonl").unlink()
    (trial.path / "metrics.jsonl").mkdir()
    assert trial.metrics() == []


def test_predictions(trial: TrialFolder) -> None:
    columns = {"clip_id": ["a", "b"], "label": [1.0, -1.0], "score": [0.5, 0.0], "text": ["+0.5", None]}
    frame = pandas.DataFrame({**columns, "parsed": [True, False], "in_range": [True, True]})
    trial.write_predictions("valid", frame)
    assert [file.name for file in trial.path.iterdir()] == ["predictions.valid.parquet"]
    pandas.testing.assert_frame_equal(pandas.read_parquet(trial.path / "predictions.valid.parquet"), frame)


def test_numbers_that_json_lacks_become_none() -> None:
    value = {"a": math.nan, "b": [math.inf, (1.5, -math.inf)], "c": {"d": "nan", "e": True, "f": None}}
    assert finite(value) == {"a": None, "b": [None, [1.5, None]], "c": {"d": "nan", "e": True, "f": None}}


def test_a_table_comes_back_as_texts_and_none_where_there_is_none(trial: TrialFolder) -> None:
    assert trial.table("probe") == []
    trial.write_table("probe", [{"layer": 0, "pooling": "last"}, {"layer": 1, "pooling": "mean"}])
    assert trial.table("probe") == [{"layer": "0", "pooling": "last"}, {"layer": "1", "pooling": "mean"}]
    (trial.path / "probe.csv").write_bytes(b"\xff\xfe\x00")
    assert trial.table("probe") == []


def test_of_a_locked_trial_no_file_that_tells_of_test_may_be_shown(tmp_path):
    names = ["config.json", "predictions.valid.parquet", "predictions.test.parquet", "test.json", "states.test.npz"]
    assert [name for name in names if TrialFolder(tmp_path, opens_test=False).shows(name)] == names[:2]
    assert all(TrialFolder(tmp_path).shows(name) for name in names)


def test_a_ledger_of_a_newer_format_is_refused_by_name(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.check_format()  # of before there were formats, or new
    ledger.write_format()
    ledger.check_format()
    write_json(tmp_path / "format.json", {"format": FORMAT + 1})
    with pytest.raises(InputError) as caught:
        ledger.check_format()
    (problem,) = caught.value.problems
    assert (problem.where, problem.got, problem.allowed) == (str(tmp_path), f"format {FORMAT + 1}", f"up to {FORMAT}")
    assert "newer version" in problem.what and "update" in problem.next_step


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "2"}', '{"format": true}', '{"format": null}', "2"])
def test_what_names_no_format_is_read_as_before(tmp_path, text):
    (tmp_path / "format.json").write_text(text)
    Ledger(tmp_path).check_format()


TEXTS = [text for name, text in vars(names).items() if name.isupper() and isinstance(text, str)]
NAMES = [text for text in TEXTS if "." in text]


def test_nothing_else_knows_the_names_of_the_files():
    """The recipe on a model card reads what lies beside it; hub checkpoints and the cache have names of their own."""
    others = ("ledger/", "backbones/", "model/", "tracking/model_card.py", "execution/ray_runner.py")
    found = []
    for file in sorted((ROOT / "omni_msa").rglob("*.py")):
        key = file.relative_to(ROOT / "omni_msa").as_posix()
        texts = [node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)]
        found += [(key, text) for text in texts if text in NAMES and not key.startswith(others)]
    assert len(NAMES) > 8 and found == []
