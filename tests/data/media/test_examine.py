"""What one file holds: each kind of fault from a file that has it."""

import os

import numpy as np
import pytest

from helpers.media_files import moving_picture, tone, write_mp4, write_sound
from omni_msa.config.trial import MediaConfig
from omni_msa.data.inputs.clip_inputs import file_digest
from omni_msa.data.media.examine import examine

OPTIONS = MediaConfig(num_frames_max=4, frame_pixels_max=56 * 56, mel_hop_ms=40, audio_seconds_max=3.0)
BOTH = ("audio", "video")


def kinds(path, modalities=BOTH) -> list[tuple[str, str]]:
    return [finding[:2] for finding in examine(path, modalities, OPTIONS)["findings"]]


def test_a_good_file_has_its_digest_and_the_time_of_each_step(tmp_path):
    film = write_mp4(tmp_path / "film.mp4", moving_picture(), tone())
    found = examine(film, BOTH, OPTIONS)
    assert (found["digest"], found["findings"]) == (file_digest(film), [])
    assert set(found["seconds"]) == {"reading", *BOTH} and all(0 < value < 60 for value in found["seconds"].values())
    assert set(examine(film, ["video"], OPTIONS)["seconds"]) == {"reading", "video"}


@pytest.mark.parametrize(
    ("frames", "sound", "expected"),
    [
        (moving_picture(), None, [("audio", "no audio stream")]),
        (moving_picture(), 0 * tone(), [("audio", "silent")]),
        (0 * moving_picture(), tone(), [("video", "black")]),
        (None, tone(), [("video", "broken")]),
        (moving_picture(1), tone(0.04), [("audio", "too short"), ("video", "too short")]),
        (moving_picture(100), tone(4.0), [("audio", "longer than used"), ("video", "longer than used")]),
        (moving_picture(60), tone(3.0), []),
    ],
)
def test_each_kind_of_fault_in_a_film(frames, sound, expected, tmp_path):
    assert kinds(write_mp4(tmp_path / "film.mp4", frames, sound)) == expected


def test_details_say_how_much_is_used(tmp_path):
    film = write_mp4(tmp_path / "film.mp4", moving_picture(100), tone(4.0))
    (_, _, sound), (_, _, picture) = examine(film, BOTH, OPTIONS)["findings"]
    assert sound == "only the first 3 of 4.0 s of audio are used"
    assert picture == "the 4 frames used of 4.0 s are 1.00 s apart instead of 0.50 s"


def test_sound_files(tmp_path):
    good = write_sound(tmp_path / "good.wav", np.stack([tone(rate_hz=44_100)] * 2, axis=1), rate_hz=44_100)
    empty = write_sound(tmp_path / "empty.wav", tone(0.0))
    wild = write_sound(tmp_path / "wild.flac", tone())
    assert [kinds(path, ["audio"]) for path in (good, empty, wild)] == [[], [("audio", "too short")], []]


def test_files_that_are_none(tmp_path):
    film = write_mp4(tmp_path / "film.mp4", moving_picture(), tone())
    torn, text = tmp_path / "torn.mp4", tmp_path / "text.mp4"
    torn.write_bytes(film.read_bytes()[:-100])
    text.write_text("no film at all" * 100)
    os.mkfifo(tmp_path / "pipe.mp4")
    assert kinds(tmp_path / "gone.mp4") == [(name, "missing") for name in BOTH]
    for path in (torn, text, tmp_path / "pipe.mp4", tmp_path):
        assert kinds(path) == [(name, "broken") for name in BOTH]
    assert examine(text, BOTH, OPTIONS)["digest"] and not examine(tmp_path / "gone.mp4", BOTH, OPTIONS)["digest"]
