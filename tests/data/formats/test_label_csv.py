"""The corpora of MMSA's layout that are not MOSI: their sizes, ratings by modality, splits through videos."""

import codecs

import pytest

from helpers.made_corpora import LABEL_CSV, put, table, write_label_csv
from omni_msa.config import plugins
from omni_msa.data.splits import Splits
from omni_msa.datasets._base import DATASETS
from omni_msa.errors import InputError

mosei, mosi, sims, sims_v2 = (plugins.load(DATASETS, name) for name in ("mosei", "mosi", "sims", "sims_v2"))

PUBLISHED = {
    mosi: [(1284, 229, 686)],
    mosei: [(16326, 1871, 4659)],
    sims: [(1368, 456, 457)],
    sims_v2: [(2722, 647, 1034), (2721, 647, 1034)],
}
RATED = ("video_id", "clip_id", "text", "label", "label_T", "label_A", "label_V", "annotation", "mode")
SIMS_ROWS = [
    ("video_0001", "0002", "你这是嫁入豪门啊", "1.0", "0.8", "0.6", "-0.4", "Positive", "train"),
    ("video_0001", "0010", "我不想嫁给李茶", "-1", "-0.8", "0", "0.2", "Negative", "test"),
    ("video_0001", "0009", "好", "0.2", "0.0", "0.4", "0.6", "Positive", "train"),
    ("video_0002", "0001", "不", "-0.4", "-0.2", "-0.6", "-1.0", "Negative", "valid"),
]


def write_sims(root, **options):
    return write_label_csv(root, [(*row[:2],) for row in SIMS_ROWS], fields=RATED[:2]) and put(
        root / options.pop("name", "label.csv"), table(SIMS_ROWS, fields=RATED, **options)
    )


def part_of(plugin, **options):
    return plugin.Options(allow_other_counts=True, **options)


def published_rows(sizes, ends):
    """As many clips of each split, a hundred in each video."""
    return [
        (f"{mode}{nth // 100}", f"{nth % 100:04}", "words", f"{ends[nth % 2]:g}", mode)
        for mode, size in zip(("train", "valid", "test"), sizes, strict=True)
        for nth in range(size)
    ]


def write_published(root, rows, name="label.csv"):
    """All videos show the same: their folders are links to the first one's."""
    write_label_csv(root, rows[:100], name)
    put(root / name, table(rows))
    for video in sorted({row[0] for row in rows[100:]}):
        (root / "Raw" / video).symlink_to(root / "Raw" / rows[0][0])
    return root


@pytest.mark.parametrize("plugin", PUBLISHED, ids=lambda plugin: plugin.name)
def test_published_sizes_are_expected_and_others_refused_or_noted(plugin, tmp_path):
    rows = published_rows(PUBLISHED[plugin][0], plugin.label_range(plugin.Options()))
    root = write_published(tmp_path, rows)
    assert plugin.check(root, plugin.Options()) == []
    put(root / "label.csv", table(rows[2:]))
    [problem] = plugin.check(root, plugin.Options())
    train, valid, test = PUBLISHED[plugin][0]
    assert problem.got == f"{train - 2} train, {valid} valid, {test} test"
    assert f"{train} train, {valid} valid, {test} test" in problem.allowed
    [note] = plugin.notes(root, part_of(plugin))
    assert f"{train - 2} train, {valid} valid, {test} test, not the published {train} train" in note


def test_the_second_published_size_of_sims_v2(tmp_path):
    root = write_published(tmp_path, published_rows(PUBLISHED[sims_v2][1], (-1, 1)), "meta.csv")
    assert sims_v2.notes(root, sims_v2.Options()) == []
    assert sims.check(root, sims.Options())[0].what == "there is no label.csv in the folder"


def test_a_split_through_a_video_is_kept_apart_and_noted(tmp_path):
    root = write_sims(tmp_path).parent
    clips = sims.load(root, part_of(sims))
    assert [(clip.id, clip.source, clip.index) for clip in clips] == [
        ("video_0001$_$0002", "video_0001 (train)", 0),
        ("video_0001$_$0009", "video_0001 (train)", 1),
        ("video_0001$_$0010", "video_0001 (test)", 0),
        ("video_0002$_$0001", "video_0002", 0),
    ]
    assert Splits(clips).sizes() == {"train": 2, "valid": 1, "test": 1}
    assert "sims: 1 of 2 videos have clips in several splits" in sims.notes(root, part_of(sims))[1]
    [problem] = mosei.check(root, part_of(mosei))
    assert (problem.what, problem.got) == ("videos with clips in several splits (1)", "video_0001 (train, test)")


@pytest.mark.parametrize(
    ("label", "values"),
    [("M", [1, 0.2, -1, -0.4]), ("T", [0.8, 0, -0.8, -0.2]), ("A", [0.6, 0.4, 0, -0.6]), ("V", [-0.4, 0.6, 0.2, -1])],
)
def test_the_rating_of_one_modality_may_be_the_label(tmp_path, label, values):
    root = write_sims(tmp_path).parent
    options = part_of(sims, label=label)
    assert [clip.label for clip in sims.load(root, options)] == values
    assert (sims.fingerprint(root, options) == sims.fingerprint(root, part_of(sims))) is (label == "M")


def test_only_the_chosen_rating_must_be_there(tmp_path):
    file = write_sims(tmp_path, header=[name for name in LABEL_CSV if name != "label_T"])
    assert sims.check(file.parent, part_of(sims)) == []
    [problem] = sims.check(file.parent, part_of(sims, label="T"))
    assert (problem.got, problem.where) == ("label_T", f"{file} row 1")


def test_a_copy_without_a_header(tmp_path):
    root = write_sims(tmp_path).parent
    clips = sims.load(root, part_of(sims))
    write_sims(tmp_path, is_headed=False)
    assert sims.load(root, part_of(sims)) == clips


def test_labels_outside_the_range_of_sims_name_file_and_row(tmp_path):
    file = write_sims(tmp_path)
    file.write_text(file.read_text().replace("-1,-0.8", "-1.2,-0.8"))
    [problem] = sims.check(file.parent, part_of(sims))
    assert (problem.what, problem.where) == ("labels out of range (1)", str(file))
    assert (problem.got, problem.allowed) == ("row 3: '-1.2'", "-1 to 1")
    with pytest.raises(InputError):
        sims.load(file.parent, part_of(sims))


def test_a_table_from_windows(tmp_path):
    file = write_sims(tmp_path)
    before = sims.fingerprint(file.parent, part_of(sims))
    file.write_bytes(codecs.BOM_UTF8 + file.read_bytes().replace(b"\n", b"\r\n"))
    assert sims.fingerprint(file.parent, part_of(sims)) == before
