"""CMU-MOSI as CMU hands it out, on made-up folders with real ids of videos."""

from collections import Counter

import pytest

from helpers.made_corpora import put, table, write_cmu
from omni_msa.config import plugins
from omni_msa.data.clip import Clip
from omni_msa.data.formats.mosi_folds import SPLIT_OF
from omni_msa.datasets._base import DATASETS
from omni_msa.errors import InputError

mosi = plugins.load(DATASETS, "mosi")

ROWS = [
    ("03bSnISJMiM", "10", "ANYHOW IT WAS GOOD", "2.4"),
    ("03bSnISJMiM", "9", "IT SAYS 3_DELIM_4, NO?", "-0.8"),
    ("_dI--eQ6qVU", "1", "", "0.0"),
    ("c7UH_rxdZv4", "1", "UMM", "-3"),
]
ANY_COUNTS = mosi.Options(allow_other_counts=True)
LABELS = "Labels/OpinionLevelSentiment.csv"


def only_problem(root):
    [problem] = mosi.check(root, ANY_COUNTS)
    with pytest.raises(InputError) as caught:
        mosi.fingerprint(root, ANY_COUNTS)
    assert caught.value.problems == (problem,)
    return problem


def change(file, old, new):
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_the_standard_folds():
    assert Counter(SPLIT_OF.values()) == {"train": 52, "valid": 10, "test": 31}
    assert all(len(video) == 11 for video in SPLIT_OF)


@pytest.mark.parametrize("above", ["", "Raw"])
def test_clips(tmp_path, above):
    root = tmp_path
    write_cmu(root / above, ROWS)

    def clip(video, number, index, split, label, text):
        name = f"{video}_{number}"
        sound = root / above / "Audio/WAV_16000/Segmented" / f"{name}.wav"
        picture = root / above / "Video/Segmented" / f"{name}.mp4"
        return Clip(f"{video}$_${number}", video, index, split, label, text, sound, picture)

    assert mosi.load(root, ANY_COUNTS) == [
        clip("03bSnISJMiM", "9", 0, "train", -0.8, "IT SAYS 3_DELIM_4, NO?"),
        clip("03bSnISJMiM", "10", 1, "train", 2.4, "ANYHOW IT WAS GOOD"),
        clip("_dI--eQ6qVU", "1", 0, "valid", 0.0, ""),
        clip("c7UH_rxdZv4", "1", 0, "test", -3.0, "UMM"),
    ]
    assert mosi.notes(root, ANY_COUNTS)[1] == "mosi: 1 of 4 clips have an empty transcript: _dI--eQ6qVU$_$1"
    assert mosi.check(root, mosi.Options())[0].got == "2 train, 1 valid, 1 test"


def test_the_sound_is_part_of_the_fingerprint(tmp_path):
    root = write_cmu(tmp_path, ROWS)
    before = mosi.fingerprint(root, ANY_COUNTS)
    put(root / "Audio/WAV_16000/Segmented/c7UH_rxdZv4_1.wav", "longer than before")
    assert mosi.fingerprint(root, ANY_COUNTS) != before


def test_splits_and_labels_of_a_label_csv(tmp_path):
    root = write_cmu(tmp_path, ROWS)
    (root / LABELS).unlink()
    assert only_problem(root).what == "the table with the labels is missing"
    splits = ["test", "test", "valid", "train"]
    rows = [(video, number, label, split) for (video, number, _, label), split in zip(ROWS, splits, strict=True)]
    put(root / "label.csv", table(rows, fields=("video_id", "clip_id", "label", "mode")))
    assert [clip.split for clip in mosi.load(root, ANY_COUNTS)] == ["test", "test", "valid", "train"]


def test_a_video_of_no_fold(tmp_path):
    root = write_cmu(tmp_path, [*ROWS, ("mine", "1", "HI", "1")])
    problem = only_problem(root)
    assert (problem.what, problem.got) == ("videos that are in no standard fold (1)", "row 5: 'mine'")
    assert "label.csv" in problem.allowed


def test_missing_files_lines_and_transcripts_are_all_named(tmp_path):
    root = write_cmu(tmp_path, ROWS)
    (root / "Video/Segmented/03bSnISJMiM_10.mp4").unlink()
    (root / "Audio/WAV_16000/Segmented/03bSnISJMiM_9.wav").unlink()
    (root / "Transcript/Segmented/c7UH_rxdZv4.annotprocessed").unlink()
    change(root / "Transcript/Segmented/03bSnISJMiM.annotprocessed", "10_DELIM_", "11_DELIM_")
    change(root / LABELS, "_dI--eQ6qVU,1,0.0", "_dI--eQ6qVU,1,x")
    assert {problem.what: problem.got for problem in mosi.check(root, ANY_COUNTS)} == {
        "clip files that are missing or empty (2)": "row 1: Video/Segmented/03bSnISJMiM_10.mp4; "
        "row 2: Audio/WAV_16000/Segmented/03bSnISJMiM_9.wav",
        "clips without a line in their video's transcript (1)": "row 1: "
        "03bSnISJMiM.annotprocessed has no line 10_DELIM_",
        "transcripts that cannot be read (1)": "row 4: c7UH_rxdZv4.annotprocessed cannot be read: "
        "No such file or directory",
        "labels that are not a number (1)": "row 3: 'x'",
    }


def test_ids_that_would_leave_the_folder(tmp_path):
    root = write_cmu(tmp_path, ROWS)
    with (root / LABELS).open("a") as file:
        file.write("0,1,../c7UH_rxdZv4,1,1.0\n")
    found = [problem.what for problem in mosi.check(root, ANY_COUNTS)]
    assert "ids that are not file names (1)" in found
