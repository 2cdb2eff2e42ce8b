"""Prepared inputs where the disk's share is limited: all clips are checked, some are kept."""

from pathlib import Path

import pytest

from helpers.input_clips import OPTIONS, cached_files, clip
from helpers.media_files import tone, write_sound
from omni_msa.data.inputs.clip_inputs import TokenCounts
from omni_msa.data.inputs.preprocess import prepare
from omni_msa.errors import InputError


@pytest.fixture(autouse=True)
def _own_cache(own_cache: Path) -> Path:
    return own_cache


def test_with_little_room_every_clip_is_checked_once_and_what_fits_is_kept(tmp_path, monkeypatch):
    sounds = [write_sound(tmp_path / f"{number}.wav", tone(1.0 + number / 1000)) for number in range(6)]
    clips = [clip(str(number), sound) for number, sound in enumerate(sounds)]
    clips.append(clip("silent", write_sound(tmp_path / "silent.wav", 0 * tone())))
    calls: list[tuple] = []

    def checked() -> int:
        calls.clear()
        inputs = prepare(clips, ["audio"], OPTIONS, lambda *call: calls.append(call), num_workers=1)
        assert [fault.clip_id for fault in inputs.faults] == ["silent"]
        assert [inputs.sizes(str(number)) for number in range(6)] == [TokenCounts(num_audio_tokens=6)] * 6
        return sum(what == "preparing audio and video" for what, _, _ in calls)

    monkeypatch.setenv("OMNI_MSA_CACHE_GB", "5e-5")  # a clip takes 13 to 14 kB
    assert checked() == 7
    kept = [path for path in cached_files(tmp_path) if path.suffix == ".safetensors"]
    assert len(kept) == 3
    assert checked() == 1  # the bad one alone: nothing says any more that it was looked at
    monkeypatch.setenv("OMNI_MSA_CACHE_GB", "2e-5")
    assert checked() == 1
    kept = [path for path in cached_files(tmp_path) if path.suffix == ".safetensors"]
    assert len(kept) == 1
    monkeypatch.delenv("OMNI_MSA_CACHE_GB")
    assert checked() == 1 + 5


def test_a_limit_that_is_no_size_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("OMNI_MSA_CACHE_GB", "plenty")
    with pytest.raises(InputError, match="'plenty'"):
        prepare([clip("a", tmp_path / "a.wav")], ["audio"], OPTIONS)
