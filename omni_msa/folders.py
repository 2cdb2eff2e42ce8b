"""Replacing a whole folder of files so that a kill at any moment leaves either the old one or the new one."""

import ctypes
import errno
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from omni_msa.process import Process, this_process

LEFT_OVER_S = 3600.0
"""A draft older than this was left by a process that was killed, if it cannot be seen from here whether it lives."""
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of renameat2(2)
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


@contextmanager
def new_folder(folder: Path, is_ours: Callable[[str], bool]) -> Iterator[Path]:
    """Yield an empty folder to write into; when the block ends without an error, it takes the place of `folder`.

    Args:
        folder: to be replaced, or made.
        is_ours: whether what has this name in the old folder goes with it; all else was put there by somebody else and
            is carried over, also into new folders of the same name, unless a new file has its name.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_over(folder)
    draft = folder.with_name(f".{folder.name}.draft-{_owner(this_process())}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    try:
        yield draft
        _carry_over(folder, draft, is_ours)
        _swap(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _carry_over(old: Path, new: Path, is_ours: Callable[[str], bool]) -> None:
    for path in old.iterdir() if old.is_dir() else ():
        if is_ours(path.name):
            continue
        if path.is_dir() and (new / path.name).is_dir():
            _carry_over(path, new / path.name, lambda name: False)
        elif not (new / path.name).exists():
            copy = shutil.copytree if path.is_dir() else shutil.copy2
            copy(path, new / path.name)


def _owner(process: Process) -> str:
    """Return a name of a process that can stand in a file's name."""
    place = hashlib.sha256(process.place.encode()).hexdigest()[:8]
    return f"{place}-{process.pid}-{process.pid_started}"


def _remove_left_over(folder: Path) -> None:
    start = f".{folder.name}.draft-"
    for path in folder.parent.iterdir():
        if path.name.startswith(start) and _is_left_over(path, path.name.removeprefix(start).removesuffix(".old")):
            shutil.rmtree(path, ignore_errors=True)


def _is_left_over(path: Path, owner: str) -> bool:
    place, *numbers = owner.split("-")
    if _owner(this_process()).startswith(f"{place}-") and len(numbers) == 2 and all(map(str.isdecimal, numbers)):
        pid, pid_started = map(int, numbers)
        return replace(this_process(), pid=pid, pid_started=pid_started).is_gone
    return time.time() - path.stat().st_mtime > LEFT_OVER_S


def _swap(draft: Path, folder: Path) -> None:
    """Give each the other's name in one step, where the system has it; else in two, the shortest that there are."""
    if not folder.exists():
        os.rename(draft, folder)
    elif not _exchange(draft, folder):
        old = draft.with_name(f"{draft.name}.old")
        os.rename(folder, old)
        os.rename(draft, folder)
        os.rename(old, draft)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where that does not exist."""
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)  # an old C library has none
    if rename is None:
        return False
    if rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:  # some network file systems
        return False
    raise OSError(number, os.strerror(number), str(one), None, str(other))
