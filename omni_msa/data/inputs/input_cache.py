"""The prepared inputs on disk: beyond a limit those used least lately are dropped; what is remembered is their size.

Any number of processes may use the folder at once. A file that another one drops is decoded again by who needs it.
"""

import os
import threading
import time
from collections.abc import Callable, Set
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple, TypeVar

from omni_msa.data.inputs import clip_inputs
from omni_msa.data.inputs.clip_inputs import ClipInputs, TokenCounts, file_of
from omni_msa.system.cache_folder import cache_folder, limit_gb
from omni_msa.system.files import read_json, write_json

T = TypeVar("T")

TOUCH_EVERY_S = 3600.0  # the time of the last use need not be known better
_LEFT_OVER_S = 3600.0  # files on their way to the shelf are that old only if their process was killed
_SHARE_KEPT = 0.98  # of the limit: else every new file would have the whole folder looked through
_NO_ONE: frozenset[str] = frozenset()
_ON_THE_WAY = "on_the_way"


class InputCache:
    """The folder of prepared inputs, within a limit.

    Args:
        limit: in bytes; None means what the environment says (`cache.limit_gb`).
    """

    def __init__(self, limit: float | None = None) -> None:
        self.limit = limit_gb() * 1e9 if limit is None else limit
        self._lock = threading.Lock()
        self._num_bytes: int | None = None  # as far as known: what other processes add is seen at the next look

    def __reduce__(self) -> tuple[type["InputCache"], tuple[float]]:
        return InputCache, (self.limit,)

    def has(self, address: str) -> bool:
        """Return whether an input was built: it is there, or was dropped for want of room, and room is still short."""
        return file_of(address).is_file() or (self._is_limited and _read_note(address) is not None)

    def sizes(self, address: str) -> TokenCounts:
        """Return how many tokens an input makes, also of one that was dropped.

        Raises:
            ValueError: it was never built, or its file is damaged.
        """
        file = file_of(address)
        if not file.is_file() and (note := _read_note(address)):
            return note
        return clip_inputs.read_sizes(file)

    def read(self, address: str) -> ClipInputs:
        """Read an input.

        Raises:
            ValueError: its file is missing or damaged.
        """
        file = file_of(address)
        found = clip_inputs.read_file(file)
        with suppress(OSError):  # gone by now, or a folder of someone else's
            if time.time() - file.stat().st_mtime > TOUCH_EVERY_S:
                os.utime(file)
        return found

    def build(self, address: str, build: Callable[[Path], object], read: Callable[[Path], T]) -> T:
        """Build an input beside the shelf, read it, and put it there: nobody can drop it in between.

        Args:
            address: of the input.
            build: writes the file it is given.
            read: what to return of the file.
        """
        place = _folder() / _ON_THE_WAY / f"{address}.{os.getpid()}.{threading.get_ident()}.safetensors"
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            build(place)
            found = read(place)
            file_of(address).parent.mkdir(parents=True, exist_ok=True)
            os.replace(place, file_of(address))
        finally:
            place.unlink(missing_ok=True)
        self.added(address)
        return found

    def added(self, address: str, spared: Set[str] = _NO_ONE) -> None:
        """Make room after an input was added.

        Args:
            address: of the new one.
            spared: addresses to keep if others can be dropped; of these the newest is dropped first.
        """
        if self._is_limited and self._num_bytes is not None:
            with self._lock, suppress(OSError):
                self._num_bytes += file_of(address).stat().st_size
        if self._is_limited and (self._num_bytes is None or self._num_bytes > self.limit):
            self.make_room(spared)

    @property
    def _is_limited(self) -> bool:
        return self.limit < float("inf")

    def make_room(self, spared: Set[str] = _NO_ONE) -> None:
        """Look through the folder, and drop what is beyond the limit.

        Args:
            spared: as for `added`.
        """
        if not self._is_limited:
            return
        files = _files()
        num_bytes = sum(entry.num_bytes for entry in files)
        others = sorted(entry for entry in files if entry.path.stem not in spared)
        own = sorted((entry for entry in files if entry.path.stem in spared), reverse=True)
        bound = self.limit if num_bytes <= self.limit else self.limit * _SHARE_KEPT
        for entry in [*others, *own]:
            if num_bytes <= bound:
                break
            _drop(entry.path)
            num_bytes -= entry.num_bytes
        self._num_bytes = num_bytes


class _Entry(NamedTuple):
    used_ns: int
    path: Path
    num_bytes: int


def _folder() -> Path:
    return cache_folder() / "prepared"


def _files() -> list[_Entry]:
    """Return the inputs on the shelf; what is still being written is left alone, unless its writer was killed."""
    found = []
    for folder in _folder().iterdir() if _folder().is_dir() else ():
        for file in os.scandir(folder):
            with suppress(FileNotFoundError):  # another process drops files, too
                status = file.stat()
                if folder.name == _ON_THE_WAY or file.name.startswith("."):
                    if time.time() - status.st_mtime > _LEFT_OVER_S:
                        os.unlink(file)
                elif file.name.endswith(".safetensors"):
                    found.append(_Entry(status.st_mtime_ns, Path(file.path), status.st_size))
    return found


def _drop(file: Path) -> None:
    """Remove an input and note its size: prompts can be built without it."""
    note = _note_of(file.stem)
    with suppress(ValueError):  # damaged, or gone: as if it had never been built
        if not note.is_file():
            write_json(note, vars(clip_inputs.read_sizes(file)))
    file.unlink(missing_ok=True)


def _note_of(address: str) -> Path:
    return file_of(address).with_suffix(".json")


def _read_note(address: str) -> TokenCounts | None:
    values = read_json(_note_of(address)) or {}
    numbers = [values.get(field.name) for field in fields(TokenCounts)]
    is_whole = all(isinstance(number, int) and number >= 0 for number in numbers)
    return TokenCounts(**values) if is_whole and len(values) == len(numbers) else None
