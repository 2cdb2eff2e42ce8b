"""Tables of pairs of cells: what is known is shown, what is not leaves no column."""

from summaries import pair

from omni_msa.grids.pair_grids import controls_grid, differences_grid, exploratory_grid, once_each, strength_grid


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
    known = {"p_holm": 0.75, "interval_two_level": (-1.0, 0.25), "num_collapsed": 1}
    grid = differences_grid([pair("b", "a", [-0.5, -0.1], **known), pair("c", "a", [0.1, 0.2])])
    assert column(grid, "Holm p") == ["0.75", "–"]  # noqa: RUF001
    assert column(grid, "over seeds and clips") == ["[-1.000, +0.250]", "–"]  # noqa: RUF001
    assert "note" not in grid.headings and "over clips" not in grid.headings
    assert any("all 2 comparisons" in note for note in grid.notes)
    assert grid.notes[-1] == "Pairs with an undefined value are left out: 1."


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
        "McNemar p, Acc-2 has0 and F1 has0",
        "McNemar p, Acc-7",
        "seeds needed",
        "for 0.050",
    ]
    assert {entry.text for entry in grid.rows[1][1:]} == {"–"}  # noqa: RUF001
    assert not any("Williams" in name for name in grid.headings) and len(grid.notes) == 5
    assert strength_grid([pair("b", "a", [-0.5, -0.1])]) is None


def test_exploratory_rows_name_their_metric_and_say_what_they_are():
    rows = [pair("b", "a", [0.125, 0.25], "acc7", p_holm=1.0), pair("b", "a", [0.1, 0.1], "corr", p_holm=0.5)]
    grid = exploratory_grid(rows)
    assert column(grid, "metric") == ["Acc-7 (%)", "Corr"] and column(grid, "difference")[1] == "+0.100 ± 0.000"
    assert "not for conclusions" in grid.notes[0] and 'Against "a".' in grid.notes[0]
    assert grid.notes[1] == "Holm p: corrected over all 2 rows."


def control(label, **more):
    base = {"label": label, "against": "a", "controlled": True, "axes": {"readout": [label, "a"]}, "other_settings": {}}
    base |= {"follows": {}, "num_equal_settings": 40, "hashes": [], "flags": []}
    return {**base, **more}


def test_a_comparison_that_is_not_controlled_stands_out_with_what_differs():
    hashes = [{"what": name, "state": state} for name, state in (("inputs", "identical"), ("data_order", "differs"))]
    follows = {"adapter": ["not used", "used"], "readout.width": [None, 256], "readout.name": ["b", "a"]}
    other = {"media.num_frames_max": [4, 8]}
    rows = [
        control("b", controlled=False, other_settings=other, hashes=hashes, follows=follows, flags=["x", "y"]),
        control("c", flags=["x"]),
    ]
    grid = controls_grid(rows)
    assert column(grid, "controlled") == ["NO", "yes"]
    assert column(grid, "differs besides") == ["media.num_frames_max: 4, 8", "–"]  # noqa: RUF001
    assert column(grid, "follows from the axis")[0] == "adapter, options of readout"
    assert column(grid, "recorded hashes")[0] == "identical: inputs; differs: data_order"
    assert column(grid, "equal settings") == ["40", "40"] and grid.notes[1:] == ["x", "b: y"]


def test_what_is_said_of_all_is_said_once():
    assert once_each([("a", ["x", "y"]), ("b", ["x"]), ("c", ["x", "y"])]) == ["x", "a; c: y"]
    assert once_each([]) == []
