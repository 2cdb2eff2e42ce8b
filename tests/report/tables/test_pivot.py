"""One axis down, one across: every cell in its place, and gaps where there is none."""

from dataclasses import replace

import pytest

from helpers.summaries import cell, summary
from omni_msa.report.tables.pivot import pivot_axes, pivot_grid, pivot_rows


def made(readout, modalities, mae, **axes):
    values = {seed: {"mae": mae + 0.1 * (seed - 2)} for seed in (1, 2, 3)}
    label = f"{readout} {modalities} {axes}"
    return cell(label, values, axes={"readout": readout, "modalities": modalities, **axes})


@pytest.fixture
def square():
    text, both = ["text"], ["text", "audio"]
    return summary(made("a", text, 0.5), made("a", both, 0.4), made("b", text, 0.8))


def test_a_sweep_with_two_axes_needs_no_setting(square):
    assert pivot_axes(square.cells) == ("readout", "modalities")
    assert pivot_axes(square.cells, ("modalities", "readout")) == ("modalities", "readout")
    assert pivot_axes(square.cells, ("modalities", "adapter.rank")) is None


def test_an_axis_with_one_value_does_not_count(square):
    assert pivot_axes(square.cells[:2]) is None
    three = [replace(one, axes={**one.axes, "adapter.rank": rank}) for one in square.cells for rank in (2, 4)]
    assert pivot_axes(three) is None and pivot_axes(three, ("readout", "adapter.rank")) == ("readout", "adapter.rank")


def test_axes_of_a_search_are_no_axes_to_lay_out(square):
    """Proposal 3 of one search has nothing to do with proposal 3 of another."""
    names = (("default", "fresh"), (3, "fresh"), (4, "search"))
    more = [{"proposal": proposal, "stage": stage} for proposal, stage in names]
    alone = [replace(one, axes=axes) for one, axes in zip(square.cells, more, strict=True)]
    assert pivot_axes(alone) is None
    one_axis = [replace(one, axes={"readout": place, **one.axes}) for place, one in enumerate(alone)]
    assert pivot_axes(one_axis) is None
    both = [replace(one, axes={**one.axes, **axes}) for one, axes in zip(square.cells, more, strict=True)]
    assert pivot_axes(both) == ("readout", "modalities") and pivot_axes(both, ("proposal", "stage"))


def test_every_cell_is_in_its_place(square):
    grid = pivot_grid(square, "readout", "modalities")
    assert grid.headings == ["readout", "text", "text+audio"] and grid.align == "lrr"
    assert [[entry.text for entry in row] for row in grid.rows] == [
        ["a", "0.500 ± 0.100", "0.400 ± 0.100"],
        ["b", "0.800 ± 0.100", "–"],  # noqa: RUF001
    ]
    assert [[entry.bold for entry in row] for row in grid.rows] == [[False, False, True], [False] * 3]
    turned = pivot_grid(square, "modalities", "readout")
    assert [[entry.text for entry in row] for row in turned.rows][1] == ["text+audio", "0.400 ± 0.100", "–"]  # noqa: RUF001
    assert "by readout (down) and modalities (across)" in grid.title


def test_further_axes_stand_on_the_left():
    cells = [made(readout, ["text"], rank / 10, **{"adapter.rank": rank}) for rank in (2, 4) for readout in "ab"]
    cells += [made("a", ["audio"], 0.9, **{"adapter.rank": 2})]
    grid = pivot_grid(summary(*cells), "readout", "modalities")
    assert grid.headings == ["adapter.rank", "readout", "text", "audio"]
    assert [row[0].text + row[1].text for row in grid.rows] == ["2a", "2b", "4a", "4b"]
    assert [row[3].text for row in grid.rows] == ["0.900 ± 0.100", "–", "–", "–"]  # noqa: RUF001


def test_the_file_has_unrounded_numbers(square):
    first, second = pivot_rows(square, "readout", "modalities")
    assert first["readout"] == "a" and first["text mean"] == pytest.approx(0.5) and first["text+audio n"] == 3
    assert first["text std"] == pytest.approx(0.1)
    assert second["text+audio mean"] is None and list(first) == list(second)


def test_a_cell_of_which_seeds_are_missing_says_so_and_no_style_changes_the_convention(square):
    late = replace(square.cells[1], missing=[3])
    grid = pivot_grid(replace(square, cells=[square.cells[0], late]), "readout", "modalities")
    assert grid.rows[0][2].text == "0.400 ± 0.100 (2/3 seeds)" and "ddof 1" in grid.notes[0]
    assert pivot_grid(replace(square, style="mmsa"), "readout", "modalities") == pivot_grid(
        square, "readout", "modalities"
    )
