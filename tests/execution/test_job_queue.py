"""The queue of trials."""

import errno

import pytest

from helpers.stand_ins import complete, make_job, train_that
from omni_msa.execution.attempt import Job
from omni_msa.execution.job_queue import JobQueue, Wait, run_local


@pytest.fixture
def queue_of(tmp_path):
    """Return a function that makes a queue of (trial, fit) pairs."""

    def queue(*pairs, is_stopping=lambda: False, **bounds) -> JobQueue:
        return JobQueue([make_job(tmp_path, *pair) for pair in pairs], is_stopping, **bounds)

    return queue


def name(taken: Job | Wait) -> str | Wait:
    return taken.trial_id if isinstance(taken, Job) else taken


def test_jobs_come_in_order_and_then_no_more(queue_of):
    queue = queue_of(("a", "fa"), ("b", "fb"))
    assert [name(queue.take()) for _ in range(3)] == ["a", "b", Wait.LATER]
    queue.done("a")
    assert queue.take() is Wait.LATER
    queue.done("b")
    assert queue.take() is Wait.FINISHED


def test_of_two_trials_that_share_a_fit_one_waits_and_others_pass(queue_of):
    queue = queue_of(("a", "shared"), ("b", "shared"), ("c", "own"))
    assert [name(queue.take()) for _ in range(3)] == ["a", "c", Wait.LATER]
    queue.done("c")
    assert queue.take() is Wait.LATER
    queue.done("a")
    assert name(queue.take()) == "b"


def test_stopping_hands_out_nothing_and_waits_for_what_is_out(queue_of):
    stop = []
    queue = queue_of(("a", "fa"), ("b", "fb"), is_stopping=lambda: bool(stop))
    queue.take()
    stop.append(True)
    assert queue.take() is Wait.LATER
    queue.done("a")
    assert queue.take() is Wait.FINISHED


def test_a_lost_trial_goes_to_the_end_of_the_queue_three_times(queue_of, tmp_path):
    queue = queue_of(("a", "fa"), ("b", "fb"))
    lose(queue, "a")
    assert name(queue.take()) == "b"
    queue.done("b")
    for _ in range(3):
        lose(queue, "a")
    assert queue.take() is Wait.FINISHED
    status = make_job(tmp_path, "a").folder().status()
    assert status.state == "failed" and status.failure["kind"] == "lost process" and status.attempt == 4
    assert [entry["reaction"] for entry in status.history] == [*(f"free retry {n} of 3" for n in (1, 2, 3)), ""]
    assert "exit code -9" in (make_job(tmp_path, "a").folder().path / "error.txt").read_text()


def lose(queue, trial_id) -> None:
    job = queue.take()
    assert job.trial_id == trial_id
    job.folder().begin(job.parsed(), {})
    queue.lost(trial_id, "exit code -9")


def test_a_process_killed_while_the_kernel_counts_a_kill_for_memory_ran_out_of_it(queue_of, tmp_path, monkeypatch):
    counter = tmp_path / "memory.events"
    monkeypatch.setattr("omni_msa.planning.hardware._OOM_COUNTERS", (counter,))
    counter.write_text("low 0\noom 1\noom_kill 3\n")
    queue = queue_of(("a", "fa"))
    job = queue.take()
    job.folder().begin(job.parsed(), {})
    counter.write_text("low 0\noom 2\noom_kill 4\n")
    queue.lost("a", "exit code -9")
    assert job.folder().status().history[-1]["kind"] == "out of memory"
    assert name(queue.take()) == "a"  # with smaller batches


def test_a_full_disk_stops_everything_and_fails_nothing(tmp_path):
    asked = []
    jobs = [make_job(tmp_path, each, each) for each in ("a", "b")]
    queue = JobQueue(jobs, lambda: bool(asked), asked.append)

    def fill(folder):
        raise OSError(errno.ENOSPC, "No space left on device")

    run_local(queue, None, train_that(fill))
    assert asked == ["the disk is full"]
    assert [job.folder().status().state for job in jobs] == ["pending", "pending"]
    assert [job.folder().status().attempt for job in jobs] == [1, 0]


def test_three_trials_with_the_same_error_stop_the_sweep(queue_of, tmp_path):
    def act(folder):
        if folder.trial_id == "x":
            raise ValueError("another line")
        raise ValueError(folder.trial_id)

    queue = queue_of(*((each, each) for each in "axbcd"))
    run_local(queue, None, train_that(act))
    states = [make_job(tmp_path, each).folder().status().state for each in "axbcd"]
    assert states == ["failed"] * 4 + ["pending"]
    assert queue.given_up.startswith("3 trials failed with the same error, ValueError in test_job_queue.py:")


def test_errors_in_different_places_stop_nothing(queue_of, tmp_path):
    def act(folder):
        if folder.trial_id == "a":
            raise ValueError("here")
        if folder.trial_id == "b":
            raise ValueError("there")
        raise TypeError("elsewhere")

    queue = queue_of(*((each, each) for each in "abc"))
    run_local(queue, None, train_that(act))
    assert queue.given_up == "" and queue.is_over()


def test_the_last_gpu_out_of_service_stops_the_sweep(tmp_path):
    asked = []
    queue = JobQueue([make_job(tmp_path)], lambda: bool(asked), asked.append)
    queue.out_of_service("card 0 is busy", False)
    assert asked == [] and not queue.is_over()
    queue.out_of_service("card 1 is busy", True)
    assert asked == ["no GPU is left to run on"] and queue.is_over()
    assert queue.notes == ["out of service: card 0 is busy", "out of service: card 1 is busy"]


def test_a_trial_that_was_complete_when_its_process_died_is_complete(queue_of, tmp_path):
    queue = queue_of(("a", "fa"))
    complete(queue.take().folder())
    queue.lost("a")
    assert queue.take() is Wait.FINISHED and make_job(tmp_path, "a").folder().status().state == "complete"


def test_a_trial_lost_while_stopping_is_pending(queue_of, tmp_path):
    stop = []
    queue = queue_of(("a", "fa"), is_stopping=lambda: bool(stop))
    queue.take()
    stop.append(True)
    queue.lost("a")
    assert queue.take() is Wait.FINISHED and make_job(tmp_path, "a").folder().status().state == "pending"


def test_local_runs_go_on_after_a_failure(queue_of, tmp_path):
    order = []

    def act(folder):
        order.append(folder.trial_id)
        if folder.trial_id == "b":
            raise ValueError("it broke")

    run_local(queue_of(("a", "f"), ("b", "f"), ("c", "f")), None, train_that(act))
    assert order == ["a", "b", "c"]
    states = [make_job(tmp_path, each).folder().status().state for each in order]
    assert states == ["complete", "failed", "complete"]


class Ladder:
    """A source that gives a job at the start and two more when it is done."""

    def __init__(self, root) -> None:
        self.root, self.asked, self.ended = root, 0, []

    def more(self) -> list[Job]:
        self.asked += 1
        names = {0: ["a"], 1: ["b", "c"]}.get(len(self.ended), []) if self.asked in (1, 3) else []
        return [make_job(self.root, name, f"f{name}") for name in names]

    def done(self, trial_id: str) -> None:
        self.ended.append(trial_id)


def test_a_source_is_asked_when_nothing_waits_and_again_only_when_a_job_is_done(tmp_path):
    source = Ladder(tmp_path)
    queue = JobQueue([], lambda: False, source=source)
    assert [name(queue.take()) for _ in range(4)] == ["a", Wait.LATER, Wait.LATER, Wait.LATER]
    assert source.asked == 2 and not queue.is_over()
    queue.done("a")
    assert [name(queue.take()) for _ in range(3)] == ["b", "c", Wait.LATER]
    queue.done("b")
    queue.done("c")
    assert queue.take() is Wait.FINISHED and queue.is_over() and source.ended == ["a", "b", "c"]


def test_a_source_is_not_told_of_a_job_that_is_tried_again(tmp_path):
    source = Ladder(tmp_path)
    queue = JobQueue([], lambda: False, source=source)
    lose(queue, "a")
    again = queue.take()
    assert source.ended == [] and name(again) == "a"
    again.folder().begin(again.parsed(), {})
    complete(again.folder())
    queue.done("a")
    assert source.ended == ["a"]


def test_a_queue_that_stops_asks_no_source(tmp_path):
    source, stop = Ladder(tmp_path), []
    queue = JobQueue([], lambda: bool(stop), source=source)
    queue.take()
    stop.append(True)
    queue.done("a")
    assert queue.take() is Wait.FINISHED and source.asked == 1
