"""The difference of two sweeps as it is read: in files, and at any width of a terminal."""

import csv
import io
from dataclasses import replace

import pytest
from rich.console import Console

from helpers.table_texts import Reader
from omni_msa.evidence.comparisons.sweep_diff import MetricDifference, SharedCell, SweepDiff
from omni_msa.report.tables.diff_tables import TerminalDiff, summary_lines, write_diff

COUNTS = {"trials": 6, "complete": 5, "failed": 1, "running": 0}
MAE = MetricDifference("mae", 0.5, 0.75, [1, 2, 3], [-0.2, -0.3, -0.25], -0.25, 0.05, (-0.374, -0.126), 0.25, 0.25)
ACC = MetricDifference("acc7", 0.5, None, [], [], None, None, None, None, None)
SAME = MetricDifference("mae", 0.9, 0.9, [None], [0.0], 0.0, None, None, 1.0, 1.0)
EPOCHS = {"training.epochs": [2, 7]}


@pytest.fixture
def found():
    cells = [
        SharedCell("text|audio", "text|audio", False, EPOCHS, True, ["x", "on another <machine>"], [MAE, ACC]),
        SharedCell("constant", "constant", True, {}, True, ["x"], [SAME]),
    ]
    return SweepDiff("one", "other", COUNTS, {**COUNTS, "complete": 6}, cells, ["rank 4"], ["rank 2", "rank 8"])


def test_what_is_compared_is_said_first(found):
    assert summary_lines(found) == [
        "A: one, 5 of 6 trials complete. B: other, 6 of 6 trials complete.",
        "text|audio: controlled, nothing but this setting differs: training.epochs 2 (A), 7 (B).",
        "constant: the same trials in both sweeps, the difference is zero by construction.",
        "Only in A: rank 4.",
        "Only in B: rank 2; rank 8.",
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"controlled": False, "settings": {**EPOCHS, "seedless": [1, 2]}},
            "NOT controlled, 2 settings differ at once",
        ),
        ({"controlled": False}, "NOT controlled, more than this setting differs"),
        ({"settings": {}}, "The one shared cell: no setting differs."),
        ({"settings": {}, "controlled": False}, "but what the trials recorded does"),
        ({"other_label": "b"}, "Matched by their axis values: text|audio (A) is b (B)."),
    ],
)
def test_how_far_it_is_controlled(found, changes, said):
    one = replace(found, cells=[replace(found.cells[0], **changes)])
    assert any(said in line for line in summary_lines(one))


def test_files(found, tmp_path):
    paths = write_diff(found, tmp_path / "reports")
    assert [path.name for path in paths] == ["diff_other.md", "diff_other.csv", "diff_other.html"]
    lines = paths[0].read_text().splitlines()
    assert lines[0] == "# one minus other"
    row = "| text&#124;audio | 0.500 | 0.750 | -0.250 ± 0.050 | 3 | [-0.374, -0.126] | 0.25 | 0.25 |"
    assert any(line.startswith(row) for line in lines)
    assert "| constant | 0.900 | 0.900 | +0.000 | 1 | – | – | – | the same trials |" in lines  # noqa: RUF001
    assert [line for line in lines if line.startswith("## ")] == [
        "## MAE",
        "## Acc-7 (%)",
        "## What a reader must know",
    ]
    (note,) = [line for line in lines if "sign-flip" in line]
    assert "exact between two random cells; against a cell without randomness it assumes" in note
    assert "not corrected for their number" in note and note.endswith(
        "no result of so many pairs can go below its floor."
    )
    assert lines[-2:] == ["- x", "- text|audio: on another <machine>"]
    rows = list(csv.DictReader(io.StringIO(paths[1].read_text())))
    assert [(each["in"], each["metric"]) for each in rows[:3]] == [("both", "mae"), ("both", "acc7"), ("both", "mae")]
    assert (rows[0]["difference"], rows[0]["low"], rows[0]["seeds"]) == ("-0.25", "-0.374", "1 2 3")
    assert [(each["in"], each["cell"] or each["other_cell"]) for each in rows[3:]] == [
        ("one", "rank 4"),
        ("other", "rank 2"),
        ("other", "rank 8"),
    ]


def test_the_page_is_whole_and_escaped(found, tmp_path):
    text = write_diff(found, tmp_path)[2].read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>") and '<meta charset="utf-8">' in text and "<machine>" not in text
    body = text[text.index("<h1>") : text.index("</html>")]
    assert ("td", {"class": "number", "data-value": "-0.25"}, "-0.250 ± 0.050") in Reader(body).cells


@pytest.mark.parametrize("width", [60, 80, 160])
def test_numbers_are_whole_at_any_width(found, width):
    console = Console(width=width, file=io.StringIO())
    console.print(TerminalDiff(found))
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= width and "…" not in text
    for part in ("one minus other", "-0.250 ± 0.050", "[-0.374, -0.126]", "0.750", "the same trials", "Only in A"):
        assert part in text
