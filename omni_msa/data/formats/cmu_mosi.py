"""CMU-MOSI as distributed by CMU: video clips, separate audio files, and one transcript per source video.

    Video/Segmented/<video_id>_<n>.mp4
    Audio/WAV_16000/Segmented/<video_id>_<n>.wav
    Transcript/Segmented/<video_id>.annotprocessed     lines such as 3_DELIM_ANYHOW IT WAS GOOD
    Labels/OpinionLevelSentiment.csv                   start, end, video_id, n, label; without a header

The first three are in the archive, in a folder `Raw`. The table of labels came with some copies and was distributed
separately for others (github.com/A2Zadeh/CMU-MultimodalSDK, issues 141 and 163); a label.csv can replace it.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from omni_msa.config.sections import DatasetOptions
from omni_msa.data.formats.csv_table import Line, Mistakes, read_label, read_table, read_text
from omni_msa.data.formats.label_csv import USUAL_COLUMNS, clip_id
from omni_msa.data.formats.mosi_folds import SPLIT_OF
from omni_msa.data.formats.row import Row, are_file_names, find_file, natural, read_split
from omni_msa.errors import InputError, Problem

_ORIGINAL_COLUMNS = ("start", "end", "video_id", "clip_id", "label")
_TABLES = ("Labels/OpinionLevelSentiment.csv", "OpinionLevelSentiment.csv", "label.csv")
_DELIMITER = "_DELIM_"


class CmuLayout:
    """The folder of the archive, or its parent; splits are the standard folds unless a label.csv names them."""

    tree = "a folder with Video/Segmented, Audio/WAV_16000/Segmented, Transcript/Segmented and Labels"

    def fits(self, folder: Path) -> bool:
        """Return whether the folder has the structure of the archive."""
        return _base(folder) is not None

    def rows(
        self, folder: Path, options: DatasetOptions, label_range: tuple[float, float]
    ) -> tuple[list[Row], Mistakes]:
        """Return all clips, in any order, and the mistakes found in single rows.

        Raises:
            InputError: the table of labels is missing or cannot be read.
        """
        base = _base(folder) or ""
        table = _find_table(folder, base)
        is_original = table.name != "label.csv"
        columns, usual = ("video_id", "clip_id", "label"), _ORIGINAL_COLUMNS if is_original else USUAL_COLUMNS
        lines = read_table(table, columns if is_original else (*columns, "mode"), usual)
        mistakes = Mistakes(table)
        transcript = cache(lambda video: _read_transcript(folder, f"{base}Transcript/Segmented/{video}.annotprocessed"))
        rows = []
        for line in lines:
            video, number = line.cells["video_id"], line.cells["clip_id"]
            split, label = _split(line, mistakes), read_label(line, "label", label_range, mistakes)
            if not are_file_names((video, number), line.number, mistakes):
                continue
            text = _text(transcript(video), video, number, line.number, mistakes)
            name = f"{video}_{number}"
            video_file = find_file(folder, f"{base}Video/Segmented/{name}.mp4", line.number, mistakes)
            audio_file = find_file(folder, f"{base}Audio/WAV_16000/Segmented/{name}.wav", line.number, mistakes)
            ids = line.number, clip_id(video, number), video, natural(number)
            rows.append(Row(*ids, text, label, split, video_file, audio_file))
        return rows, mistakes


def _base(folder: Path) -> str | None:
    """Return the path of the archive's content relative to a folder, or None if it is not there."""
    return next((base for base in ("", "Raw/") if (folder / f"{base}Video/Segmented").is_dir()), None)


def _find_table(folder: Path, base: str) -> Path:
    for table in (folder / parent / name for name in _TABLES for parent in dict.fromkeys((base, ""))):
        if table.is_file():
            return table
    step = f"add {_TABLES[0]} to the folder (columns {', '.join(_ORIGINAL_COLUMNS)}), or a label.csv"
    what, allowed = "the table with the labels is missing", " or ".join(_TABLES)
    raise InputError(Problem(what, "dataset.root", str(folder), allowed, step))


def _split(line: Line, mistakes: Mistakes) -> str:
    if "mode" in line.cells:
        return read_split(line.cells["mode"], line.number, mistakes)
    video = line.cells["video_id"]
    if video not in SPLIT_OF:
        allowed = "the 93 videos of the standard folds; or add a label.csv with the split of each clip in column mode"
        mistakes.add("videos that are in no standard fold", f"row {line.number}: {video!r}", allowed)
    return SPLIT_OF.get(video, "")


def _read_transcript(folder: Path, path: str) -> Mapping[str, str] | str:
    """Return the text of each clip of a video by clip number, or a message if the file cannot be read."""
    try:
        text = read_text(folder / path)
    except InputError as error:
        return f"{error.problems[0].what}: {error.problems[0].got}"
    parts = (line.partition(_DELIMITER) for line in text.splitlines() if _DELIMITER in line)
    return {number.strip(): text.strip() for number, _, text in parts}


def _text(transcript: Mapping[str, str] | str, video: str, number: str, row: int, mistakes: Mistakes) -> str:
    if isinstance(transcript, str):
        mistakes.add("transcripts that cannot be read", f"row {row}: {transcript}")
        return ""
    if number not in transcript:
        got = f"row {row}: {video}.annotprocessed has no line {number}{_DELIMITER}"
        mistakes.add("clips without a line in their video's transcript", got)
    return transcript.get(number, "")
