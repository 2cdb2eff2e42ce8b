"""Writing files so that a kill at any moment leaves either the old content or the new."""

import csv
import hashlib
import io
import json
import math
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_LEVELS_MAX = 50  # deeper values can be read but not written again: Python's recursion ends first


def write_atomic(path: Path, write: Callable[[Path], None]) -> None:
    """Create or replace a file in one step.

    Args:
        path: the file; its folder is made if missing.
        write: fills the temporary file it is given (which ends like `path`).
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
    """Create or replace a JSON file in one step; a number that is not finite is refused (ValueError)."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def is_about(error: OSError, folder: Path) -> bool:
    """Return whether an error of the file system was met in a folder, or on the way to it."""
    names = [Path(os.fsdecode(name)) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    return any(name.is_relative_to(folder) or folder.is_relative_to(name) for name in names)


def is_number(value: Any) -> bool:
    """Return whether a value read from a file can be calculated with: finite, not beyond a float, no truth value."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object a file holds, or None if it is missing, torn, or something else (or absurdly nested)."""
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
    """Return plain data with every number that is not finite replaced by None, for JSON."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def changed(path: Path) -> str:
    """Return when a file was last written, ISO time, or an empty string."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
    except (OSError, ValueError, OverflowError):  # a date that no calendar has
        return ""


def digest(what: str, paths: Sequence[Path]) -> str:
    """Return 16 hex digits that name a set of files by what they hold; one that is not there counts as such.

    Args:
        what: counts too.
        paths: of the files.
    """
    total = hashlib.sha256(what.encode())
    for path in paths:
        content = path.read_bytes() if path.is_file() else None
        total.update(f"{path.name}:{None if content is None else len(content)}:".encode() + (content or b""))
    return total.hexdigest()[:16]
