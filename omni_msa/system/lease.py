"""A lock between processes on machines that share a folder; its owner must renew it regularly.

The file with the highest number names the owner. A process takes over a lease by creating the file with the next
number, which only one process can do. So two processes that find a dead owner cannot both take over, and an owner that
was suspended can find out that it has lost the lease.
"""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from omni_msa.system.files import read_json, write_json
from omni_msa.system.process import Process, now, read_process, this_process

LASTS_S = 30.0
_POLL_S = 0.2
_GARBAGE_S = 1.0  # a file that still names no process after this time is damaged
_RENEWALS = 6  # renewals while a lease is valid


class Taken(Exception):
    """Another process has the lease.

    Args:
        owner: that process.
        since: ISO time.
    """

    def __init__(self, owner: Process, since: str) -> None:
        super().__init__(owner, since)
        self.owner, self.since = owner, since

    def __str__(self) -> str:
        return f"process {self.owner.pid or 'unknown'} on {self.owner.host or 'unknown'}, since {self.since}"


class LeaseLost(Exception):
    """Another process has taken over the lease, because its owner did not renew it in time."""


class Lease:
    """A lock on a folder; a context manager.

    Args:
        folder: for its files; created if missing; on a disk that all machines share.
        wait: called repeatedly while another process has the lease; may raise to give up. None: do not wait.
        facts: further values that the owner publishes in its file.
        lasts_s: time without renewal after which a process on another machine takes over the lease.
    """

    def __init__(
        self,
        folder: Path,
        wait: Callable[[], None] | None = None,
        facts: dict[str, str] | None = None,
        lasts_s: float = LASTS_S,
    ) -> None:
        self._folder, self._wait, self._facts, self._lasts_s = folder, wait, facts or {}, lasts_s
        self._number, self._since = 0, ""
        self._over = threading.Event()
        self._renewals: threading.Thread | None = None
        self.before: dict[str, Any] = {}
        """The file of the previous owner, if it did not release the lease."""

    def __enter__(self) -> "Lease":
        """Take the lease.

        Raises:
            Taken: another process has it, and `wait` is None.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        observer = _OwnerObserver(self._lasts_s)
        while True:
            number, values = newest(self._folder)
            if (not number or observer.is_free(values)) and self._claim(number + 1):
                break
            if self._wait is not None:
                self._wait()
            elif number and not observer.is_doubtful(values):
                raise Taken(read_process(values), str(values.get("since", "unknown")))
            time.sleep(_POLL_S if number else 0)
        self.before = {} if values.get("released") else values
        self._renewals = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._renewals.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        assert self._renewals is not None
        self._renewals.join()
        with suppress(OSError):  # on a full disk, the lease ends when the process ends
            if not self.is_lost:
                self._write({"released": True})

    @property
    def is_lost(self) -> bool:
        """Whether another process has taken over the lease."""
        return newest(self._folder)[0] != self._number

    def check(self) -> None:
        """Check that the lease is still held.

        Raises:
            LeaseLost: another process has taken it over.
        """
        if self.is_lost:
            raise LeaseLost(f"{self._folder}: another process took over, as this one did not renew its lease in time")

    def _claim(self, number: int) -> bool:
        """Create the file with this number and remove older ones; return False if another process was faster."""
        self._number, self._since = number, now()
        target, draft = _file(self._folder, number), self._folder / f".{os.getpid()}.{threading.get_ident()}.json"
        write_json(draft, self._values({}))
        try:
            os.link(draft, target)
        except FileExistsError:
            return False
        finally:
            draft.unlink(missing_ok=True)
        for old in _numbers(self._folder):
            if old < number:
                _file(self._folder, old).unlink(missing_ok=True)
        return True

    def _renew(self) -> None:
        count = 0
        while not self._over.wait(self._lasts_s / _RENEWALS):
            count += 1
            with suppress(OSError):  # the disk is full or unreachable for a moment
                if self.is_lost:
                    return
                self._write({"renewals": count})

    def _write(self, more: dict[str, Any]) -> None:
        write_json(_file(self._folder, self._number), self._values(more))

    def _values(self, more: dict[str, Any]) -> dict[str, Any]:
        return {**asdict(this_process()), "since": self._since, "renewed_s": time.time(), **self._facts, **more}


class _OwnerObserver:
    """Decides whether an owner is alive: by its process if on this machine, else by whether its file keeps changing."""

    def __init__(self, lasts_s: float) -> None:
        self._lasts_s = lasts_s
        self._last: dict[str, Any] | None = None
        self._changed_s = 0.0

    def is_free(self, values: dict[str, Any]) -> bool:
        if values != self._last:
            self._last, self._changed_s = values, time.monotonic()
        owner = read_process(values)
        if values.get("released") or owner.is_gone:
            return True
        patience_s = self._lasts_s if owner.pid else _GARBAGE_S
        return not owner.is_here and time.monotonic() - self._changed_s > patience_s

    def is_doubtful(self, values: dict[str, Any]) -> bool:
        """Return whether the owner may be dead by this machine's clock, so that it must be observed for a while."""
        return not read_process(values).is_here and not _is_fresh(values, self._lasts_s)


def is_held(folder: Path) -> bool:
    """Return whether the owner of a lease seems alive: by its process, or by its last renewal if on another machine.

    For display only, because the clocks of machines may differ.

    Args:
        folder: of the lease.
    """
    number, values = newest(folder)
    if not number or values.get("released"):
        return False
    owner = read_process(values)
    return not owner.is_gone if owner.is_here else _is_fresh(values, 2 * LASTS_S)


def newest(folder: Path) -> tuple[int, dict[str, Any]]:
    """Return number and content of a lease's newest file; (0, {}) if there is none."""
    while numbers := _numbers(folder):
        values = read_json(_file(folder, max(numbers)))
        if values is not None or max(_numbers(folder), default=0) == max(numbers):  # else it was replaced meanwhile
            return max(numbers), values or {}
    return 0, {}


def _is_fresh(values: dict[str, Any], lasts_s: float) -> bool:
    renewed = values.get("renewed_s")
    return isinstance(renewed, int | float) and time.time() - renewed < lasts_s


def _numbers(folder: Path) -> list[int]:
    with suppress(OSError):
        return [int(name[:-5]) for name in os.listdir(folder) if name[:-5].isdecimal() and name.endswith(".json")]
    return []


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number:08d}.json"
