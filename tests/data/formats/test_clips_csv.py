"""Anyone's own clips: what clips.csv may hold, and what is refused."""

import pytest

from helpers.made_corpora import put
from omni_msa.config import plugins
from omni_msa.config.trial import conventions_of, parse_trial
from omni_msa.datasets._base import DATASETS
from omni_msa.errors import InputError

manifest = plugins.load(DATASETS, "manifest")

HEADER = "id,source,split,label,text,video,audio\n"
ROWS = """\
0001,a,train,0.5,HI,v/1.mp4,v/1.wav
-2,a,train,-1,"well, no",./v/../v/2.mp4,
1e5,b,val,1,,,v/1.wav
x,c,test,0,words,,
"""
OPTIONS = manifest.Options(label_range=(-1.0, 1.0))
TRIAL = {"backbone": {"name": "tiny"}, "readout": {"name": "constant"}}


def write(root, rows=ROWS, header=HEADER):
    for name in ("v/1.mp4", "v/1.wav", "v/2.mp4"):
        put(root / name, name)
    put(root / "clips.csv", header + rows)
    return root


def only_problem(root):
    [problem] = manifest.check(root, OPTIONS)
    with pytest.raises(InputError) as caught:
        manifest.load(root, OPTIONS)
    assert caught.value.problems == (problem,)
    return problem


def test_clips(tmp_path):
    root = write(tmp_path)
    clips = {clip.id: clip for clip in manifest.load(root, OPTIONS)}
    assert list(clips) == ["0001", "-2", "1e5", "x"]  # as in the table, source by source
    assert [(clip.source, clip.index, clip.split) for clip in clips.values()] == [
        ("a", 0, "train"),
        ("a", 1, "train"),
        ("b", 0, "valid"),
        ("c", 0, "test"),
    ]
    files = {name: (clip.video, clip.audio) for name, clip in clips.items()}
    first, second, sound = (root / "v" / name for name in ("1.mp4", "2.mp4", "1.wav"))
    assert files == {"0001": (first, sound), "-2": (second, second), "1e5": (None, sound), "x": (None, None)}
    assert manifest.notes(root, OPTIONS) == [
        "manifest: 2 train, 1 valid, 1 test",
        "manifest: 1 of 4 clips have an empty transcript: 1e5",
    ]


def test_a_path_from_the_top_of_the_disk_may_lead_into_the_folder(tmp_path):
    root = write(tmp_path)
    before = manifest.fingerprint(root, OPTIONS)
    write(root, ROWS.replace("v/1.mp4", str(root / "v" / "1.mp4")))
    assert manifest.load(root, OPTIONS)[0].video == root / "v" / "1.mp4"
    assert manifest.fingerprint(root, OPTIONS) == before


@pytest.mark.parametrize("path", ["../out.mp4", "/etc/passwd", "v/../../out.mp4", ".", "..", "v/1\0.mp4"])
def test_a_path_that_leaves_the_folder(tmp_path, path):
    put(tmp_path / "out.mp4", "x")
    root = write(tmp_path / "corpus", ROWS.replace("v/1.mp4", path))
    problem = only_problem(root)
    assert (problem.what, problem.got) == ("paths outside the folder (1)", f"row 2: {path!r}")


def test_symbolic_links_in_a_circle_and_files_that_are_not_there(tmp_path):
    root = write(tmp_path, ROWS.replace("v/1.mp4", "v/loop/1.mp4").replace("v/1.wav", "v/none.wav"))
    (root / "v" / "loop").symlink_to(root / "v" / "loop")
    assert {problem.what: problem.got for problem in manifest.check(root, OPTIONS)} == {
        "clip files behind circular symbolic links (1)": "row 2: v/loop/1.mp4",
        "clip files that are missing or empty (2)": "row 2: v/none.wav; row 4: v/none.wav",
    }


def test_clips_without_media_need_no_such_columns(tmp_path):
    root = write(tmp_path, "1,a,train,1,x\n2,b,valid,1,x\n3,c,test,1,x\n", "id,source,split,label,text\n")
    assert [(clip.video, clip.audio) for clip in manifest.load(root, OPTIONS)] == [(None, None)] * 3


def test_all_kinds_of_mistakes_are_reported_together(tmp_path):
    rows = ROWS + "x,c,valid,0,a,,\n,d,train,7,a,,\n9,,Test,x,a,,\n"
    assert {problem.what: problem.got for problem in manifest.check(write(tmp_path, rows), OPTIONS)} == {
        "ids used twice (1)": "rows 5 and 6: x",
        "videos with clips in several splits (1)": "c (valid, test)",
        "clips without id (1)": "row 7",
        "labels out of range (1)": "row 7: '7'",
        "clips without source (1)": "row 8",
        "labels that are not a number (1)": "row 8: 'x'",
        "unknown names of splits (1)": "row 8: 'Test'",
    }


def test_a_split_without_clips_and_a_folder_without_a_table(tmp_path):
    assert only_problem(write(tmp_path, ROWS.replace("val,", "train,"))).got == "3 train, 0 valid, 1 test"
    (tmp_path / "clips.csv").unlink()
    assert only_problem(tmp_path).what == "there is no clips.csv in the folder"


def test_the_order_of_the_clips_of_a_source_is_data(tmp_path):
    before = manifest.fingerprint(write(tmp_path), OPTIONS)
    first, second, third, fourth = ROWS.splitlines(keepends=True)
    assert manifest.fingerprint(write(tmp_path, third + first + fourth + second), OPTIONS) == before
    assert manifest.fingerprint(write(tmp_path, second + first + third + fourth), OPTIONS) != before


def test_the_label_range_must_be_given():
    with pytest.raises(InputError) as caught:
        parse_trial({**TRIAL, "dataset": {"name": "manifest"}})
    [problem] = caught.value.problems
    assert (problem.what, problem.where) == ("a key is missing", "dataset.label_range")


@pytest.mark.parametrize("ends", [[1, -1], [0, 0], [1, 5], [-2, -1], [0], "0..1"])
def test_a_label_range_that_is_none(ends):
    with pytest.raises(InputError, match="label_range"):
        parse_trial({**TRIAL, "dataset": {"name": "manifest", "label_range": ends}})


def test_conventions_are_the_users_choice():
    config = parse_trial({**TRIAL, "dataset": {"name": "manifest", "label_range": [0, 1]}})
    assert manifest.label_range(config.dataset) == (0.0, 1.0)
    assert conventions_of(config.dataset) == "plain"
    sims = parse_trial({**TRIAL, "dataset": {"name": "manifest", "label_range": [-1, 1], "conventions": "sims"}})
    assert conventions_of(sims.dataset) == "sims"
