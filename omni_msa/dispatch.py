"""The queue of trials: which is next, which must wait for a fit that another one trains. No Ray in here."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from omni_msa.attempt import Job, Train, run_attempt

NUM_LOSSES_MAX = 2  # a trial whose process died gets one more chance
LOST = "lost process"


class Wait(Enum):
    """What the queue says when it hands out no job."""

    LATER = "every job left waits for one that is running"
    FINISHED = "nothing is left"


@dataclass
class _Entry:
    job: Job
    num_losses: int = 0


class JobQueue:
    """Hands out jobs in order; of jobs that share a fit only one is out at a time, the next then finds it trained.

    Args:
        jobs: in the order of the plan.
        is_stopping: once it says True, no further job is handed out.
        num_at_once: how many jobs may be out at a time; None for no bound.
    """

    def __init__(self, jobs: Iterable[Job], is_stopping: Callable[[], bool], num_at_once: int | None = None) -> None:
        self._waiting = [_Entry(job) for job in jobs]
        self._out: dict[str, _Entry] = {}
        self._is_stopping, self._num_at_once = is_stopping, num_at_once
        self._lock = threading.Lock()

    def take(self) -> Job | Wait:
        """Return the next job, or why there is none."""
        with self._lock:
            if self._is_stopping():
                self._waiting.clear()
            if self._num_at_once is None or len(self._out) < self._num_at_once:
                busy = {entry.job.fit_id for entry in self._out.values()}
                for entry in self._waiting:
                    if entry.job.fit_id not in busy:
                        self._waiting.remove(entry)
                        self._out[entry.job.trial_id] = entry
                        return entry.job
            return Wait.LATER if self._out or self._waiting else Wait.FINISHED

    def done(self, trial_id: str) -> None:
        """Say that a job handed out has ended, in whatever state."""
        with self._lock:
            self._out.pop(trial_id, None)

    def lost(self, trial_id: str, detail: str = "") -> None:
        """Say that the process of a job died: it goes to the end of the queue once, then counts as failed.

        Args:
            trial_id: of the job.
            detail: what is known, for `error.txt`.
        """
        with self._lock:
            entry = self._out.pop(trial_id, None)
            if entry is None or entry.job.folder().status().state in ("complete", "failed"):
                return
            entry.num_losses += 1
            if self._is_stopping():
                entry.job.folder().interrupt()
            elif entry.num_losses < NUM_LOSSES_MAX:
                self._waiting.append(entry)
            else:
                message = f"the process running the trial died {entry.num_losses} times"
                entry.job.folder().fail(LOST, message, f"{message}\n{detail}".strip() + "\n")


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
