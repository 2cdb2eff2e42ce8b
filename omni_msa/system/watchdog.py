"""The watch over a process that runs a trial: if it shows no life for too long, it writes its stacks and ends itself.

The interpreter's own watchdog does it, a thread that needs neither the interpreter's lock nor a living Python; there is
one a process, so its state is the module's.
"""

import faulthandler
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

_EVERY_S = 1.0
_guards: list["_Guard"] = []


class _Guard:
    def __init__(self, stacks: TextIO, limit_s: float, pulse: Path) -> None:
        self._stacks, self._limit_s, self._pulse = stacks, limit_s, pulse
        self._last_s = 0.0

    def alive(self) -> None:
        if time.monotonic() - self._last_s < _EVERY_S:
            return
        self._last_s = time.monotonic()
        faulthandler.dump_traceback_later(self._limit_s, exit=True, file=self._stacks)
        with suppress(OSError):
            os.utime(self._pulse)


@contextmanager
def watched(stacks: Path, limit_s: float, pulse: Path) -> Iterator[None]:
    """End this process if `alive` is not called for a while within the block.

    Args:
        stacks: file for the stacks of all threads; empty or gone if all went well.
        limit_s: the while, in seconds.
        pulse: a file whose time of change shows others each sign of life.
    """
    stacks.parent.mkdir(parents=True, exist_ok=True)
    with stacks.open("w") as file:
        guard = _Guard(file, limit_s, pulse)
        _guards.append(guard)
        try:
            guard.alive()
            yield
        finally:
            _guards.remove(guard)
            faulthandler.cancel_dump_traceback_later()
    stacks.unlink(missing_ok=True)


def alive() -> None:
    """Show a sign of life: called with each step, each batch, and whatever else may take long."""
    for guard in _guards:
        guard.alive()
