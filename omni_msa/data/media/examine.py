"""Examination of media files: each is decoded once, its faults are listed, and the time of each step is measured."""

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

EXAMINE_VERSION = 1  # raise it when equal files and options would give other findings

TOO_LONG = "longer than used"
Finding = tuple[str, str, str]
"""Modality; kind (missing, broken, no audio stream, silent, black, too short, longer than used); detail."""
_TOLERANCE_S = 0.5  # encoders round up to whole frames
_FRAME_S = 0.06  # one and a half frames at 24 frames per second


@dataclass
class Examined:
    """What is known of one file.

    Args:
        digest: SHA-256 of its bytes, "" if it cannot be read.
        findings: its faults.
        seconds: duration of each step: reading, audio, video.
    """

    digest: str = ""
    findings: list[Finding] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


def examine(path: Path, modalities: Sequence[str], options: MediaConfig) -> dict[str, Any]:
    """Decode one file and list its faults.

    Args:
        path: the file.
        modalities: those used of the file: audio, video or both.
        options: those of training, so that the same part of the file is decoded.

    Returns:
        the fields of an `Examined`.
    """
    examined = Examined()
    try:
        with _timed(examined, "reading"):
            examined.digest = file_digest(path)
    except clip_media.BadMedia as bad:
        kind = "broken" if path.exists() else "missing"
        examined.findings = [(modality, kind, bad.reason) for modality in modalities]
        return vars(examined)
    lengths = _lengths(path)
    for modality in modalities:
        examine_modality = {"audio": _examine_audio, "video": _examine_video}[modality]
        with _timed(examined, modality):
            faults = examine_modality(path, options, lengths)
        examined.findings += [(modality, kind, detail) for kind, detail in faults]
    return vars(examined)


@contextmanager
def _timed(examined: Examined, step: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    examined.seconds[step] = time.perf_counter() - started


def _examine_audio(path: Path, options: MediaConfig, lengths: Mapping[str, float]) -> list[tuple[str, str]]:
    if lengths and "audio" not in lengths:
        return [("no audio stream", "the file has no audio stream")]
    try:
        waveform = clip_media.read_audio(path, options)
    except clip_media.BadMedia as bad:
        return [("broken", bad.reason)]
    seconds = len(waveform) / options.sample_rate_hz
    mel_frames = -(-len(waveform) // (options.mel_hop_ms * options.sample_rate_hz // 1000))
    if num_audio_tokens(mel_frames) == 0:
        return [("too short", f"the audio lasts only {seconds:.3f} s")]
    if reason := clip_media.check_audio(waveform):
        return [("silent" if np.isfinite(waveform).all() else "broken", reason)]
    whole = lengths.get("audio", seconds)
    if whole > options.audio_seconds_max + _TOLERANCE_S:
        return [(TOO_LONG, f"only the first {options.audio_seconds_max:g} of {whole:.1f} s of audio are used")]
    return []


def _examine_video(path: Path, options: MediaConfig, lengths: Mapping[str, float]) -> list[tuple[str, str]]:
    try:
        frames = clip_media.read_frames(path, options)
    except clip_media.BadMedia as bad:
        return [("broken", bad.reason)]
    if reason := clip_media.check_video(frames):
        return [("black", reason)]
    seconds, used = lengths.get("video", 0.0), options.num_frames_max / options.frame_rate_hz
    if 0 < seconds < _FRAME_S:
        return [("too short", f"the video lasts only {seconds:.3f} s")]
    if seconds > used + _TOLERANCE_S:
        spacing_s = seconds / options.num_frames_max
        detail = f"the {options.num_frames_max} frames used of {seconds:.1f} s are {spacing_s:.2f} s apart"
        return [(TOO_LONG, f"{detail} instead of {1 / options.frame_rate_hz:.2f} s")]
    return []


def _lengths(path: Path) -> dict[str, float]:
    """Return the duration of each stream in seconds according to the container; empty if it cannot be read."""
    import av

    lengths: dict[str, float] = {}
    with suppress(Exception), av.open(str(path)) as container:  # the decoder reports what is wrong
        for stream in container.streams:
            if stream.type in ("audio", "video"):
                whole = (container.duration or 0) / av.time_base
                own = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else whole
                lengths.setdefault(stream.type, own)
    return lengths


Key = tuple[str, int, int]
"""Path, size in bytes and modification time in nanoseconds of a file."""


@dataclass
class Work:
    """The cost of examining files.

    Args:
        num_files: number of files.
        num_new: number of files decoded now; the others were known.
        num_workers: number of processes.
        wall_s: duration of the whole.
        seconds: process time of each step: reading, audio, video.
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
    """Examine files for the modalities they are used for; files already examined and unchanged are not opened.

    Args:
        files: modalities used of each file.
        options: those of training.
        seconds_max: time limit for decoding a file; a slower one is broken.
        progress: called with (what, done, total).
        work: the cost is added here.
        num_workers: number of processes; default one per core.
    """
    known: dict[Path, Examined] = {}
    jobs: list[tuple[Path, tuple[str, ...], MediaConfig]] = []
    notes = {modalities: _KnownFiles(modalities, options) for modalities in {tuple(names) for names in files.values()}}
    for path, modalities in files.items():
        examined = notes[tuple(modalities)].find(path)
        if examined is None:
            jobs.append((path, tuple(modalities), options))
        else:
            known[path] = examined
    workers, limits = min(num_workers or num_cores(), max(1, len(jobs))), Limits(seconds_max)
    numbers, started = count(len(known) + 1), time.perf_counter()

    def on_done() -> None:
        progress("checking audio and video", next(numbers), len(files))

    def on_result(number: int, values: dict[str, Any]) -> None:
        path, modalities, _ = jobs[number]
        known[path] = Examined(**values)
        notes[modalities].add(path, values)
        for step, seconds in known[path].seconds.items():
            work.seconds[step] = work.seconds.get(step, 0.0) + seconds

    errors = run_jobs(examine, jobs, workers, on_done, limits, on_result)
    for (path, modalities, _), error in zip(jobs, errors, strict=True):
        if error is not None:  # not recorded: the next attempt may succeed
            known[path] = Examined("", [(name, "broken", reason_of(error, limits)) for name in modalities])
    work.num_files, work.num_new = work.num_files + len(files), work.num_new + len(jobs)
    work.num_workers, work.wall_s = max(workers, work.num_workers), work.wall_s + time.perf_counter() - started
    return known


class _KnownFiles:
    """The results of earlier examinations, one line per file; lines that cannot be read are ignored."""

    def __init__(self, modalities: Sequence[str], options: MediaConfig) -> None:
        used = {name: value for modality in modalities for name, value in media_options(options, modality).items()}
        text = json.dumps([EXAMINE_VERSION, list(modalities), used, decode.video_library()], sort_keys=True)
        self._file = cache_folder() / "checked" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.jsonl"
        self._known: dict[Key, Examined] = {}
        lines = self._file.read_text(encoding="utf-8").splitlines() if self._file.is_file() else []
        for line in lines:
            with suppress(ValueError, TypeError):
                path, num_bytes, changed_ns, values = json.loads(line)
                examined = Examined(**values)
                findings = [(str(name), str(problem), str(detail)) for name, problem, detail in examined.findings]
                self._known[path, num_bytes, changed_ns] = Examined(str(examined.digest), findings)

    def find(self, path: Path) -> Examined | None:
        """Return the result of an earlier examination, None if there is none or the file has changed since."""
        key = _key(path)
        return None if key is None else self._known.get(key)

    def add(self, path: Path, values: dict[str, Any]) -> None:
        """Record the result of an examination, unless the file does not exist."""
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
