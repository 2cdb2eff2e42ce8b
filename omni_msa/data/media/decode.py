"""Decoding of video and audio: decord, or PyAV on platforms without decord; soundfile for pure audio files.

Exceptions are those of the libraries; `clip_media` turns them into `BadMedia`.
"""

from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omni_msa.data.media import denoise

SAMPLE_RATE_HZ = 16_000
SOUND_SUFFIXES = (".wav", ".flac", ".ogg", ".aiff")
_SAME_RATE = 0.02  # relative; containers round to milliseconds
SizeRule = Callable[[int, int], tuple[int, int]]
IndexRule = Callable[[int, float], list[int]]


@cache
def video_library() -> str:
    """Return the library that decodes containers on this machine: `decord` if installed, else `av`."""
    return "decord" if find_spec("decord") else "av"


def library_of(path: Path, modality: str) -> str:
    """Return the library that decodes a file: `soundfile`, `decord` or `av`.

    Args:
        path: the file; only its extension matters.
        modality: audio or video.
    """
    is_audio_file = modality == "audio" and path.suffix.lower() in SOUND_SUFFIXES
    return "soundfile" if is_audio_file else video_library()


def read_video(path: Path, size: SizeRule, indices: IndexRule) -> NDArray[np.uint8]:
    """Decode some frames of a video, scaled while decoding.

    Args:
        path: a video file.
        size: maps the native (height, width) in pixels to the wanted one.
        indices: maps (number of frames, frames per second) to the ascending indices of the wanted frames.

    Returns:
        RGB frames, uint8 (T, H, W, 3).
    """
    decoders = {"decord": decord_video, "av": av_video}
    return decoders[library_of(path, "video")](path, size, indices)


def read_sound(path: Path, seconds_max: float, rate_hz: int = SAMPLE_RATE_HZ) -> NDArray[np.float32]:
    """Decode the beginning of a file's audio, mixed to one channel.

    Args:
        path: an audio file, or a video file with audio.
        seconds_max: audio beyond this many seconds is left out.
        rate_hz: wanted samples per second.

    Returns:
        samples in about [-1, 1], float32 (N,).
    """
    if library_of(path, "audio") == "soundfile":
        samples = soundfile_sound(path, seconds_max, rate_hz)
    else:
        samples = {"decord": decord_sound, "av": av_sound}[video_library()](path, rate_hz)
    return np.ascontiguousarray(samples[: round(seconds_max * rate_hz)], dtype=np.float32)


def denoised(noisy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Denoise audio with DeepFilterNet, keeping its start and its length.

    Args:
        noisy: samples at 48 kHz in about [-1, 1], float32 (N,).

    Returns:
        samples at 16 kHz, float32 (round(N / 3),).
    """
    import soundfile

    rate_hz = denoise.SAMPLE_RATE_HZ
    tail = np.zeros(rate_hz // 10, np.float32)  # the program omits the last hundredths of a second
    with TemporaryDirectory() as name:
        file, folder = Path(name) / "noisy.wav", Path(name) / "clean"
        folder.mkdir()
        soundfile.write(file, np.concatenate([noisy, tail]), rate_hz, subtype="PCM_16")
        clean = soundfile_sound(denoise.clean(file, folder), len(noisy) / rate_hz)
    num = round(len(noisy) * SAMPLE_RATE_HZ / rate_hz)
    if len(clean) < num:
        raise denoise.DenoiserFailed(f"it wrote {len(clean) / SAMPLE_RATE_HZ:.2f} of {num / SAMPLE_RATE_HZ:.2f} s")
    return clean[:num]


def decord_video(path: Path, size: SizeRule, indices: IndexRule) -> NDArray[np.uint8]:
    """Implement `read_video` with decord, using one thread."""
    # decord scales while decoding, but the native size is known only from a decoded frame: hence two readers.
    probe = _decord_reader(path)
    height, width = size(*probe[0].shape[:2])
    starts_s = probe.get_frame_timestamp(range(len(probe)))[:, 0]
    rate_hz = mean_rate(float(probe.get_avg_fps()), starts_s)
    chosen = by_time(indices(len(probe), rate_hz), rate_hz, starts_s)
    reader = _decord_reader(path, width=width, height=height)
    frames: NDArray[np.uint8] = reader.get_batch(chosen).asnumpy()
    return frames


def decord_sound(path: Path, rate_hz: int = SAMPLE_RATE_HZ) -> NDArray[np.float32]:
    """Implement `read_sound` with decord, for the whole file."""
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    reader = decord.AudioReader(str(path), ctx=decord.cpu(0), sample_rate=rate_hz, mono=True)
    # decord never frees this buffer, so processes that read many files are restarted (`process_pool.run_jobs`).
    # Its resampling is accurate but delayed by 1 ms, which is small compared with the hop of 10 ms.
    samples: NDArray[np.float32] = reader[:].asnumpy()[0]  # (1, N) -> (N,)
    return samples


def av_video(path: Path, size: SizeRule, indices: IndexRule) -> NDArray[np.uint8]:
    """Implement `read_video` with PyAV."""
    import av

    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size > 0]
        starts_s = np.sort([float((packet.pts or 0) * packet.time_base) for packet in packets])
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        rate_hz = mean_rate(float(stream.average_rate or 0), starts_s)
        chosen = by_time(indices(len(packets), rate_hz), rate_hz, starts_s)
        scaled = {}
        for number, frame in enumerate(container.decode(stream)):
            if number in chosen:
                scaled[number] = _upright(frame, size)
    if missing := set(chosen) - set(scaled):
        raise RuntimeError(f"frame {min(missing)} of {len(packets)} cannot be decoded")
    return np.stack([scaled[number] for number in chosen])


def _upright(frame: Any, size: SizeRule) -> NDArray[np.uint8]:
    """Return a PyAV frame scaled and rotated for display as its file demands; decord does this by itself."""
    turns = round(frame.rotation / 90)  # counter-clockwise
    height, width = size(*((frame.width, frame.height) if turns % 2 else (frame.height, frame.width)))
    stored = (height, width) if turns % 2 else (width, height)
    # Bilinear comes closest to the filter of decord.
    small = frame.reformat(*stored, "rgb24", interpolation="BILINEAR")
    return np.ascontiguousarray(np.rot90(small.to_ndarray(), turns))


def mean_rate(declared_hz: float, starts_s: NDArray[np.float64]) -> float:
    """Return the mean frame rate: the declared one, unless the times of the frames contradict it (variable rate).

    Args:
        declared_hz: frames per second according to the header of the file.
        starts_s: start time of each frame, ascending, (N,).
    """
    if len(starts_s) < 2 or starts_s[-1] <= starts_s[0]:
        return declared_hz
    measured_hz = (len(starts_s) - 1) / float(starts_s[-1] - starts_s[0])
    return declared_hz if abs(measured_hz - declared_hz) < _SAME_RATE * declared_hz else measured_hz


def by_time(chosen: Sequence[int], rate_hz: float, starts_s: NDArray[np.float64]) -> list[int]:
    """Correct frame indices for a variable frame rate, as phones record it.

    Returned are the frames shown at the times at which the chosen ones would be shown at a constant rate.

    Args:
        chosen: frame indices, from 0.
        rate_hz: the mean frame rate; 0 if unknown, then the indices are returned unchanged.
        starts_s: start time of each frame, ascending, (N,).
    """
    if not rate_hz or len(starts_s) < 2:
        return list(chosen)
    wanted_s = starts_s[0] + np.asarray(chosen) / rate_hz + 0.5 / rate_hz  # the middle of each frame
    last = np.searchsorted(starts_s, wanted_s, side="right") - 1
    return [int(number) for number in np.clip(last, 0, len(starts_s) - 1)]


def av_sound(path: Path, rate_hz: int = SAMPLE_RATE_HZ) -> NDArray[np.float32]:
    """Implement `read_sound` with PyAV, for the whole file."""
    import av

    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler("fltp", "mono", rate_hz)
        pieces = [piece for frame in container.decode(stream) for piece in resampler.resample(frame)]
        pieces += resampler.resample(None)
    return np.concatenate([piece.to_ndarray()[0] for piece in pieces])


def soundfile_sound(path: Path, seconds_max: float, wanted_hz: int = SAMPLE_RATE_HZ) -> NDArray[np.float32]:
    """Implement `read_sound` with soundfile, for pure audio files; librosa resamples other sample rates."""
    import soundfile

    with soundfile.SoundFile(path) as file:
        rate_hz = file.samplerate
        num_wanted = min(file.frames, int(seconds_max * rate_hz) + 1)
        channels = file.read(num_wanted, dtype="float32", always_2d=True)  # (N, C)
    if len(channels) < num_wanted:
        raise RuntimeError(f"only {len(channels)} of {num_wanted} samples can be decoded")
    samples: NDArray[np.float32] = channels.mean(axis=1)
    if rate_hz != wanted_hz and samples.size:
        import librosa  # takes over a second to import

        samples = librosa.resample(samples, orig_sr=rate_hz, target_sr=wanted_hz)
    return samples


def _decord_reader(path: Path, **size: int) -> Any:
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    return decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1, **size)
