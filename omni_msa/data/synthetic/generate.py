"""The folder of a generated dataset: one mp4 file per clip, and `clips.csv`, which is written last."""

import csv
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from omni_msa.data.clip import Clip
from omni_msa.data.synthetic.clip_video import make_clip
from omni_msa.data.synthetic.sampling import drive
from omni_msa.system.downloads import ReportProgress

ANNOTATION = "clips.csv"
CLIPS_PER_PROCESS = 16  # fewer do not repay the start of a process


@dataclass(frozen=True)
class Row:
    """One line of `clips.csv`.

    Args:
        id, source, index, split, label, transcript: as in `Clip`.
        audio_cue, video_cue: cues that voice and face carry, of unit variance.
        ratings: the individual human ratings, separated by spaces.
    """

    id: str
    source: str
    index: int
    split: str
    label: float
    transcript: str
    audio_cue: float
    video_cue: float
    ratings: str


def generate(folder: Path, rows: Sequence[Row], seed: int, progress: ReportProgress | None = None) -> None:
    """Render the clips that are missing, in several processes, then write the annotation.

    Args:
        folder: an existing folder; clips left by an interrupted run are reused.
        rows: one for each clip.
        seed: of the random voices and faces.
        progress: called with (what, clips done, clips in total).
    """
    missing = [row for row in rows if not (folder / f"{row.id}.mp4").exists()]
    for num_done, _ in enumerate(_render_all(folder, missing, seed), len(rows) - len(missing) + 1):
        if progress:
            progress("generating clips", num_done, len(rows))
    _write_rows(folder, rows)


def is_complete(folder: Path) -> bool:
    """Return whether all clips of a folder have been generated."""
    return (folder / ANNOTATION).exists()


def read_rows(folder: Path) -> list[Row] | None:
    """Return the rows of `clips.csv`, or None if the folder was never completed."""
    if not is_complete(folder):
        return None
    with (folder / ANNOTATION).open(newline="", encoding="utf-8") as lines:
        return [_parse(line) for line in csv.DictReader(lines)]


def as_clip(folder: Path, row: Row) -> Clip:
    """Return the clip that a row describes; one file has its audio and video."""
    file = folder / f"{row.id}.mp4"
    return Clip(row.id, row.source, row.index, row.split, row.label, row.transcript, audio=file, video=file)


def _render_all(folder: Path, rows: Sequence[Row], seed: int) -> Iterator[None]:
    """Render clips, and yield after each of them."""
    num_processes = min(os.cpu_count() or 1, len(rows) // CLIPS_PER_PROCESS)
    if num_processes <= 1:
        for row in rows:
            _render(folder, row, seed)
            yield
        return
    # Spawn, not fork: the caller may have threads and locks of torch or Ray.
    with ProcessPoolExecutor(num_processes, multiprocessing.get_context("spawn")) as pool:
        try:
            for rendered in as_completed([pool.submit(_render, folder, row, seed) for row in rows]):
                rendered.result()  # raises what the process raised
                yield
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _render(folder: Path, row: Row, seed: int) -> None:
    file = folder / f"{row.id}.mp4"
    make_clip(file, row.transcript, drive(row.audio_cue), drive(row.video_cue), key=f"{seed}/{row.id}")


def _parse(line: dict[str, str]) -> Row:
    numbers = {name: float(line[name]) for name in ("label", "audio_cue", "video_cue")}
    return Row(**{**line, **numbers, "index": int(line["index"])})  # type: ignore[arg-type]


def _write_rows(folder: Path, rows: Sequence[Row]) -> None:
    temporary = folder / f".{ANNOTATION}.{os.getpid()}"
    with temporary.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    os.replace(temporary, folder / ANNOTATION)
