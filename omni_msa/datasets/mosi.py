"""CMU-MOSI (arXiv 1606.06259): opinion videos cut into clips, each rated from -3 to 3.

The corpus is not fetched: `root` is a folder with label.csv (a row for each clip) and Raw/<video_id>/<clip_id>.mp4.
"""

from pathlib import Path
from typing import Literal

from omni_msa.clip import Clip
from omni_msa.errors import Problem
from omni_msa.fetch import Progress
from omni_msa.label_csv import Corpus, LabelCsvOptions

# Sizes of the standard splits, by source video.
CORPUS = Corpus(label_range=(-3.0, 3.0), num_clips={"train": 1284, "valid": 229, "test": 686})


class Options(LabelCsvOptions):
    """Where the corpus lies, and whether a part of it will do."""

    name: Literal["mosi"] = "mosi"


def label_range(options: Options) -> tuple[float, float]:
    """Return the lowest and highest label."""
    return CORPUS.label_range


def fingerprint(root: Path | None, options: Options) -> str:
    """Return 64 hex digits that change with annotations, clip file names and sizes, not with place or times.

    Args:
        root: folder of the corpus.
        options: of this dataset.

    Raises:
        InputError: with all that `check` finds.
    """
    return CORPUS.fingerprint(root, options)


def check(root: Path | None, options: Options) -> list[Problem]:
    """Return everything that is wrong with the folder, label.csv and the clip files, without decoding any.

    Args:
        root: folder of the corpus.
        options: of this dataset.
    """
    return CORPUS.check(root, options)


def load(root: Path | None, options: Options, progress: Progress | None = None) -> list[Clip]:
    """Return the clips of all splits; sound and picture are both in the clip's mp4 file.

    Args:
        root: folder of the corpus.
        options: of this dataset.
        progress: not called.

    Raises:
        InputError: with all that `check` finds.
    """
    return CORPUS.load(root, options)


def human_row(root: Path | None, options: Options) -> dict[str, float] | None:
    """Return None: label.csv holds the mean over raters, not the single ratings."""
    return None
