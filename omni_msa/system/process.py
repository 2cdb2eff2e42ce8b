"""Identifying a process across machines, and checking whether it still runs."""

import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PIDS = Path("/proc/self/ns/pid")


@dataclass(frozen=True)
class Process:
    """A process, identified uniquely across machines and time.

    Args:
        host: name of the machine, for display.
        pid: process id on that machine.
        pid_started: clock ticks from boot to the start of the process, because pids are reused; 0 if unknown.
        place: boot id and pid namespace; processes with the same place can check each other.
    """

    host: str = ""
    pid: int = 0
    pid_started: int = 0
    place: str = ""

    @property
    def is_here(self) -> bool:
        """Whether the process is in the same place as this one, so that it can be checked."""
        return self.place == _place()

    @property
    def is_gone(self) -> bool:
        """Whether the process is known to have ended; in another place this is never known."""
        if not self.is_here:
            return False
        if self.pid <= 0:
            return True
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):
            return True
        except PermissionError:
            pass  # it exists but belongs to another user
        return not _is_same(_stat(self.pid), self.pid_started)


def now() -> str:
    """Return the time as ISO text in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def this_process() -> Process:
    """Return the calling process."""
    pid = os.getpid()
    stat = _stat(pid)
    return Process(socket.gethostname(), pid, int(stat[19]) if stat else 0, _place())


def read_process(values: dict[str, Any]) -> Process:
    """Return the process described by a JSON object; values that are missing or of a wrong type are left empty."""
    known: dict[str, Any] = {name: values.get(name) for name in Process.__dataclass_fields__}
    default = vars(Process())
    return Process(**{name: value for name, value in known.items() if type(value) is type(default[name])})


def _is_same(stat: list[str], pid_started: int) -> bool:
    """Return whether proc(5) stat fields belong to the process that started then, and it is not a zombie."""
    return not stat or (stat[0] != "Z" and pid_started in (0, int(stat[19])))


def _stat(pid: int) -> list[str]:
    """Return the fields of proc(5) stat from the state on, which is field 3; [] if unknown."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


@cache
def _place() -> str:
    try:
        return f"{_BOOT.read_text().strip()} {os.readlink(_PIDS)}"
    except OSError:  # not Linux
        return socket.gethostname()
