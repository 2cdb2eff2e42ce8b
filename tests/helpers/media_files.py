"""Small media files for tests, written with PyAV and soundfile."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def moving_picture(num_frames: int = 50, height: int = 64, width: int = 64) -> NDArray[np.uint8]:
    """Return smooth waves of colour that change from frame to frame, uint8 (T, H, W, 3)."""
    time, y, x = np.ogrid[:num_frames, :height, :width]
    red = 128 + 100 * np.sin(x / 10 + time / 5 + 0 * y)
    green = 128 + 100 * np.cos(y / 9 + time / 7 + 0 * x)
    blue = 128 + 100 * np.sin((x + y + time) / 20)
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def tone(seconds: float = 2.0, hz: float = 440.0, rate_hz: int = 16_000) -> NDArray[np.float32]:
    """Return a sine of amplitude 0.3, float32 (N,)."""
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    return (0.3 * np.sin(2 * np.pi * hz * times)).astype(np.float32)


def write_mp4(
    path: Path,
    frames: NDArray[np.uint8] | None = None,
    sound: NDArray[np.float32] | None = None,
    frame_rate_hz: int = 25,
    sound_rate_hz: int = 16_000,
    index_first: bool = False,
) -> Path:
    """Write frames and mono sound, each if given, as H.264 and AAC; `index_first` puts the index before the data."""
    import av

    with av.open(str(path), "w", options={"movflags": "faststart"} if index_first else {}) as container:
        video = audio = None
        if frames is not None:
            video = container.add_stream("libx264", rate=frame_rate_hz)
            video.height, video.width = frames.shape[1:3]
            video.pix_fmt = "yuv420p"
            video.codec_context.thread_count = 1
        if sound is not None:
            audio = container.add_stream("aac", rate=sound_rate_hz, layout="mono")
        if video is not None and frames is not None:
            for picture in [*(av.VideoFrame.from_ndarray(frame, format="rgb24") for frame in frames), None]:
                container.mux(video.encode(picture))
        if audio is not None and sound is not None:
            samples = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
            samples.sample_rate = sound_rate_hz
            samples.pts = 0  # without it the encoder's lead-in of 1,024 samples becomes part of the sound
            for piece in (samples, None):
                container.mux(audio.encode(piece))
    return path


def write_sound(path: Path, sound: NDArray[np.float32], rate_hz: int = 16_000) -> Path:
    """Write samples, (N,) or (N, channels), as wav or flac by the file's ending."""
    import soundfile

    soundfile.write(path, sound, rate_hz)
    return path
