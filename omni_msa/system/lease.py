"""A lock between processes on any machines that share a folder: it is kept only as long as its owner shows life.

The owner is the newest of numbered files. Taking a lease over means making the next number, which the file system lets
only one process do; so two that see the same dead owner cannot both win, and an owner that slept can tell it has lost.
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
_GARBAGE_S = 1.0  # a file that names no process for so long is damaged
_RENEWALS = 6  # in the time a lease lasts


class Taken(Exception):
    """Somebody else has the lease.

    Args:
        owner: the process.
        since: ISO time.
    """

    def __init__(self, owner: Process, since: str) -> None:
        super().__init__(owner, since)
        self.owner, self.since = owner, since

    def __str__(self) -> str:
        return f"process {self.owner.pid or 'unknown'} on {self.owner.host or 'unknown'}, since {self.since}"


class LeaseLost(Exception):
    """The lease was taken over, because its owner showed no life for too long; what it guards is another's now."""


class Lease:
    """A lock on a folder; a context manager.

    Args:
        folder: its files lie here; made if missing, on a disk that all machines see.
        wait: called again and again while somebody else has the lease; may raise to give up. None: do not wait.
        facts: what the owner wants others to know.
        lasts_s: after so long without a sign of life another machine's process takes the lease over.
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
        """What the last owner wrote, if it did not give the lease back."""

    def __enter__(self) -> "Lease":
        """Take the lease.

        Raises:
            Taken: somebody else has it, and `wait` is None.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        watch = _Watch(self._lasts_s)
        while True:
            number, values = newest(self._folder)
            if (not number or watch.is_free(values)) and self._claim(number + 1):
                break
            if self._wait is not None:
                self._wait()
            elif number and not watch.is_doubtful(values):
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
        with suppress(OSError):  # on a full disk the lease ends with the process
            if not self.is_lost:
                self._write({"released": True})

    @property
    def is_lost(self) -> bool:
        """Whether somebody else has taken the lease over."""
        return newest(self._folder)[0] != self._number

    def check(self) -> None:
        """Prove that the lease is still ours.

        Raises:
            LeaseLost: it is not.
        """
        if self.is_lost:
            raise LeaseLost(f"{self._folder}: another process has taken over, as this one showed no life")

    def _claim(self, number: int) -> bool:
        """Make the file with this number, unless another process was faster; older ones then mean nothing."""
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
            with suppress(OSError):  # a disk that is full or away for a moment
                if self.is_lost:
                    return
                self._write({"renewals": count})

    def _write(self, more: dict[str, Any]) -> None:
        write_json(_file(self._folder, self._number), self._values(more))

    def _values(self, more: dict[str, Any]) -> dict[str, Any]:
        return {**asdict(this_process()), "since": self._since, "renewed_s": time.time(), **self._facts, **more}


class _Watch:
    """Judges an owner: at once by its process where that can be seen, else by whether its file goes on changing."""

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
        """Return whether, by this machine's clock, the owner may be dead: then it is worth looking for a while."""
        return not read_process(values).is_here and not _is_fresh(values, self._lasts_s)


def is_held(folder: Path) -> bool:
    """Return whether a lease seems to have a living owner: by its process, or by its last sign of life if elsewhere.

    For people only: clocks of machines may differ.

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
