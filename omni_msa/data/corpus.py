"""A corpus on disk, whatever its layout: its rows checked together, its clips in order, its fingerprint and notes."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from omni_msa.config.sections import SPLITS, DatasetOptions, runtime_only
from omni_msa.data.clip import Clip
from omni_msa.data.formats.csv_table import Mistakes, first_of
from omni_msa.data.formats.row import MediaFile, Row
from omni_msa.errors import InputError, Problem
from omni_msa.system.downloads import ReportProgress

NumClips = tuple[int, int, int]
"""Clips of train, valid and test."""


class CorpusOptions(DatasetOptions):
    """Options of every corpus with published splits."""

    allow_other_counts: bool = runtime_only(False, description="accept splits of other sizes than the published ones")


class Layout(Protocol):
    """A way in which a corpus lies in its folder."""

    @property
    def tree(self) -> str:
        """What the folder holds, in a few words."""

    def fits(self, folder: Path) -> bool:
        """Return whether a folder looks like this."""

    def rows(
        self, folder: Path, options: DatasetOptions, label_range: tuple[float, float]
    ) -> tuple[list[Row], Mistakes]:
        """Return all clips, in any order, and the mistakes in single rows.

        Raises:
            InputError: there are no rows that could be looked at.
        """


@dataclass(frozen=True)
class Corpus:
    """One corpus. Its functions are those of a dataset plug-in.

    Args:
        name: of the plug-in.
        labels: lowest and highest label.
        metrics: the conventions it is scored by (see `metrics.HEADLINES`).
        sizes: published sizes of the splits, more than one if sources disagree; none: any will do.
        layouts: the usual one first; the last that fits a folder is read.
        may_cut_videos: the published splits put clips of one video into several splits.
    """

    name: str
    labels: tuple[float, float]
    metrics: str
    sizes: tuple[NumClips, ...]
    layouts: tuple[Layout, ...]
    may_cut_videos: bool = False

    def num_clips(self, options: DatasetOptions) -> dict[str, int]:
        """Return the published size of each split, empty if none is."""
        return dict(zip(SPLITS, self.sizes[0], strict=True)) if self.sizes else {}

    def label_range(self, options: DatasetOptions) -> tuple[float, float]:
        """Return the lowest and highest label."""
        return self.labels

    def conventions(self, options: DatasetOptions) -> str:
        """Return the name of the conventions by which scores are judged."""
        return self.metrics

    def check(self, root: Path | None, options: DatasetOptions) -> list[Problem]:
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

    def load(self, root: Path | None, options: DatasetOptions, progress: ReportProgress | None = None) -> list[Clip]:
        """Return the clips of all splits, by source and in their order within it.

        Args:
            root: folder of the corpus.
            options: of the dataset.
            progress: not called.

        Raises:
            InputError: with all that `check` finds.
        """
        folder, rows = self.read(root, options)
        cut = _videos_in_several_splits(rows)
        num_before: Counter[str] = Counter()
        clips = []
        for row in rows:  # the parts of a video that the splits cut are sources of their own
            source = f"{row.source} ({row.split})" if row.source in cut else row.source
            index = num_before[source]
            num_before[source] += 1
            audio, video = (folder / file.path if file else None for file in (row.audio, row.video))
            clips.append(Clip(row.id, source, index, row.split, row.label, row.text, audio, video))
        return clips

    def fingerprint(self, root: Path | None, options: DatasetOptions) -> str:
        """Return the SHA-256 (64 hex digits) of annotations, relative media paths and sizes in bytes.

        Neither the folder's place, nor file times, nor the table's line ends, row order and other columns matter.

        Args:
            root: folder of the corpus.
            options: of the dataset.

        Raises:
            InputError: with all that `check` finds.
        """
        content: list[list[object]] = []
        for row in self.read(root, options)[1]:
            files = [row.video] if row.audio == row.video else [row.video, row.audio]
            parts = [part for file in files for part in (file or MediaFile("", 0))]
            content.append([row.id, row.text, row.label, row.split, *parts])
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def notes(self, root: Path | None, options: DatasetOptions) -> list[str]:
        """Return what a reader of results must know about this copy of the corpus.

        Args:
            root: folder of the corpus.
            options: of the dataset.

        Raises:
            InputError: with all that `check` finds.
        """
        rows = self.read(root, options)[1]
        num_clips, cut = _num_clips(rows), _videos_in_several_splits(rows)
        empty = [row.id for row in rows if not row.text]
        notes = []
        if not self.sizes:
            notes.append(f"{_sizes_text(num_clips)}")
        elif num_clips not in self.sizes:
            notes.append(f"{_sizes_text(num_clips)}, not the published {_published(self.sizes)}")
        if cut:
            num_videos = len({row.source for row in rows})
            notes.append(f"{len(cut)} of {num_videos} videos have clips in several splits, which are not independent")
        if empty:
            notes.append(f"{len(empty)} of {len(rows)} clips have an empty transcript: {first_of(empty, ', ')}")
        return [f"{self.name}: {note}" for note in notes]

    def read(self, root: Path | None, options: DatasetOptions) -> tuple[Path, list[Row]]:
        """Return the absolute folder and its rows, by source and in their order within it.

        Args:
            root: folder of the corpus.
            options: of the dataset.

        Raises:
            InputError: with every problem of the folder, its tables and the clip files.
        """
        trees = " or ".join(layout.tree for layout in self.layouts)
        if root is None:
            step = "add dataset.root=/path/to/the/corpus to the command"
            raise InputError(Problem("the folder of the corpus is not given", "dataset.root", "", trees, step))
        folder = root.expanduser().absolute()  # a worker may run in another folder
        if not folder.is_dir():
            raise InputError(Problem("there is no such folder", "dataset.root", str(folder), trees))
        layout = next((each for each in reversed(self.layouts) if each.fits(folder)), self.layouts[0])
        rows, mistakes = layout.rows(folder, options, self.label_range(options))
        self._check_together(rows, mistakes)
        problems = mistakes.problems() + self._check_sizes(mistakes.file, _num_clips(rows), options)
        if problems:
            raise InputError(*problems)
        return folder, sorted(rows, key=lambda row: (row.source, row.order, row.id))

    def _check_together(self, rows: Sequence[Row], mistakes: Mistakes) -> None:
        first: dict[str, int] = {}
        for row in rows:
            if (before := first.setdefault(row.id, row.number)) != row.number:
                mistakes.add("ids that stand twice", f"rows {before} and {row.number}: {row.id}")
        for video, splits in _videos_in_several_splits(rows).items():
            if not self.may_cut_videos:
                allowed = "one split for all clips of a video"
                mistakes.add("videos that lie in several splits", f"{video} ({', '.join(splits)})", allowed)

    def _check_sizes(self, file: Path, found: NumClips, options: DatasetOptions) -> list[Problem]:
        if not self.sizes or getattr(options, "allow_other_counts", False):
            wrong = Problem("a split is empty", str(file), _sizes_text(found), "at least 1 clip in each")
            return [] if all(found) else [wrong]
        if found in self.sizes:
            return []
        what, step = "the splits are not of the published sizes", "complete the corpus, or accept these with "
        step += "dataset.allow_other_counts=true"
        return [Problem(what, str(file), _sizes_text(found), _published(self.sizes), step)]


def _videos_in_several_splits(rows: Sequence[Row]) -> dict[str, list[str]]:
    splits: dict[str, set[str]] = {}
    for row in rows:
        if row.split in SPLITS:
            splits.setdefault(row.source, set()).add(row.split)
    return {video: [name for name in SPLITS if name in found] for video, found in splits.items() if len(found) > 1}


def _num_clips(rows: Sequence[Row]) -> NumClips:
    found = Counter(row.split for row in rows)
    train, valid, test = (found[name] for name in SPLITS)
    return train, valid, test


def _sizes_text(num_clips: NumClips) -> str:
    return ", ".join(f"{number} {name}" for number, name in zip(num_clips, SPLITS, strict=True))


def _published(num_clips: Sequence[NumClips]) -> str:
    return " or ".join(map(_sizes_text, num_clips))
