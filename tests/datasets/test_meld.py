"""MELD on disk: three tables, two tasks, dialogues in their order, and the clips that its archive lacks."""

import pytest

from helpers.made_corpora import put, write_meld
from omni_msa.config import plugins
from omni_msa.config.trial import classes_of, conventions_of
from omni_msa.data.splits import Splits
from omni_msa.datasets._base import DATASETS
from omni_msa.datasets.meld import KNOWN_BAD
from omni_msa.errors import InputError

meld = plugins.load(DATASETS, "meld")

ROWS = [
    ("train", "0", "0", "Hey, ¿qué tal?", "neutral", "neutral"),
    ("train", "0", "10", "What?!", "surprise", "negative"),
    ("train", "0", "9", "Oh no, no, no!", "sadness", "negative"),
    ("train", "1", "0", "Hi roomie!", "joy", "positive"),
    ("dev", "0", "0", "Where?!", "surprise", "positive"),
    ("dev", "110", "7", "Ew.", "Disgust", "negative"),
    ("test", "0", "3", "Stop it.", "anger", "negative"),
    ("test", "0", "4", "Who is it?", "fear", "negative"),
]
ANY_COUNTS = meld.Options(allow_other_counts=True)
EMOTION = meld.Options(allow_other_counts=True, task="emotion")


def test_clips_of_both_tasks(tmp_path):
    root = write_meld(tmp_path, ROWS)
    clips = {clip.id: clip for clip in meld.load(root, ANY_COUNTS)}
    emotions = {clip.id: clip.label for clip in meld.load(root, EMOTION)}
    told = {name: (ANY_COUNTS, EMOTION)[name == "emotion"] for name in ("sentiment", "emotion")}
    named = {
        clip_id: (classes_of(told["emotion"])[int(emotions[clip_id])], classes_of(ANY_COUNTS)[int(clip.label)])
        for clip_id, clip in clips.items()
    }
    names = {"train": "train", "dev": "valid", "test": "test"}
    assert named == {f"{names[row[0]]}_dia{row[1]}_utt{row[2]}": (row[4].lower(), row[5]) for row in ROWS}
    clip = clips["train_dia0_utt0"]
    assert (clip.split, clip.transcript, clip.audio) == ("train", "Hey, ¿qué tal?", clip.video)
    assert clip.video == root / "train_splits" / "dia0_utt0.mp4"
    assert clips["test_dia0_utt3"].video == root / "output_repeated_splits_test" / "dia0_utt3.mp4"
    assert clips["valid_dia0_utt0"].video == root / "dev_splits_complete" / "dia0_utt0.mp4"


def test_utterances_of_a_dialogue_keep_their_order_and_dialogues_are_of_one_split(tmp_path):
    clips = meld.load(write_meld(tmp_path, ROWS), ANY_COUNTS)
    ordered = [(clip.id, clip.index) for clip in clips if clip.source == "train_dia0"]
    assert ordered == [("train_dia0_utt0", 0), ("train_dia0_utt9", 1), ("train_dia0_utt10", 2)]
    assert Splits(clips).sizes() == {"train": 4, "valid": 2, "test": 2}  # dialogue 0 is there in each


def test_what_it_is_told_and_how_it_is_scored():
    assert (meld.label_range(ANY_COUNTS), meld.label_range(EMOTION)) == ((0.0, 2.0), (0.0, 6.0))
    assert conventions_of(EMOTION) == conventions_of(ANY_COUNTS) == "classes"
    assert classes_of(EMOTION) == ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")


def test_the_task_changes_the_fingerprint_and_other_columns_do_not(tmp_path):
    root = write_meld(tmp_path, ROWS)
    before = meld.fingerprint(root, ANY_COUNTS)
    assert meld.fingerprint(root, EMOTION) != before
    table = root / "dev_sent_emo.csv"
    put(table, table.read_text(encoding="utf-8").replace("Ross", "Rachel").replace("surprise", "joy"))
    assert meld.fingerprint(root, ANY_COUNTS) == before
    put(table, table.read_text(encoding="utf-8").replace("Where", "There"))
    assert meld.fingerprint(root, ANY_COUNTS) != before


def test_clips_that_the_archive_lacks_are_used_with_their_text_and_named(tmp_path):
    root = write_meld(tmp_path, [*ROWS, ("train", "125", "3", "Yeah.", "joy", "positive")])
    step = "where audio or video are used, set on_bad_clip=drop to leave this clip out"
    broken = f"meld: the video file of train_dia125_utt3 is broken as published; {step}"
    assert [note for note in meld.notes(root, ANY_COUNTS) if "dia1" in note] == [broken]
    (root / "dev_splits_complete" / "dia110_utt7.mp4").unlink()
    put(root / "train_splits" / "dia125_utt3.mp4", "")
    clips = {clip.id: clip for clip in meld.load(root, ANY_COUNTS)}
    for clip_id in KNOWN_BAD:
        assert f"meld: {clip_id} has no video file here; {step}" in meld.notes(root, ANY_COUNTS)
        assert (clips[clip_id].audio, clips[clip_id].video) == (None, None)
    assert (clips["valid_dia110_utt7"].transcript, len(clips)) == ("Ew.", 9)


def test_every_other_mistake_is_reported_together(tmp_path):
    rows = [*ROWS, ("train", "2", "0", "Hm.", "bored", "mixed"), ("test", "0", "3", "Stop it.", "anger", "negative")]
    root = write_meld(tmp_path, rows)
    (root / "train_splits" / "dia1_utt0.mp4").unlink()
    problems = {problem.what: problem for problem in meld.check(root, meld.Options(task="emotion"))}
    assert [what.rpartition(" (")[0] or what for what in problems] == [
        "clip files that are missing or empty",
        "unknown classes in Emotion",
        "ids used twice",
        "the sizes of the splits differ from the published ones",
    ]
    unknown = problems["unknown classes in Emotion (1)"]
    assert unknown.got == "train_sent_emo.csv row 6: 'bored'"
    assert unknown.allowed == "anger, disgust, fear, joy, neutral, sadness, surprise"
    sizes = problems["the sizes of the splits differ from the published ones"]
    assert (sizes.got, sizes.allowed) == ("5 train, 2 valid, 3 test", "9989 train, 1109 valid, 2610 test")


def test_missing_and_damaged_tables(tmp_path):
    root = write_meld(tmp_path, ROWS)
    for name in ("dev_sent_emo.csv", "test_sent_emo.csv"):
        put(root / name, "Utterance\nHi\n")
    assert len(meld.check(root, ANY_COUNTS)) == 2
    (root / "dev_sent_emo.csv").unlink()
    [problem] = meld.check(root, ANY_COUNTS)
    assert problem.what == "there is no dev_sent_emo.csv in the folder"
    with pytest.raises(InputError, match="no dev_sent_emo"):
        meld.load(root, ANY_COUNTS)
