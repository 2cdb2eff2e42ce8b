"""One row of a corpus's table, and the checks of a single row and its files."""

import errno
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from omni_msa.config.sections import SPLITS
from omni_msa.data.formats.csv_table import Mistakes

_SPLIT_NAMES = {**{name: name for name in SPLITS}, "val": "valid", "dev": "valid"}
_NUM_DIGITS = 20


class MediaFile(NamedTuple):
    """A media file of a clip: path relative to the corpus, and size in bytes (0 if it cannot be used)."""

    path: str
    num_bytes: int


class Row(NamedTuple):
    """A clip as described by one row of the table.

    Args:
        number: of the row in the table.
        id, source, text, label, split: as in `Clip`; a split outside `SPLITS` has been added to the mistakes.
        order: sort key of the clip within its source.
        video, audio: the files, or None if the clip has no such file.
    """

    number: int
    id: str
    source: str
    order: list[str]
    text: str
    label: float
    split: str
    video: MediaFile | None
    audio: MediaFile | None


def read_split(name: str, number: int, mistakes: Mistakes) -> str:
    """Return the split for a name in a table ("val" and "dev" mean valid); an unknown name is added to the mistakes."""
    if name not in _SPLIT_NAMES:
        mistakes.add("unknown names of splits", f"row {number}: {name!r}", ", ".join(SPLITS))
    return _SPLIT_NAMES.get(name, name)


def find_file(folder: Path, path: str, number: int, mistakes: Mistakes) -> MediaFile:
    """Return a media file with its size; one that cannot be used is added to the mistakes.

    Args:
        folder: of the corpus, absolute.
        path: of the file, relative to the folder.
        number: of the row in the table.
        mistakes: receives a file that is missing or empty.
    """
    what = "clip files that are missing or empty"
    try:
        status = os.stat(os.path.join(folder, path))  # faster than pathlib, for many thousands of files
    except OSError as error:
        if error.errno == errno.ELOOP:
            what = "clip files behind circular symbolic links"
        mistakes.add(what, f"row {number}: {path}")
        return MediaFile(path, 0)
    num_bytes = status.st_size if stat.S_ISREG(status.st_mode) else 0
    if not num_bytes:
        mistakes.add(what, f"row {number}: {path}")
    return MediaFile(path, num_bytes)


def are_file_names(names: Sequence[str], number: int, mistakes: Mistakes) -> bool:
    """Return whether ids are plain file names; others are added to the mistakes."""
    if all(name not in ("", ".", "..") and not re.search(r"[/\\\0]", name) for name in names):
        return True
    got = f"row {number}: {', '.join(map(repr, names))}"
    mistakes.add("ids that are not file names", got, "ids without slashes, and not '.' or '..'")
    return False


def natural(name: str) -> list[str]:
    """Return a sort key by which numbers within names count as numbers: clip 10 comes after clip 9."""
    parts = re.split(r"([0-9]+)", name)  # text and numbers alternate
    return [part.lstrip("0").rjust(_NUM_DIGITS, "0") if index % 2 else part for index, part in enumerate(parts)]
