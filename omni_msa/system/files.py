"""Atomic writing of files and folders: after a kill at any moment there is either the old or the new content."""

import csv
import ctypes
import errno
import hashlib
import io
import json
import math
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from omni_msa.system.process import Process, this_process

_LEVELS_MAX = 50  # deeper values could be read but not written, because of Python's recursion limit


def write_atomic(path: Path, write: Callable[[Path], None]) -> None:
    """Create or replace a file in one step.

    Args:
        path: the file; its folder is created if missing.
        write: writes the temporary file it is given (with the extension of `path`).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.{threading.get_ident()}{path.suffix}")
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Create or replace a text file in one step."""
    write_atomic(path, lambda temporary: _write_text(temporary, text))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as the text of a CSV file; its columns are the keys of all rows, in order of first appearance."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def write_json(path: Path, value: Any) -> None:
    """Create or replace a JSON file in one step.

    Raises:
        ValueError: a number is not finite.
    """
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def is_about(error: OSError, folder: Path) -> bool:
    """Return whether an error of the file system concerns a path inside a folder, or a parent of the folder."""
    names = [Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    return any(name.is_relative_to(folder) or folder.is_relative_to(name) for name in names)


def is_number(value: Any) -> bool:
    """Return whether a value read from a file is a finite number within the range of a float, and not a bool."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file, or None if it is missing, damaged, no object, or nested too deeply."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and not _is_deeper(value, _LEVELS_MAX) else None


def _is_deeper(value: Any, num_levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    items = value.values() if isinstance(value, dict) else value
    return num_levels == 0 or any(_is_deeper(item, num_levels - 1) for item in items)


def finite(value: Any) -> Any:
    """Return plain values with every number that is not finite replaced by None, for JSON."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def changed(path: Path) -> str:
    """Return the modification time of a file in ISO format, or "" if it is unknown."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
    except (OSError, ValueError, OverflowError):  # a date that no calendar has
        return ""


def digest(what: str, paths: Sequence[Path]) -> str:
    """Return 16 hex digits that change with the name, content or existence of any of the files.

    Args:
        what: further text that enters the digest.
        paths: of the files.
    """
    total = hashlib.sha256(what.encode())
    for path in paths:
        content = path.read_bytes() if path.is_file() else None
        total.update(f"{path.name}:{None if content is None else len(content)}:".encode() + (content or b""))
    return total.hexdigest()[:16]


LEFT_OVER_S = 3600.0
"""Age in seconds from which a draft counts as left by a killed process, if its process cannot be checked."""


_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of renameat2(2)


_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


@contextmanager
def new_folder(folder: Path, is_ours: Callable[[str], bool]) -> Iterator[Path]:
    """Yield an empty folder to write into; when the block ends without an error, it replaces `folder`.

    Args:
        folder: to be replaced or created.
        is_ours: whether an entry of the old folder, given by its name, is removed with it. All other entries are from
            somebody else: they are copied to the new folder, unless it has a file of that name.
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
    """Return a name of a process that is valid in a file name."""
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
    """Exchange the names of two folders: atomically if the system can, else by three renames in direct succession."""
    if not folder.exists():
        os.rename(draft, folder)
    elif not _exchange(draft, folder):
        old = draft.with_name(f"{draft.name}.old")
        os.rename(folder, old)
        os.rename(draft, folder)
        os.rename(old, draft)


def _exchange(path: Path, other: Path) -> bool:
    """Exchange two names atomically; return False if the system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)  # missing in old C libraries
    if rename is None:
        return False
    if rename(_HERE, os.fsencode(path), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:  # some network file systems
        return False
    raise OSError(number, os.strerror(number), str(path), None, str(other))


def short_path(path: Path) -> Path:
    """Return a path relative to the working folder if it is below it, else unchanged."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
