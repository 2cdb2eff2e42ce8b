"""What one media file holds and what is wrong with it, from decoding it once, with the time each step took."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from omni_msa.config.trial import MediaConfig
from omni_msa.data.inputs.clip_inputs import file_digest
from omni_msa.data.media import clip_media
from omni_msa.data.media.mel import num_audio_tokens

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
