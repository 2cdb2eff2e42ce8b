"""Tables of pairs of cells: what is known is shown, what is not leaves no column."""

import pytest

from helpers.summaries import SEEDS, cell, pair
from omni_msa.evidence.comparisons.controls import Control, RecordedHash
from omni_msa.report.tables.pair_grids import (
    controls_grid,
    differences_grid,
    exploratory_grid,
    once_each,
    strength_grid,
)
from omni_msa.stats.paired import NUM_EXACT_MAX


def column(grid, heading):
    place = grid.headings.index(heading)
    return [row[place].text for row in grid.rows]


def test_differences_with_their_interval_and_the_floor_of_p():
    grid = differences_grid([pair("b", "a", [-0.5, -0.1], note="not testable"), pair("c", "", [], note="no such cell")])
    assert grid.title == 'Paired differences in MAE against "a"'
    assert column(grid, "cell") == ["b", "c"] and column(grid, "pairs") == ["2", "0"]
    assert column(grid, "difference") == ["-0.300 ± 0.283", "–"]  # noqa: RUF001
    assert column(grid, "95 % interval") == ["[-2.841, +2.241]", "–"]  # noqa: RUF001  (t of 1 degree: 12.706)
    assert column(grid, "sign-flip p") == column(grid, "floor of p") == ["0.5", "–"]  # noqa: RUF001
    assert column(grid, "note") == ["not testable", "no such cell"]
    assert grid.headings == ["cell", "difference", "pairs", "95 % interval", "sign-flip p", "floor of p", "note"]
    assert grid.align == "lrrrrrl" and grid.notes[0].startswith("Negative: the cell is better.")


def test_columns_that_nothing_is_known_of_are_left_out_and_others_come_with_their_note():
    known = {"p_holm": 0.75, "interval_two_level": (-1.0, 0.25), "num_collapsed": 1, "family": 2}
    grid = differences_grid([pair("b", "a", [-0.5, -0.1], **known), pair("c", "a", [0.1, 0.2], family=2)])
    assert column(grid, "Holm p") == ["0.75", "–"]  # noqa: RUF001
    assert column(grid, "over seeds and clips") == ["[-1.000, +0.250]", "–"]  # noqa: RUF001
    assert "note" not in grid.headings and "over clips" not in grid.headings
    assert grid.notes[1].startswith("Intervals are for one comparison each, not corrected for their number")
    assert grid.notes[-2:] == [
        "Holm p: corrected for all 2 comparisons, named by the sweep.",
        "Seed pairs left out because a value is undefined (NaN): 1.",
    ]


def test_one_comparison_alone_has_nothing_to_correct():
    grid = differences_grid([pair("b", "a", [-0.5, -0.1], p_holm=0.5)])
    assert "Holm p" not in grid.headings and not any("Holm" in note or "number" in note for note in grid.notes)
    over_clips = {"p": None, "p_floor": None, "p_clips": 0.02, "p_holm": 0.02, "pairing": "clips"}
    alone = differences_grid([pair("b", "a", [-0.5], **over_clips)])
    assert column(alone, "clip p") == ["0.02"] and "sign-flip p" not in alone.headings
    assert alone.notes == [
        "Negative: the cell is better. Pairs share a seed; a deterministic cell pairs with every seed."
    ]


def test_what_is_corrected_over_clips_and_shared_trials_are_named():
    over_clips = {"p": None, "p_floor": None, "p_clips": 0.02, "p_holm": 0.04, "pairing": "clips", "family": 2}
    rows = [pair("b", "a", [-0.5], **over_clips), pair("c", "a", [-0.5], **over_clips), pair("d", "a", [], family=2)]
    note = differences_grid(rows).notes[-1]
    assert note == (
        "Holm p: corrected for all 2 comparisons (rows with the same trials on both sides count once), named by the "
        "sweep; where neither cell is random, of the clip p."
    )


def test_the_test_over_seeds_is_called_exact_between_random_cells_alone():
    a, b, fixed = (cell("a", {1: {"mae": 0.5}}), cell("b", {1: {"mae": 0.5}}), cell("c", {None: {"mae": 0.5}}))
    random, mixed = pair("b", "a", [-0.5, -0.1]), pair("c", "a", [0.1, 0.2])

    def said(*rows):
        return differences_grid(rows, [a, b, fixed]).notes[-1]

    assert "exact between two random cells." in said(random) and "symmetrically" not in said(random)
    assert "exact" not in said(mixed) and "it assumes symmetrically distributed values" in said(mixed)
    assert "exact between two random cells; against a cell without randomness it assumes" in said(random, mixed)
    assert "exact" not in differences_grid([pair("a", "c", [0.1, 0.2])], [a, fixed]).notes[-1]


def test_how_small_p_can_get_is_said_as_it_is_computed():
    few, many = pair("b", "a", [1.0] * NUM_EXACT_MAX), pair("c", "a", [1.0] * 30)
    assert few.p == few.p_floor and many.p == pytest.approx(1 / 100_000)
    assert "over all sign patterns: no result" in differences_grid([few]).notes[-1]
    assert "99,999 random sign patterns" in differences_grid([many]).notes[-1]
    both = differences_grid([few, many]).notes[-1]
    assert (
        "Up to 16 pairs it runs over all sign patterns, above over 99,999 random ones" in both and "1/100,000" in both
    )


def test_the_one_trial_of_a_deterministic_cell_is_not_counted_as_several():
    cells = [cell("a", {seed: {"corr": 0.5} for seed in SEEDS}), cell("c", {None: {"corr": None}})]
    row = pair("c", "a", [], "corr", num_collapsed=3)
    (note,) = [text for text in differences_grid([row], cells).notes if "undefined" in text]
    assert note.endswith(
        "undefined (NaN): 3; the one trial of a cell without randomness is in a pair with every seed of the other."
    )
    (note,) = [text for text in exploratory_grid([row, pair("c", "a", [0.1], "acc7")], cells).notes if "NaN" in text]
    assert ": 3 in Corr; the one trial" in note


def test_cells_compared_with_different_ones_name_them():
    grid = differences_grid([pair("b", "a", [0.1]), pair("d", "c", [0.1])])
    assert column(grid, "against") == ["a", "c"] and grid.align[:2] == "ll" and '"a" and "c"' in grid.title


def test_how_sure_a_difference_is():
    known = {
        "improvement_seeds": 2 / 3,
        "improvement_clips": 0.5,
        "effect_size": -1.5,
        "p_clips": 0.0123456,
        "mcnemar": {"acc2_has0": 0.5, "f1_has0": 0.5, "acc7": 0.25},
        "num_seeds_needed": 8,
        "num_seeds_needed_stated": 12,
        "stated_difference": 0.05,
    }
    grid = strength_grid([pair("b", "a", [-0.5, -0.1], **known), pair("c", "a", [0.1, 0.2])])
    assert [entry.text for entry in grid.rows[0]] == ["b", "67", "50", "-1.50", "0.0123", "0.5", "0.25", "8", "12"]
    assert grid.headings[5:] == [
        "McNemar p, Acc-2 has0",
        "McNemar p, Acc-7",
        "seeds needed",
        "for 0.050 in MAE",
    ]
    assert {entry.text for entry in grid.rows[1][1:]} == {"–"}  # noqa: RUF001
    assert not any("Williams" in name for name in grid.headings) and len(grid.notes) == 7
    assert "so at least 0.0001" in grid.notes[2] and "the middle p times the number of pairs" in grid.notes[5]
    assert grid.notes[6] == (
        "For 0.050 in MAE: seeds needed to find a difference of 0.050 in MAE, as stated in compare.smallest_difference."
    )
    assert strength_grid([pair("b", "a", [-0.5, -0.1])]) is None


def test_a_share_that_would_matter_is_in_points():
    known = {"num_seeds_needed_stated": 12, "stated_difference": 0.02}
    grid = strength_grid([pair("b", "a", [0.5, 0.1], "acc7", **known)])
    assert grid.headings[-1] == "for 2.0 points" and "a difference of 2.0 points" in grid.notes[-1]


def test_the_clip_p_of_the_correlation_stands_beside_williams():
    rows = [pair("b", "a", [-0.5, -0.1], williams_p=0.01), pair("c", "a", [-0.5, -0.1])]
    others = [pair("b", "a", [0.1, 0.2], "corr", p_clips=0.5), pair("b", "a", [0.1, 0.2], "acc7", p_clips=0.25)]
    grid = strength_grid(rows, others)
    assert grid.headings == ["cell", "Williams p", "clip p, Corr"]
    assert column(grid, "clip p, Corr") == ["0.5", "–"]  # noqa: RUF001
    assert any("error rate is up to 9 % at level 5 %: read the clip p beside it" in note for note in grid.notes)


def test_exploratory_rows_name_their_metric_and_say_what_they_are():
    rows = [
        pair("b", "a", [0.125, 0.25], "acc7", p_holm=1.0, p_clips=0.25, family=2),
        pair("b", "a", [0.1, 0.1], "corr", p_holm=0.5, family=2),
    ]
    grid = exploratory_grid(rows)
    assert column(grid, "metric") == ["Acc-7 (%)", "Corr"] and column(grid, "difference")[1] == "+0.100 ± 0.000"
    assert "not for conclusions" in grid.notes[0] and 'Against "a".' in grid.notes[0]
    assert column(grid, "clip p") == ["0.25", "–"] and grid.notes[-1].startswith("Clip p: ")  # noqa: RUF001
    assert grid.notes[-2] == "Holm p: corrected for all 2 comparisons."


def control(label, **more):
    return Control(
        label, "a", **{"controlled": True, "axes": {"readout": [label, "a"]}, "num_equal_settings": 40, **more}
    )


def test_a_comparison_that_is_not_controlled_stands_out_with_what_differs():
    hashes = [RecordedHash(name, state, 2, "") for name, state in (("inputs", "identical"), ("data_order", "differs"))]
    follows = {"adapter": ["not used", "used"], "readout.width": [None, 256], "readout.name": ["b", "a"]}
    other = {"media.num_frames_max": [4, 8]}
    rows = [
        control("b", controlled=False, other_settings=other, hashes=hashes, follows=follows, flags=["x", "y"]),
        control("c", flags=["x"]),
    ]
    grid = controls_grid(rows)
    assert column(grid, "controlled") == ["NO", "yes"]
    assert column(grid, "also differs") == ["media.num_frames_max: 4, 8", "–"]  # noqa: RUF001
    assert column(grid, "follows from the axis")[0] == "adapter, options of readout"
    assert column(grid, "recorded hashes")[0] == "identical: inputs; differs: data_order"
    assert column(grid, "equal settings") == ["40", "40"] and grid.notes[1:] == ["x", "b: y"]


def test_what_is_said_of_all_is_said_once():
    assert once_each([("a", ["x", "y"]), ("b", ["x"]), ("c", ["x", "y"])]) == ["x", "a; c: y"]
    assert once_each([]) == []
