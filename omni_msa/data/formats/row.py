"""A clip as a corpus's table has it, and what can be wrong with a single row and its files."""

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
    """A clip's file: path within the corpus, and size in bytes (0 if it cannot be used)."""

    path: str
    num_bytes: int


class Row(NamedTuple):
    """A clip as the corpus's table has it.

    Args:
        number: row of the table.
        id, source, text, label, split: as in `Clip`; a split that is not one of `SPLITS` is a mistake already noted.
        order: what the clips of one source are ordered by.
        video, audio: the files, or None if the clip has none.
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
    """Return the split that a table names; another name for valid is understood, an unknown one noted as a mistake."""
    if name not in _SPLIT_NAMES:
        mistakes.add("unknown modes", f"row {number}: {name!r}", ", ".join(SPLITS))
    return _SPLIT_NAMES.get(name, name)


def find_file(folder: Path, path: str, number: int, mistakes: Mistakes) -> MediaFile:
    """Return a clip's file with its size; one that cannot be used is noted as a mistake.

    Args:
        folder: of the corpus, absolute.
        path: within it.
        number: row of the table.
        mistakes: are added to.
    """
    what = "clip files that are missing or empty"
    try:
        status = os.stat(os.path.join(folder, path))  # pathlib takes longer than the disk
    except OSError as error:
        if error.errno == errno.ELOOP:
            what = "clip files behind symbolic links that go in a circle"
        mistakes.add(what, f"row {number}: {path}")
        return MediaFile(path, 0)
    num_bytes = status.st_size if stat.S_ISREG(status.st_mode) else 0
    if not num_bytes:
        mistakes.add(what, f"row {number}: {path}")
    return MediaFile(path, num_bytes)


def are_file_names(names: Sequence[str], number: int, mistakes: Mistakes) -> bool:
    """Return whether ids can be parts of a path; others are noted as a mistake."""
    if all(name not in ("", ".", "..") and not re.search(r"[/\\\0]", name) for name in names):
        return True
    got = f"row {number}: {', '.join(map(repr, names))}"
    mistakes.add("ids whose path would leave the folder", got, "ids that are plain file names")
    return False


def natural(name: str) -> list[str]:
    """Return what names are ordered by: clip 10 comes after clip 9."""
    parts = re.split(r"([0-9]+)", name)  # text and numbers take turns: like is compared with like
    return [part.lstrip("0").rjust(_NUM_DIGITS, "0") if nth % 2 else part for nth, part in enumerate(parts)]
