"""Live progress of a sweep: a display on a terminal, or plain lines with a time stamp."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from omni_msa.text import duration

if TYPE_CHECKING:
    from types import TracebackType

_STAGE_LINE_EVERY_S = 10.0
_SHARE_FOR_ESTIMATE = 0.2  # of a trial must be done before the time left is estimated


@dataclass(frozen=True)
class RunningTrial:
    """The progress of one running trial; numbers that are not known yet are 0 or None.

    Args:
        label, seed: name of its cell, and its seed (None if the cell is deterministic).
        epoch, num_epochs: number of finished epochs, and of all.
        step, num_steps: number of finished optimiser steps, and of all.
        train_loss: the latest training loss.
        valid, valid_metric: the latest value on valid, and the name of its metric.
        elapsed_s: time since the attempt began, in seconds.
    """

    label: str
    seed: int | None = None
    epoch: int = 0
    num_epochs: int = 0
    step: int = 0
    num_steps: int = 0
    train_loss: float | None = None
    valid: float | None = None
    valid_metric: str = "mae"
    elapsed_s: float = 0.0

    @property
    def name(self) -> str:
        """Name of the trial: cell and seed."""
        return self.label if self.seed is None else f"{self.label}, seed {self.seed}"

    @property
    def share(self) -> float:
        """The share of steps that is done, in [0, 1]."""
        return min(1.0, self.step / self.num_steps) if self.num_steps else 0.0


@dataclass(frozen=True)
class Snapshot:
    """The state of a sweep at one moment.

    Args:
        num_done: number of trials complete or stopped early by a search, those of earlier runs included.
        running: the running trials.
        failures: name of a failed trial (as `RunningTrial.name`) to a line that says why.
        seconds_left: expected time left, None to estimate it from the trials so far.
        retried: name of a trial to a line for each of its attempts that failed and was retried.
        num_trials: number of trials expected in total, None if it is as at the start.
        is_least: whether there may be more trials than that.
        ends: name of a trial that has just ended to how it did: "done", or "stopped after epoch 1 of 4".
        proposals: a line for each proposal that has begun so far, with its parameters.
        num_stopped: how many of `num_done` were stopped early; a search may continue them.
    """

    num_done: int
    running: Sequence[RunningTrial] = ()
    failures: Mapping[str, str] = field(default_factory=dict)
    seconds_left: float | None = None
    retried: Mapping[str, Sequence[str]] = field(default_factory=dict)
    num_trials: int | None = None
    is_least: bool = False
    ends: Mapping[str, str] = field(default_factory=dict)
    proposals: Sequence[str] = ()
    num_stopped: int = 0

    @property
    def num_ended(self) -> int:
        """Number of trials that are complete, stopped early or failed."""
        return self.num_done + len(self.failures)


class Progress:
    """Shows the progress of a sweep from snapshots; a context manager.

    Args:
        num_trials: number of trials of the plan; a snapshot may have a newer number.
        num_done: number of trials that were done before this run.
        stream: where it is shown; None means standard error.
        clock: returns monotonic seconds; for tests.
    """

    def __init__(
        self,
        num_trials: int,
        num_done: int = 0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.num_trials, self._clock = num_trials, clock
        self._console = Console(file=stream or sys.stderr, highlight=False)
        self._last = Snapshot(num_done)
        self._first: Snapshot | None = None  # the baseline of the estimate of the time left
        self._began = self._updated = self._clock()
        self._stage: tuple[str, int, int] | None = None
        self._stage_shown = (-1e9, "")
        self._live = Live(console=self._console, get_renderable=self._render, refresh_per_second=4, transient=True)

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        self._live.stop()

    def stage(self, what: str, done: int, total: int) -> None:
        """Show a stage of the preparation; this is the callback for long preparations.

        Args:
            what: the stage, such as "generating clips".
            done: how many items are done.
            total: how many there are, 0 if not known.
        """
        self._stage = (what, done, total) if done < total or not total else None
        shown_at, shown = self._stage_shown
        now = self._clock()
        if what != shown or done == total or now - shown_at >= _STAGE_LINE_EVERY_S:
            self._stage_shown = (now, what)
            self._say(f"{what}: {done}/{total}" if total else f"{what}: {done}")

    def update(self, snapshot: Snapshot) -> None:
        """Show a snapshot, with a line for each trial that began or ended since the last one."""
        before, self._last, self._stage = self._last, snapshot, None
        if self._first is None:
            before = replace(before, retried=snapshot.retried)  # retries of earlier runs are not shown
            self._first, self._began = Snapshot(before.num_done, failures=snapshot.failures), self._clock()
        self._updated = self._clock()
        num_before, self.num_trials = self.num_trials, snapshot.num_trials or self.num_trials
        lines = [*_ended(before, snapshot), *(line for line in snapshot.proposals if line not in before.proposals)]
        if not self._console.is_terminal:  # on a terminal the table shows these
            lines += _begun(before, snapshot)
            is_settled = self.num_trials != num_before and not snapshot.running
            lines += [self._counts()] if snapshot.num_ended != before.num_ended or is_settled else []
        for line in lines:
            self._say(line)

    def seconds_left(self) -> float | None:
        """Return the time left in seconds: as in the snapshot, else estimated from this run's trials, else None."""
        if self._last.seconds_left is not None or self._last.is_least:
            return self._last.seconds_left
        earlier = self._first.num_ended if self._first else self._last.num_ended
        done = self._last.num_ended - earlier + sum(trial.share for trial in self._last.running)
        left = self.num_trials - earlier - done
        return (self._updated - self._began) / done * left if done >= _SHARE_FOR_ESTIMATE else None

    def _counts(self) -> str:
        last = self._last
        of = f" of at least {self.num_trials}" if last.is_least else f"/{self.num_trials}"
        stopped = f"{last.num_stopped} stopped early, " if last.num_stopped else ""
        num = last.num_done - last.num_stopped
        text = f"{num}{of} trials done, {stopped}{len(last.running)} running, {len(last.failures)} failed"
        left = self.seconds_left()
        return text if left is None or last.num_ended >= self.num_trials else f"{text}, about {duration(left)} left"

    def _say(self, text: str) -> None:
        """Print a line that stays: on a terminal above the display, elsewhere with a time stamp."""
        if self._console.is_terminal:
            if self._stage is None:
                self._console.print(Text(text))
        else:
            print(f"{datetime.now():%H:%M:%S}  {text}", file=self._console.file, flush=True)

    def _render(self) -> Group:
        if self._stage is not None:
            what, done, total = self._stage
            return Group(Text(f"{what}: {done}/{total or '?'}"), ProgressBar(total or None, done, width=40))
        if self._first is None:
            return Group()
        head = Table.grid(padding=(0, 2))
        head.add_row(ProgressBar(self.num_trials, self._last.num_ended, width=30), self._counts())
        return Group(head, _running_table(self._last.running))


def _ended(before: Snapshot, now: Snapshot) -> list[str]:
    """Return lines on trials that no longer run: failed, retried, or ended as `ends` says.

    A trial that `ends` does not have is "done" if as many were completed as no longer run, else "stopped".
    """
    retries = {name: lines[len(before.retried.get(name, ())) :] for name, lines in now.retried.items()}
    known = {*(trial.name for trial in now.running), *now.failures, *(name for name, lines in retries.items() if lines)}
    gone = [trial for trial in before.running if trial.name not in known]
    lines = [f"{name} failed: {why}" for name, why in now.failures.items() if name not in before.failures]
    lines += [f"{name}: {line}" for name, new in retries.items() for line in new]
    how = "done" if now.num_done - before.num_done >= len(gone) else "stopped"
    return [*lines, *(_end(trial, now.ends.get(trial.name, how)) for trial in gone)]


def _end(trial: RunningTrial, how: str) -> str:
    took = duration(trial.elapsed_s)
    return f"{trial.name} {how}" + (f" ({took})" if " after " in how else f" after {took}") + _valid(trial)


def _begun(before: Snapshot, now: Snapshot) -> list[str]:
    earlier = {trial.name: trial for trial in before.running}
    lines = []
    for trial in now.running:
        if trial.name not in earlier:
            lines.append(f"{trial.name} started")
        elif trial.epoch > earlier[trial.name].epoch:
            loss = "" if trial.train_loss is None else f", train loss {trial.train_loss:.3f}"
            lines.append(f"{trial.name} epoch {trial.epoch}/{trial.num_epochs}{loss}{_valid(trial)}")
    return lines


def _valid(trial: RunningTrial) -> str:
    return "" if trial.valid is None else f", valid {trial.valid_metric} {trial.valid:.3f}"


def _running_table(running: Sequence[RunningTrial]) -> Table:
    table = Table.grid(padding=(0, 2))
    for trial in running:
        counts = (
            f"epoch {trial.epoch}/{trial.num_epochs}  step {trial.step}/{trial.num_steps}" if trial.num_steps else ""
        )
        loss = "" if trial.train_loss is None else f"loss {trial.train_loss:.3f}"
        table.add_row(trial.name, counts, loss, _valid(trial).removeprefix(", "), duration(trial.elapsed_s))
    return table
