"""Reasons, read aloud: why a comparison decides nothing, and what a decided one is worth."""

from dataclasses import replace

from helpers.made_pairs import BASE, pair, said
from omni_msa.evidence.comparisons.controls import Control
from omni_msa.evidence.comparisons.decisions import SweepProgress
from omni_msa.stats.power import num_seeds_needed


def test_a_difference_that_takes_too_many_seeds_is_given_with_its_interval():
    text = (
        "Not decided: on MAE, the difference between generative and discriminative is too uncertain: "
        "with 8 seeds anything from -0.079 to +0.081 is possible."
    )
    assert said(pair("generative", 0.001, n=8, p=0.9, std=0.08)) == (text, "not decided", None)
    wider = pair("generative", 0.001, n=8, p=0.9, std=0.08, interval_two_level=(-0.2, 0.2))
    assert "-0.200 to +0.200" in said(wider)[0]
    several = [pair(name, 0.001, n=8, p=0.9, std=0.08) for name in ("generative", "expected_value")]
    assert said(*several)[0] == (
        "Not decided: on MAE, the differences between discriminative and generative and expected_value "
        "are too uncertain: it would take more than 200 further seeds to tell them."
    )


def test_equal_values_are_told_as_equal():
    same = pair("generative", 0.0, p=1.0, better="none")
    text = "Not decided: on MAE, generative and discriminative have the same MAE at every seed."
    assert said(same) == (text, "not decided", None)
    assert said(same, replace(same, name="b"))[0].endswith(
        "generative, b and discriminative have the same MAE at every seed."
    )
    assert said(replace(same, n=1, values=[0.0]))[0].endswith("generative and discriminative have the same MAE.")


def test_a_difference_within_what_matters_is_told_as_equal():
    one = pair("generative", 0.001, 8, p=0.9, std=0.008, stated_difference=0.05)
    text = "generative equals discriminative within 0.050 (+0.001, 95 % interval -0.007 to +0.009, 8 seeds)."
    assert said(one) == (f"On MAE, {text}", "supported", None)
    assert said(one, pair("b", 0.2, 8))[0] == (
        f"On MAE, discriminative is ahead of b by 0.200 (p = 0.0078, 8 seeds); {text}"
    )
    assert "discriminative within 0.050" in said(one, replace(one, name="b"))[0]
    turning = replace(one, p_holm=0.01, interval_two_level=(-0.01, 0.02))  # beyond chance over seeds, and too little
    assert "equals" in said(turning)[0]
    for wider in ({"interval_two_level": (-0.06, 0.06)}, {"stated_difference": 0.005}, {"num_collapsed": 1}):
        assert "equals" not in said(replace(one, **wider))[0]
    alone = replace(one, n=1, interval=None, interval_clips=(-0.01, 0.01))
    assert "equals" not in said(alone)[0]  # another seed may differ
    fixed = replace(alone, pairing="clips", p=None)
    assert "equals discriminative within 0.050 (+0.001, 95 % interval -0.010 to +0.010)." in said(fixed)[0]


def test_a_decided_difference_is_measured_by_what_matters():
    less = pair("generative", 0.0004, 8, std=0.0001, stated_difference=0.05)
    assert said(less)[:2] == (
        "On MAE, discriminative is ahead of generative by less than 0.001 (p = 0.0078, 8 seeds), but by less than the "
        "stated 0.050 that matters.",
        "supported",
    )
    enough = pair("b", 0.05, 8, stated_difference=0.05)
    assert said(enough)[0] == "On MAE, discriminative is ahead of b by 0.050 (p = 0.0078, 8 seeds)."
    assert said(less, enough)[0].endswith(
        "is ahead of generative and b (p at most 0.0078, 8 seeds), though generative by less than the stated 0.050 "
        "that matters."
    )
    assert "by less than 0.1 points (" in said(replace(less, metric="acc7"), metric="acc7")[0]


def test_seeds_decide_nothing_that_other_clips_could_turn():
    one = pair("generative", -0.045, 8, interval_two_level=(-0.193, 0.103))
    assert said(one) == (
        "Not decided: on MAE, over seeds generative is ahead of discriminative by 0.045 (p = 0.0078, 8 seeds), but on "
        "other test clips it could turn: -0.193 to +0.103.",
        "not decided",
        None,
    )
    assert said(replace(one, interval_two_level=(-0.08, -0.01)))[1] == "supported"
    both = said(one, replace(one, name="b"))[0]
    assert both.endswith("seeds tell generative and b from discriminative, but on other test clips it could turn.")
    some = said(one, pair("b", 0.2, 8, family=2))
    assert some[1] == "supported" and "; still open: over seeds generative is ahead" in some[0]


def test_collapsed_seeds_of_the_better_cell_leave_it_open():
    one = pair("winner", 0.1, 6, metric="corr", better="label", num_collapsed=2, num_collapsed_label=2)
    assert said(one, metric="corr") == (
        "Not decided: on Corr, at the seeds where neither collapsed, winner is ahead of discriminative by 0.100 "
        "(p = 0.031, 6 seeds), but winner collapsed (no Corr) at 2 of 8 seeds.",
        "not decided",
        None,
    )
    worse = said(replace(one, better="against"), metric="corr")
    assert worse[1] == "supported"
    assert worse[0].endswith(
        "ahead of winner by 0.100 (p = 0.031, 6 seeds), though winner collapsed (no Corr) at 2 of 8 seeds."
    )
    waiting = pair("a", 0.1, 2, metric="corr", better="label", num_collapsed=1, num_collapsed_against=1)
    assert said(waiting, metric="corr")[0].endswith(
        "4 more seeds are needed, though discriminative collapsed (no Corr) at 1 of 3 seeds."
    )
    several = [replace(waiting, name=label, num_collapsed=2, num_collapsed_label=1) for label in "abc"]
    assert said(*several, metric="corr")[0].endswith(", though 4 cells collapsed (no Corr) at some seeds.")


def test_cells_on_other_clips_decide_nothing():
    one = pair("generative", 0.3, 8, pairing="other clips", p=None)
    text = "generative was tested on other clips than discriminative, so the difference is also one of clips."
    assert said(one) == (f"Not decided: on MAE, {text}", "not decided", None)
    assert said(one, pair("b", 0.3, 8, family=2))[0].endswith(f"8 seeds); still open: {text}")


def test_a_cell_that_shares_its_trials_is_passed_over():
    same = pair("constant, audio", 0.0, 1, pairing="same trials")
    assert said(same, pair("b", 0.3, 8))[0] == "On MAE, discriminative is ahead of b by 0.300 (p = 0.0078, 8 seeds)."
    alone = "Not decided: no two cells have a MAE that could be compared, as they share their trials."
    assert said(same) == (alone, "not decided", None)


def test_undecided_for_several_reasons():
    slow, small = pair("generative", 0.01, 8, p=0.2, family=2), pair("constant", 0.0001, 8, p=0.9, family=2)
    more = num_seeds_needed(0.01, 0.02, num_comparisons=2) - 8
    assert said(slow, small)[0] == (
        f"Not decided: on MAE against discriminative, generative needs {more} more seeds; the difference between "
        "constant and discriminative is too uncertain: with 8 seeds anything from -0.020 to +0.020 is possible."
    )
    lost = replace(pair("b", 0.1), n=0, values=[])
    failed = said(pair("a", 0.1, family=2), lost, progress=SweepProgress(9, 6, 3, {"b": [0, 1, 2]}, 3))[0]
    assert failed == (
        "Not decided: on MAE against discriminative, a needs 4 more seeds; b cannot be compared: all its seeds failed."
    )


def test_a_comparison_that_is_not_controlled_decides_nothing():
    one = pair("generative", 0.5, 8, controlled=False)
    flags = ["training.epochs differs (4 against 5) and is no axis"]
    text = (
        "Not decided: on MAE, the difference between generative and discriminative cannot be put down to an axis: "
        "training.epochs differs (4 against 5) and is no axis."
    )
    assert said(one, controls=[Control("generative", BASE, False, flags=flags)]) == (text, "not decided", None)
    assert said(replace(one, controlled=None))[1] == "supported"
    both = said(one, pair("constant", 0.5, 8), controls=[Control("generative", BASE, False, flags=flags)])[0]
    assert both.endswith(
        f"; still open: the difference between generative and discriminative cannot be put down to an axis: {flags[0]}."
    )
    two = said(one, replace(one, name="constant"))[0]
    text = (
        "Not decided: on MAE, no difference between discriminative and generative and constant can be "
        "put down to an axis."
    )
    assert two == text
