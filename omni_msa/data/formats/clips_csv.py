"""The layout `clips.csv`, for anyone's own clips: a table that names each clip's split, label, text and files."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from omni_msa.config.sections import DatasetOptions
from omni_msa.data.corpus import Corpus
from omni_msa.data.formats.csv_table import Line, Mistakes, read_label, read_table
from omni_msa.data.formats.row import MediaFile, Row, find_file, natural, read_split
from omni_msa.errors import InputError, Problem

_COLUMNS = ("id", "source", "split", "label", "text")
_ALLOWED = "a path within the folder, written from there"


class ManifestOptions(DatasetOptions):
    """Where the clips lie, between which ends they are rated, and how scores are judged."""

    label_range: tuple[float, float] = Field(
        strict=False, description="lowest and highest label", examples=[(-3.0, 3.0)]
    )
    conventions: Literal["plain", "mosi", "sims"] = "plain"  # classes of accuracies; "plain" has none

    @field_validator("label_range")
    @classmethod
    def _is_range(cls, ends: tuple[float, float]) -> tuple[float, float]:
        if not (ends[0] < ends[1] and ends[0] <= 0 <= ends[1]):
            raise ValueError("not a lowest and a highest label with 0 between: an answer without a number is scored 0")
        return ends


class ManifestCorpus(Corpus):
    """A corpus whose label range and conventions its options give."""

    def label_range(self, options: DatasetOptions) -> tuple[float, float]:
        """Return the lowest and highest label."""
        return options.label_range if isinstance(options, ManifestOptions) else self.labels

    def conventions(self, options: DatasetOptions) -> str:
        """Return the name of the conventions by which scores are judged."""
        return options.conventions if isinstance(options, ManifestOptions) else self.metrics


class ClipsCsv:
    """A folder with clips.csv; columns video and audio may be missing, or empty where a clip has no such file."""

    tree = "a folder with clips.csv (columns id, source, split, label, text, video, audio)"

    def fits(self, folder: Path) -> bool:
        """Return whether the table is there."""
        return (folder / "clips.csv").is_file()

    def rows(
        self, folder: Path, options: DatasetOptions, label_range: tuple[float, float]
    ) -> tuple[list[Row], Mistakes]:
        """Return all clips, in the order of the table, and the mistakes in single rows.

        Raises:
            InputError: there is no table, or it cannot be read as one.
        """
        file = folder / "clips.csv"
        if not self.fits(folder):
            raise InputError(Problem("there is no clips.csv in the folder", "dataset.root", str(folder), self.tree))
        mistakes = Mistakes(file)
        return [_row(folder, line, label_range, mistakes) for line in read_table(file, _COLUMNS)], mistakes


def _row(folder: Path, line: Line, label_range: tuple[float, float], mistakes: Mistakes) -> Row:
    number, cells = line
    for name in ("id", "source"):
        if not cells[name]:
            mistakes.add(f"clips without {name}", f"row {number}")
    split = read_split(cells["split"], number, mistakes)
    label = read_label(line, "label", label_range, mistakes)
    video, audio = (_media(folder, cells.get(name, ""), number, mistakes) for name in ("video", "audio"))
    ids = number, cells["id"], cells["source"], natural(str(number))
    return Row(*ids, cells["text"], label, split, video, audio or video)


def _media(folder: Path, path: str, number: int, mistakes: Mistakes) -> MediaFile | None:
    """Return a file of a clip, None if the table names none."""
    if not path:
        return None
    within = os.path.relpath(os.path.join(folder, path), folder)  # what is absolute stays so when it is joined
    if within.split(os.sep)[0] in ("..", ".") or "\0" in path:
        mistakes.add("paths that leave the folder", f"row {number}: {path!r}", _ALLOWED)
        return None
    return find_file(folder, within, number, mistakes)
