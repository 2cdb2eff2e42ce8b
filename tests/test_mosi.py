"""CMU-MOSI on made-up folders: nothing is decoded, so a clip file may hold anything."""

import codecs
import csv
import io
import os
from pathlib import Path

import pytest

from omni_msa.clip import Clip
from omni_msa.datasets import mosi
from omni_msa.errors import InputError
from omni_msa.splits import Splits

HEADER = ["video_id", "clip_id", "text", "label", "label_T", "label_A", "label_V", "annotation", "mode"]
ROWS = [
    ("03bSnISJMiM", "10", "ANYHOW IT WAS GOOD", "2.4", "train"),
    ("03bSnISJMiM", "9", 'HE SAID "NO", TWICE', "-0.8", "train"),
    ("0012", "01", "naïve, 好", "0", "train"),
    ("-x_1", "1", "a\nb", "-3.0", "valid"),
    ("zz", "a", "", "3", "test"),
]
ANY_COUNTS = mosi.Options(allow_other_counts=True)


def table(rows, header=HEADER):
    text = io.StringIO()
    writer = csv.DictWriter(text, header, extrasaction="ignore", lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(dict(zip(("video_id", "clip_id", "text", "label", "mode"), row, strict=True)) for row in rows)
    return text.getvalue()


def write_media(root, rows):
    for nth, (video_id, clip_id, *_) in enumerate(rows):
        file = root / "Raw" / video_id / f"{clip_id}.mp4"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * (nth % 7 + 1))


def write_corpus(root, rows=ROWS):
    write_media(root, rows)
    rewrite(root, rows)
    return root


def rewrite(root, rows):
    """Change the annotations, keep the clip files."""
    (root / "label.csv").write_text(table(rows), encoding="utf-8")


def with_row(nth, **changes):
    fields = dict(zip(("video_id", "clip_id", "text", "label", "mode"), ROWS[nth], strict=True))
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
    root = write_corpus(tmp_path)
    assert mosi.check(root, ANY_COUNTS) == []

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
    root = write_corpus(tmp_path / "MOSI")
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
    root = write_corpus(tmp_path, published_rows())
    assert mosi.check(root, mosi.Options()) == []
    assert len(mosi.load(root, mosi.Options())) == 2199

    rewrite(root, published_rows(num_valid=228))
    problem = only_problem(root, mosi.Options())
    assert problem.got == "1284 train, 228 valid, 686 test"
    assert problem.allowed == "1284 train, 229 valid, 686 test"
    assert "dataset.allow_other_counts=true" in problem.next_step
    assert mosi.check(root, ANY_COUNTS) == []


def test_an_empty_split(tmp_path):
    problem = only_problem(write_corpus(tmp_path, ROWS[:-1]))
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


@pytest.mark.parametrize("header", [["text", "mode", "clip_id"], [], [*HEADER, "label", "video_id"]])
def test_missing_and_doubled_columns(tmp_path, header):
    (tmp_path / "label.csv").write_text(",".join(header) + "\n")
    problem = only_problem(tmp_path)
    expected = ["video_id", "label"] if header else ["video_id", "clip_id", "text", "label", "mode"]
    assert problem.got == ", ".join(expected)
    assert problem.what.endswith(f"({len(expected)})")
    assert problem.where == f"{tmp_path / 'label.csv'} row 1"


def test_a_row_with_a_cell_too_many(tmp_path):
    root = write_corpus(tmp_path)
    file = root / "label.csv"
    file.write_text(file.read_text() + "\nzz,b,well, no,1.0,,,,,test\nzz,c\n")
    problem = only_problem(root)
    assert problem.what == "rows with another number of cells than the header (2)"
    assert problem.got == "row 8: 10; row 9: 2"  # row 1 is the header, row 7 is blank


@pytest.mark.parametrize(
    ("content", "what", "line"),
    [
        ("video_id,text\na,b\nc,caf\xe9\n".encode("latin-1"), "label.csv is not UTF-8", 3),
        (b'video_id,text\na,b\nc,"never closed\n', "label.csv is no table", 3),
    ],
)
def test_a_file_that_is_no_table(tmp_path, content, what, line):
    (tmp_path / "label.csv").write_bytes(content)
    problem = only_problem(tmp_path)
    assert problem.what == what
    assert problem.where == f"{tmp_path / 'label.csv'} line {line}"


@pytest.mark.parametrize(
    ("label", "what"),
    [
        ("", "labels that are not a number (1)"),
        ("good", "labels that are not a number (1)"),
        ("nan", "labels that are not a number (1)"),
        ("3.01", "labels out of range (1)"),
        ("-4", "labels out of range (1)"),
    ],
)
def test_wrong_labels(tmp_path, label, what):
    root = write_corpus(tmp_path)
    rewrite(root, with_row(1, label=label))
    problem = only_problem(root)
    assert (problem.what, problem.where) == (what, str(root / "label.csv"))
    assert problem.got == f"row 3: {label!r}"


def test_an_unknown_mode(tmp_path):
    root = write_corpus(tmp_path)
    rewrite(root, with_row(0, mode="dev"))
    problem = only_problem(root)
    assert (problem.what, problem.got) == ("unknown modes (1)", "row 2: 'dev'")
    assert problem.allowed == "train, valid, test"


def test_an_id_that_stands_twice(tmp_path):
    problem = only_problem(write_corpus(tmp_path, [*ROWS, ROWS[1]]))
    assert (problem.what, problem.got) == ("ids that stand twice (1)", "rows 3 and 7: 03bSnISJMiM$_$9")


def test_a_video_in_two_splits(tmp_path):
    root = write_corpus(tmp_path)
    rewrite(root, with_row(0, mode="test"))
    problem = only_problem(root)
    assert (problem.what, problem.got) == ("videos that lie in several splits (1)", "03bSnISJMiM (train, test)")


@pytest.mark.parametrize(
    "ids",
    [("..", "1"), (".", "1"), ("/etc", "1"), ("zz", "../../1"), ("..\\x", "1"), ("", "1"), ("zz", ""), ("a\0", "1")],
)
def test_a_path_that_would_leave_the_folder(tmp_path, ids):
    root = write_corpus(tmp_path / "corpus")
    (tmp_path / "corpus" / "1.mp4").write_bytes(b"x")
    rewrite(root, [*ROWS, (*ids, "text", "1.0", "test")])
    problem = only_problem(root)
    assert problem.what == "ids whose path would leave the folder (1)"
    assert problem.got == f"row 7: {ids[0]!r}, {ids[1]!r}"


def test_missing_clip_files_are_summarised(tmp_path):
    rows = published_rows()
    root = write_corpus(tmp_path, rows)
    for video_id, clip_id, *_ in rows[5:18]:
        (root / "Raw" / video_id / f"{clip_id}.mp4").unlink()
    problem = only_problem(root)
    assert problem.what == "clip files that are missing or empty (13)"
    *shown, rest = problem.got.split("; ")
    assert shown == [f"row {number}: Raw/train0/{number - 1}.mp4" for number in range(7, 17)]
    assert rest == "and 3 more"
    write_media(root, rows[15:18])
    assert only_problem(root).got == "; ".join(shown)  # ten are all shown


def test_an_empty_file_and_a_folder_are_no_clip_files(tmp_path):
    root = write_corpus(tmp_path)
    (root / "Raw" / "zz" / "a.mp4").write_bytes(b"")
    (root / "Raw" / "0012" / "01.mp4").unlink()
    (root / "Raw" / "0012" / "01.mp4").mkdir()
    assert only_problem(root).got == "row 4: Raw/0012/01.mp4; row 6: Raw/zz/a.mp4"


def test_all_mistakes_are_reported_together(tmp_path):
    rows = [("a", "1", "", "x", "train"), ("a", "1", "", "9", "dev"), ("..", "1", "", "0", "test")]
    rewrite(tmp_path, rows)
    found = {problem.what.partition(" (")[0] for problem in mosi.check(tmp_path, mosi.Options())}
    assert found == {
        "clip files that are missing or empty",
        "labels that are not a number",
        "unknown modes",
        "labels out of range",
        "ids whose path would leave the folder",
        "ids that stand twice",
        "the splits are not of the published sizes",
    }


def test_byte_order_mark_line_ends_and_spaces_change_nothing(tmp_path):
    root = write_corpus(tmp_path)
    clips, before = mosi.load(root, ANY_COUNTS), mosi.fingerprint(root, ANY_COUNTS)
    file = root / "label.csv"
    windows = codecs.BOM_UTF8 + file.read_bytes().replace(b"\n", b"\r\n").replace(b",train", b", train ")
    file.write_bytes(windows)
    assert windows.count(b"\r\n") == len(ROWS) + 2  # one of them within quotes
    assert mosi.load(root, ANY_COUNTS) == clips
    assert mosi.fingerprint(root, ANY_COUNTS) == before


def test_the_fingerprint_ignores_what_is_not_data(tmp_path):
    root = write_corpus(tmp_path / "here")
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
    root = write_corpus(tmp_path)
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
