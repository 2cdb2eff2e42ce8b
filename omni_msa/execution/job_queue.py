"""The queue of trials: which is next, which must wait for a fit that another one trains. No Ray in here."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from omni_msa.execution import failures
from omni_msa.execution.attempt import Job, Train, record_loss, run_attempt
from omni_msa.ledger.trial_folder import Status
from omni_msa.planning import hardware


class Wait(Enum):
    """What the queue says when it hands out no job."""

    LATER = "every job left waits for one that is running"
    FINISHED = "nothing is left"


@dataclass
class _Out:
    """A job handed out, and how many processes the kernel had killed for want of memory by then."""

    job: Job
    num_oom_kills: int


class Source(Protocol):
    """Where further jobs come from when nothing waits: a search, which learns from those that are done."""

    def more(self) -> Iterable[Job]:
        """Return jobs that are to run now, none if there are none before another one is done."""

    def done(self, trial_id: str) -> None:
        """Take note that a job has ended and is not tried again."""


class JobQueue:
    """Hands out jobs in order; of jobs that share a fit only one is out at a time, the next then finds it trained.

    A trial that is to be tried again (`omni_msa.execution.failures`) goes to the end of the queue.

    Args:
        jobs: in the order of the plan.
        is_stopping: once it says True, no further job is handed out.
        request_stop: called with a reason when all trials must checkpoint and end.
        source: of further jobs.
    """

    def __init__(
        self,
        jobs: Iterable[Job],
        is_stopping: Callable[[], bool],
        request_stop: Callable[[str], None] = lambda reason: None,
        source: Source | None = None,
    ) -> None:
        self._waiting = list(jobs)
        self._source, self._is_dry = source, source is None  # dry: nothing comes before another job is done
        self._out: dict[str, _Out] = {}
        self._is_stopping, self._request_stop = is_stopping, request_stop
        self._bugs: Counter[str] = Counter()
        self._num_good = 0
        self._lock = threading.Lock()
        self.given_up = ""
        """Why the trials that were left are not run, if so: several failed in one and the same way."""
        self.notes: list[str] = []
        """What people should know of the cards at the end."""

    def take(self) -> Job | Wait:
        """Return the next job, or why there is none."""
        with self._lock:
            if self._is_stopping() or self.given_up:
                self._waiting.clear()
                self._is_dry = True
            while (job := self._runnable()) is None and self._source is not None and not self._is_dry:
                more = list(self._source.more())
                self._waiting += more
                self._is_dry = not more
            if job is None:
                return Wait.LATER if self._out or self._waiting else Wait.FINISHED
            self._waiting.remove(job)
            self._out[job.trial_id] = _Out(job, hardware.num_oom_kills())
            return job

    def _runnable(self) -> Job | None:
        """Return the first job whose fit nobody trains."""
        busy = {out.job.fit_id for out in self._out.values()}
        return next((job for job in self._waiting if job.fit_id not in busy), None)

    def done(self, trial_id: str) -> None:
        """Say that a job handed out has ended, in whatever state."""
        with self._lock:
            out = self._out.pop(trial_id, None)
            if out is not None:
                self._react(out.job, out.job.folder().status())

    def lost(self, trial_id: str, detail: str = "") -> None:
        """Say that the process of a job died.

        Args:
            trial_id: of the job.
            detail: what is known, for `error.txt`.
        """
        with self._lock:
            out = self._out.pop(trial_id, None)
            if out is None:
                return
            if self._is_stopping() and out.job.folder().written_status().state == "running":
                out.job.folder().interrupt()  # it did not end in time and was killed
            else:
                record_loss(out.job, detail, hardware.num_oom_kills() - out.num_oom_kills)
            self._react(out.job, out.job.folder().status())

    def out_of_service(self, message: str, is_last: bool) -> None:
        """Say that a card is not used any more.

        Args:
            message: which and why.
            is_last: there is no other.
        """
        self.notes.append(f"out of service: {message}")
        if is_last:
            self._request_stop("no card is left to run on")

    def is_over(self) -> bool:
        """Return whether no job is out and none will be."""
        with self._lock:
            is_dry = self._is_dry and not self._waiting
            return not self._out and (is_dry or self._is_stopping() or bool(self.given_up))

    def _react(self, job: Job, status: Status) -> None:
        last = status.history[-1] if status.history else {}
        is_again = status.state == "pending" and last.get("attempt") == status.attempt and last.get("retried")
        if is_again and last.get("kind") == failures.DISK_FULL:
            self._request_stop("the disk is full")
        if is_again and not self._is_stopping():
            self._waiting.append(job)
        elif self._source is not None:
            self._source.done(job.trial_id)
            self._is_dry = False
        self._num_good += status.state in ("complete", "pruned")
        is_hopeless = self._source is None or not self._num_good  # else a corner of a search's space may be at fault
        if status.state == "failed" and last.get("kind") == failures.BUG:
            place = str(last.get("place"))
            self._bugs[place] += 1
            if self._bugs[place] >= failures.NUM_EQUAL_BUGS_MAX and is_hopeless:
                self.given_up = f"{failures.NUM_EQUAL_BUGS_MAX} trials failed with the same error, {place}"


def run_local(queue: JobQueue, resident: Any, train: Train | None = None) -> None:
    """Run all jobs one after the other in this process.

    Args:
        queue: of the jobs.
        resident: what is kept between trials.
        train: as in `run_attempt`.
    """
    while isinstance(job := queue.take(), Job):
        run_attempt(job, resident, train)
        queue.done(job.trial_id)
