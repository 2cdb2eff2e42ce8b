"""The unit of data: one labelled utterance."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Clip:
    """One labelled utterance of a source video.

    Args:
        id: unique within the dataset.
        source: the source video; clips of one source never cross splits.
        index: position of the clip within its source, from 0.
        split: one of `SPLITS`.
        label: sentiment score within the label range of the dataset, or the number of a class.
        transcript: what is said.
        audio: file with the audio (may be the video file itself), or None.
        video: file with the video, or None.
    """

    id: str
    source: str
    index: int
    split: str
    label: float
    transcript: str
    audio: Path | None
    video: Path | None
