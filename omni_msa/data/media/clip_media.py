"""Audio and video of a clip: from files to checked arrays."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from math import floor, sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omni_msa.config.trial import MediaConfig
from omni_msa.data.media import decode, denoise
from omni_msa.data.media.container import is_cut_off
from omni_msa.data.media.patches import FACTOR_PX, TEMPORAL

SILENCE_DBFS = -60.0
BLACK_LEVEL = 16
_SOURCE_LINE = re.compile(r"\[\d\d:\d\d:\d\d\] \S+:\d+: ")  # prefix of decord's messages: time and line of its source


class BadMedia(Exception):
    """A media file cannot be used.

    Args:
        path: the file.
        reason: what is wrong with it.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)  # both arguments, so that it can be pickled
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def read_frames(path: Path, media: MediaConfig) -> NDArray[np.uint8]:
    """Decode frames of a video, sampled uniformly and scaled to whole patches.

    Args:
        path: a video file.
        media: `num_frames_max`, `frame_rate_hz` and `frame_pixels_max` are used.

    Returns:
        RGB frames, uint8 (T, H, W, 3); T even, H and W multiples of 28.

    Raises:
        BadMedia: the file is missing, empty, truncated or not a video.
    """
    with _errors_of(path):
        return decode.read_video(
            path,
            size=lambda height, width: fit_size(height, width, media.frame_pixels_max),
            indices=lambda num_frames, rate_hz: sample_indices(num_frames, rate_hz, media),
        )


def read_audio(path: Path, media: MediaConfig) -> NDArray[np.float32]:
    """Decode the audio of a file.

    Args:
        path: an audio file (wav, flac, ogg, aiff) or a video file with audio.
        media: audio beyond `audio_seconds_max` is cut off.

    Returns:
        mono samples at 16 kHz in about [-1, 1], float32 (N,).

    Raises:
        BadMedia: the file is missing, truncated or has no audio.
    """
    with _errors_of(path):
        return decode.read_sound(path, media.audio_seconds_max)


def read_denoised(path: Path, media: MediaConfig) -> NDArray[np.float32]:
    """Decode the audio of a file and denoise it with DeepFilterNet.

    Args:
        path, media: as for `read_audio`.

    Returns:
        as `read_audio`.

    Raises:
        BadMedia: as `read_audio`, or DeepFilterNet fails on this audio.
        InputError: DeepFilterNet is not installed.
    """
    with _errors_of(path):
        noisy = decode.read_sound(path, media.audio_seconds_max, denoise.SAMPLE_RATE_HZ)
    try:
        return decode.denoised(noisy)
    except RuntimeError as error:
        raise BadMedia(path, f"the audio cannot be denoised ({error})") from error


def fit_size(height: int, width: int, pixels_max: int) -> tuple[int, int]:
    """Return the frame size closest to the native one that is made of whole 2x2 groups of patches.

    Source: `smart_resize` of Qwen2-VL; unlike there, a very long frame is distorted to keep the area limit.

    Args:
        height: native, pixels.
        width: native, pixels.
        pixels_max: largest area, at least 28 * 28 pixels.

    Returns:
        height and width, each a multiple of 28, at least 28.
    """
    cap = pixels_max // FACTOR_PX**2
    rows, columns = (max(1, round(side / FACTOR_PX)) for side in (height, width))
    if rows * columns > cap:
        shrink = sqrt(height * width / pixels_max) * FACTOR_PX
        rows, columns = (max(1, floor(side / shrink)) for side in (height, width))
        rows, columns = min(rows, cap // columns or 1), min(columns, cap // rows or 1)
    return rows * FACTOR_PX, columns * FACTOR_PX


def sample_indices(num_frames: int, rate_hz: float, media: MediaConfig) -> list[int]:
    """Return the indices of the frames to read: an even number, equally spaced from the first to the last frame.

    Source: `smart_nframes` of qwen-vl-utils; a video of one frame gives that frame twice.

    Args:
        num_frames: frames of the video, at least 1.
        rate_hz: its frames per second; 0 if unknown, then as many frames as allowed are read.
        media: `num_frames_max` and `frame_rate_hz` are used.
    """
    wanted = num_frames / rate_hz * media.frame_rate_hz if rate_hz > 0 else num_frames
    fewest = min(wanted + 1e-6, num_frames, media.num_frames_max)
    count = max(TEMPORAL, int(fewest) // TEMPORAL * TEMPORAL)
    return [int(index) for index in np.linspace(0, num_frames - 1, count).round()]


def check_audio(waveform: NDArray[np.float32]) -> str | None:
    """Return why audio cannot be used (empty, not finite, silent), or None if it can.

    Args:
        waveform: mono samples at 16 kHz, float32 (N,). Silent: the RMS of the loudest 0.1 s is below -60 dBFS.
    """
    if not waveform.size:
        return "the audio is empty"
    if not np.isfinite(waveform).all():
        return "the audio has values that are not finite"
    starts = np.arange(0, len(waveform), decode.SAMPLE_RATE_HZ // 10)
    energies = np.add.reduceat(np.square(waveform, dtype=np.float64), starts)
    num_samples = np.diff(starts, append=len(waveform))
    level_dbfs = 10 * np.log10((energies / num_samples).max() + 1e-20)
    return f"the audio is silent ({level_dbfs:.0f} dBFS at its loudest)" if level_dbfs < SILENCE_DBFS else None


def check_video(frames: NDArray[np.uint8]) -> str | None:
    """Return why video cannot be used (empty, black), or None if it can.

    Args:
        frames: uint8 (T, H, W, 3). Black: no value of any frame reaches 16 of 255.
    """
    if not frames.size:
        return "the video is empty"
    brightest = int(frames.max())
    return f"the video is black (brightest value {brightest} of 255)" if brightest < BLACK_LEVEL else None


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    if not path.is_file():
        raise BadMedia(path, "no such file")
    if is_cut_off(path):
        raise BadMedia(path, "the file is cut off: it is shorter than its header says")
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # the decoders share no base class: RuntimeError, DECORDError, FFmpegError, IndexError
        lines = _SOURCE_LINE.sub("", str(error)).strip().splitlines() or [type(error).__name__]
        raise BadMedia(path, f"cannot be decoded ({lines[0]})") from error
