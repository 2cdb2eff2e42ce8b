"""The list of clips that cannot be used: what it holds, how it is kept, and the command line that meets bad clips."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.bad_clips import BAD, damage
from helpers.place import Place
from omni_msa.data import faults
from omni_msa.data.clip import Clip
from omni_msa.data.faults import Fault
from omni_msa.errors import InputError
from omni_msa.planning import bad_clips
from omni_msa.planning.bad_clips import BadClips

SWEEP = """
question: Does it go on?
profile: small
axes: {modalities: [[text], [text, audio, video]], readout: [frozen_probe, constant]}
seeds: [1]
media: {num_frames_max: 2, frame_pixels_max: 784, mel_hop_ms: 40}
"""
FAULT = Fault("clip_3", "train", "video", "the video is black (brightest value 0 of 255)", "/x/clip_3.mp4")


def clip(name: str, split: str) -> Clip:
    return Clip(name, name, 0, split, 0.0, "", None, None)


@pytest.mark.parametrize(("num_bad", "is_fine"), [(2, True), (3, False)])
def test_two_clips_of_a_tested_split_are_enough(num_bad, is_fine):
    clips = [clip(f"{split}{number}", split) for split in ("train", "valid", "test") for number in range(4)]
    faults = [replace(FAULT, clip_id=f"valid{number}") for number in range(num_bad)]
    found = bad_clips.collect("vader_av", ["video"], clips, faults)
    assert (bad_clips.check_left(clips, found) == []) is is_fine
    assert bad_clips.check_left([clip("a", "test"), clip("b", "train")], found) == []  # small from the start


def written(folder: Path) -> Path:
    path = folder / "0123.json"
    bad_clips.write(path, BadClips("vader_av", ("video",), 16, {"clip_3": FAULT}))
    return path


def test_a_list_survives_writing(tmp_path):
    assert bad_clips.read(written(tmp_path)) == BadClips("vader_av", ("video",), 16, {"clip_3": FAULT})
    assert bad_clips.read(tmp_path / "none.json") is None


@pytest.mark.parametrize(
    "change",
    [
        {"key": "4567"},
        {"dataset": 3},
        {"num_clips": "many"},
        {"num_clips": 0},
        {"num_clips": True},
        {"modalities": None},
        {"clips": []},
        {"clips": {"clip_3": {}}},
        {"clips": {"clip_3": {**vars(FAULT), "split": "dev"}}},
        {"clips": {"clip_3": {"split": "train", "modality": "video", "reason": 1, "file": ""}}},
        {"clips": {"clip_3": {"split": ["train"], "modality": "video", "reason": "", "file": ""}}},
    ],
)
def test_a_damaged_or_foreign_list_counts_as_none(change, tmp_path):
    path = written(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert bad_clips.read(path) is None


def test_a_list_cut_anywhere_counts_as_none(tmp_path):
    path = written(tmp_path)
    whole = path.read_bytes()
    for length in range(len(whole) - 2):
        path.write_bytes(whole[:length])
        assert bad_clips.read(path) is None


def test_the_text_names_ten_clips_and_counts_the_rest():
    clips = [clip(f"c{number:02}", "train" if number < 11 else "test") for number in range(20)]
    faults = [Fault(one.id, one.split, "audio", "it hums", "x.wav") for one in clips[:12]]
    text = bad_clips.collect("vader_av", ["audio"], clips, [*faults, replace(faults[0], reason="later")]).text()
    assert text.startswith("12 of 20 clips of vader_av left out (11 train, 0 valid, 1 test): c00: audio, it hums; c01")
    assert text.endswith("c09: audio, it hums; 2 more in dropped_clips.csv.")
    assert BadClips("vader_av", (), 5, {}).text() == ""


def test_a_dropped_clip_must_be_one_of_the_data():
    clips = [clip("a", "train"), clip("b", "train")]
    assert faults.left_after(clips, ("a",)) == clips[1:]
    with pytest.raises(InputError, match="not in the dataset"):
        faults.left_after(clips, ("z",))


@pytest.fixture
def place(tmp_path, rendered_cache) -> Place:
    """A sweep over rendered clips, four of which are bad."""
    place = Place(tmp_path, sweep=SWEEP)
    (folder,) = {file.parent for file in (tmp_path / "cache").rglob("clips.csv")}
    for film in rendered_cache.rglob("clip_*.mp4"):
        shutil.copy(film, folder / film.name)
    damage(tmp_path / "cache")
    return place


def prepared_files(place: Place) -> dict[str, int]:
    return {str(file): file.stat().st_mtime_ns for file in (place.folder / "cache" / "prepared").rglob("*.*")}


@pytest.mark.slow
def test_through_the_command_line(place):
    failed = place.run("--local")
    assert failed.returncode == 2 and "Traceback" not in failed.stderr
    assert all(f"{name}.mp4" in failed.stderr for name in BAD) and "on_bad_clip=drop" in failed.stderr
    assert not (place.ledger / "trials").exists() and not (place.ledger / "quarantine").exists()
    before = prepared_files(place)
    assert len(before) == 2 * 16 - 6  # the good ones are there for the next run

    ran = place.run("on_bad_clip=drop")
    assert ran.returncode == 0, ran.stderr
    left_out = "4 of 16 clips of vader_av left out (2 train, 1 valid, 1 test)"
    assert "3 of 3 trials complete" in ran.stdout and left_out in " ".join(ran.stdout.split())
    assert prepared_files(place) == before
    reports = place.ledger / "reports" / "small"
    assert left_out in (reports / "table.md").read_text()
    rows = list(csv.DictReader((reports / "dropped_clips.csv").open()))
    assert [row["clip_id"] for row in rows] == list(BAD)
    written = json.loads((reports / "aggregate.json").read_text())
    assert written["dropped_clips"] == rows and written["human"] is None
    tested = [pd.read_parquet(file)["clip_id"] for file in place.ledger.glob("trials/*/predictions.test.parquet")]
    assert len(tested) == 3
    assert all(sorted(names) == ["clip_12", "clip_14", "clip_15"] for names in tested)

    trials = place.trial_files()
    again = place.run("on_bad_clip=drop")
    assert again.returncode == 0 and "3 of 3 trials complete" in again.stdout
    assert place.trial_files() == trials and prepared_files(place) == before
    assert left_out in place.run("on_bad_clip=drop", "--plan").stdout
    states = json.loads(place.run("on_bad_clip=drop", "--status", "--json").stdout)
    assert states["counts"]["complete"] == 3
    unlisted = json.loads(place.run("--plan", "--json").stdout)
    assert unlisted["counts"]["complete"] == 0  # with all clips these are other trials


@pytest.mark.slow
def test_a_cache_that_is_lost_is_built_again_for_new_trials(place):
    make = place.run("on_bad_clip=drop", "--local")
    assert make.returncode == 0, make.stderr
    shutil.rmtree(place.folder / "cache" / "prepared")
    more = place.run("on_bad_clip=drop", "--local", "axes.readout=[frozen_probe, constant, generative_zero_shot]")
    assert more.returncode == 0 and "5 of 5 trials complete" in more.stdout, more.stderr
    assert len(prepared_files(place)) == 24
    assert np.isfinite([json.loads(file.read_text())["mae"] for file in place.ledger.glob("trials/*/test.json")]).all()
