"""Progress as lines and as a display."""

import io
import re
from dataclasses import replace

import pytest

from omni_msa.execution.progress import Progress, RunningTrial, Snapshot
from omni_msa.text import duration


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def lines(stream):
    text = stream.getvalue().splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d  ", line) for line in text)
    return [line[10:] for line in text]


A = RunningTrial("disc", 1, num_epochs=2, num_steps=10)


def test_plain_lines_only_when_something_changes():
    stream, clock = io.StringIO(), Clock()
    with Progress(4, 1, stream, clock) as progress:
        progress.update(Snapshot(1, [A]))
        progress.update(Snapshot(1, [replace(A, step=3, train_loss=0.9)]))
        half = replace(A, step=5, epoch=1, train_loss=0.5, valid=0.75, elapsed_s=60.0)
        progress.update(Snapshot(1, [half]))
        progress.update(Snapshot(1, [half]))
        clock.now = 100.0
        progress.update(Snapshot(2, [RunningTrial("constant")]))
        progress.update(Snapshot(2, failures={"constant": "bug: it broke"}))
    assert lines(stream) == [
        "disc, seed 1 started",
        "disc, seed 1 epoch 1/2, train loss 0.500, valid mae 0.750",
        "disc, seed 1 done after 60 s, valid mae 0.750",
        "constant started",
        "2/4 trials done, 1 running, 0 failed, about 3 min left",
        "constant failed: bug: it broke",
        "2/4 trials done, 0 running, 1 failed, about 50 s left",
    ]


def test_a_trial_that_vanishes_undone_has_stopped():
    stream = io.StringIO()
    progress = Progress(4, 0, stream)
    progress.update(Snapshot(0, [A]))
    progress.update(Snapshot(0))
    assert lines(stream)[-1] == "disc, seed 1 stopped after 0 s"


def test_trials_too_quick_to_be_seen_running_are_counted():
    stream = io.StringIO()
    Progress(4, 0, stream).update(Snapshot(4))
    assert lines(stream) == ["4/4 trials done, 0 running, 0 failed"]


@pytest.mark.parametrize(
    ("snapshot", "expected"),
    [
        (Snapshot(2), None),
        (Snapshot(2, [replace(A, step=1)]), None),  # too early to say
        (Snapshot(3), 700.0),  # one of eight in 100 s, whatever was done before
        (Snapshot(2, [replace(A, step=5), replace(A, seed=2, step=5)]), 700.0),
        (Snapshot(2, [A], {"x": "broke"}), 700.0),
        (Snapshot(3, seconds_left=5.0), 5.0),
    ],
)
def test_time_left(snapshot, expected):
    clock = Clock()
    progress = Progress(10, 2, io.StringIO(), clock)
    progress.update(Snapshot(2))
    clock.now = 100.0
    progress.update(snapshot)
    clock.now = 150.0  # the estimate is that of the last look
    assert progress.seconds_left() == expected


def test_stages_say_their_beginning_end_and_now_and_then():
    stream, clock = io.StringIO(), Clock()
    progress = Progress(4, 0, stream, clock)
    for done in range(41):
        progress.stage("generating clips", done, 40)
        clock.now += 0.6
    progress.stage("fetching", 7, 0)
    expected = [f"generating clips: {done}/40" for done in (0, 17, 34, 40)]
    assert lines(stream) == [*expected, "fetching: 7"]


def test_display_on_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    with Progress(4, 1, stream) as progress:
        progress.stage("preparing inputs", 3, 9)
        progress._live.refresh()
        progress.stage("preparing inputs", 9, 9)
        progress.update(Snapshot(1, [replace(A, step=5, epoch=1, train_loss=0.5, valid=0.75, elapsed_s=60)]))
        progress._live.refresh()
        progress.update(Snapshot(2, failures={"gen": "it broke"}))
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert "preparing inputs: 3/9" in text and "preparing inputs: 9/9\n" in text
    row = next(line for line in text.splitlines() if "step 5/10" in line).split()
    assert " ".join(row) == "disc, seed 1 epoch 1/2 step 5/10 loss 0.500 valid mae 0.750 60 s"
    assert "1/4 trials done, 1 running, 0 failed" in text and "gen failed: it broke\n" in text
    assert "started" not in text
    assert stream.getvalue().endswith("\x1b[?25h") or "\x1b[?25h" in stream.getvalue(), "the cursor is shown again"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (11_100, "3 h 05 min"), (-1, "0 s")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_an_attempt_that_is_made_again_is_told_once():
    out = io.StringIO()
    old = ("lost process: it died; free retry 1 of 3",)
    new = (*old, "hang: no sign of life; free retry 1 of 1")
    with Progress(2, stream=out) as progress:
        progress.update(Snapshot(0, [RunningTrial("a", 1)], retried={"a, seed 1": old}))
        progress.update(Snapshot(0, [], retried={"a, seed 1": new}))
        progress.update(Snapshot(0, [RunningTrial("a", 1)], retried={"a, seed 1": new}))
    lines = [line.partition("  ")[2] for line in out.getvalue().splitlines()]
    assert lines == ["a, seed 1 started", "a, seed 1: hang: no sign of life; free retry 1 of 1", "a, seed 1 started"]


def test_a_trial_that_is_stopped_early_is_not_done():
    stream = io.StringIO()
    progress = Progress(2, 0, stream)
    trial = replace(A, epoch=1, valid=0.75, elapsed_s=12.0)
    progress.update(Snapshot(0, [trial, replace(A, seed=2)]))
    ends = {"disc, seed 1": "stopped after epoch 1 of 2", "disc, seed 2": "done"}
    progress.update(Snapshot(1, ends=ends))  # meanwhile another one has been promoted: it is not done any more
    assert lines(stream)[2:4] == [
        "disc, seed 1 stopped after epoch 1 of 2 (12 s), valid mae 0.750",
        "disc, seed 2 done after 0 s",
    ]


def test_the_total_follows_what_is_known():
    stream, clock = io.StringIO(), Clock()
    progress = Progress(3, 0, stream, clock)
    progress.update(Snapshot(0, [A], num_trials=34))
    clock.now = 10.0
    progress.update(Snapshot(1, [A], num_trials=20))
    progress.update(Snapshot(1, [A], num_trials=19))
    progress.update(Snapshot(20, num_trials=21))
    progress.update(Snapshot(20, num_trials=20))
    assert [line for line in lines(stream) if "trials" in line] == [
        "1/20 trials done, 1 running, 0 failed, about 3 min left",
        "20/21 trials done, 0 running, 0 failed, about 0 s left",
        "20/20 trials done, 0 running, 0 failed",
    ]


def test_a_total_that_may_grow_says_so_and_there_is_no_time_left():
    stream, clock = io.StringIO(), Clock()
    progress = Progress(3, 0, stream, clock)
    progress.update(Snapshot(0, [A], num_trials=8, is_least=True))
    clock.now = 10.0
    progress.update(Snapshot(4, [A], num_trials=8, is_least=True))
    assert lines(stream)[-1] == "4 of at least 8 trials done, 1 running, 0 failed" and progress.seconds_left() is None


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_the_parameters_of_a_proposal_are_said_once(kind):
    stream = kind()
    progress = Progress(4, 0, stream)
    one, other = "proposal 1: adapter.rank=8", "proposal 2: adapter.rank=4"
    for proposals in ((), (one,), (one, other), (one, other)):
        progress.update(Snapshot(0, [A], proposals=proposals))
    assert stream.getvalue().count(one) == stream.getvalue().count(other) == 1
