"""What one media file holds and what is wrong with it, from decoding it once, with the time each step took."""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from omni_msa.config.trial import MediaConfig, media_options
from omni_msa.data.inputs.clip_inputs import file_digest
from omni_msa.data.inputs.preprocess import reason_of
from omni_msa.data.media import clip_media, decode
from omni_msa.data.media.mel import num_audio_tokens
from omni_msa.system.cache_folder import cache_folder
from omni_msa.system.downloads import ReportProgress
from omni_msa.system.process_pool import Limits, num_cores, run_jobs

EXAMINE_VERSION = 1  # rises when the same file and options give other findings

TOO_LONG = "longer than used"
Finding = tuple[str, str, str]
"""Modality; missing, broken, no audio stream, silent, black, too short or longer than used; detail."""
_TOLERANCE_S = 0.5  # encoders round up to whole frames
_FRAME_S = 0.06  # of a film at 24 frames a second, and a half


@dataclass
class Examined:
    """One file.

    Args:
        digest: SHA-256 of its bytes, "" if it cannot be read.
        findings: what is wrong with it.
        seconds: that each step took: reading, audio, video.
    """

    digest: str = ""
    findings: list[Finding] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


def examine(path: Path, modalities: Sequence[str], options: MediaConfig) -> dict[str, Any]:
    """Decode one file and say what it is.

    Args:
        path: the file.
        modalities: what is used of it: audio, video, both.
        options: as for training: what is decoded there is decoded here.

    Returns:
        the values of an `Examined`.
    """
    found = Examined()
    try:
        with _timed(found, "reading"):
            found.digest = file_digest(path)
    except clip_media.BadMedia as bad:
        kind = "broken" if path.exists() else "missing"
        found.findings = [(modality, kind, bad.reason) for modality in modalities]
        return vars(found)
    lengths = _lengths(path)
    for modality in modalities:
        look = {"audio": _look_at_sound, "video": _look_at_picture}[modality]
        with _timed(found, modality):
            told = look(path, options, lengths)
        found.findings += [(modality, kind, detail) for kind, detail in told]
    return vars(found)


@contextmanager
def _timed(found: Examined, step: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    found.seconds[step] = time.perf_counter() - started


def _look_at_sound(path: Path, options: MediaConfig, lengths: Mapping[str, float]) -> list[tuple[str, str]]:
    if lengths and "audio" not in lengths:
        return [("no audio stream", "the file has no sound at all")]
    try:
        waveform = clip_media.read_audio(path, options)
    except clip_media.BadMedia as bad:
        return [("broken", bad.reason)]
    seconds = len(waveform) / options.sample_rate_hz
    mel_frames = -(-len(waveform) // (options.mel_hop_ms * options.sample_rate_hz // 1000))
    if num_audio_tokens(mel_frames) == 0:
        return [("too short", f"the sound lasts only {seconds:.3f} s")]
    if reason := clip_media.check_audio(waveform):
        return [("silent" if np.isfinite(waveform).all() else "broken", reason)]
    whole = lengths.get("audio", seconds)
    if whole > options.audio_seconds_max + _TOLERANCE_S:
        return [(TOO_LONG, f"of {whole:.1f} s of sound the first {options.audio_seconds_max:g} are used")]
    return []


def _look_at_picture(path: Path, options: MediaConfig, lengths: Mapping[str, float]) -> list[tuple[str, str]]:
    try:
        frames = clip_media.read_frames(path, options)
    except clip_media.BadMedia as bad:
        return [("broken", bad.reason)]
    if reason := clip_media.check_video(frames):
        return [("black", reason)]
    seconds, used = lengths.get("video", 0.0), options.num_frames_max / options.frame_rate_hz
    if 0 < seconds < _FRAME_S:
        return [("too short", f"the picture lasts only {seconds:.3f} s")]
    if seconds > used + _TOLERANCE_S:
        apart = seconds / options.num_frames_max
        detail = f"{options.num_frames_max} frames of {seconds:.1f} s lie {apart:.2f} s apart"
        return [(TOO_LONG, f"{detail} instead of {1 / options.frame_rate_hz:.2f} s")]
    return []


def _lengths(path: Path) -> dict[str, float]:
    """Return the seconds that each stream lasts, as the container says; empty if it says nothing that can be read."""
    import av

    lengths: dict[str, float] = {}
    with suppress(Exception), av.open(str(path)) as container:  # what is wrong with it the decoder will tell
        for stream in container.streams:
            if stream.type in ("audio", "video"):
                whole = (container.duration or 0) / av.time_base
                own = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else whole
                lengths.setdefault(stream.type, own)
    return lengths


Key = tuple[str, int, int]
"""A file's path, size in bytes and time of change in nanoseconds."""


@dataclass
class Work:
    """What examining took.

    Args:
        num_files: in all.
        num_new: of these that were decoded now.
        num_workers: processes at work.
        wall_s: of the whole.
        seconds: of the processes' time by what it went into: reading, audio, video.
    """

    num_files: int = 0
    num_new: int = 0
    num_workers: int = 0
    wall_s: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)


def examine_all(
    files: Mapping[Path, Sequence[str]],
    options: MediaConfig,
    seconds_max: float,
    progress: ReportProgress,
    work: Work,
    num_workers: int | None = None,
) -> dict[Path, Examined]:
    """Examine files, each in the modalities it is used for; those known and unchanged are not opened.

    Args:
        files: their modalities.
        options: as for training.
        seconds_max: a file that takes longer to decode cannot be used.
        progress: called with (what, done, total).
        work: what it took is added here.
        num_workers: processes; default one per core.
    """
    known: dict[Path, Examined] = {}
    jobs: list[tuple[Path, tuple[str, ...], MediaConfig]] = []
    notes = {modalities: _Notes(modalities, options) for modalities in {tuple(names) for names in files.values()}}
    for path, modalities in files.items():
        found = notes[tuple(modalities)].find(path)
        if found is None:
            jobs.append((path, tuple(modalities), options))
        else:
            known[path] = found
    workers, limits = min(num_workers or num_cores(), max(1, len(jobs))), Limits(seconds_max)
    numbers, started = count(len(known) + 1), time.perf_counter()

    def on_done() -> None:
        progress("checking sound and picture", next(numbers), len(files))

    def on_result(number: int, values: dict[str, Any]) -> None:
        path, modalities, _ = jobs[number]
        known[path] = Examined(**values)
        notes[modalities].add(path, values)
        for step, seconds in known[path].seconds.items():
            work.seconds[step] = work.seconds.get(step, 0.0) + seconds

    errors = run_jobs(examine, jobs, workers, on_done, limits, on_result)
    for (path, modalities, _), error in zip(jobs, errors, strict=True):
        if error is not None:  # not noted down: another time it may go well
            known[path] = Examined("", [(name, "broken", reason_of(error, limits)) for name in modalities])
    work.num_files, work.num_new = work.num_files + len(files), work.num_new + len(jobs)
    work.num_workers, work.wall_s = max(workers, work.num_workers), work.wall_s + time.perf_counter() - started
    return known


class _Notes:
    """What is known of files, a line each; a line that is torn or foreign is none."""

    def __init__(self, modalities: Sequence[str], options: MediaConfig) -> None:
        used = {name: value for modality in modalities for name, value in media_options(options, modality).items()}
        text = json.dumps([EXAMINE_VERSION, list(modalities), used, decode.video_library()], sort_keys=True)
        self._file = cache_folder() / "checked" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.jsonl"
        self._known: dict[Key, Examined] = {}
        lines = self._file.read_text(encoding="utf-8").splitlines() if self._file.is_file() else []
        for line in lines:
            with suppress(ValueError, TypeError):
                path, num_bytes, changed_ns, values = json.loads(line)
                found = Examined(**values)
                findings = [(str(name), str(problem), str(detail)) for name, problem, detail in found.findings]
                self._known[path, num_bytes, changed_ns] = Examined(str(found.digest), findings)

    def find(self, path: Path) -> Examined | None:
        """Return what is known of a file as it is now."""
        key = _key(path)
        return None if key is None else self._known.get(key)

    def add(self, path: Path, values: dict[str, Any]) -> None:
        """Note down what was found, unless the file is not there."""
        if (key := _key(path)) is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps([*key, values]) + "\n")


def _key(path: Path) -> Key | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return str(path), status.st_size, status.st_mtime_ns
