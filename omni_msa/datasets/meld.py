"""MELD (arXiv 1810.02508): utterances of dialogues from a TV series, each with one of 3 sentiments and of 7 emotions.

The corpus is not downloaded: `root` is a folder with the three tables and the three folders of clips named in `SPLITS`.
Videos that no table lists are ignored. The labels are classes, numbered in the order of their names. A dialogue of a
split is a source; its utterances keep their order. Two clips of the corpus are unusable as published
(github.com/declare-lab/MELD, issues 22, 27, 39 and 52): see `KNOWN_BAD`.
"""

from pathlib import Path
from typing import Literal

from omni_msa.config.sections import DatasetOptions
from omni_msa.data.corpus import Corpus, CorpusOptions
from omni_msa.data.formats.csv_table import Line, Mistakes, read_table
from omni_msa.data.formats.row import MediaFile, Row, are_file_names, find_file, natural
from omni_msa.errors import InputError, Problem

SPLITS = {
    "train": ("train_sent_emo.csv", "train_splits"),
    "valid": ("dev_sent_emo.csv", "dev_splits_complete"),
    "test": ("test_sent_emo.csv", "output_repeated_splits_test"),
}
"""The table and the folder of clips (dia<dialogue>_utt<utterance>.mp4) of each split."""
CLASSES = {
    "sentiment": ("negative", "neutral", "positive"),
    "emotion": ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"),
}
KNOWN_BAD = {"train_dia125_utt3": "broken", "valid_dia110_utt7": "missing"}
"""Clips whose files are broken or missing in the corpus as published. For these a missing or empty file is accepted:
the clip then has only its transcript, and counts as bad where audio or video are used. Notes list both clips."""
_STEP = "where audio or video are used, set on_bad_clip=drop to leave this clip out"
_COLUMNS = {"sentiment": "Sentiment", "emotion": "Emotion"}
_IDS = ("Dialogue_ID", "Utterance_ID")


class Options(CorpusOptions):
    """The folder of the corpus, the labels to predict, and whether an incomplete corpus is accepted."""

    name: Literal["meld"] = "meld"
    task: Literal["sentiment", "emotion"] = "sentiment"


def classes(options: DatasetOptions) -> tuple[str, ...]:
    """Return the names of the classes; a label is an index into them."""
    return CLASSES[_task(options)]


def _task(options: DatasetOptions) -> str:
    return options.task if isinstance(options, Options) else "sentiment"


class _Meld(Corpus):
    """A corpus with classes."""

    def label_range(self, options: DatasetOptions) -> tuple[float, float]:
        """Return the lowest and the highest class number."""
        return 0.0, len(classes(options)) - 1.0

    def notes(self, root: Path | None, options: DatasetOptions) -> list[str]:
        """Return what a reader of results must know about this copy of the corpus.

        Args:
            root: folder of the corpus.
            options: of the dataset.

        Raises:
            InputError: with all that `check` finds.
        """
        notes = []
        for row in self.read(root, options)[1]:
            if row.id in KNOWN_BAD and row.video is None:
                notes.append(f"{self.name}: {row.id} has no video file here; {_STEP}")
            elif KNOWN_BAD.get(row.id) == "broken":
                notes.append(f"{self.name}: the video file of {row.id} is broken as published; {_STEP}")
        return [*super().notes(root, options), *notes]


class _Tables:
    """A folder with a table and a folder of clips for each split."""

    tree = f"a folder with {', '.join(f'{table} and {clips}/' for table, clips in SPLITS.values())}"

    def fits(self, folder: Path) -> bool:
        """Return whether the folder has the three tables."""
        return all((folder / table).is_file() for table, _ in SPLITS.values())

    def rows(
        self, folder: Path, options: DatasetOptions, label_range: tuple[float, float]
    ) -> tuple[list[Row], Mistakes]:
        """Return all clips, in the order of the tables, and the mistakes found in single rows.

        Raises:
            InputError: a table is missing or cannot be read.
        """
        missing = [table for table, _ in SPLITS.values() if not (folder / table).is_file()]
        if missing:
            what = f"there is no {', '.join(missing)} in the folder"
            raise InputError(Problem(what, "dataset.root", str(folder), self.tree))
        mistakes, rows = Mistakes(folder), []
        problems: list[Problem] = []
        for split, (table, _) in SPLITS.items():
            try:
                lines = read_table(folder / table, ("Utterance", _COLUMNS[_task(options)], *_IDS))
            except InputError as error:
                problems += error.problems
                continue
            rows += [_row(folder, split, line, options, mistakes) for line in lines]
        if problems:
            raise InputError(*problems)
        return rows, mistakes


def _row(folder: Path, split: str, line: Line, options: DatasetOptions, mistakes: Mistakes) -> Row:
    number, cells = line
    dialogue, utterance = (cells[name] for name in _IDS)
    table, clips = SPLITS[split]
    source, video = f"{split}_dia{dialogue}", None
    clip_id = f"{source}_utt{utterance}"
    if are_file_names((dialogue, utterance), number, mistakes):
        video = _video(folder, f"{clips}/dia{dialogue}_utt{utterance}.mp4", clip_id, number, mistakes)
    column, names = _COLUMNS[_task(options)], classes(options)
    name = cells[column].lower()
    if name not in names:
        mistakes.add(f"unknown classes in {column}", f"{table} row {number}: {cells[column]!r}", ", ".join(names))
    label = float(names.index(name)) if name in names else 0.0
    return Row(number, clip_id, source, natural(utterance), cells["Utterance"], label, split, video, video)


def _video(folder: Path, path: str, clip_id: str, number: int, mistakes: Mistakes) -> MediaFile | None:
    """Return the file of a clip; None if it is missing or empty and known to be unusable."""
    if clip_id in KNOWN_BAD and not find_file(folder, path, number, Mistakes(folder)).num_bytes:
        return None
    return find_file(folder, path, number, mistakes)


PLUGIN = _Meld("meld", (0.0, 2.0), "classes", ((9989, 1109, 2610),), (_Tables(),))
