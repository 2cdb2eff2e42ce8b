"""The forest plot of paired differences: what its lines are, and what stands beside them."""

import re
import warnings

import pytest

from helpers.summaries import cell, pair, summary
from omni_msa.evidence.gather import Evidence
from omni_msa.report.figures.forest import _range, draw

CELLS = [
    cell("a", {1: {"mae": 0.5}}),
    cell("b", {1: {"mae": 0.25}}),
    cell("fixed", {None: {"mae": 0.75}}),
    cell("constant", {None: {"mae": 1.0}}),
]
OVER_CLIPS = {"p": None, "p_floor": None, "p_clips": 0.0123, "pairing": "clips", "interval_clips": (-0.4, -0.1)}


def drawn(folder, *rows):
    """Return the figure of some rows and its text."""
    found = summary(*CELLS, differences=rows)
    (figure,) = draw(Evidence(None, [], found), folder)  # no plan is looked at
    return figure, figure.svg.read_text()


def test_a_row_without_seeds_has_the_p_value_and_the_interval_over_clips(tmp_path):
    row = pair("constant", "fixed", [-0.25], **OVER_CLIPS, p_holm=0.0246, family=2)
    figure, text = drawn(tmp_path, row, pair("b", "fixed", [-0.5, -0.25], family=2))
    assert ">clips: p = 0.012<" in text and ">Holm 0.025<" in text and "no p-value" not in text
    assert "95 % interval over clips, of one pair of trials" in text
    assert "constant minus fixed: -0.250 (95 % over clips from -0.400 to -0.100)" in figure.alt
    assert "test over clips where neither cell is random" in figure.caption
    assert "Holm: corrected for all comparisons" in figure.caption


def test_an_interval_over_clips_gives_way_to_any_other(tmp_path):
    row = pair("b", "a", [-0.5, -0.25], interval_clips=(-0.4, -0.1))
    assert "interval over clips" not in drawn(tmp_path, row)[1]


def test_a_row_without_any_test_says_so(tmp_path):
    figure, text = drawn(tmp_path, pair("constant", "fixed", [-0.25], p=None, p_floor=None, note="the same trial"))
    assert ">no p-value<" in text and "p:" not in figure.caption and "1 pair per row" in figure.caption


@pytest.mark.parametrize("note", ["not testable at 0.05 with n = 7 < 8 pairs (5 comparisons)", ""])
def test_what_is_not_testable_is_said_by_the_rows_note(tmp_path, note):
    figure, text = drawn(tmp_path, pair("b", "a", [0.25] * 7, note=note, p_holm=0.04, family=5))
    assert (">testable (n = 7)<" in text) == bool(note) == ("cannot go below 0.05" in figure.caption)
    assert (">Holm 0.04<" in text) != bool(note)


def test_the_caption_calls_no_test_exact_that_is_not(tmp_path):
    random, mixed = pair("b", "a", [-0.5, -0.25]), pair("b", "constant", [-0.5, -0.25])
    assert "exact between two random cells." in drawn(tmp_path, random)[0].caption
    assert "exact" not in drawn(tmp_path, mixed)[0].caption
    caption = drawn(tmp_path, random, mixed)[0].caption
    assert "exact between two random cells; against a cell without randomness it assumes symmetric" in caption
    assert "Intervals are for one comparison each, not corrected for their number" in caption


@pytest.mark.parametrize(("metric", "ten"), [("mae", 0.01), ("acc7", 1.0)])
def test_differences_that_are_all_zero_have_an_axis_around_zero(tmp_path, metric, ten):
    row = pair("b", "a", [0.0, 0.0], metric)
    assert _range([row], 100.0 if metric == "acc7" else 1.0) == (-ten, ten)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure, text = drawn(tmp_path, row)
    ticks = re.findall(r">([+\N{MINUS SIGN}]?\d\.\d+)<", text)
    assert len(set(ticks)) >= 3 and len(ticks) * max(map(len, ticks)) <= 50  # else they run into each other
    assert "b minus a: +0.0" in figure.alt
