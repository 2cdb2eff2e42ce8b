"""The layout `clips.csv`, for your own clips: a table with the split, label, text and files of each clip."""

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
_ALLOWED = "a path inside the folder of the table, relative to it"


class ManifestOptions(DatasetOptions):
    """The folder of the clips, the range of their labels, and the metrics to compute."""

    label_range: tuple[float, float] = Field(
        strict=False, description="lowest and highest label", examples=[(-3.0, 3.0)]
    )
    conventions: Literal["plain", "mosi", "sims"] = "plain"  # "plain" has no accuracies

    @field_validator("label_range")
    @classmethod
    def _is_range(cls, ends: tuple[float, float]) -> tuple[float, float]:
        if not (ends[0] < ends[1] and ends[0] <= 0 <= ends[1]):
            raise ValueError("not a range [lowest, highest] that contains 0, the score of an answer without a number")
        return ends


class ManifestCorpus(Corpus):
    """A corpus whose label range and conventions are options."""

    def label_range(self, options: DatasetOptions) -> tuple[float, float]:
        """Return the lowest and highest label."""
        return options.label_range if isinstance(options, ManifestOptions) else self.labels

    def conventions(self, options: DatasetOptions) -> str:
        """Return the name of the conventions that define the metrics."""
        return options.conventions if isinstance(options, ManifestOptions) else self.metrics


class ClipsCsv:
    """A folder with clips.csv. The columns video and audio may be missing, or empty if a clip has no such file."""

    tree = "a folder with clips.csv (columns id, source, split, label, text, video, audio)"

    def fits(self, folder: Path) -> bool:
        """Return whether the folder has the table."""
        return (folder / "clips.csv").is_file()

    def rows(
        self, folder: Path, options: DatasetOptions, label_range: tuple[float, float]
    ) -> tuple[list[Row], Mistakes]:
        """Return all clips, in the order of the table, and the mistakes found in single rows.

        Raises:
            InputError: the table is missing or cannot be read.
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
    """Return a media file of a clip, or None if the table has no path."""
    if not path:
        return None
    relative = os.path.relpath(os.path.join(folder, path), folder)  # join keeps an absolute path
    if relative.split(os.sep)[0] in ("..", ".") or "\0" in path:
        mistakes.add("paths outside the folder", f"row {number}: {path!r}", _ALLOWED)
        return None
    return find_file(folder, relative, number, mistakes)
