"""Jobs in processes of their own, one thread each: a crash, a hang or a memory blow-up costs one job, not all."""

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
_START_S = 120.0  # within this time the first process must answer
_LOOK_EVERY_S = 0.5
_NUM_TRIES = 3  # others may have taken the memory or the time, or an idle process died and took the pool with it
_PR_SET_PDEATHSIG = 1  # prctl(2)


class ProcessDied(Exception):
    """A job ended its process.

    Args:
        how: the signal or the exit code, in words.
    """


@dataclass(frozen=True)
class Limits:
    """What one job may take.

    Args:
        seconds: of wall time, from when a process takes it up.
        memory_gb: beyond what its process has before (where the system can say so: Linux).
        jobs_per_process: so often processes are renewed, because libraries leak (decord keeps all sound it decoded).
    """

    seconds: float = 600.0
    memory_gb: float = 4.0
    jobs_per_process: int = 200


def num_cores() -> int:
    """Return how many processor cores this process may use."""
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

    A job that dies or goes beyond a limit is tried once more, alone: others may have taken the memory or the time.

    Args:
        function: importable by name; what it takes and returns can be pickled.
        jobs: the arguments of each call.
        num_workers: processes, at least 1.
        on_done: called after each job.
        limits: of each job.
        on_result: called with the number and the returned value of each job that ended well, before `on_done`.

    Returns:
        for each job the exception it ended with, or None. `TimeoutError`, `MemoryError`: it went beyond a limit;
        `ProcessDied`: it killed its process.

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
        # The pool breaks if an idle process dies: what was under way is not to blame.
        left = [number for number in left if number not in errors] if len(errors) > before else []
    for number in range(len(jobs)):
        if number not in errors:
            on_done()
        if isinstance(errors.get(number, ProcessDied()), ProcessDied | TimeoutError | MemoryError):
            found = dict(_run(function, jobs, [number], 1, limits, on_result))
            errors[number] = found.get(number, ProcessDied("killed"))
    return [errors[number] for number in range(len(jobs))]


class JobPool:
    """Processes that stay until they are closed and take jobs from any thread; the first job starts them.

    Args:
        num_workers: processes, at least 1.
        limits: of each job.
    """

    def __init__(self, num_workers: int, limits: Limits) -> None:
        self._num_workers, self._limits = num_workers, limits
        self._lock = threading.Lock()
        self._pool: ProcessPool | None = None
        self._is_closed = False

    def call(self, function: Function, job: Job) -> Any:
        """Run a job, wait for its end and return what it returns; one that dies or goes beyond a limit is tried again.

        Args:
            function, job: as for `run_jobs`.

        Raises:
            Exception: what the job raised; TimeoutError, MemoryError, ProcessDied: as `run_jobs` tells them.
            CancelledError: the workers were closed.
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
        """End the processes at once; jobs under way are given up."""
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
        # Whoever kills a process that waits for a job may leave the others waiting for ever: then no job starts.
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
    """Yield the outcome of each job as it ends; those that a breaking pool lost are left out."""
    pool = _new_pool(num_workers, limits)
    try:
        _check_start(pool)
        waiting, running = deque(numbers), dict[Future[Any], int]()
        until = math.inf
        while waiting or running:
            # Few at a time: a pool that breaks, or is left after an interrupt, has little to take back.
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
    """An exception that cannot travel between processes would break the pool."""
    if isinstance(error, MemoryError):
        return MemoryError(str(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


@contextmanager
def _memory_limit(memory_gb: float) -> Iterator[None]:
    """Limit what may be allocated: an allocation beyond it fails instead of bringing the machine down."""
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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent alone answers an interrupt
    if sys.platform == "linux":  # also when a decoder hangs without letting go of the interpreter
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    # A killed parent leaves its workers waiting for a job for ever.
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
