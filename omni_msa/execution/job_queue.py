"""The queue of trials: which one is next, and which must wait for a fit that another trial trains. No Ray in here."""

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
    """Why the queue hands out no job."""

    LATER = "every remaining job waits for one that is running"
    FINISHED = "nothing is left"


@dataclass
class _RunningJob:
    """A job that is running, and how many processes the kernel had killed for lack of memory when it started."""

    job: Job
    num_oom_kills: int


class Source(Protocol):
    """Where further jobs come from when none waits: a search, which learns from those that are done."""

    def more(self) -> Iterable[Job]:
        """Return further jobs to run now; none if it needs results of running jobs first, or has finished."""

    def done(self, trial_id: str) -> None:
        """Note that a job has ended and will not be tried again."""


class JobQueue:
    """Hands out jobs in order. Of jobs that share a fit only one runs at a time; the next one finds the fit trained.

    A trial that is to be tried again (`omni_msa.execution.failures`) goes to the end of the queue.

    Args:
        jobs: the jobs, in the order of the plan.
        is_stopping: once it returns True, no further job is handed out.
        request_stop: called with a reason when all trials must write a checkpoint and end.
        source: where further jobs come from, None if there are none.
    """

    def __init__(
        self,
        jobs: Iterable[Job],
        is_stopping: Callable[[], bool],
        request_stop: Callable[[str], None] = lambda reason: None,
        source: Source | None = None,
    ) -> None:
        self._waiting = list(jobs)
        self._source, self._is_dry = source, source is None  # dry: no more jobs until a running one is done
        self._running: dict[str, _RunningJob] = {}
        self._is_stopping, self._request_stop = is_stopping, request_stop
        self._bugs: Counter[str] = Counter()
        self._num_good = 0
        self._lock = threading.Lock()
        self.given_up = ""
        """Why the remaining trials are not run: several trials failed with the same error. "" if they are run."""
        self.notes: list[str] = []
        """Notes on GPUs that went out of service, for the end of the run."""

    def take(self) -> Job | Wait:
        """Return the next job, or why there is none now."""
        with self._lock:
            if self._is_stopping() or self.given_up:
                self._waiting.clear()
                self._is_dry = True
            while (job := self._runnable()) is None and self._source is not None and not self._is_dry:
                new_jobs = list(self._source.more())
                self._waiting += new_jobs
                self._is_dry = not new_jobs
            if job is None:
                return Wait.LATER if self._running or self._waiting else Wait.FINISHED
            self._waiting.remove(job)
            self._running[job.trial_id] = _RunningJob(job, hardware.num_oom_kills())
            return job

    def _runnable(self) -> Job | None:
        """Return the first job whose fit no running job trains, None if there is none."""
        busy = {running.job.fit_id for running in self._running.values()}
        return next((job for job in self._waiting if job.fit_id not in busy), None)

    def done(self, trial_id: str) -> None:
        """Note that a running job has ended, in whatever state."""
        with self._lock:
            ended = self._running.pop(trial_id, None)
            if ended is not None:
                self._react(ended.job, ended.job.folder().status())

    def lost(self, trial_id: str, detail: str = "") -> None:
        """Note that the process of a running job died.

        Args:
            trial_id: id of the job's trial.
            detail: further text for `error.txt`.
        """
        with self._lock:
            ended = self._running.pop(trial_id, None)
            if ended is None:
                return
            if self._is_stopping() and ended.job.folder().written_status().state == "running":
                ended.job.folder().interrupt()  # it did not end in time and was killed
            else:
                record_loss(ended.job, detail, hardware.num_oom_kills() - ended.num_oom_kills)
            self._react(ended.job, ended.job.folder().status())

    def out_of_service(self, message: str, is_last: bool) -> None:
        """Note that a GPU is not used any more.

        Args:
            message: which GPU and why.
            is_last: whether no other GPU is left.
        """
        self.notes.append(f"out of service: {message}")
        if is_last:
            self._request_stop("no GPU is left to run on")

    def is_over(self) -> bool:
        """Return whether no job is running and none will be handed out."""
        with self._lock:
            is_dry = self._is_dry and not self._waiting
            return not self._running and (is_dry or self._is_stopping() or bool(self.given_up))

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
        may_give_up = self._source is None or not self._num_good  # in a search only some parameters may fail
        if status.state == "failed" and last.get("kind") == failures.BUG:
            error_place = str(last.get("place"))
            self._bugs[error_place] += 1
            if self._bugs[error_place] >= failures.NUM_EQUAL_BUGS_MAX and may_give_up:
                self.given_up = f"{failures.NUM_EQUAL_BUGS_MAX} trials failed with the same error, {error_place}"


def run_local(queue: JobQueue, resident: Any, train: Train | None = None) -> None:
    """Run all jobs one after the other in this process.

    Args:
        queue: the queue of jobs.
        resident: objects kept between trials (the backbone).
        train: the training function, as for `run_attempt`.
    """
    while isinstance(job := queue.take(), Job):
        run_attempt(job, resident, train)
        queue.done(job.trial_id)
