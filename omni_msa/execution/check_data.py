"""`--check-data`: decodes every clip of a sweep once, and reports problems as a table and a summary."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor
from pathlib import Path
from typing import NamedTuple

from omni_msa.config import plugins
from omni_msa.config.lookups import root_of, uses
from omni_msa.config.sections import SPLITS, DatasetOptions
from omni_msa.config.trial import MEDIA_OPTIONS, MediaConfig, TrialConfig, classes_of
from omni_msa.data.clip import Clip
from omni_msa.data.media.examine import TOO_LONG, Examined, Work, examine_all
from omni_msa.datasets._base import DATASETS
from omni_msa.sweep.sweep import Sweep
from omni_msa.system.downloads import ReportProgress
from omni_msa.system.files import csv_text, write_text

SAME_FILE, SAME_TRANSCRIPT = "same file in another split", "same transcript in another split"
REMARKS = (TOO_LONG, SAME_TRANSCRIPT)
"""Remarks, not problems: long clips are cut as the settings say, and people do repeat themselves."""
_NUM_NAMED_MAX = 10
_NUM_COLUMNS_MAX = 13


class Row(NamedTuple):
    """One line of `data_check.csv`."""

    clip_id: str
    split: str
    modality: str
    problem: str
    detail: str
    file: str


@dataclass(frozen=True)
class Checked:
    """The result of `--check-data`.

    Args:
        rows: every problem and remark.
        text: a summary for people.
        file: the CSV file with all rows.
    """

    rows: tuple[Row, ...]
    text: str
    file: Path

    @property
    def num_wrong(self) -> int:
        """The number of rows that are problems, not remarks."""
        return sum(row.problem not in REMARKS for row in self.rows)


def check_data(sweep: Sweep, folder: Path, progress: ReportProgress, num_workers: int | None = None) -> Checked:
    """Decode every clip of the sweep's datasets once, in the modalities that its cells use, and look for problems.

    Results are cached, and used again as long as size and modification time of a file stay the same.

    Args:
        sweep: the checked sweep.
        folder: folder of the sweep's report, where `data_check.csv` is written.
        progress: called with (what, done, total).
        num_workers: number of processes; None means one per core.

    Raises:
        InputError: a dataset cannot be read.
    """
    configs = [cell.config for cell in sweep.cells]
    rows: list[Row] = []
    lines: list[str] = []
    for dataset in dict.fromkeys(config.dataset for config in configs):
        dataset_configs = [config for config in configs if config.dataset == dataset]
        clips = plugins.load(DATASETS, dataset.name).load(root_of(dataset), dataset, progress)
        dataset_rows, work = _check(clips, dataset_configs, progress, num_workers)
        rows += dataset_rows
        lines += [*_about(dataset, clips), *_problem_lines(dataset_rows), *_work_lines(work, len(clips)), ""]
    file = folder / "data_check.csv"
    table = csv_text([row._asdict() for row in rows]) if rows else ",".join(Row._fields) + "\n"
    write_text(file, table.encode(errors="replace").decode())  # file names may have bytes that are no text
    return Checked(tuple(rows), "\n".join(lines).strip(), file)


def _check(
    clips: Sequence[Clip], configs: Sequence[TrialConfig], progress: ReportProgress, num_workers: int | None
) -> tuple[list[Row], Work]:
    rows: list[Row] = []
    work = Work()
    for media, modalities in _needed(configs).items():
        files = _files(clips, modalities)
        seconds_max = configs[0].runtime.clip_seconds_max
        examined = examine_all(files, media, seconds_max, progress, work, num_workers)
        rows += _media_rows(clips, modalities, examined)
        rows += _shared_files(clips, modalities, examined)
    if any("text" in config.modalities and uses(config, "modalities") for config in configs):
        rows += _transcript_rows(clips)
    index_of = {clip.id: number for number, clip in enumerate(clips)}
    return sorted(dict.fromkeys(rows), key=lambda row: index_of[row.clip_id]), work


def _needed(configs: Iterable[TrialConfig]) -> dict[MediaConfig, list[str]]:
    needed: dict[MediaConfig, set[str]] = {}
    for config in configs:
        if uses(config, "media"):
            media = config.media.model_copy(update={"denoise": "none"})  # the files themselves are checked
            needed.setdefault(media, set()).update(config.modalities)
    return {media: [name for name in MEDIA_OPTIONS if name in names] for media, names in needed.items()}


def _files(clips: Sequence[Clip], modalities: Sequence[str]) -> dict[Path, list[str]]:
    """Return each file with the modalities it is used for; audio and video are often one file, decoded once."""
    files: dict[Path, list[str]] = {}
    for clip in clips:
        for modality in modalities:
            path = getattr(clip, modality)
            if path is not None and modality not in files.setdefault(path, []):
                files[path].append(modality)
    return files


def _media_rows(clips: Sequence[Clip], modalities: Sequence[str], examined: Mapping[Path, Examined]) -> Iterable[Row]:
    for clip in clips:
        for modality in modalities:
            path = getattr(clip, modality)
            if path is None:
                yield Row(clip.id, clip.split, modality, "missing", f"the clip has no {modality}", "")
                continue
            for name, problem, detail in examined[path].findings:
                if name == modality:
                    yield Row(clip.id, clip.split, modality, problem, detail, str(path))


def _shared_files(clips: Sequence[Clip], modalities: Sequence[str], examined: Mapping[Path, Examined]) -> Iterable[Row]:
    owners: dict[str, dict[str, Clip]] = {}
    for clip in clips:
        for path in {getattr(clip, modality) for modality in modalities} - {None}:
            if digest := examined[path].digest:
                owners.setdefault(digest, {})[clip.id] = clip
    for clip in clips:
        for modality in modalities:
            path = getattr(clip, modality)
            others = _elsewhere(clip, owners.get(examined[path].digest, {}).values()) if path is not None else ""
            if others:
                yield Row(clip.id, clip.split, modality, SAME_FILE, f"byte for byte that of {others}", str(path))


def _transcript_rows(clips: Sequence[Clip]) -> Iterable[Row]:
    owners: dict[str, list[Clip]] = {}
    for clip in clips:
        owners.setdefault(_plain(clip.transcript), []).append(clip)
    for clip in clips:
        if not _plain(clip.transcript):
            yield Row(clip.id, clip.split, "text", "empty transcript", "", "")
        elif others := _elsewhere(clip, owners[_plain(clip.transcript)]):
            yield Row(clip.id, clip.split, "text", SAME_TRANSCRIPT, f"that of {others}", "")


def _plain(transcript: str) -> str:
    return " ".join(transcript.casefold().split())


def _elsewhere(clip: Clip, owners: Iterable[Clip]) -> str:
    others = [f"{other.id} ({other.split})" for other in owners if other.split != clip.split]
    return ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")


def _about(dataset: DatasetOptions, clips: Sequence[Clip]) -> list[str]:
    """Return lines with the sizes of the splits and a histogram of labels, which are rounded if there are many."""
    counts = Counter(clip.split for clip in clips)
    sizes = ", ".join(f"{counts[split]} {split}" for split in SPLITS)
    values = sorted({clip.label for clip in clips})
    is_rounded = len(values) > _NUM_COLUMNS_MAX
    binned = [(clip.split, floor(clip.label + 0.5) if is_rounded else clip.label) for clip in clips]
    columns, table = sorted({label for _, label in binned}), Counter(binned)
    names = classes_of(dataset)
    titles = [names[int(label)] if names else f"{label:g}" for label in columns]
    width = max(7, *(len(title) + 2 for title in titles))
    head = f"{'labels, rounded' if is_rounded else 'labels':16}" + "".join(f"{title:>{width}}" for title in titles)
    lines = [f"  {split:14}" + "".join(f"{table[split, label]:>{width}}" for label in columns) for split in SPLITS]
    return [f"{dataset.name}: {len(clips)} clips ({sizes})", head, *lines]


def _problem_lines(rows: Sequence[Row]) -> list[str]:
    wrong = [row for row in rows if row.problem not in REMARKS]
    remarks = [row for row in rows if row.problem in REMARKS]
    descriptions = [f"  {row.clip_id} ({row.split}), {row.modality}: {row.problem}; {row.detail}" for row in wrong]
    rest = [f"  and {len(descriptions) - _NUM_NAMED_MAX} more"] if len(descriptions) > _NUM_NAMED_MAX else []
    lines = [f"problems: {_counted(wrong) or 'none'}", *descriptions[:_NUM_NAMED_MAX], *rest]
    return [*lines, *([f"remarks: {_counted(remarks)}"] if remarks else [])]


def _counted(rows: Iterable[Row]) -> str:
    counts = Counter(f"{row.problem} ({row.modality})" for row in rows)
    return ", ".join(f"{count} {what}" for what, count in counts.most_common())


def _work_lines(work: Work, num_clips: int) -> list[str]:
    from omni_msa.text import duration

    if not work.num_files:
        return []
    if not work.num_new:
        return [f"all {work.num_files} files were checked before and have not changed since"]
    rate = work.num_new / work.wall_s * num_clips / work.num_files
    shares = Counter(work.seconds)
    total_s = sum(shares.values()) or 1.0
    names = {"reading": "reading files", "audio": "decoding audio", "video": "decoding video"}
    time_shares = ", ".join(f"{names[name]} {seconds / total_s:.0%}" for name, seconds in shares.most_common())
    speed = f"{rate:.3g} clips a second with {work.num_workers} worker processes, {duration(num_clips / rate)} for all"
    unchanged = f", {work.num_files - work.num_new} were checked before" if work.num_new < work.num_files else ""
    checked = f"{work.num_new} files checked in {duration(work.wall_s)}{unchanged}"
    return [f"{checked}: {speed}", f"time spent: {time_shares}"]
