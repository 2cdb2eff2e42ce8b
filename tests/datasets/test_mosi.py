"""CMU-MOSI on made-up folders: nothing is decoded, so a clip file may hold anything."""

import os
from pathlib import Path

import pytest

from helpers.made_corpora import FIELDS, table, write_label_csv, write_media
from omni_msa.config import plugins
from omni_msa.data.clip import Clip
from omni_msa.data.splits import Splits
from omni_msa.datasets._base import DATASETS
from omni_msa.errors import InputError

mosi = plugins.load(DATASETS, "mosi")

ROWS = [
    ("03bSnISJMiM", "10", "ANYHOW IT WAS GOOD", "2.4", "train"),
    ("03bSnISJMiM", "9", 'HE SAID "NO", TWICE', "-0.8", "train"),
    ("0012", "01", "naïve, 好", "0", "train"),
    ("-x_1", "1", "a\nb", "-3.0", "valid"),
    ("zz", "a", "", "3", "test"),
]
ANY_COUNTS = mosi.Options(allow_other_counts=True)


def rewrite(root, rows):
    """Change the annotations, keep the clip files."""
    (root / "label.csv").write_text(table(rows), encoding="utf-8")


def with_row(nth, **changes):
    fields = dict(zip(FIELDS, ROWS[nth], strict=True))
    return [*ROWS[:nth], tuple({**fields, **changes}.values()), *ROWS[nth + 1 :]]


def only_problem(root, options=ANY_COUNTS):
    """The one problem of a folder, which `load` and `fingerprint` must raise too."""
    [problem] = mosi.check(root, options)
    for function in (mosi.load, mosi.fingerprint):
        with pytest.raises(InputError) as caught:
            function(root, options)
        assert caught.value.problems == (problem,)
    return problem


def test_clips(tmp_path):
    root = write_label_csv(tmp_path, ROWS)
    assert mosi.check(root, ANY_COUNTS) == []
    assert mosi.notes(root, ANY_COUNTS)[1] == "mosi: 1 of 5 clips have an empty transcript: zz$_$a"

    def clip(video_id, clip_id, index, split, label, text):
        media = root / "Raw" / video_id / f"{clip_id}.mp4"
        return Clip(f"{video_id}$_${clip_id}", video_id, index, split, label, text, media, media)

    clips = mosi.load(root, ANY_COUNTS)
    assert clips == [
        clip("-x_1", "1", 0, "valid", -3.0, "a\nb"),
        clip("0012", "01", 0, "train", 0.0, "naïve, 好"),
        clip("03bSnISJMiM", "9", 0, "train", -0.8, 'HE SAID "NO", TWICE'),
        clip("03bSnISJMiM", "10", 1, "train", 2.4, "ANYHOW IT WAS GOOD"),
        clip("zz", "a", 0, "test", 3.0, ""),
    ]
    assert len(Splits(clips).train) == 3
    assert mosi.label_range(ANY_COUNTS) == (-3.0, 3.0)
    assert mosi.human_row(root, ANY_COUNTS) is None


def test_a_relative_root_gives_absolute_paths(tmp_path, monkeypatch):
    root = write_label_csv(tmp_path / "MOSI", ROWS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for written in ("MOSI", "~/MOSI"):
        assert mosi.load(Path(written), ANY_COUNTS) == mosi.load(root, ANY_COUNTS)


def published_rows(num_train=1284, num_valid=229, num_test=686):
    sizes = {"train": num_train, "valid": num_valid, "test": num_test}
    return [
        (f"{mode}{nth // 25}", str(nth % 25 + 1), f"words {nth}", f"{nth % 61 / 10 - 3:.1f}", mode)
        for mode, size in sizes.items()
        for nth in range(size)
    ]


def test_the_published_sizes_are_expected(tmp_path):
    root = write_label_csv(tmp_path, published_rows())
    assert mosi.check(root, mosi.Options()) == []
    assert len(mosi.load(root, mosi.Options())) == 2199

    rewrite(root, published_rows(num_valid=228))
    problem = only_problem(root, mosi.Options())
    assert problem.got == "1284 train, 228 valid, 686 test"
    assert problem.allowed == "1284 train, 229 valid, 686 test"
    assert "dataset.allow_other_counts=true" in problem.next_step
    assert mosi.check(root, ANY_COUNTS) == []
    [note] = mosi.notes(root, ANY_COUNTS)
    assert note == ("mosi: 1284 train, 228 valid, 686 test, not the published 1284 train, 229 valid, 686 test")


def test_an_empty_split(tmp_path):
    problem = only_problem(write_label_csv(tmp_path, ROWS[:-1]))
    assert (problem.what, problem.got) == ("a split is empty", "3 train, 1 valid, 0 test")


def test_no_root():
    problem = only_problem(None)
    assert problem.where == "dataset.root"
    assert "dataset.root=" in problem.next_step


def test_no_folder_or_no_label_csv(tmp_path):
    missing = only_problem(tmp_path / "nowhere")
    assert (missing.what, missing.got) == ("there is no such folder", str(tmp_path / "nowhere"))
    assert missing.where == "dataset.root"
    assert only_problem(tmp_path).what == "there is no label.csv in the folder"


@pytest.mark.parametrize(
    ("label", "what"),
    [
        ("", "labels that are not a number (1)"),
        ("good", "labels that are not a number (1)"),
        ("nan", "labels that are not a number (1)"),
        ("1_0", "labels that are not a number (1)"),
        ("1,5", "labels that are not a number (1)"),
        ("1e999", "labels that are not a number (1)"),
        ("3.01", "labels out of range (1)"),
        ("-4", "labels out of range (1)"),
    ],
)
def test_wrong_labels(tmp_path, label, what):
    root = write_label_csv(tmp_path, ROWS)
    rewrite(root, with_row(1, label=label))
    problem = only_problem(root)
    assert (problem.what, problem.where) == (what, str(root / "label.csv"))
    assert problem.got == f"row 3: {label!r}"


def test_an_unknown_mode(tmp_path):
    root = write_label_csv(tmp_path, ROWS)
    rewrite(root, with_row(0, mode="Train"))
    problem = only_problem(root)
    assert (problem.what, problem.got) == ("unknown names of splits (1)", "row 2: 'Train'")
    assert problem.allowed == "train, valid, test"


@pytest.mark.parametrize("mode", ["val", "dev"])
def test_other_names_of_valid(tmp_path, mode):
    root = write_label_csv(tmp_path, ROWS)
    before = mosi.fingerprint(root, ANY_COUNTS)
    rewrite(root, with_row(3, mode=mode))
    assert [clip.split for clip in mosi.load(root, ANY_COUNTS)].count("valid") == 1
    assert mosi.fingerprint(root, ANY_COUNTS) == before


def test_an_id_that_stands_twice(tmp_path):
    problem = only_problem(write_label_csv(tmp_path, [*ROWS, ROWS[1]]))
    assert (problem.what, problem.got) == ("ids used twice (1)", "rows 3 and 7: 03bSnISJMiM$_$9")


def test_a_video_in_two_splits(tmp_path):
    root = write_label_csv(tmp_path, ROWS)
    rewrite(root, with_row(0, mode="test"))
    problem = only_problem(root)
    assert (problem.what, problem.got) == ("videos with clips in several splits (1)", "03bSnISJMiM (train, test)")


@pytest.mark.parametrize(
    "ids",
    [("..", "1"), (".", "1"), ("/etc", "1"), ("zz", "../../1"), ("..\\x", "1"), ("", "1"), ("zz", ""), ("a\0", "1")],
)
def test_a_path_that_would_leave_the_folder(tmp_path, ids):
    root = write_label_csv(tmp_path / "corpus", ROWS)
    (tmp_path / "corpus" / "1.mp4").write_bytes(b"x")
    rewrite(root, [*ROWS, (*ids, "text", "1.0", "test")])
    problem = only_problem(root)
    assert problem.what == "ids that are not file names (1)"
    assert problem.got == f"row 7: {ids[0]!r}, {ids[1]!r}"


def test_missing_clip_files_are_summarised(tmp_path):
    rows = published_rows()
    root = write_label_csv(tmp_path, rows)
    for video_id, clip_id, *_ in rows[5:18]:
        (root / "Raw" / video_id / f"{clip_id}.mp4").unlink()
    problem = only_problem(root)
    assert problem.what == "clip files that are missing or empty (13)"
    *shown, rest = problem.got.split("; ")
    assert shown == [f"row {number}: Raw/train0/{number - 1}.mp4" for number in range(7, 17)]
    assert rest == "and 3 more"
    write_media(root, rows[15:18])
    assert only_problem(root).got == "; ".join(shown)  # ten are all shown


def test_a_symbolic_link_that_goes_in_a_circle(tmp_path):
    root = write_label_csv(tmp_path, ROWS)
    media = root / "Raw" / "zz" / "a.mp4"
    media.unlink()
    media.symlink_to(media.with_name("b.mp4"))
    media.with_name("b.mp4").symlink_to(media)
    problem = only_problem(root)
    assert problem.what == "clip files behind circular symbolic links (1)"
    assert problem.got == "row 6: Raw/zz/a.mp4"


def test_an_empty_file_and_a_folder_are_no_clip_files(tmp_path):
    root = write_label_csv(tmp_path, ROWS)
    (root / "Raw" / "zz" / "a.mp4").write_bytes(b"")
    (root / "Raw" / "0012" / "01.mp4").unlink()
    (root / "Raw" / "0012" / "01.mp4").mkdir()
    assert only_problem(root).got == "row 4: Raw/0012/01.mp4; row 6: Raw/zz/a.mp4"


def test_all_mistakes_are_reported_together(tmp_path):
    rows = [("a", "1", "", "x", "train"), ("a", "1", "", "9", "DEV"), ("..", "1", "", "0", "test")]
    rewrite(tmp_path, rows)
    found = {problem.what.partition(" (")[0] for problem in mosi.check(tmp_path, mosi.Options())}
    assert found == {
        "clip files that are missing or empty",
        "labels that are not a number",
        "unknown names of splits",
        "labels out of range",
        "ids that are not file names",
        "ids used twice",
        "the sizes of the splits differ from the published ones",
    }


def test_the_fingerprint_ignores_what_is_not_data(tmp_path):
    root = write_label_csv(tmp_path / "here", ROWS)
    before = mosi.fingerprint(root, ANY_COUNTS)
    root = root.rename(tmp_path / "there")
    assert mosi.fingerprint(root, ANY_COUNTS) == before
    for file in [root / "label.csv", *root.rglob("*.mp4")]:
        os.utime(file, (1, 1))
    (root / "Raw" / "zz" / "of no clip.mp4").write_bytes(b"x")
    assert mosi.fingerprint(root, ANY_COUNTS) == before
    columns = ["mode", "label", "text", "clip_id", "video_id"]
    (root / "label.csv").write_text(table(reversed(ROWS), columns) + "\n", encoding="utf-8")
    assert mosi.fingerprint(root, ANY_COUNTS) == before
    rewrite(root, with_row(2, label="-0.00"))
    assert mosi.fingerprint(root, ANY_COUNTS) == before


def test_the_fingerprint_changes_with_the_data(tmp_path):
    root = write_label_csv(tmp_path, ROWS)
    seen = {mosi.fingerprint(root, ANY_COUNTS)}
    for change in ({"label": "2.5"}, {"text": "OTHER"}):
        rewrite(root, with_row(0, **change))
        seen.add(mosi.fingerprint(root, ANY_COUNTS))
    media = root / "Raw" / "zz" / "a.mp4"
    media.write_bytes(media.read_bytes() + b"x")
    seen.add(mosi.fingerprint(root, ANY_COUNTS))
    rewrite(root, with_row(2, mode="test"))
    seen.add(mosi.fingerprint(root, ANY_COUNTS))
    media.rename(media.with_name("b.mp4"))
    rewrite(root, with_row(4, clip_id="b"))
    seen.add(mosi.fingerprint(root, ANY_COUNTS))
    assert len(seen) == 6
