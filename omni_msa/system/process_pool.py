"""Jobs in separate processes with one thread each: a crash, a hang or excessive memory use costs only that job."""

import ctypes
import math
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessPool

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
Function = Callable[..., Any]
Job = tuple[Any, ...]
OnResult = Callable[[int, Any], None]
Outcome = tuple[int, BaseException | None]
_START_S = 120.0  # time limit for the start of the first process
_LOOK_EVERY_S = 0.5
_NUM_TRIES = 3  # other jobs may have used the memory or time, or an idle process died and broke the pool
_PR_SET_PDEATHSIG = 1  # prctl(2)


class ProcessDied(Exception):
    """A job ended its process.

    Args:
        how: name of the signal, or the exit code.
    """


@dataclass(frozen=True)
class Limits:
    """Limits of one job.

    Args:
        seconds: wall time from the start of the job.
        memory_gb: memory in addition to what its process has before (Linux only).
        jobs_per_process: number of jobs after which a process is replaced, because libraries leak memory (decord).
    """

    seconds: float = 600.0
    memory_gb: float = 4.0
    jobs_per_process: int = 200


def num_cores() -> int:
    """Return the number of CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_jobs(
    function: Function,
    jobs: Sequence[Job],
    num_workers: int,
    on_done: Callable[[], None],
    limits: Limits | None = None,
    on_result: OnResult | None = None,
) -> list[BaseException | None]:
    """Call a function once for each job, in other processes.

    A job that crashes or exceeds a limit is tried once more, alone, because others may have used the memory or time.

    Args:
        function: importable by name; its arguments and results can be pickled.
        jobs: arguments of each call.
        num_workers: number of processes, at least 1.
        on_done: called after each job.
        limits: of each job.
        on_result: called with the index and the result of each successful job, before `on_done`.

    Returns:
        for each job its exception, or None. `TimeoutError`, `MemoryError`: it exceeded a limit; `ProcessDied`: its
        process crashed.

    Raises:
        RuntimeError: no process can be started.
    """
    limits = limits or Limits()
    on_result = on_result or (lambda number, value: None)
    errors: dict[int, BaseException | None] = {}
    left = list(range(len(jobs)))
    while left:
        before = len(errors)
        for number, error in _run(function, jobs, left, num_workers, limits, on_result):
            errors[number] = error
            on_done()
        # If an idle process dies, the pool breaks although no running job is at fault.
        left = [number for number in left if number not in errors] if len(errors) > before else []
    for number in range(len(jobs)):
        if number not in errors:
            on_done()
        if isinstance(errors.get(number, ProcessDied()), ProcessDied | TimeoutError | MemoryError):
            second = dict(_run(function, jobs, [number], 1, limits, on_result))
            errors[number] = second.get(number, ProcessDied("killed"))
    return [errors[number] for number in range(len(jobs))]


class JobPool:
    """Processes that take jobs from any thread until they are closed; the first job starts them.

    Args:
        num_workers: number of processes, at least 1.
        limits: of each job.
    """

    def __init__(self, num_workers: int, limits: Limits) -> None:
        self._num_workers, self._limits = num_workers, limits
        self._lock = threading.Lock()
        self._pool: ProcessPool | None = None
        self._is_closed = False

    def call(self, function: Function, job: Job) -> Any:
        """Run a job and return its result; a job that crashes or exceeds a limit is tried again.

        Args:
            function, job: as for `run_jobs`.

        Raises:
            Exception: raised by the job; TimeoutError, MemoryError, ProcessDied: as in `run_jobs`.
            CancelledError: the pool was closed.
        """
        error: BaseException = ProcessDied("killed")
        for _ in range(_NUM_TRIES):
            try:
                return self._wait(*self._schedule(function, job))
            except ProcessExpired as expired:
                error = _died(expired)
            except BrokenProcessPool:  # `_schedule` makes a new one
                continue
            except (TimeoutError, MemoryError) as over:
                error = over
        raise error

    def close(self) -> None:
        """End the processes at once and abandon running jobs."""
        with self._lock:
            self._is_closed = True
            self._stop()

    def _schedule(self, function: Function, job: Job) -> "tuple[ProcessPool, Future[Any]]":
        with self._lock:
            if self._is_closed:
                raise CancelledError
            if self._pool is not None and not self._pool.active:
                self._stop()
            if self._pool is None:
                self._pool = _new_pool(self._num_workers, self._limits)
                _check_start(self._pool)
            arguments = (function, job, self._limits.memory_gb)
            return self._pool, self._pool.schedule(_call, arguments, timeout=self._limits.seconds)

    def _wait(self, pool: ProcessPool, future: "Future[Any]") -> Any:
        # If an idle process is killed, the others may wait forever and no job starts: hence the time limit.
        until = time.monotonic() + self._limits.seconds + _START_S
        while not wait([future], _LOOK_EVERY_S).done:
            if self._is_closed:
                raise CancelledError
            if time.monotonic() > until:
                self._discard(pool)
            if not pool.active:
                raise BrokenProcessPool
        return future.result()

    def _discard(self, pool: ProcessPool) -> None:
        with self._lock:
            if self._pool is pool:
                self._stop()

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()
            self._pool = None


def _new_pool(num_workers: int, limits: Limits) -> ProcessPool:
    spawn = multiprocessing.get_context("spawn")
    return ProcessPool(num_workers, limits.jobs_per_process, _start_worker, context=spawn)


def _run(
    function: Function,
    jobs: Sequence[Job],
    numbers: Sequence[int],
    num_workers: int,
    limits: Limits,
    on_result: OnResult,
) -> Iterator[Outcome]:
    """Yield the outcome of each job as it ends; jobs lost when a pool breaks are left out."""
    pool = _new_pool(num_workers, limits)
    try:
        _check_start(pool)
        waiting, running = deque(numbers), dict[Future[Any], int]()
        until = math.inf
        while waiting or running:
            # Schedule few at a time, so that little is lost if the pool breaks or is interrupted.
            while waiting and len(running) < 2 * num_workers and pool.active:
                arguments = (function, jobs[waiting[0]], limits.memory_gb)
                running[pool.schedule(_call, arguments, timeout=limits.seconds)] = waiting.popleft()
            done, _ = wait(running, timeout=1, return_when=FIRST_COMPLETED)
            if done or until == math.inf:
                until = time.monotonic() + limits.seconds + _START_S  # as in `JobPool`
            for future in done:
                number, error = running.pop(future), future.exception()
                if error is None:
                    on_result(number, future.result())
                if not isinstance(error, BrokenProcessPool):
                    yield number, _died(error) if isinstance(error, ProcessExpired) else error
            if not done and (not pool.active or time.monotonic() > until):
                return
    finally:
        pool.stop()
        pool.join()


def _check_start(pool: ProcessPool) -> None:
    try:
        pool.schedule(os.getpid).result(_START_S)
    except (ProcessExpired, BrokenProcessPool, TimeoutError) as error:
        raise RuntimeError(f"no process can be started: {error}") from error


def _died(error: ProcessExpired) -> ProcessDied:
    code = error.exitcode
    return ProcessDied(signal.Signals(-code).name if code and code < 0 else f"exit code {code}")


def _call(function: Function, job: Job, memory_gb: float) -> Any:
    try:
        with _memory_limit(memory_gb):
            return function(*job)
    except Exception as error:
        raise _portable(error) from None


def _portable(error: Exception) -> Exception:
    """Return an exception that can be pickled; any other would break the pool."""
    if isinstance(error, MemoryError):
        return MemoryError(str(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


@contextmanager
def _memory_limit(memory_gb: float) -> Iterator[None]:
    """Limit the memory of this process: an allocation beyond it fails instead of exhausting the machine."""
    pages = Path("/proc/self/statm")
    if not pages.exists():
        yield
        return
    import resource  # not on every system

    # Its sixth field counts what RLIMIT_DATA limits: memory that is private and writable (proc(5), getrlimit(2)).
    used = int(pages.read_text().split()[5]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = used + int(memory_gb * 1e9)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _start_worker() -> None:
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))  # numpy is not imported yet
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # only the parent handles interrupts
    if sys.platform == "linux":  # works even if a decoder hangs while it holds the GIL
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    # Without this, the workers of a killed parent would wait for jobs forever.
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
