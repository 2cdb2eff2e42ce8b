"""Sentences, read aloud: they say what the statistics support, and no more."""

from dataclasses import replace

import pytest

from helpers.made_pairs import BASE, FULL, pair, said
from omni_msa.evidence.comparisons.comparison import Comparison
from omni_msa.evidence.comparisons.decisions import SweepProgress, num_seeds_more, sort
from omni_msa.evidence.comparisons.verdict import leading
from omni_msa.stats.power import num_seeds_needed


def test_one_comparison_with_too_few_seeds():
    text = (
        "Not decided: on MAE, discriminative leads generative by 0.200, but 3 seeds are too few to show "
        "it: 3 more seeds are needed."
    )
    assert said(pair("generative", 0.2)) == (text, "not decided", 3)
    one = (
        "Not decided: on MAE, generative leads discriminative by 0.200, but 1 seed is too few to show "
        "it: 5 more seeds are needed."
    )
    assert said(pair("generative", -0.2, n=1), progress=SweepProgress(2, 2, num_seeds=1)) == (one, "not decided", 5)
    common = said(pair("generative", -0.2, n=1))[0]  # of three
    assert "generative leads discriminative by 0.200 at the one seed both have, but 1 seed is too few" in common


def test_one_comparison_that_could_be_chance():
    text, state, more = said(pair("generative", 0.02, n=8, p=0.13, std=0.03))
    assert more == num_seeds_needed(0.02, 0.03) - 8 > 1 and state == "not decided"
    assert text == (
        "Not decided: on MAE, discriminative leads generative by 0.020, but with 8 seeds it could be "
        "chance (p = 0.13): "
        f"{more} more seeds are needed."
    )


def test_one_comparison_that_is_decided_names_the_winner_first():
    assert said(pair("generative", -0.2, n=8)) == (
        "On MAE, generative is ahead of discriminative by 0.200 (p = 0.0078, 8 seeds).",
        "supported",
        None,
    )
    assert said(pair("generative", 0.2, n=8))[0].startswith("On MAE, discriminative is ahead of generative by 0.200")


def test_several_comparisons_with_too_few_seeds():
    ahead = [pair(name, 0.5, family=3) for name in ("generative", "frozen_probe", "constant")]
    assert said(*ahead) == (
        "Not decided: on MAE, discriminative leads all 3 other cells, but 3 seeds are too few to show any difference: "
        "4 more seeds are needed.",
        "not decided",
        4,
    )
    behind = [pair(name, -0.5, family=2) for name in ("generative", "frozen_probe")]
    assert "discriminative trails both other cells, but" in said(*behind)[0]
    further = replace(ahead[1], name="constant", mean=0.9)
    between = said(ahead[0], behind[1], further)[0]
    assert "by the means discriminative stands between frozen_probe and generative, but 3 seeds are too few" in between
    slow = pair("constant", 0.02, family=3)
    more = num_seeds_needed(0.02, 0.02, num_comparisons=3) - 3
    assert said(*ahead[:2], slow)[0].endswith(f": 4 more seeds are needed ({more} for constant).")
    assert said(*ahead[:2], slow)[2] == more


def test_several_decided_and_some_not():
    many = [
        pair("generative", 0.2, 8, family=4),
        pair("expected_value", -0.3, 8, family=4),
        pair("constant", 0.7, 8, family=4),
    ]
    decided = (
        "On MAE, discriminative is ahead of generative and constant and behind expected_value (p at "
        "most 0.031 after Holm's "
        "correction for 4 comparisons, 8 seeds)"
    )
    open_one = pair("frozen_probe", 0.01, 8, p=0.2, family=4)
    more = num_seeds_needed(0.01, 0.02, num_comparisons=4) - 8
    text = f"{decided}; still open: frozen_probe needs {more} more seeds."
    assert said(*many, open_one) == (text, "supported", more)
    tiny = pair("frozen_probe", 0.0001, 8, p=0.9, family=4)
    assert said(*many, tiny)[0].endswith("is too uncertain: with 8 seeds anything from -0.020 to +0.020 is possible.")
    later = said(*many, open_one, progress=SweepProgress(90, 80, num_seeds=9))[0]
    assert later.endswith(f"; still open: frozen_probe needs {more - 1} seeds beyond those planned.")
    soon = said(many[0], replace(open_one, num_seeds_needed=9), progress=SweepProgress(90, 80, num_seeds=9))[0]
    assert soon.endswith("; still open: for frozen_probe the trials still to run may be enough.")
    six = [pair(f"cell {place}", 0.2, 10, family=6) for place in range(6)]
    assert "discriminative is ahead of 6 cells (p at most" in said(*six)[0]
    assert '"rank 4"' in said(pair("rank 4", 0.2, 8))[0]  # a name with spaces stands in quotes


def test_where_nothing_is_random_only_clips_can_tell():
    assert said(pair("frozen_probe", 0.5, 1, 0.0001, over_clips=True)) == (
        "On MAE, discriminative is ahead of frozen_probe by 0.500 (p = 1e-04, over clips alone as "
        "neither cell is random).",
        "supported",
        None,
    )
    assert said(pair("frozen_probe", 0.01, 1, 0.3, over_clips=True)) == (
        "Not decided: on MAE, the test clips cannot tell frozen_probe from discriminative, and more "
        "seeds cannot help as neither is random.",
        "not decided",
        None,
    )
    unread = pair("frozen_probe", 0.5, 1, over_clips=True, p_clips=None, p_holm=None)
    assert said(unread)[0] == (
        "Not decided: on MAE, only the test clips could tell frozen_probe from discriminative, and their predictions "
        "are missing."
    )
    mixed = said(pair("frozen_probe", 0.5, 1, 0.0001, family=2, over_clips=True), pair("generative", -0.1, 8, family=2))
    assert mixed[0].endswith(
        "(p at most 0.016 after Holm's correction for 2 comparisons, 8 seeds, frozen_probe over clips alone)."
    )


def test_trials_that_are_outstanding_are_told():
    text, state, more = said(pair("generative", 0.2, 2), progress=SweepProgress(12, 9, num_seeds=3))
    assert state == "incomplete" and more == 3
    assert text.startswith("Not decided yet, with 9 of 12 trials finished: on MAE, discriminative leads generative by")
    assert text.endswith("3 more seeds beyond those planned are needed.")
    enough = said(pair("generative", 0.2, 4), progress=SweepProgress(20, 9, num_seeds=10))
    assert enough[0].endswith("the trials still to run may be enough.") and enough[2] is None
    ahead = said(pair("generative", 0.2, 6), progress=SweepProgress(20, 13, num_seeds=10))
    assert ahead[:2] == (
        "So far, with 13 of 20 trials finished, on MAE, discriminative is ahead of generative by 0.200 "
        "(p = 0.031, 6 seeds).",
        "incomplete",
    )


def test_failed_seeds_and_bad_clips_are_named():
    progress = SweepProgress(16, 15, 1, {"generative": [1113]}, 8, 3)
    assert said(pair("generative", 0.2, 7), progress=progress)[0].endswith(
        " (p = 0.016, 7 seeds); seed 1113 of generative failed; 3 bad clips are left out of every trial."
    )
    several = SweepProgress(16, 12, 4, {"a": [1, 2], "b": [None]}, 8, 1)
    assert said(pair("a", 0.2, 6), progress=several)[0].endswith(
        "6 seeds); seeds 1 and 2 of a failed; the trial of b failed; 1 bad clip is left out of every trial."
    )
    many = SweepProgress(16, 12, 4, {"a": [1], "b": [2], "c": [3, 4]}, 8)
    assert said(pair("a", 0.2, 6), progress=many)[0].endswith(" 6 seeds); 4 trials failed.")
    waiting = said(pair("a", 0.2), progress=SweepProgress(7, 6, 1, {"a": [3]}, 4))[0]
    assert waiting.endswith("3 more seeds are needed (seed 3 of a failed).")


def test_nothing_to_compare():
    none = Comparison("generative", BASE, "mae")
    assert said(none, progress=SweepProgress(12, 0)) == ("No trial is finished yet.", "incomplete", None)
    assert said(none, progress=SweepProgress(12, 0, 12)) == ("No trial is complete: all 12 failed.", "incomplete", None)
    assert said(none, progress=SweepProgress(12, 3))[0] == "No trials that could be compared are finished yet."
    text = "Not decided: no two cells have a Corr that could be compared."
    assert said(Comparison("constant", BASE, "corr", num_collapsed=3), metric="corr") == (text, "not decided", None)
    partly = said(pair("generative", 0.2, 8), replace(none, name="constant"))[0]
    assert partly.endswith("; still open: constant cannot be compared: no seed is complete in both.")
    collapsed = said(pair("a", 0.2, 8, metric="corr"), replace(none, metric="corr", num_collapsed=3), metric="corr")[0]
    assert collapsed.endswith("; still open: generative cannot be compared: no seed has a Corr in both.")


def test_shares_are_in_points():
    text = said(pair("generative", 0.021, 8, better="label"), metric="acc7")[0]
    assert text == "On Acc-7, generative is ahead of discriminative by 2.1 points (p = 0.0078, 8 seeds)."


def test_a_sweep_without_comparison_is_described():
    found = leading("mae", {"a": 0.5, "b, c": 0.4}, FULL)
    assert (found.text, found.state) == (
        'The sweep names no comparison; the best mean MAE is that of "b, c" (0.400), before a (0.500), which describes '
        "these trials and tests nothing.",
        "no comparison",
    )
    assert "that of a (50.0 %), before b (40.0 %)" in leading("acc7", {"b": 0.4, "a": 0.5}, FULL).text
    assert (
        leading("mae", {"a": 0.5}, FULL).text
        == "The sweep names no comparison; the only mean MAE is that of a (0.500)."
    )
    assert leading("mae", {}, SweepProgress(4, 0)).text == "No trial is finished yet."
    partial = leading("corr", {"a": 0.5}, FULL, 1).text
    assert (
        partial == "The sweep names no comparison; the only mean Corr among cells with every seed is that of a (0.500)."
    )
    nobody = leading("corr", {}, FULL, 2)
    assert nobody.text == "The sweep names no comparison, and no cell has a Corr at every seed."
    assert nobody.state == "no comparison"


@pytest.mark.parametrize(
    ("needed", "n", "more"), [(9, 3, 6), (6, 8, 1), (203, 3, 200), (204, 3, None), (None, 3, None)]
)
def test_seeds_that_are_missing(needed, n, more):
    one = pair("generative", 0.1, n, p=0.2, num_seeds_needed=needed)
    assert num_seeds_more(one, 1, FULL) == more
    found = sort([one], FULL)
    assert found.waiting == ([one] if more else []) and found.of("uncertain") == ([] if more else [one])
