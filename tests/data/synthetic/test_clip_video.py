from pathlib import Path

import av
import numpy as np
import pytest

from omni_msa.data.synthetic.clip_video import FRAME_RATE_HZ, loudness, make_clip, to_yuv420, write_mp4
from omni_msa.data.synthetic.speech import SAMPLE_RATE_HZ


def decode(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return all frames as they are stored, YUV 4:2:0 (T, H * 3 / 2, W), and samples (N,)."""
    with av.open(str(path)) as container:
        frames = np.stack([frame.to_ndarray() for frame in container.decode(video=0)])
    with av.open(str(path)) as container:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    return frames, sound


def test_colours_by_hand() -> None:
    # ITU-R BT.601: white, black, red, blue in 8 bit
    bars = np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 0, 255]], np.uint8)
    frames = np.repeat(np.repeat(bars[None, None], 4, axis=1), 2, axis=2)  # (1, 4, 8, 3): two columns each
    planes = to_yuv420(frames)
    assert planes.shape == (1, 6, 8)
    np.testing.assert_array_equal(planes[0, 0], [235, 235, 16, 16, 82, 82, 41, 41])
    u, v = planes[0, 4].reshape(2, 4), planes[0, 5].reshape(2, 4)
    np.testing.assert_array_equal(u, [[128, 128, 90, 240]] * 2)
    np.testing.assert_array_equal(v, [[128, 128, 240, 110]] * 2)


def test_frames_and_sound_come_back(tmp_path: Path) -> None:
    time_s = np.arange(2 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    tone = (0.3 * np.sin(2 * np.pi * 440 * time_s)).astype(np.float32)
    frames = np.full((16, 96, 96, 3), 60, np.uint8) + np.arange(0, 160, 10, dtype=np.uint8)[:, None, None, None]
    write_mp4(tmp_path / "a.mp4", frames, tone)
    seen, heard = decode(tmp_path / "a.mp4")
    assert seen.shape == (16, 144, 96)
    greys = 16 + (60 + 10 * np.arange(16)) * 219 / 255  # limited range
    np.testing.assert_allclose(seen[:, :96].mean((1, 2)), greys, atol=2)
    assert len(heard) == pytest.approx(len(tone), abs=2048)
    assert np.sqrt(np.mean(heard**2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)
    strongest = np.argmax(np.abs(np.fft.rfft(heard[: len(tone)])))
    assert strongest / 2 == pytest.approx(440, abs=1)  # bins of 0.5 Hz
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_the_same_arguments_give_the_same_clip_and_another_key_another(tmp_path: Path) -> None:
    for name, key in (("a", "0/movies-1"), ("b", "0/movies-1"), ("c", "1/movies-1")):
        make_clip(tmp_path / f"{name}.mp4", "A small movie with a big heart.", 0.5, -0.5, key)
    first, again, other = (decode(tmp_path / f"{name}.mp4") for name in "abc")
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first[0][0], other[0][0])
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert len(first[0]) / FRAME_RATE_HZ == pytest.approx(len(first[1]) / SAMPLE_RATE_HZ, abs=0.3)


def test_loudness_is_relative_to_the_clip() -> None:
    half = SAMPLE_RATE_HZ // 2
    sound = np.r_[np.full(half, 0.1), np.full(half, 0.4)].astype(np.float32)
    np.testing.assert_allclose(loudness(sound), [0.25] * 4 + [1.0] * 4, atol=1e-2)
    np.testing.assert_allclose(loudness(sound / 10), loudness(sound), atol=1e-6)
    np.testing.assert_array_equal(loudness(np.zeros(10, np.float32)), [0, 0])


def test_a_failed_clip_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="reshape"):  # a height that is no multiple of 4
        write_mp4(tmp_path / "a.mp4", np.zeros((4, 6, 8, 3), np.uint8), np.zeros(SAMPLE_RATE_HZ // 2, np.float32))
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_spoken_is_a_silent_clip(tmp_path: Path) -> None:
    for number, text in enumerate((":)", "!!!", "")):
        make_clip(tmp_path / f"{number}.mp4", text, 0.0, 0.0, "key")
        frames, sound = decode(tmp_path / f"{number}.mp4")
        assert len(frames) >= 4
        assert np.isfinite(sound).all()
