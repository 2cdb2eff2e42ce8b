"""What one driver needs around the trials: the ledger to itself, a way to stop, and an eye on what runs."""

import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from omni_msa.errors import InputError, Problem
from omni_msa.execution.reaper import SCRATCH_VARIABLE
from omni_msa.ledger.ledger import Ledger
from omni_msa.system.lease import Lease, Taken

GRACE_S = 30.0
LOOK_EVERY_S = 0.7
# In /tmp, because Ray makes sockets below it, whose whole path may have 107 characters.
_SCRATCH_PARENT, _SCRATCH = Path("/tmp"), "omni_msa_"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class DriverSession:
    """What the one driver of a ledger has: its lease, and a folder for temporary files with a short path."""

    lease: Lease
    scratch: Path


@contextmanager
def sole_driver(ledger: Ledger) -> Iterator["DriverSession"]:
    """Keep every other driver away from a ledger while the block runs.

    Yields:
        the lease, and an empty folder for temporary files, removed at the end, or by the next driver if this one is
        killed.

    Raises:
        InputError: another process has the ledger, or the folder cannot be used; says which.
    """
    scratch = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=_SCRATCH_PARENT))
    os.environ[SCRATCH_VARIABLE] = str(scratch)  # by it the reaper knows what this driver started
    try:
        with Lease(ledger.driver, facts={"scratch": str(scratch)}) as lease:
            _remove_scratch(str(lease.before.get("scratch")))
            ledger.remove_report_drafts()
            ledger.write_format()
            try:
                yield DriverSession(lease, scratch)
            finally:
                ledger.tidy()
    except Taken as taken:
        raise InputError(_taken(ledger, taken)) from taken
    finally:
        _remove_scratch(str(scratch))


def _remove_scratch(folder: str) -> None:
    """Remove a folder that a driver made, and nothing else, whatever the file says."""
    path = Path(folder)
    if path.parent == _SCRATCH_PARENT and path.name.startswith(_SCRATCH):
        shutil.rmtree(path, ignore_errors=True)


def _taken(ledger: Ledger, taken: Taken) -> Problem:
    step = f"wait until it is done, or stop it with: kill {taken.owner.pid}"
    return Problem("another run is using this ledger", str(ledger.root), str(taken), "one run at a time", step)


class StopRequest:
    """Turns SIGINT and SIGTERM into a request that trials checkpoint and end; a context manager.

    A second signal, or the end of the period of grace, says not to wait for them any longer.

    Args:
        ledger: its stop file tells the trials.
        is_local: trials run in this very thread: a second signal raises KeyboardInterrupt in them.
        grace_s: how long to wait for their checkpoints, in seconds.
    """

    def __init__(self, ledger: Ledger, is_local: bool = False, grace_s: float = GRACE_S) -> None:
        self._file, self._is_local, self._grace_s = ledger.stop_file, is_local, grace_s
        self._since: float | None = None
        self._is_urgent = False
        self.reason = ""
        """Why the trials are to stop, once they are."""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.unlink(missing_ok=True)  # of a driver that was killed while it stopped
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._file.unlink(missing_ok=True)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._is_urgent = self.is_requested()
        self.request("interrupted")
        if self._is_urgent and self._is_local:
            raise KeyboardInterrupt

    def request(self, reason: str) -> None:
        """Ask all trials to stop; what counts is the first reason."""
        if self._since is None:
            self._since, self.reason = time.monotonic(), reason
            with suppress(OSError):  # on a full disk trials are ended when the period of grace is over
                self._file.touch()

    def is_requested(self) -> bool:
        """Return whether trials are to stop."""
        return self._since is not None

    def is_overdue(self) -> bool:
        """Return whether to wait no longer for trials that were asked to stop."""
        if self._since is None:
            return False
        return self._is_urgent or time.monotonic() - self._since > self._grace_s


def wait_for_orphans(pids: Callable[[], list[int]], patience_s: float = 20.0) -> None:
    """Wait until the trials of a driver that was killed have ended: their processes notice it within seconds.

    Args:
        pids: returns the processes on this machine that still run trials.
        patience_s: how long to wait.

    Raises:
        InputError: they still run; says which.
    """
    deadline = time.monotonic() + patience_s
    while left := pids():
        if time.monotonic() > deadline:
            names = " ".join(map(str, sorted(left)))
            step = f"wait until they are done, or stop them with: kill {names}"
            raise InputError(Problem("trials of an earlier run are still running", "", f"processes {names}", "", step))
        time.sleep(0.5)


@contextmanager
def repeatedly(look: Callable[[], object], every_s: float = LOOK_EVERY_S) -> Iterator[None]:
    """Call a function again and again in a thread while the block runs, and a last time at its end.

    An error of it must not end the trials: it is raised by the last call, if it lasts.

    Args:
        look: what to call.
        every_s: the pause between calls, in seconds.
    """
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(every_s):
            with suppress(Exception):
                look()

    thread = threading.Thread(target=watch, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
    look()
