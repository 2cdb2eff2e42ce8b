"""Jobs in spawned processes, one thread each; a process that dies costs one job, not all."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import Any

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
Function = Callable[..., Any]
Job = tuple[Any, ...]
Outcome = tuple[int, BaseException | None]


def num_cores() -> int:
    """Return how many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_jobs(
    function: Function,
    jobs: Sequence[Job],
    num_workers: int,
    on_done: Callable[[], None],
    jobs_per_process: int = 200,
) -> list[BaseException | None]:
    """Call a function once for each job; what it returns is dropped.

    Args:
        function: importable by name, as are its arguments picklable.
        jobs: the arguments of each call.
        num_workers: processes; 0 runs the jobs in this process.
        on_done: called after each job.
        jobs_per_process: so often processes are renewed, because libraries leak (decord keeps all sound it decoded).

    Returns:
        for each job the exception it ended with, or None. `BrokenProcessPool`: this job kills its process.
    """
    if not num_workers:
        return [_run_here(function, job, on_done) for job in jobs]
    errors: list[BaseException | None] = []
    # Not by the executor's own `max_tasks_per_child`: in Python 3.11 that can wait for ever.
    step = num_workers * jobs_per_process
    for start in range(0, len(jobs), step):
        errors += _run_part(function, jobs[start : start + step], num_workers, on_done)
    return errors


def _run_part(
    function: Function, jobs: Sequence[Job], num_workers: int, on_done: Callable[[], None]
) -> list[BaseException | None]:
    errors: dict[int, BaseException | None] = {}
    for number, error in _all_at_once(function, jobs, num_workers):
        if not isinstance(error, BrokenProcessPool):
            errors[number] = error
            on_done()
    # A dying process takes every waiting job with it: run those again one by one, which shows the culprit.
    for number, error in _one_by_one(function, jobs, [number for number in range(len(jobs)) if number not in errors]):
        errors[number] = error
        on_done()
    return [errors[number] for number in range(len(jobs))]


def _run_here(function: Function, job: Job, on_done: Callable[[], None]) -> BaseException | None:
    try:
        function(*job)
    except Exception as error:
        return error
    finally:
        on_done()
    return None


def _all_at_once(function: Function, jobs: Sequence[Job], num_workers: int) -> Iterator[Outcome]:
    with _pool(num_workers) as pool:
        numbers: dict[Future[Any], int] = {}
        with suppress(BrokenProcessPool):  # it may break while jobs are still handed in
            for number, job in enumerate(jobs):
                numbers[pool.submit(function, *job)] = number
        try:
            for future in as_completed(numbers):
                yield numbers[future], future.exception()
        except BaseException:
            # After an interrupt, leaving the pool would first work off thousands of waiting jobs.
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _one_by_one(function: Function, jobs: Sequence[Job], numbers: list[int]) -> Iterator[Outcome]:
    pool: ProcessPoolExecutor | None = None
    for number in numbers:
        pool = pool or _pool(1)
        error = pool.submit(function, *jobs[number]).exception()
        if isinstance(error, BrokenProcessPool):
            pool.shutdown()
            pool = None
        yield number, error
    if pool:
        pool.shutdown()


def _pool(num_workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(num_workers, multiprocessing.get_context("spawn"), initializer=_start_worker)


def _start_worker() -> None:
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))  # numpy is not imported yet
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent alone answers an interrupt
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    # A killed parent leaves its workers waiting for a job for ever.
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
