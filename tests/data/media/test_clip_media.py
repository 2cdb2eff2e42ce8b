"""Decoding by both libraries on the same files, sizes, checks, broken files."""

import pickle
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from helpers.media_files import moving_picture, tone, write_mp4, write_sound
from helpers.paths import ROOT
from omni_msa.config.trial import MediaConfig
from omni_msa.data.media import clip_media, decode
from omni_msa.data.media.clip_media import BadMedia

POCKET = MediaConfig(num_frames_max=4, frame_pixels_max=56 * 56, mel_hop_ms=40)
NEEDS_DECORD = pytest.mark.skipif(decode.video_library() != "decord", reason="decord is not installed")
VIDEO_READERS = [pytest.param(decode.decord_video, marks=NEEDS_DECORD), decode.av_video]
SOUND_READERS = [pytest.param(decode.decord_sound, marks=NEEDS_DECORD), decode.av_sound]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    write_mp4(folder / "both.mp4", moving_picture(), tone())
    write_mp4(folder / "index_first.mp4", moving_picture(), tone(), index_first=True)
    write_mp4(folder / "no_sound.mp4", moving_picture(10))
    write_mp4(folder / "no_picture.mp4", sound=tone())
    return folder


def native(height: int, width: int) -> tuple[int, int]:
    return height, width


# --- frames


@pytest.mark.parametrize("reader", VIDEO_READERS)
def test_exactly_the_frames_asked_for_are_read(reader, folder):
    frames = reader(folder / "both.mp4", native, lambda num_frames, rate_hz: [0, 17, num_frames - 1])
    truth = moving_picture()[[0, 17, 49]].astype(int)
    neighbour = moving_picture()[[1, 18, 48]].astype(int)
    assert frames.dtype == np.uint8
    assert np.abs(frames - truth).mean() < 6 < np.abs(frames - neighbour).mean()


@NEEDS_DECORD
def test_both_libraries_give_nearly_the_same_frames(folder):
    rules = (lambda height, width: (28, 56), lambda num_frames, rate_hz: [0, 7, 30, 49])
    one, other = (reader(folder / "both.mp4", *rules) for reader in (decode.decord_video, decode.av_video))
    assert one.shape == other.shape == (4, 28, 56, 3)
    assert np.abs(one.astype(int) - other).mean() < 3


@pytest.mark.parametrize("reader", VIDEO_READERS)
def test_the_rules_are_told_native_size_and_rate(reader, tmp_path):
    write_mp4(tmp_path / "a.mp4", moving_picture(12, height=32, width=96), frame_rate_hz=12)
    told = []
    reader(tmp_path / "a.mp4", lambda *size: told.append(size) or size, lambda *length: told.append(length) or [0])
    assert sorted(told) == [(12, 12.0), (32, 96)]


def test_frames_fit_the_options(folder):
    frames = clip_media.read_frames(folder / "both.mp4", POCKET)
    assert frames.shape == (4, 56, 56, 3) and frames.dtype == np.uint8
    np.testing.assert_array_equal(frames, clip_media.read_frames(folder / "both.mp4", POCKET))


def test_a_single_frame_is_given_twice(tmp_path):
    frames = clip_media.read_frames(write_mp4(tmp_path / "one.mp4", moving_picture(1)), POCKET)
    assert frames.shape == (2, 56, 56, 3)
    np.testing.assert_array_equal(frames[0], frames[1])


@pytest.mark.parametrize(
    ("native_size", "pixels_max", "expected"),
    [
        ((64, 64), 3136, (56, 56)),
        ((360, 640), 100_352, (224, 420)),  # sqrt(230400 / 100352) = 1.515: 8.48 and 15.08 groups
        ((10, 10), 100_352, (28, 28)),
        ((43, 42), 100_352, (56, 56)),  # 1.54 groups up, 1.5 groups to the even number
        ((28, 28_000), 784 * 4, (28, 112)),  # the cap holds however long the frame
        ((28_000, 28), 784 * 4, (112, 28)),
    ],
)
def test_frame_size(native_size, pixels_max, expected):
    assert clip_media.fit_size(*native_size, pixels_max) == expected


def test_frame_size_agrees_with_transformers_wherever_its_rule_holds_the_cap():
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    rng = np.random.default_rng(0)
    num_compared = 0
    for _ in range(500):
        height, width = (int(side) for side in rng.integers(28, 1500, size=2))
        pixels_max = int(rng.integers(784, 300_000))
        theirs, ours = smart_resize(height, width, 28, 784, pixels_max), clip_media.fit_size(height, width, pixels_max)
        assert ours[0] * ours[1] <= pixels_max
        if theirs[0] * theirs[1] <= pixels_max:
            num_compared += 1
            assert ours == theirs
    assert num_compared > 400


@pytest.mark.parametrize(
    ("num_frames", "rate_hz", "expected"),
    [
        (100, 25.0, [0, 33, 66, 99]),  # 8 wanted, 4 allowed
        (25, 25.0, [0, 24]),  # 2 wanted
        (38, 25.0, [0, 37]),  # 3.04 wanted, even: 2
        (3, 1.0, [0, 2]),  # 6 wanted, 3 there, even: 2
        (1, 25.0, [0, 0]),
        (5, 0.0, [0, 1, 3, 4]),  # rate unknown; 1.33 and 2.67 rounded
    ],
)
def test_frames_are_sampled_uniformly(num_frames, rate_hz, expected):
    assert clip_media.sample_indices(num_frames, rate_hz, POCKET) == expected


# --- sound


@pytest.mark.parametrize("reader", SOUND_READERS)
@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 48_000])
def test_sound_of_an_mp4_is_the_sound_written(reader, rate_hz, tmp_path):
    write_mp4(tmp_path / "a.mp4", moving_picture(5), tone(2.0, 1000.0, rate_hz), sound_rate_hz=rate_hz)
    samples = reader(tmp_path / "a.mp4")
    assert abs(len(samples) - 32_000) < 1_100  # AAC fills its last block
    middle = samples[4_000:28_000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)))) / len(middle) * 4
    assert np.argmax(spectrum) * 16_000 / len(middle) == pytest.approx(1000, abs=1)
    assert spectrum.max() == pytest.approx(0.3, rel=0.02)


@NEEDS_DECORD
def test_both_libraries_give_the_same_sound(folder):
    one, other = decode.decord_sound(folder / "both.mp4"), decode.av_sound(folder / "both.mp4")
    np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_sound_files_are_mixed_and_resampled(ending, tmp_path):
    stereo = np.stack([tone(1.0, 500.0, 44_100), np.zeros(44_100, np.float32)], axis=1)
    samples = clip_media.read_audio(write_sound(tmp_path / f"a.{ending}", stereo, 44_100), POCKET)
    assert samples.dtype == np.float32 and samples.shape == (16_000,)
    np.testing.assert_allclose(samples[500:-500], 0.5 * tone(1.0, 500.0)[500:-500], atol=1e-3)


@pytest.mark.parametrize("name", ["both.mp4", "long.wav", "long_48k.wav"])
def test_sound_is_cut_at_the_limit(name, folder):
    write_sound(folder / "long.wav", tone(2.0))
    write_sound(folder / "long_48k.wav", tone(2.0, rate_hz=48_000), 48_000)
    assert clip_media.read_audio(folder / name, MediaConfig(audio_seconds_max=0.5)).shape == (8_000,)


# --- bad files


def cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    short = path.with_stem(f"{path.stem}_{share}")
    short.write_bytes(content[: int(len(content) * share)])
    return short


@pytest.mark.parametrize("read", [clip_media.read_frames, clip_media.read_audio])
def test_broken_files_say_which_and_why(read, folder):
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (folder / "empty.mp4").touch()
    for name, reason in {
        "missing.mp4": "no such file",
        "noise.mp4": "cannot be decoded",
        "empty.mp4": "cannot be decoded",
        "no_sound.mp4" if read is clip_media.read_audio else "no_picture.mp4": "cannot be decoded",
    }.items():
        with pytest.raises(BadMedia, match=reason) as caught:
            read(folder / name, POCKET)
        assert caught.value.path == folder / name


@pytest.mark.parametrize("read", [clip_media.read_frames, clip_media.read_audio])
@pytest.mark.parametrize("name", ["both.mp4", "index_first.mp4"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_truncated_videos_are_refused(read, name, share, folder):
    with pytest.raises(BadMedia, match="cut off"):
        read(cut(folder / name, share), POCKET)


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_truncated_sound_files_are_refused(ending, tmp_path):
    rng = np.random.default_rng(0)
    whole = write_sound(tmp_path / f"a.{ending}", rng.normal(0, 0.1, 32_000).astype(np.float32))
    assert len(clip_media.read_audio(whole, POCKET)) == 32_000
    with pytest.raises(BadMedia):
        clip_media.read_audio(cut(whole, 0.6), POCKET)


def test_bad_media_survives_pickling():
    error = pickle.loads(pickle.dumps(BadMedia(Path("a.mp4"), "silent")))
    assert (error.path, error.reason, str(error)) == (Path("a.mp4"), "silent", "a.mp4: silent")


def test_useless_sound_is_found():
    assert clip_media.check_audio(tone()) is None
    assert clip_media.check_audio(0.01 * tone()) is None  # -53 dBFS: quiet, not silent
    late = np.concatenate([np.zeros(16_000, np.float32), tone(0.2)])
    assert clip_media.check_audio(late) is None
    assert "empty" in clip_media.check_audio(tone()[:0])
    assert "silent (-73 dBFS" in clip_media.check_audio(0.001 * tone())  # 0.3e-3 / sqrt(2) = -73.5 dB
    assert "silent" in clip_media.check_audio(np.zeros(100, np.float32))
    for bad in (np.nan, np.inf):
        assert "not finite" in clip_media.check_audio(np.append(tone(), np.float32(bad)))


def test_useless_pictures_are_found():
    assert clip_media.check_video(moving_picture(2)) is None
    black = np.full((2, 28, 28, 3), 15, np.uint8)
    assert "black" in clip_media.check_video(black)
    assert "empty" in clip_media.check_video(black[:0])
    black[1, 3, 4, 0] = 16
    assert clip_media.check_video(black) is None


# --- imports


@NEEDS_DECORD
@pytest.mark.parametrize("order", list(permutations(["decord", "av", "torch"])), ids="-".join)
def test_decord_works_in_every_order_of_imports(order, folder):
    code = f"""
import {", ".join(order)}
from pathlib import Path
from omni_msa.data.media import decode
path = Path({str(folder / "both.mp4")!r})
rules = (lambda height, width: (28, 28)), (lambda num_frames, rate_hz: [0, 49])
print(decode.decord_video(path, *rules).shape, decode.av_video(path, *rules).shape, decode.decord_sound(path).shape)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "(2, 28, 28, 3) (2, 28, 28, 3) (32768,)\n", done.stderr
