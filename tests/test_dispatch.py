"""The queue of trials."""

import pytest
from stand_ins import complete, make_job, train_that

from omni_msa.attempt import Job
from omni_msa.dispatch import JobQueue, Wait, run_local


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


def test_no_more_at_once_than_allowed(queue_of):
    queue = queue_of(("a", "fa"), ("b", "fb"), num_at_once=1)
    assert [name(queue.take()), queue.take()] == ["a", Wait.LATER]
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


def test_a_lost_trial_gets_one_more_chance_at_the_end(queue_of, tmp_path):
    queue = queue_of(("a", "fa"), ("b", "fb"))
    queue.take()
    queue.lost("a")
    assert [name(queue.take()) for _ in range(2)] == ["b", "a"]
    queue.lost("a", "exit code -9")
    status = make_job(tmp_path, "a").folder().status()
    assert status.state == "failed" and status.failure == {
        "kind": "lost process",
        "message": "the process running the trial died 2 times",
    }
    assert "exit code -9" in (make_job(tmp_path, "a").folder().path / "error.txt").read_text()
    queue.done("b")
    assert queue.take() is Wait.FINISHED


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
