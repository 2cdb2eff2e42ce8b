"""Prepared inputs: their values, addresses, cache and errors."""

import os
import pickle
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.input_clips import OPTIONS, cached_files, clip
from helpers.media_files import moving_picture, tone, write_mp4, write_sound
from helpers.paths import ROOT, TESTS
from omni_msa.config.trial import MediaConfig
from omni_msa.data.inputs import clip_inputs
from omni_msa.data.inputs.clip_inputs import TokenCounts
from omni_msa.data.inputs.preprocess import BadClip, address, prepare
from omni_msa.data.media import clip_media, denoise
from omni_msa.data.media.clip_media import BadMedia
from omni_msa.data.media.mel import mel_features
from omni_msa.data.media.patches import patches
from omni_msa.system.process_pool import Limits, run_jobs

CHANGED = {
    "num_frames_max": ("video", 2),
    "frame_rate_hz": ("video", 3.0),
    "frame_pixels_max": ("video", 784),
    "mel_hop_ms": ("audio", 20),
    "num_mel_bins": ("audio", 80),
    "audio_seconds_max": ("audio", 1.5),
    "denoise": ("audio", "deepfilternet"),
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OMNI_MSA_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def film(tmp_path) -> Path:
    return write_mp4(tmp_path / "film.mp4", moving_picture(), tone())


@pytest.mark.parametrize("num_workers", [1, None])
def test_values_are_those_of_media(film, num_workers):
    inputs = prepare([clip("a", film, film)], ["text", "audio", "video"], OPTIONS, num_workers=num_workers)
    loaded = inputs.load("a")
    pixel_values, grid_thw = patches(clip_media.read_frames(film, OPTIONS))
    np.testing.assert_array_equal(loaded.pixel_values, pixel_values)
    np.testing.assert_array_equal(loaded.grid_thw, grid_thw)
    np.testing.assert_array_equal(loaded.mel, mel_features(clip_media.read_audio(film, OPTIONS), OPTIONS))
    assert [array.dtype for array in vars(loaded).values()] == [np.float32, np.int64, np.float32]
    assert all(array.flags.writeable for array in vars(loaded).values())
    # 2 x 4 x 4 patches in groups of four; 2.048 s = 52 mel frames of 40 ms -> 26 -> 13
    assert (loaded.num_video_tokens, loaded.num_audio_tokens, inputs.sizes("a")) == (8, 13, TokenCounts(8, 13))


def test_modalities_not_asked_for_are_absent(film):
    everything = clip("a", film, film)
    assert vars(prepare([everything], ["audio"], OPTIONS).load("a"))["pixel_values"] is None
    assert prepare([everything], ["video"], OPTIONS).load("a").mel is None
    text = prepare([clip("a")], ["text"], OPTIONS)
    assert set(vars(text.load("a")).values()) == {None} and text.sizes("a") == TokenCounts()
    for inputs in (text, prepare([everything], ["audio"], OPTIONS)):
        with pytest.raises(KeyError):
            inputs.load("b")
        with pytest.raises(KeyError):
            inputs.sizes("b")


@pytest.mark.parametrize("name", CHANGED)
def test_an_option_moves_only_the_address_of_its_modality(film, name, monkeypatch):
    monkeypatch.setattr(denoise, "version", lambda: "0.5.6")  # of a foreign program, which need not be installed
    both = clip("a", film, film)
    affected, value = CHANGED[name]
    changed = OPTIONS.model_copy(update={name: value})
    for modality in ("audio", "video"):
        same = address(both, modality, OPTIONS) == address(both, modality, changed)
        assert same == (modality != affected)


def test_every_option_of_media_moves_an_address():
    assert set(MediaConfig.model_fields) == {*CHANGED, "sample_rate_hz"}


def test_addresses_follow_content_not_place(film, tmp_path):
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(film.read_bytes())
    one, other = clip("a", film, film), clip("b", copy, copy)
    assert re.fullmatch("[0-9a-f]{64}", address(one, "audio", OPTIONS))
    assert address(one, "audio", OPTIONS) == address(other, "audio", OPTIONS) != address(one, "video", OPTIONS)
    inputs = prepare([one, other], ["audio"], OPTIONS)
    expected = address(one, "audio", OPTIONS)
    (only,) = cached_files(tmp_path)
    assert only == tmp_path / "cache" / "prepared" / expected[:2] / f"{expected}.safetensors"
    np.testing.assert_array_equal(inputs.load("a").mel, inputs.load("b").mel)
    copy.write_bytes(film.read_bytes() + b"\0\0\0\x08free")
    assert address(other, "audio", OPTIONS) != expected


def test_digest_depends_on_content_order_modality_and_options(film, tmp_path):
    second = write_sound(tmp_path / "b.wav", tone(1.0))
    one, other = clip("a", film, film), clip("b", second, film)
    digests = [
        prepare(clips, modalities, options).digest
        for clips, modalities, options in [
            ([one, other], ["audio"], OPTIONS),
            ([other, one], ["audio"], OPTIONS),
            ([one], ["audio"], OPTIONS),
            ([one], ["video"], OPTIONS),
            ([one], ["audio", "video"], OPTIONS),
            ([one], ["audio"], OPTIONS.model_copy(update={"mel_hop_ms": 20})),
        ]
    ]
    assert len(set(digests)) == len(digests)
    assert prepare([replace(one, id="z")], ["video", "audio"], OPTIONS).digest == digests[4]


def test_nothing_is_built_twice(film, tmp_path):
    calls = []
    for _ in range(2):
        prepare([clip("a", film, film)], ["audio", "video"], OPTIONS, lambda *call: calls.append(call), num_workers=1)
        calls.append([path.stat().st_mtime_ns for path in cached_files(tmp_path)])
    looked, first, second, before, looked_again, after = calls
    assert looked == looked_again == ("looking for prepared inputs", 1, 1)
    assert [first, second] == [("preparing audio and video", number, 2) for number in (1, 2)]
    assert before == after and len(before) == 2


def test_processes_start_only_if_something_is_missing_and_torch_never_loads(film):
    code = f"""
import sys
from pathlib import Path
from helpers.input_clips import OPTIONS, clip
from omni_msa.data.inputs.preprocess import prepare
film = Path({str(film)!r})
prepare([clip("a", film, film)], ["audio", "video"], OPTIONS).load("a")
print("multiprocessing.popen_spawn_posix" in sys.modules, *{{"torch", "transformers", "librosa"}} & set(sys.modules))
"""
    places = [str(TESTS), str(ROOT)]
    code = f"import sys; sys.path[:0] = {places}\n{code}"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True) for _ in range(2)]
    assert [run.stdout for run in runs] == ["True\n", "False\n"], runs


def build_and_list_modules(path: Path, modality: str, target: Path, note: Path) -> None:
    clip_inputs.build_file(path, modality, OPTIONS, target)
    note.write_text("\n".join(sys.modules))


@pytest.mark.parametrize("modality", ["audio", "video"])
def test_workers_import_nothing_heavy(film, tmp_path, modality):
    job = (film, modality, tmp_path / "x.safetensors", tmp_path / "modules")
    assert run_jobs(build_and_list_modules, [job], 1, lambda: None) == [None]
    modules = set((tmp_path / "modules").read_text().split())
    assert "numpy" in modules and not modules & {"torch", "transformers", "librosa", "scipy", "pandas"}


@pytest.mark.parametrize("damage", [lambda content: content[:-5], lambda content: content[:3], lambda content: b""])
def test_damaged_cache_files_are_built_again(film, tmp_path, damage):
    inputs = prepare([clip("a", film, film)], ["audio", "video"], OPTIONS)
    whole = {path: path.read_bytes() for path in cached_files(tmp_path)}
    for read in (inputs.load, inputs.sizes):
        for path, content in whole.items():
            path.write_bytes(damage(content))
        read("a")
        assert {path: path.read_bytes() for path in cached_files(tmp_path)} == whole


def test_a_deleted_cache_is_built_again_unless_the_source_changed(film, tmp_path):
    inputs = pickle.loads(pickle.dumps(prepare([clip("a", film)], ["audio"], OPTIONS)))
    mel = inputs.load("a").mel
    cached_files(tmp_path)[0].unlink()
    np.testing.assert_array_equal(inputs.load("a").mel, mel)
    cached_files(tmp_path)[0].unlink()
    write_mp4(film, moving_picture(), tone(1.0))
    with pytest.raises(BadClip, match="changed while it was in use"):
        inputs.load("a")


@pytest.mark.parametrize("num_workers", [1, 2])
def test_all_bad_clips_are_reported_together(film, tmp_path, num_workers):
    silent = write_sound(tmp_path / "silent.wav", 0 * tone())
    blip = write_sound(tmp_path / "blip.wav", tone(0.05))
    black = write_mp4(tmp_path / "black.mp4", 0 * moving_picture(5), tone())
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(film.read_bytes()[:-100])
    clips = [
        clip("good", film, film),
        clip("gone", tmp_path / "gone.mp4", film),
        clip("silent", silent, film),
        clip("silent_too", silent, film),
        clip("blip", blip, film),
        clip("black", film, black),
        clip("torn", film, torn),
        clip("mute", None, film),
    ]
    inputs = prepare(clips, ["text", "audio", "video"], OPTIONS, num_workers=num_workers)
    told = sorted((fault.modality, fault.clip_id, Path(fault.file).name, fault.reason) for fault in inputs.faults)
    assert [facts[:3] for facts in told] == [
        ("audio", "blip", "blip.wav"),
        ("audio", "gone", "gone.mp4"),
        ("audio", "mute", ""),
        ("audio", "silent", "silent.wav"),
        ("audio", "silent_too", "silent.wav"),
        ("video", "black", "black.mp4"),
        ("video", "torn", "torn.mp4"),
    ]
    reasons = ["lasts only 0.050 s", "no such file", "no audio", "silent", "silent", "black", "cut off"]
    assert all(reason in facts[3] for reason, facts in zip(reasons, told, strict=True)), told
    assert {fault.split for fault in inputs.faults} == {"train"}
    good = {("good", "audio"), ("good", "video"), ("silent", "video"), ("black", "audio")}
    assert good < set(inputs.addresses)
    assert not {(modality, name) for modality, name, *_ in told} & {(m, c) for c, m in inputs.addresses}


def test_decoding_that_takes_too_long_is_a_fault(tmp_path):
    slow = write_sound(tmp_path / "slow.wav", tone(300, rate_hz=44_100), rate_hz=44_100)  # brings librosa: over 1 s
    (fault,) = prepare([clip("a", slow)], ["audio"], OPTIONS, seconds_max=0.2).faults
    assert fault.reason == "decoding it takes more than 0.2 s (runtime.clip_seconds_max)"
    assert cached_files(tmp_path) == []


DECODER = """
import os, time

class SoundFile:
    def __init__(self, path):
        {"crash.wav": os.abort, "end.wav": lambda: os._exit(7), "hang.wav": lambda: time.sleep(600),
         "memory.wav": lambda: bytearray(10**12)}.get(path.name, lambda: None)()
        raise RuntimeError("[07:00:00] /a/b.cc:104: Check failed: at this place")
"""


def test_a_decoder_that_crashes_hangs_or_takes_all_memory_costs_one_clip(film, tmp_path, monkeypatch):
    (tmp_path / "libraries").mkdir()
    (tmp_path / "libraries" / "soundfile.py").write_text(DECODER)  # processes that are started will find this one
    monkeypatch.syspath_prepend(tmp_path / "libraries")
    names = ["crash", "end", "hang", "memory", "error"]
    for name in names:
        (tmp_path / f"{name}.wav").write_text(name)
    clips = [clip("good", film), *(clip(name, tmp_path / f"{name}.wav") for name in names), clip("fine", film)]
    inputs = prepare(clips, ["audio"], OPTIONS, num_workers=2, seconds_max=4.0)
    assert {fault.clip_id: fault.reason for fault in inputs.faults} == {
        "crash": "decoding it crashes the process (SIGABRT)",
        "end": "decoding it crashes the process (exit code 7)",
        "hang": "decoding it takes more than 4 s (runtime.clip_seconds_max)",
        "memory": "decoding it takes more than 4 GB",
        "error": "cannot be decoded (Check failed: at this place)",
    }
    assert inputs.load("good").num_audio_tokens == inputs.load("fine").num_audio_tokens == 13


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no limit on memory here")
def test_decoding_that_takes_too_much_memory_is_a_fault_that_a_trial_survives(tmp_path):
    large = write_sound(tmp_path / "large.wav", np.tile(tone(60)[:, None], 8))
    inputs = prepare([clip("a", large)], ["audio"], OPTIONS.model_copy(update={"audio_seconds_max": 60.0}))
    assert not inputs.faults
    cached_files(tmp_path)[0].unlink()
    with pytest.raises(BadClip, match=r"more than 0\.02 GB"):  # the samples alone take 30 MB
        replace(inputs, limits=Limits(memory_gb=0.02)).load("a")
    assert pickle.loads(pickle.dumps(BadClip.of(inputs.faults))).problems == ()


def test_what_is_no_file_is_a_fault_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    clips = [clip("pipe", tmp_path / "pipe.wav"), clip("folder", tmp_path)]
    assert [fault.reason for fault in prepare(clips, ["audio"], OPTIONS).faults] == ["not a file"] * 2


def test_address_says_what_is_wrong(tmp_path):
    with pytest.raises(BadMedia, match="no such file"):
        address(clip("a", tmp_path / "gone.wav"), "audio", OPTIONS)
    with pytest.raises(BadMedia, match="the clip has no video"):
        address(clip("a"), "video", OPTIONS)


def test_a_failed_build_leaves_nothing_behind(film, tmp_path):
    black = write_mp4(tmp_path / "black.mp4", 0 * moving_picture(5))
    with pytest.raises(BadMedia):
        clip_inputs.build_file(black, "video", OPTIONS, tmp_path / "cache" / "a.safetensors")
    assert cached_files(tmp_path) == []
