"""`--check-data`: what is wrong with a sweep's clips, told once, and nothing is decoded twice."""

import csv
import os
import shutil
from pathlib import Path

import pytest

from helpers import tiny_trials
from helpers.bad_clips import BAD, damage
from omni_msa.cli.main import main
from omni_msa.execution.check_data import Checked, check_data
from omni_msa.sweep.sweep import load_sweep

SETTINGS = (
    "dataset={name: vader_av, num_train: 8, num_valid: 4, num_test: 4}",
    "media={num_frames_max: 2, frame_pixels_max: 784, mel_hop_ms: 40}",
)


@pytest.fixture
def films(rendered_cache, own_cache) -> Path:
    """The folder of rendered clips of one's own, to be damaged."""
    shutil.copytree(rendered_cache / "datasets", own_cache / "datasets")
    return next(own_cache.rglob("clip_0.mp4")).parent


@pytest.fixture
def check(tmp_path, write_sweep):
    def run(axes: str, *settings: str) -> Checked:
        sweep = load_sweep(write_sweep(axes=axes), [*SETTINGS, *settings])
        return check_data(sweep, tmp_path / "report", lambda *_: None, num_workers=1)

    return run


ALL = "{readout: [discriminative, constant]}"


def wrong(checked: Checked) -> dict[str, set[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = {}
    for row in checked.rows:
        if row.problem not in ("longer than used", "same transcript in another split"):
            found.setdefault(row.clip_id, set()).add((row.modality, row.problem))
    return found


def test_good_clips(films, check):
    checked = check(ALL)
    assert checked.num_wrong == 0 and wrong(checked) == {}
    assert "vader_av: 16 clips (8 train, 4 valid, 4 test)" in checked.text
    assert "problems: none" in checked.text and "16 files checked in" in checked.text
    assert "with 1 worker processes" in checked.text and "clips a second" in checked.text
    assert "decoding video" in checked.text and "decoding audio" in checked.text and "reading files" in checked.text


def test_bad_clips_are_listed_with_kind_and_file(films, check):
    damage(films.parents[1])
    shutil.copyfile(films / "clip_0.mp4", films / "clip_12.mp4")
    (films / "clip_5.mp4").write_bytes(b"")
    checked = check(ALL)
    found = wrong(checked)
    assert set(found) == {*BAD, "clip_0", "clip_12", "clip_5"}
    assert found["clip_13"] == found["clip_2"] == found["clip_5"] == {("audio", "broken"), ("video", "broken")}
    assert found["clip_3"] == {("video", "black")} and found["clip_9"] == {("audio", "silent")}
    same = {("audio", "same file in another split"), ("video", "same file in another split")}
    assert found["clip_0"] == found["clip_12"] == same
    with checked.file.open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == ["clip_id", "split", "modality", "problem", "detail", "file"]
    (black,) = [row for row in table if row["clip_id"] == "clip_3" and row["problem"] == "black"]
    assert black["split"] == "train" and black["file"] == str(films / "clip_3.mp4") and "brightest" in black["detail"]
    (twin, _) = [row for row in table if row["clip_id"] == "clip_12" and "same file" in row["problem"]]
    assert twin["detail"] == "byte for byte that of clip_0 (train)"


def test_only_modalities_of_the_sweep_are_looked_at(films, check):
    damage(films.parents[1])
    found = wrong(check("{modalities: [[text], [text, audio]]}"))
    assert {modality for each in found.values() for modality, _ in each} == {"audio"}
    assert "clip_3" not in found  # only its picture is black
    assert wrong(check("{modalities: [[text]]}")) == {}


def test_what_was_checked_is_not_decoded_again_unless_it_changes(films, check):
    first = check(ALL)
    again = check(ALL)
    assert again.rows == first.rows
    assert "all 16 files were checked before" in again.text
    os.utime(films / "clip_1.mp4")
    third = check(ALL)
    assert "1 files checked in" in third.text and "15 were checked before" in third.text and third.rows == first.rows
    assert "16 files checked in" in check(ALL, "media.num_frames_max=4").text


def test_a_list_of_what_was_checked_that_is_torn_costs_only_its_torn_lines(films, check, own_cache):
    first = check(ALL)
    (notes,) = (own_cache / "checked").iterdir()
    lines = notes.read_text().splitlines()
    notes.write_text("\n".join([lines[0][:40], "[]", "{}", '["a", 1, 2, {"other": 1}]', *lines[1:]]) + "\n" + "torn")
    again = check(ALL)
    assert "1 files checked in" in again.text and again.rows == first.rows


def test_transcripts_and_labels(own_cache, check):
    words = ["a tale", "x", " A  Tale ", "b", "c", "d", "e", "", *"fghi", "a tale", *"jkl"]
    sentences = [(split, label, text) for (split, label, _), text in zip(tiny_trials.SENTENCES, words, strict=True)]
    tiny_trials.make_clips(own_cache, with_media=False, sentences=sentences)
    checked = check("{modalities: [[text]]}")
    assert [(row.clip_id, row.problem, row.detail) for row in checked.rows] == [
        ("clip_0", "same transcript in another split", "that of clip_12 (test)"),
        ("clip_2", "same transcript in another split", "that of clip_12 (test)"),
        ("clip_7", "empty transcript", ""),
        ("clip_12", "same transcript in another split", "that of clip_0 (train), clip_2 (train)"),
    ]
    assert checked.num_wrong == 1
    lines = checked.text.splitlines()
    # Labels of train: 2.4 -2.1 0.3 -0.9 1.5 -2.8 0.0 2.9, to the nearest whole number.
    assert lines[1].split() == ["labels,", "rounded", "-3", "-2", "-1", "0", "1", "2", "3"]
    assert lines[2].split() == ["train", "1", "1", "1", "2", "0", "2", "1"]
    assert "checked in" not in checked.text


def test_the_command_line(films, write_sweep, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OMNI_MSA_LEDGER", str(tmp_path / "mlruns"))
    command = [str(write_sweep(axes=ALL)), *SETTINGS, "--check-data"]
    assert main(["run", *command]) == 0
    (films / "clip_1.mp4").write_bytes(b"no film")
    assert main(["run", *command]) == 1
    output = capsys.readouterr().out
    assert "2 broken" not in output and "1 broken (audio), 1 broken (video)" in output
    assert (tmp_path / "mlruns" / "reports" / "sweep" / "data_check.csv").is_file()
    assert main(["run", *command, "dataset.num_train=-1"]) == 2
    with pytest.raises(SystemExit) as refused:
        main(["run", *command, "--plan"])
    assert refused.value.code == 2
