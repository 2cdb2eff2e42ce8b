"""Watchdog of a process that runs a trial: without progress for too long, the process writes its stacks and exits.

It uses the watchdog of `faulthandler`, a thread that needs neither the GIL nor a responsive interpreter. There is one
per process, so its state is kept in this module.
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
    """Exit this process if `alive` is not called for `limit_s` seconds within the block.

    Args:
        stacks: file for the stacks of all threads; removed if the block ends.
        limit_s: longest time between two calls of `alive`, in seconds.
        pulse: file whose modification time is updated with each call, for other processes.
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
    """Report progress to the watchdog: called after each step, each batch, and in everything that may take long."""
    for guard in _guards:
        guard.alive()
