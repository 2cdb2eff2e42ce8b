"""However a trial ends, the ledger says so and the next one can run."""

import pytest
from stand_ins import complete, config, make_job, train_that

from omni_msa.attempt import failure_kind, run_attempt
from omni_msa.errors import InputError, Interrupted, Problem
from omni_msa.files import read_json
from omni_msa.ledger import Ledger


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


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
        (ValueError("no such thing"), "bug", "ValueError: no such thing"),
        (FloatingPointError("loss is nan\nat step 3"), "not finite", "FloatingPointError: loss is nan"),
        (MemoryError(), "out of memory", "MemoryError: MemoryError"),
        (OutOfMemoryError("CUDA out of memory"), "out of memory", "OutOfMemoryError: CUDA out of memory"),
        (InputError(Problem("the file is torn", "a.mp4")), "bad input", "1. the file is torn"),
    ],
)
def test_a_failure_is_recorded_with_kind_message_and_trace(tmp_path, error, kind, message):
    job = make_job(tmp_path)
    assert run_attempt(job, None, raising(error)) == "failed"
    assert job.folder().status().failure == {"kind": kind, "message": message}
    trace = (job.folder().path / "error.txt").read_text()
    assert "Traceback" in trace and "in act" in trace and str(error) in trace


def test_the_cpu_allocator_of_torch_raises_a_plain_error():
    assert failure_kind(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")) == "out of memory"


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
    assert not (job.folder().path / "error.txt").exists()


def test_a_process_that_is_ended_from_outside_leaves_its_trial_pending(tmp_path):
    job = make_job(tmp_path)
    with pytest.raises(SystemExit):
        run_attempt(job, None, raising(SystemExit(1)))
    assert job.folder().status().state == "pending"
