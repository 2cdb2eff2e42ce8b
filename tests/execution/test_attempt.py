"""However a trial ends, the ledger says so and the next one can run."""

import subprocess
import sys
import weakref

import pytest

from helpers.paths import TESTS
from helpers.stand_ins import complete, config, make_job, train_that
from omni_msa.errors import InputError, Interrupted, Problem
from omni_msa.execution.attempt import record_loss, run_attempt
from omni_msa.ledger.ledger import Ledger
from omni_msa.system.files import read_json


def raising(error):
    def act(folder):
        raise error

    return train_that(act)


def test_a_trial_is_opened_trained_and_closed(tmp_path):
    job, seen = make_job(tmp_path, seed=7), {}

    def train(trial_config, folder, fit, resident, should_stop):
        seen.update(config=trial_config, fit=fit, resident=resident, stop=should_stop(), state=folder.status().state)
        complete(folder)

    assert run_attempt(job, "kept", train) == "complete"
    assert seen == {
        **{"config": config(seed=7), "fit": tmp_path / "fits" / "f1", "resident": "kept"},
        **{"stop": False, "state": "running"},
    }
    about = read_json(job.folder().path / "provenance.json")
    assert about["attempt"] == 1 and about["attempt_s"] >= 0 and about["started"] <= about["ended"]
    assert "torch" in about["packages"]


def test_the_stop_file_is_what_a_trial_is_asked_to_stop_by(tmp_path):
    job, seen = make_job(tmp_path), []

    def train(trial_config, folder, fit, resident, should_stop):
        Ledger(tmp_path).stop_file.touch()
        seen.append(should_stop())
        raise Interrupted("stopped")

    assert run_attempt(job, None, train) == "pending" and seen == [True]
    assert job.folder().status().attempt == 1
    assert not (job.folder().path / "error.txt").exists()


def test_a_complete_trial_is_left_alone(tmp_path):
    job = make_job(tmp_path)
    run_attempt(job, None, train_that())
    assert run_attempt(job, None, raising(AssertionError("ran again"))) == "complete"
    assert job.folder().status().attempt == 1


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ValueError("no such thing"), "bug", "no such thing"),
        (FloatingPointError("loss is nan\nat step 3"), "not finite", "loss is nan"),
        (InputError(Problem("the file is torn", "a.mp4")), "bad input", "1. the file is torn"),
    ],
)
def test_a_failure_is_recorded_with_kind_message_and_trace(tmp_path, error, kind, message):
    job = make_job(tmp_path)
    assert run_attempt(job, None, raising(error)) == "failed"
    failure = job.folder().status().failure
    assert failure == {"kind": kind, "message": message, "place": failure["place"]}
    assert failure["place"].startswith(f"{type(error).__name__} in test_attempt.py:")
    trace = (job.folder().path / "error.txt").read_text()
    assert "Traceback" in trace and "in act" in trace and str(error) in trace


def test_what_a_failed_trial_held_is_free_when_memory_is_released(tmp_path, monkeypatch):
    class Tensor:
        pass

    held, left = [], []

    def train(trial_config, folder, fit, resident, should_stop):
        tensor = Tensor()
        held.append(weakref.ref(tensor))
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr("omni_msa.execution.attempt.release_memory", lambda: left.append(held[0]()))
    run_attempt(make_job(tmp_path), None, train)
    assert left == [None]


def test_a_trial_that_only_says_it_has_trained_has_failed(tmp_path):
    job = make_job(tmp_path)
    assert run_attempt(job, None, lambda *arguments: None) == "failed"
    assert "not complete" in job.folder().status().failure["message"]


def test_a_configuration_that_no_longer_fits_is_a_failure_too(tmp_path):
    job = make_job(tmp_path)
    job.config["adapter"]["depth"] = 3
    assert run_attempt(job, None, train_that()) == "failed"
    assert job.folder().status().failure["kind"] == "bad input"
    assert "depth" in (job.folder().path / "error.txt").read_text()


def test_another_attempt_replaces_a_failure(tmp_path):
    job = make_job(tmp_path)
    run_attempt(job, None, raising(ValueError("first")))
    assert run_attempt(job, None, train_that()) == "complete"
    assert job.folder().status().attempt == 2
    assert [entry["message"] for entry in job.folder().result()["history"]] == ["first"]


def test_a_process_that_is_ended_from_outside_leaves_its_trial_pending(tmp_path):
    job = make_job(tmp_path)
    with pytest.raises(SystemExit):
        run_attempt(job, None, raising(SystemExit(1)))
    assert job.folder().status().state == "pending"


def test_memory_that_runs_out_halves_the_batches_of_the_next_attempt_until_one_clip_is_left(tmp_path):
    job = make_job(tmp_path, runtime={"micro_batch": 8, "eval_batch": 2})
    seen = []

    def train(config, folder, fit, resident, should_stop):
        seen.append((config.runtime.micro_batch, config.runtime.eval_batch))
        raise MemoryError("no room")

    states = [run_attempt(job, None, train) for _ in range(3)]
    assert seen == [(8, 2), (2, 1), (1, 1)]  # the effective batch is 4
    assert states == ["pending", "pending", "failed"]
    reactions = [entry["reaction"] for entry in job.folder().status().history]
    assert "micro-batch 4 -> 2" in reactions[0] and "dropout masks differ" in reactions[0] and reactions[2] == ""
    assert run_attempt(job, None, train_that()) == "complete"


WATCHED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from helpers.stand_ins import complete, make_job, train_that
from omni_msa.system import watchdog
from omni_msa.execution.attempt import run_attempt
def hang_here(folder):
    time.sleep(100)
def work(folder):
    for _ in range(24):
        time.sleep(0.25)
        watchdog.alive()
    complete(folder)
job = make_job(Path(sys.argv[1]), runtime={"hang_s": float(sys.argv[3])})
run_attempt(job, None, train_that(globals()[sys.argv[4]]), is_watched=True)
"""


def watch(tmp_path, hang_s: float, what: str) -> int:
    """Run an attempt in a process of its own, which the watch may end, and return its exit code."""
    arguments = [str(tmp_path), str(TESTS), str(hang_s), what]
    return subprocess.run([sys.executable, "-c", WATCHED, *arguments], timeout=300, check=False).returncode


def test_a_trial_that_hangs_writes_its_stacks_and_ends_its_process(tmp_path):
    assert watch(tmp_path, 0.3, "hang_here") == 1
    job = make_job(tmp_path, runtime={"hang_s": 0.3})
    record_loss(job, "exit code 1")
    assert job.folder().status().state == "pending"
    (entry,) = job.folder().status().history
    assert entry["kind"] == "hang" and "0.3 s" in entry["message"]
    trace = (job.folder().path / "error.txt").read_text()
    assert "in hang_here" in trace and not job.folder().stacks.exists()


def test_a_trial_that_shows_life_is_left_alone_and_leaves_no_stacks(tmp_path):
    assert watch(tmp_path, 5.0, "work") == 0  # works for 6 s; a pulse is passed on once a second
    folder = make_job(tmp_path).folder()
    assert folder.status().state == "complete" and not folder.stacks.exists()


@pytest.mark.parametrize(
    ("detail", "num_oom_kills", "kind"),
    [
        ("exit code -9", 0, "lost process"),
        ("exit code -9", 1, "out of memory"),
        ("ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory.", 0, "out of memory"),
    ],
)
def test_why_a_process_died_is_told_from_what_is_known(tmp_path, detail, num_oom_kills, kind):
    job = make_job(tmp_path)
    job.folder().begin(config(), {})
    record_loss(job, detail, num_oom_kills)
    (entry,) = job.folder().status().history
    assert entry["kind"] == kind and detail in (job.folder().path / "error.txt").read_text()


def test_what_the_attempt_said_itself_stands_when_its_process_dies_afterwards(tmp_path):
    job = make_job(tmp_path)
    run_attempt(job, None, raising(ValueError("it broke")))
    record_loss(job, "exit code 1")
    assert [entry["kind"] for entry in job.folder().status().history] == ["bug"]
