"""One clip as an mp4 file: a drawn face that speaks a sentence."""

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omni_msa.data.synthetic.face import draw_face, random_look
from omni_msa.data.synthetic.sampling import generator
from omni_msa.data.synthetic.speech import SAMPLE_RATE_HZ, prosody, speak

FRAME_RATE_HZ = 8
# Without SIMD code and look-ahead, with which one clip in twenty differed when it was encoded again.
X264 = {"crf": "18", "preset": "veryfast", "tune": "zerolatency", "threads": "1", "x264-params": "no-asm=1"}


def make_clip(path: Path, text: str, audio_drive: float, video_drive: float, key: str) -> None:
    """Write an mp4 file (H.264 and AAC) of a face that speaks a sentence; the file is written atomically.

    The video lasts as long as the speech. Its length is therefore the only property of the video that depends on
    `audio_drive` (a livelier voice is also slightly faster).

    Args:
        path: the file to write.
        text: the sentence.
        audio_drive: cue that the voice carries, in [-1, 1].
        video_drive: cue that the face carries, in [-1, 1].
        key: seed text for voice, appearance and small deviations.
    """
    waveform = speak(text, prosody(audio_drive, generator(f"{key}/speaker")))
    look = random_look(generator(f"{key}/look"))
    frames = draw_face(video_drive, loudness(waveform), FRAME_RATE_HZ, look)
    write_mp4(path, frames, waveform)


def loudness(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the loudness of each video frame relative to the loudest one, in [0, 1], shape (T,).

    It is relative so that the video does not reveal how loud the voice is.

    Args:
        waveform: samples at `SAMPLE_RATE_HZ`, shape (N,).
    """
    num_samples = SAMPLE_RATE_HZ / FRAME_RATE_HZ
    num_frames = max(2, int(np.ceil(len(waveform) / num_samples)))
    parts = np.array_split(np.pad(waveform, (0, max(0, num_frames - len(waveform)))), num_frames)
    levels = np.array([np.sqrt(np.mean(part**2)) for part in parts], dtype=np.float32)
    return levels / max(levels.max(), np.float32(1e-6))


def to_yuv420(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert RGB frames to YUV 4:2:0 (ITU-R BT.601, limited range).

    Integer arithmetic makes the result equal on every machine, which libswscale does not guarantee.

    Args:
        frames: RGB, uint8, shape (T, H, W, 3), H a multiple of 4 and W even.

    Returns:
        Y (H rows), then U and V (H / 4 rows each), uint8, shape (T, H * 3 / 2, W).
    """
    num_frames, height, width = frames.shape[:3]
    red, green, blue = np.moveaxis(frames.astype(np.int32), -1, 0)  # (T, H, W) each
    y = 16 + ((66 * red + 129 * green + 25 * blue + 128) >> 8)
    colours = -38 * red - 74 * green + 112 * blue, 112 * red - 94 * green - 18 * blue
    squares = (plane.reshape(num_frames, height // 2, 2, width // 2, 2).sum((2, 4)) for plane in colours)
    u, v = (128 + ((square + 512) >> 10).reshape(num_frames, height // 4, width) for square in squares)
    return np.concatenate([y, u, v], axis=1).astype(np.uint8)


def write_mp4(path: Path, frames: NDArray[np.uint8], waveform: NDArray[np.float32]) -> None:
    """Encode frames and audio into an mp4 file, with one thread; the file is written atomically.

    Args:
        path: the file to write.
        frames: RGB, uint8, shape (T, H, W, 3), at `FRAME_RATE_HZ`; H a multiple of 4, W even.
        waveform: mono samples at `SAMPLE_RATE_HZ` in [-1, 1], shape (N,).
    """
    import av

    temporary = path.with_name(f".{path.stem}.{os.getpid()}.mp4")
    try:
        with av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as container:
            video = container.add_stream("libx264", rate=FRAME_RATE_HZ, options=X264)
            video.height, video.width = frames.shape[1:3]
            video.pix_fmt = "yuv420p"
            audio = container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono", bit_rate=64_000)
            for number, planes in enumerate(to_yuv420(frames)):
                frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, FRAME_RATE_HZ)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
            samples = av.AudioFrame.from_ndarray(np.ascontiguousarray(waveform[None]), format="fltp", layout="mono")
            samples.sample_rate, samples.pts = SAMPLE_RATE_HZ, 0
            container.mux(audio.encode(samples))
            container.mux(audio.encode(None))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
