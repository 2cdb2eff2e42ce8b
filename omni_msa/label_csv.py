"""Corpora laid out as `label.csv` and `Raw/<video_id>/<clip_id>.mp4`: CMU-MOSI and its kin."""

import csv
import hashlib
import io
import json
import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from omni_msa.clip import SPLITS, Clip
from omni_msa.errors import InputError, Problem
from omni_msa.options import DatasetOptions, runtime_only

COLUMNS = ("video_id", "clip_id", "text", "label", "mode")
LAYOUT = "a folder with label.csv and Raw/<video_id>/<clip_id>.mp4"
_NUM_SHOWN = 10


class LabelCsvOptions(DatasetOptions):
    """Options of every corpus in this layout."""

    allow_other_counts: bool = runtime_only(False, description="accept splits of other sizes than the published ones")


class Row(NamedTuple):
    """A row of label.csv with its clip file; `number` as a spreadsheet counts, the header being row 1."""

    number: int
    source: str
    clip: str
    text: str
    label: float
    split: str
    num_bytes: int

    @property
    def id(self) -> str:
        """The clip's id, unique within the corpus."""
        return f"{self.source}$_${self.clip}"

    @property
    def media(self) -> str:
        """The clip file's path within the corpus."""
        return f"Raw/{self.source}/{self.clip}.mp4"

    @property
    def place(self) -> tuple[str, list[str | int], str]:
        """What rows are ordered by: clip 10 comes after clip 9."""
        parts = re.split(r"([0-9]+)", self.clip)  # text and numbers take turns, so that like is compared with like
        return self.source, [int(part) if number % 2 else part for number, part in enumerate(parts)], self.clip


@dataclass(frozen=True)
class Corpus:
    """A corpus in this layout.

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
        return self._read(root, options)[1]

    def load(self, root: Path | None, options: LabelCsvOptions) -> list[Clip]:
        """Return the clips of all splits, by video and in their order within it, whatever the order of the rows.

        Args:
            root: folder of the corpus.
            options: of the dataset.

        Raises:
            InputError: with all that `check` finds.
        """
        folder, next_index = _folder(root), dict[str, int]()
        clips = []
        for row in self._rows(root, options):
            index = next_index.setdefault(row.source, 0)
            next_index[row.source] += 1
            media = folder / row.media
            clips.append(Clip(row.id, row.source, index, row.split, row.label, row.text, audio=media, video=media))
        return clips

    def fingerprint(self, root: Path | None, options: LabelCsvOptions) -> str:
        """Return the SHA-256 (64 hex digits) of annotations, relative media paths and sizes in bytes.

        Neither the folder's place, nor file times, nor the order, line ends and unused columns of label.csv matter.

        Args:
            root: folder of the corpus.
            options: of the dataset.

        Raises:
            InputError: with all that `check` finds.
        """
        content = [[row.id, row.text, row.label, row.split, row.media, row.num_bytes] for row in self._rows(root, options)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def _rows(self, root: Path | None, options: LabelCsvOptions) -> list[Row]:
        rows, problems = self._read(root, options)
        if problems:
            raise InputError(*problems)
        return sorted(rows, key=lambda row: row.place)

    def _read(self, root: Path | None, options: LabelCsvOptions) -> tuple[list[Row], list[Problem]]:
        if root is None:
            step = "add dataset.root=/path/to/the/corpus to the command"
            return [], [Problem("the folder of the corpus is not given", "dataset.root", "", LAYOUT, step)]
        try:
            table = _read_table(_folder(root))
        except InputError as error:
            return [], list(error.problems)
        reader = _Reader(_folder(root), self.label_range)
        rows = [reader.read(number, cells) for number, cells in table]
        expected = {} if options.allow_other_counts else self.num_clips
        return rows, [*reader.problems(), *_check_splits(rows, expected, reader.file)]


def _folder(root: Path | None) -> Path:
    assert root is not None
    return root.expanduser().absolute()


def _read_table(folder: Path) -> list[tuple[int, dict[str, str]]]:
    """Return (row number, cells by column) of label.csv; raise InputError if it cannot be read as a whole."""
    file = folder / "label.csv"
    if not folder.is_dir():
        raise InputError(Problem("there is no such folder", "dataset.root", str(folder), LAYOUT))
    if not file.is_file():
        raise InputError(Problem("there is no label.csv in the folder", "dataset.root", str(folder), LAYOUT))
    try:
        text = file.read_text(encoding="utf-8-sig")  # turns CRLF into LF, within quotes too
        lines = [[cell.strip() for cell in line] for line in csv.reader(io.StringIO(text), strict=True)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(Problem("label.csv cannot be read", str(file), str(error), "comma-separated UTF-8")) from error
    header = lines[0] if lines else []
    if missing := [name for name in COLUMNS if header.count(name) != 1]:
        what = f"column(s) missing or there twice: {', '.join(missing)}"
        raise InputError(Problem(what, f"{file} row 1", ", ".join(header), ", ".join(COLUMNS)))
    numbered = [(number, line) for number, line in enumerate(lines[1:], 2) if any(line)]
    if wrong := [f"row {number}: {len(line)}" for number, line in numbered if len(line) != len(header)]:
        raise InputError(_summary("rows with another number of cells than the header", file, wrong, f"{len(header)}"))
    return [(number, dict(zip(header, line, strict=True))) for number, line in numbered]
