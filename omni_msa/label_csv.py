"""Corpora laid out as `label.csv` and `Raw/<video_id>/<clip_id>.mp4`: CMU-MOSI and its kin."""

import csv
import hashlib
import io
import json
import math
import os
import re
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from omni_msa.clip import SPLITS, Clip
from omni_msa.errors import InputError, Problem
from omni_msa.options import DatasetOptions, runtime_only

COLUMNS = ("video_id", "clip_id", "text", "label", "mode")
LAYOUT = "a folder with label.csv and Raw/<video_id>/<clip_id>.mp4"
_NUM_SHOWN = 10  # of the rows with one kind of mistake


class LabelCsvOptions(DatasetOptions):
    """Options of every corpus in this layout."""

    allow_other_counts: bool = runtime_only(False, description="accept splits of other sizes than the published ones")


class Row(NamedTuple):
    """A row of label.csv and its clip file; `number` as a spreadsheet counts, the header being row 1."""

    number: int
    video_id: str
    clip_id: str
    text: str
    label: float
    split: str
    num_bytes: int

    @property
    def id(self) -> str:
        """The clip's id within the corpus."""
        return f"{self.video_id}$_${self.clip_id}"

    @property
    def media(self) -> str:
        """The clip file's path within the corpus."""
        return _media(self.video_id, self.clip_id)

    @property
    def place(self) -> tuple[str, list[str | int], str]:
        """What rows are ordered by: clip 10 comes after clip 9."""
        parts = re.split(r"([0-9]+)", self.clip_id)  # text and numbers take turns: like is compared with like
        return self.video_id, [int(part) if nth % 2 else part for nth, part in enumerate(parts)], self.clip_id


@dataclass(frozen=True)
class Corpus:
    """One corpus in this layout.

    Args:
        label_range: lowest and highest label.
        num_clips: published number of clips of each split.
    """

    label_range: tuple[float, float]
    num_clips: dict[str, int]

    def check(self, root: Path | None, options: LabelCsvOptions) -> list[Problem]:
        """Return everything that would stop `load`; no clip is decoded.

        Args:
            root: folder of the corpus.
            options: of the dataset.
        """
        try:
            self.read(root, options)
        except InputError as error:
            return list(error.problems)
        return []

    def load(self, root: Path | None, options: LabelCsvOptions) -> list[Clip]:
        """Return the clips of all splits, by video and in their order within it.

        Args:
            root: folder of the corpus.
            options: of the dataset.

        Raises:
            InputError: with all that `check` finds.
        """
        folder, rows = self.read(root, options)
        num_before: Counter[str] = Counter()
        clips = []
        for row in rows:
            index, media = num_before[row.video_id], folder / row.media
            num_before[row.video_id] += 1
            clips.append(Clip(row.id, row.video_id, index, row.split, row.label, row.text, audio=media, video=media))
        return clips

    def fingerprint(self, root: Path | None, options: LabelCsvOptions) -> str:
        """Return the SHA-256 (64 hex digits) of annotations, relative media paths and sizes in bytes.

        Neither the folder's place, nor file times, nor label.csv's line ends, row order and other columns matter.

        Args:
            root: folder of the corpus.
            options: of the dataset.

        Raises:
            InputError: with all that `check` finds.
        """
        rows = self.read(root, options)[1]
        content = [[row.id, row.text, row.label, row.split, row.media, row.num_bytes] for row in rows]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def read(self, root: Path | None, options: LabelCsvOptions) -> tuple[Path, list[Row]]:
        """Return the absolute folder and the rows of label.csv, by video and in their order within it.

        Args:
            root: folder of the corpus.
            options: of the dataset.

        Raises:
            InputError: with every problem of the folder, label.csv and the clip files.
        """
        if root is None:
            step = "add dataset.root=/path/to/the/corpus to the command"
            raise InputError(Problem("the folder of the corpus is not given", "dataset.root", "", LAYOUT, step))
        folder = root.expanduser().absolute()  # a worker may run in another folder
        mistakes = _Mistakes(folder / "label.csv")
        rows = [_read_row(folder, line, self.label_range, mistakes) for line in _read_table(folder)]
        _check_videos(rows, mistakes)
        problems = mistakes.problems()
        sizes = None if options.allow_other_counts else self.num_clips
        problems += _check_sizes(mistakes.file, Counter(row.split for row in rows), sizes)
        if problems:
            raise InputError(*problems)
        return folder, sorted(rows, key=lambda row: row.place)


class _Line(NamedTuple):
    number: int
    cells: dict[str, str]


class _Mistakes:
    """Collects mistakes row by row; one problem for each kind of mistake, however many rows have it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._found: dict[tuple[str, str], list[str]] = {}

    def add(self, what: str, got: str, allowed: str = "") -> None:
        self._found.setdefault((what, allowed), []).append(got)

    def problems(self) -> list[Problem]:
        problems = []
        for (what, allowed), found in self._found.items():
            rest = [f"and {len(found) - _NUM_SHOWN} more"] if len(found) > _NUM_SHOWN else []
            got = "; ".join([*found[:_NUM_SHOWN], *rest])
            problems.append(Problem(f"{what} ({len(found)})", str(self.file), got, allowed))
        return problems


def _read_table(folder: Path) -> list[_Line]:
    """Return the rows of label.csv that hold anything.

    Raises:
        InputError: there is none, it is no table, or a column is missing.
    """
    file = folder / "label.csv"
    if not file.is_file():
        what = "there is no label.csv in the folder" if folder.is_dir() else "there is no such folder"
        raise InputError(Problem(what, "dataset.root", str(folder), LAYOUT))
    header, *lines = _read_cells(file) or [[]]
    if wrong := [name for name in COLUMNS if header.count(name) != 1]:
        what = f"columns that are missing or stand twice ({len(wrong)})"
        raise InputError(Problem(what, f"{file} row 1", ", ".join(wrong), ", ".join(COLUMNS)))
    mistakes = _Mistakes(file)
    table = []
    for number, line in enumerate(lines, 2):
        if any(line) and len(line) != len(header):
            mistakes.add("rows with another number of cells than the header", f"row {number}: {len(line)}")
        elif any(line):
            table.append(_Line(number, dict(zip(header, line, strict=True))))
    if problems := mistakes.problems():
        raise InputError(*problems)
    return table


def _read_cells(file: Path) -> list[list[str]]:
    """Return the cells of all rows without the space around them; a blank row is empty."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(Problem("label.csv cannot be read", str(file), error.strerror or str(error))) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(Problem("label.csv is not UTF-8", f"{file} line {line}", error.reason, "UTF-8")) from error
    reader = csv.reader(io.StringIO(text, newline=None), strict=True)  # CRLF becomes LF, within quotes too
    try:
        return [[cell.strip() for cell in line] for line in reader]
    except csv.Error as error:
        raise InputError(Problem("label.csv is no table", f"{file} line {reader.line_num}", str(error))) from error


def _read_row(folder: Path, line: _Line, label_range: tuple[float, float], mistakes: _Mistakes) -> Row:
    number, cells = line
    video_id, clip_id, split = cells["video_id"], cells["clip_id"], cells["mode"]
    if split not in SPLITS:
        mistakes.add("unknown modes", f"row {number}: {split!r}", ", ".join(SPLITS))
    num_bytes = 0
    if not (_is_file_name(video_id) and _is_file_name(clip_id)):
        got = f"row {number}: {video_id!r}, {clip_id!r}"
        mistakes.add("ids whose path would leave the folder", got, "ids that are plain file names")
    elif not (num_bytes := _num_bytes(folder / _media(video_id, clip_id))):
        mistakes.add("clip files that are missing or empty", f"row {number}: {_media(video_id, clip_id)}")
    label = _read_label(line, label_range, mistakes)
    return Row(number, video_id, clip_id, cells["text"], label, split, num_bytes)


def _read_label(line: _Line, label_range: tuple[float, float], mistakes: _Mistakes) -> float:
    got = f"row {line.number}: {line.cells['label']!r}"
    try:
        label = float(line.cells["label"]) + 0.0  # -0.0 is 0.0
    except ValueError:
        label = math.nan
    low, high = label_range
    if not math.isfinite(label):
        mistakes.add("labels that are not a number", got)
    elif not low <= label <= high:
        mistakes.add("labels out of range", got, f"{low:g} to {high:g}")
    return label


def _check_videos(rows: Sequence[Row], mistakes: _Mistakes) -> None:
    first: dict[str, int] = {}
    splits: dict[str, set[str]] = {}
    for row in rows:
        if (before := first.setdefault(row.id, row.number)) != row.number:
            mistakes.add("ids that stand twice", f"rows {before} and {row.number}: {row.id}")
        if row.split in SPLITS:
            splits.setdefault(row.video_id, set()).add(row.split)
    for video_id, found in splits.items():
        if len(found) > 1:
            got = f"{video_id} ({', '.join(name for name in SPLITS if name in found)})"
            mistakes.add("videos that lie in several splits", got, "one split for all clips of a video")


def _check_sizes(file: Path, found: Counter[str], published: dict[str, int] | None) -> list[Problem]:
    got = ", ".join(f"{found[name]} {name}" for name in SPLITS)
    if published is None:
        empty = not all(found[name] for name in SPLITS)
        return [Problem("a split is empty", str(file), got, "at least 1 clip in each")] if empty else []
    if all(found[name] == published[name] for name in SPLITS):
        return []
    allowed = ", ".join(f"{published[name]} {name}" for name in SPLITS)
    step = "complete the corpus, or accept these with dataset.allow_other_counts=true"
    return [Problem("the splits are not of the published sizes", str(file), got, allowed, step)]


def _media(video_id: str, clip_id: str) -> str:
    return f"Raw/{video_id}/{clip_id}.mp4"


def _is_file_name(name: str) -> bool:
    return name not in ("", ".", "..") and not re.search(r"[/\\\0]", name)


def _num_bytes(file: Path) -> int:
    """Return the size of a file, 0 if it is missing or not a file."""
    try:
        status = os.stat(file)
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0
