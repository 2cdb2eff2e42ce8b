"""What a driver needs to run trials: sole use of the ledger, a way to stop them, and threads that watch them."""

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
# In /tmp, because Ray creates sockets below it, whose paths may have at most 107 characters.
_SCRATCH_PARENT, _SCRATCH = Path("/tmp"), "omni_msa_"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class DriverSession:
    """What the only driver of a ledger holds: its lease, and a folder for temporary files with a short path."""

    lease: Lease
    scratch: Path


@contextmanager
def sole_driver(ledger: Ledger) -> Iterator["DriverSession"]:
    """Be the only driver of a ledger while the block runs.

    Yields:
        the lease, and an empty folder for temporary files; it is removed at the end, or by the next driver if this one
        is killed.

    Raises:
        InputError: another process, which is named, is the driver of the ledger.
    """
    scratch = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=_SCRATCH_PARENT))
    os.environ[SCRATCH_VARIABLE] = str(scratch)  # the reaper finds the processes of this driver by it
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
        raise InputError(_in_use(ledger, taken)) from taken
    finally:
        _remove_scratch(str(scratch))


def _remove_scratch(folder: str) -> None:
    """Remove the scratch folder of a driver; any other path, as from an edited file, is left alone."""
    path = Path(folder)
    if path.parent == _SCRATCH_PARENT and path.name.startswith(_SCRATCH):
        shutil.rmtree(path, ignore_errors=True)


def _in_use(ledger: Ledger, taken: Taken) -> Problem:
    step = f"wait until it is done, or stop it with: kill {taken.owner.pid}"
    return Problem("another run is using this ledger", str(ledger.root), str(taken), "one run at a time", step)


class StopRequest:
    """Turns SIGINT and SIGTERM into a request that trials write a checkpoint and end; a context manager.

    After a second signal, or when the grace period is over, the driver does not wait for them any longer.

    Args:
        ledger: its stop file passes the request on to the trials.
        is_local: whether trials run in this thread, in which a second signal raises KeyboardInterrupt.
        grace_s: how long to wait for their checkpoints, in seconds.
    """

    def __init__(self, ledger: Ledger, is_local: bool = False, grace_s: float = GRACE_S) -> None:
        self._file, self._is_local, self._grace_s = ledger.stop_file, is_local, grace_s
        self._since: float | None = None
        self._is_urgent = False
        self.reason = ""
        """Why the trials must stop, "" if they need not."""
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
        """Ask all trials to stop; the first reason is kept."""
        if self._since is None:
            self._since, self.reason = time.monotonic(), reason
            with suppress(OSError):  # on a full disk, trials are killed after the grace period
                self._file.touch()

    def is_requested(self) -> bool:
        """Return whether the trials must stop."""
        return self._since is not None

    def is_overdue(self) -> bool:
        """Return whether trials that were asked to stop need not be waited for any longer."""
        if self._since is None:
            return False
        return self._is_urgent or time.monotonic() - self._since > self._grace_s


def wait_for_orphans(pids: Callable[[], list[int]], patience_s: float = 20.0) -> None:
    """Wait until the trials of a killed driver have ended, whose processes notice its death within seconds.

    Args:
        pids: returns the ids of processes on this machine that still run trials.
        patience_s: how long to wait, in seconds.

    Raises:
        InputError: some still run; lists their ids.
    """
    deadline = time.monotonic() + patience_s
    while running := pids():
        if time.monotonic() > deadline:
            names = " ".join(map(str, sorted(running)))
            step = f"wait until they are done, or stop them with: kill {names}"
            raise InputError(Problem("trials of an earlier run are still running", "", f"processes {names}", "", step))
        time.sleep(0.5)


@contextmanager
def repeatedly(look: Callable[[], object], every_s: float = LOOK_EVERY_S) -> Iterator[None]:
    """Call a function repeatedly in a thread while the block runs, and once more at its end.

    Errors are ignored in the thread, as they must not end the trials; one that persists is raised by the last call.

    Args:
        look: the function.
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
