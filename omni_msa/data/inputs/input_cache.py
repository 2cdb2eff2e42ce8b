"""The cache of prepared inputs on disk. Above its size limit the least recently used files are removed.

The token counts of removed files are kept. Any number of processes may use the folder at once: a process that needs a
file removed by another one decodes the clip again.
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

TOUCH_EVERY_S = 3600.0  # resolution of the time of last use
_LEFT_OVER_S = 3600.0  # an unfinished file this old was left by a killed process
_SHARE_KEPT = 0.98  # of the limit: with less margin, every new file would need a scan of the folder
_NONE: frozenset[str] = frozenset()
_ON_THE_WAY = "on_the_way"


class InputCache:
    """The folder of prepared inputs, kept below a size limit.

    Args:
        limit: in bytes; None: from the environment (`cache_folder.limit_gb`).
    """

    def __init__(self, limit: float | None = None) -> None:
        self.limit = limit_gb() * 1e9 if limit is None else limit
        self._lock = threading.Lock()
        self._num_bytes: int | None = None  # at the last scan, plus own additions

    def __reduce__(self) -> tuple[type["InputCache"], tuple[float]]:
        return InputCache, (self.limit,)

    def has(self, address: str) -> bool:
        """Return whether an input is in the cache, or was removed to meet a limit that still applies."""
        return file_of(address).is_file() or (self._is_limited and _read_note(address) is not None)

    def sizes(self, address: str) -> TokenCounts:
        """Return the number of tokens of an input, which may have been removed.

        Raises:
            ValueError: the input was never built, or its file is damaged.
        """
        file = file_of(address)
        if not file.is_file() and (note := _read_note(address)):
            return note
        return clip_inputs.read_sizes(file)

    def read(self, address: str) -> ClipInputs:
        """Read an input and update the time of its last use.

        Raises:
            ValueError: its file is missing or damaged.
        """
        file = file_of(address)
        inputs = clip_inputs.read_file(file)
        with suppress(OSError):  # removed meanwhile, or in a folder of another user
            if time.time() - file.stat().st_mtime > TOUCH_EVERY_S:
                os.utime(file)
        return inputs

    def build(self, address: str, build: Callable[[Path], object], read: Callable[[Path], T]) -> T:
        """Build an input under a temporary name, read it, then add it: no process can remove it before it is read.

        Args:
            address: content address of the input.
            build: writes the file it is given.
            read: reads that file; its result is returned.
        """
        draft = _folder() / _ON_THE_WAY / f"{address}.{os.getpid()}.{threading.get_ident()}.safetensors"
        draft.parent.mkdir(parents=True, exist_ok=True)
        try:
            build(draft)
            result = read(draft)
            file_of(address).parent.mkdir(parents=True, exist_ok=True)
            os.replace(draft, file_of(address))
        finally:
            draft.unlink(missing_ok=True)
        self.added(address)
        return result

    def added(self, address: str, protected: Set[str] = _NONE) -> None:
        """Count a new input, and remove others if the limit is exceeded.

        Args:
            address: of the new input.
            protected: addresses to remove last, the most recently used of them first.
        """
        if self._is_limited and self._num_bytes is not None:
            with self._lock, suppress(OSError):
                self._num_bytes += file_of(address).stat().st_size
        if self._is_limited and (self._num_bytes is None or self._num_bytes > self.limit):
            self.make_room(protected)

    @property
    def _is_limited(self) -> bool:
        return self.limit < float("inf")

    def make_room(self, protected: Set[str] = _NONE) -> None:
        """Scan the folder, and remove files until it is below the limit.

        Args:
            protected: as for `added`.
        """
        if not self._is_limited:
            return
        files = _files()
        num_bytes = sum(entry.num_bytes for entry in files)
        others = sorted(entry for entry in files if entry.path.stem not in protected)
        own = sorted((entry for entry in files if entry.path.stem in protected), reverse=True)
        bound = self.limit if num_bytes <= self.limit else self.limit * _SHARE_KEPT
        for entry in [*others, *own]:
            if num_bytes <= bound:
                break
            _remove(entry.path)
            num_bytes -= entry.num_bytes
        self._num_bytes = num_bytes


class _Entry(NamedTuple):
    used_ns: int
    path: Path
    num_bytes: int


def _folder() -> Path:
    return cache_folder() / "prepared"


def _files() -> list[_Entry]:
    """Return the files of the cache. Unfinished files are skipped, or deleted if their writer was killed."""
    entries = []
    for folder in _folder().iterdir() if _folder().is_dir() else ():
        for file in os.scandir(folder):
            with suppress(FileNotFoundError):  # removed by another process
                status = file.stat()
                if folder.name == _ON_THE_WAY or file.name.startswith("."):
                    if time.time() - status.st_mtime > _LEFT_OVER_S:
                        os.unlink(file)
                elif file.name.endswith(".safetensors"):
                    entries.append(_Entry(status.st_mtime_ns, Path(file.path), status.st_size))
    return entries


def _remove(file: Path) -> None:
    """Remove an input but keep its token counts, with which prompts can be built."""
    note = _note_of(file.stem)
    with suppress(ValueError):  # damaged or gone: treated as never built
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
