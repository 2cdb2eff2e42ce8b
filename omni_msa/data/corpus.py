"""A corpus on disk, in any layout: validation of all rows together, ordered clips, fingerprint and notes."""

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
"""Number of clips of train, valid and test."""


class CorpusOptions(DatasetOptions):
    """Options of every corpus with published splits."""

    allow_other_counts: bool = runtime_only(False, description="accept splits of other sizes than published")


class Layout(Protocol):
    """A way in which the files of a corpus are arranged in its folder."""

    @property
    def tree(self) -> str:
        """Description of the folder's content for messages."""

    def fits(self, folder: Path) -> bool:
        """Return whether a folder has this layout."""

    def rows(
        self, folder: Path, options: DatasetOptions, label_range: tuple[float, float]
    ) -> tuple[list[Row], Mistakes]:
        """Return all clips, in any order, and the mistakes found in single rows.

        Raises:
            InputError: no rows could be read.
        """


@dataclass(frozen=True)
class Corpus:
    """One corpus; its methods are those of a dataset plug-in.

    Args:
        name: of the plug-in.
        labels: lowest and highest label.
        metrics: name of the conventions that define its metrics (a key of `metrics.HEADLINES`).
        sizes: published sizes of the splits, several if sources disagree; empty: any sizes are accepted.
        layouts: the default first; if several fit a folder, the last one is used.
        may_cut_videos: whether the published splits put clips of one video into several splits.
    """

    name: str
    labels: tuple[float, float]
    metrics: str
    sizes: tuple[NumClips, ...]
    layouts: tuple[Layout, ...]
    may_cut_videos: bool = False

    def num_clips(self, options: DatasetOptions) -> dict[str, int]:
        """Return the published number of clips of each split, empty if none is published."""
        return dict(zip(SPLITS, self.sizes[0], strict=True)) if self.sizes else {}

    def label_range(self, options: DatasetOptions) -> tuple[float, float]:
        """Return the lowest and highest label."""
        return self.labels

    def conventions(self, options: DatasetOptions) -> str:
        """Return the name of the conventions that define the metrics."""
        return self.metrics

    def check(self, root: Path | None, options: DatasetOptions) -> list[Problem]:
        """Return every problem that would make `load` fail, without decoding a clip.

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
        """Return the clips of all splits, sorted by source and by their order within the source.

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
        for row in rows:  # if splits cut a video, each part counts as a source of its own
            source = f"{row.source} ({row.split})" if row.source in cut else row.source
            index = num_before[source]
            num_before[source] += 1
            audio, video = (folder / file.path if file else None for file in (row.audio, row.video))
            clips.append(Clip(row.id, source, index, row.split, row.label, row.text, audio, video))
        return clips

    def fingerprint(self, root: Path | None, options: DatasetOptions) -> str:
        """Return the SHA-256 (64 hex digits) of annotations, relative media paths and sizes in bytes.

        The location of the folder, file times, and line ends, row order and other columns of the table do not matter.

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
        """Return the absolute folder and its rows, sorted by source and by their order within the source.

        Args:
            root: folder of the corpus.
            options: of the dataset.

        Raises:
            InputError: with every problem of the folder, its tables and the clip files.
        """
        trees = " or ".join(layout.tree for layout in self.layouts)
        step = "add dataset.root=/path/to/the/corpus to the command"
        if root is None:
            raise InputError(Problem("the folder of the corpus is not given", "dataset.root", "", trees, step))
        folder = root.expanduser().absolute()  # workers may have another working folder
        if not folder.is_dir():
            raise InputError(Problem("there is no such folder", "dataset.root", str(folder), trees, step))
        layout = next((known for known in reversed(self.layouts) if known.fits(folder)), self.layouts[0])
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
                mistakes.add("ids used twice", f"rows {before} and {row.number}: {row.id}")
        for video, splits in _videos_in_several_splits(rows).items():
            if not self.may_cut_videos:
                allowed = "one split for all clips of a video"
                mistakes.add("videos with clips in several splits", f"{video} ({', '.join(splits)})", allowed)

    def _check_sizes(self, file: Path, num_clips: NumClips, options: DatasetOptions) -> list[Problem]:
        if not self.sizes or getattr(options, "allow_other_counts", False):
            empty = Problem("a split is empty", str(file), _sizes_text(num_clips), "at least 1 clip in each")
            return [] if all(num_clips) else [empty]
        if num_clips in self.sizes:
            return []
        what = "the sizes of the splits differ from the published ones"
        step = "complete the corpus, or accept these sizes with dataset.allow_other_counts=true"
        return [Problem(what, str(file), _sizes_text(num_clips), _published(self.sizes), step)]


def _videos_in_several_splits(rows: Sequence[Row]) -> dict[str, list[str]]:
    splits: dict[str, set[str]] = {}
    for row in rows:
        if row.split in SPLITS:
            splits.setdefault(row.source, set()).add(row.split)
    return {video: [name for name in SPLITS if name in used] for video, used in splits.items() if len(used) > 1}


def _num_clips(rows: Sequence[Row]) -> NumClips:
    counts = Counter(row.split for row in rows)
    train, valid, test = (counts[name] for name in SPLITS)
    return train, valid, test


def _sizes_text(num_clips: NumClips) -> str:
    return ", ".join(f"{number} {name}" for number, name in zip(num_clips, SPLITS, strict=True))


def _published(num_clips: Sequence[NumClips]) -> str:
    return " or ".join(map(_sizes_text, num_clips))
