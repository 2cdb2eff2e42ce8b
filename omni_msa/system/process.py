"""Which process on which machine did something, when, and whether it still runs."""

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
    """A process, named so that no other one on any machine has the same name.

    Args:
        host: name of the machine, for people.
        pid: on that machine.
        pid_started: clock ticks from the machine's start to the process's, for a pid can be given again; 0 if unknown.
        place: start of the machine and space of process ids; processes of one place can see each other.
    """

    host: str = ""
    pid: int = 0
    pid_started: int = 0
    place: str = ""

    @property
    def is_here(self) -> bool:
        """Whether the process could be seen from this one."""
        return self.place == _place()

    @property
    def is_gone(self) -> bool:
        """Whether it is known that the process does not run any more; never known of another place."""
        if not self.is_here:
            return False
        if self.pid <= 0:
            return True
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):
            return True
        except PermissionError:
            pass  # it exists and is another user's
        return not _is_same(_stat(self.pid), self.pid_started)


def now() -> str:
    """Return the time as ISO text in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def this_process() -> Process:
    """Return the process that asks."""
    pid = os.getpid()
    stat = _stat(pid)
    return Process(socket.gethostname(), pid, int(stat[19]) if stat else 0, _place())


def read_process(values: dict[str, Any]) -> Process:
    """Return the process that a JSON object names; what is missing or of a wrong type is left empty."""
    known: dict[str, Any] = {name: values.get(name) for name in Process.__dataclass_fields__}
    default = vars(Process())
    return Process(**{name: value for name, value in known.items() if type(value) is type(default[name])})


def _is_same(stat: list[str], pid_started: int) -> bool:
    """Return whether the fields of proc(5) stat are of the process that started then, and it is more than a zombie."""
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
