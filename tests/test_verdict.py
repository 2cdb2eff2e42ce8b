"""Sentences, read aloud: they say what the statistics support, and no more."""

from dataclasses import replace

import pytest

from omni_msa.comparisons.comparison import Comparison
from omni_msa.comparisons.findings import Progress, num_seeds_more, sort
from omni_msa.comparisons.proof import Control
from omni_msa.comparisons.verdict import decide, leading
from omni_msa.statistics.power import num_seeds_needed

FULL = Progress(12, 12, num_seeds=3)
BASE = "discriminative"


def pair(label, mean, n=3, p=None, std=0.02, family=1, over_clips=False, **more):
    """A comparison with the base; p is the least that n pairs can give unless it is said."""
    p = 2 / 2**n if p is None else p
    spread = std if n > 1 else None
    return Comparison(
        **{
            "label": label,
            "against": BASE,
            "metric": "mae",
            "seeds": list(range(n)),
            "values": [mean] * n,
            "n": n,
            "mean": mean,
            "std": spread,
            "interval": (mean - std, mean + std) if spread else None,
            "p": None if over_clips else p,
            "p_clips": p,
            "p_holm": min(1.0, p * family),
            "better": "label" if mean < 0 else "against",
            "controlled": True,
            "num_seeds_needed": None if over_clips else num_seeds_needed(mean, spread, num_comparisons=family),
            **more,
        }
    )


def said(*differences, progress=FULL, controls=(), metric="mae"):
    found = decide(metric, differences, controls, progress)
    return found.text, found.state, found.num_seeds_more


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
    assert said(pair("generative", -0.2, n=1)) == (one, "not decided", 5)


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


def test_a_difference_too_small_to_find_is_given_with_its_interval():
    text = (
        "Not decided: on MAE, the difference between generative and discriminative is too small to find "
        "(+0.001, 95 % interval -0.079 to +0.081)."
    )
    assert said(pair("generative", 0.001, n=8, p=0.9, std=0.08)) == (text, "not decided", None)
    wider = pair("generative", 0.001, n=8, p=0.9, std=0.08, interval_two_level=(-0.2, 0.2))
    assert "-0.200 to +0.200" in said(wider)[0]
    several = [pair(name, 0.001, n=8, p=0.9, std=0.08) for name in ("generative", "expected_value")]
    assert said(*several)[0] == (
        "Not decided: on MAE, the differences between discriminative and generative and expected_value "
        "are too small to "
        "find."
    )
    assert said(pair("generative", 0.0, n=8, p=1.0, better="none"))[2] is None


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
    assert "discriminative is neither the best nor the worst cell, but" in said(ahead[0], behind[1])[0]
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
    text = f"{decided}; not decided against discriminative: frozen_probe ({more} more seeds needed)."
    assert said(*many, open_one) == (text, "supported", more)
    tiny = pair("frozen_probe", 0.0001, 8, p=0.9, family=4)
    assert said(*many, tiny)[0].endswith("frozen_probe (too small to find: +0.000, 95 % interval -0.020 to +0.020).")
    six = [pair(f"cell {place}", 0.2, 10, family=6) for place in range(6)]
    assert "discriminative is ahead of 6 cells (p at most" in said(*six)[0]
    assert '"rank 4"' in said(pair("rank 4", 0.2, 8))[0]  # a name with spaces stands in quotes


def test_undecided_for_several_reasons():
    slow, small = pair("generative", 0.01, 8, p=0.2, family=2), pair("constant", 0.0001, 8, p=0.9, family=2)
    more = num_seeds_needed(0.01, 0.02, num_comparisons=2) - 8
    assert said(slow, small)[0] == (
        f"Not decided: on MAE, no difference to discriminative is beyond chance: generative ({more} more "
        "seeds needed) and "
        "constant (too small to find: +0.000, 95 % interval -0.020 to +0.020)."
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
    assert both.endswith(f"; not decided against discriminative: generative (not controlled: {flags[0]}).")
    two = said(one, replace(one, label="constant"))[0]
    text = (
        "Not decided: on MAE, no difference between discriminative and generative and constant can be "
        "put down to an axis."
    )
    assert two == text


def test_where_nothing_is_random_only_clips_can_tell():
    assert said(pair("frozen_probe", 0.5, 1, 0.0001, over_clips=True)) == (
        "On MAE, discriminative is ahead of frozen_probe by 0.500 (p = 1e-04, over clips alone as "
        "neither cell is random).",
        "supported",
        None,
    )
    assert said(pair("frozen_probe", 0.01, 1, 0.3, over_clips=True)) == (
        "Not decided: on MAE, the test clips cannot tell frozen_probe from discriminative, and more "
        "seeds cannot help as "
        "nothing here is random.",
        "not decided",
        None,
    )
    mixed = said(pair("frozen_probe", 0.5, 1, 0.0001, family=2, over_clips=True), pair("generative", -0.1, 8, family=2))
    assert mixed[0].endswith(
        "(p at most 0.016 after Holm's correction for 2 comparisons, 8 seeds, frozen_probe over clips alone)."
    )


def test_trials_that_are_outstanding_are_told():
    text, state, more = said(pair("generative", 0.2, 2), progress=Progress(12, 9, num_seeds=3))
    assert state == "incomplete" and more == 3
    assert text.startswith("Not decided yet, with 9 of 12 trials finished: on MAE, discriminative leads generative by")
    assert text.endswith("3 more seeds beyond those planned are needed.")
    enough = said(pair("generative", 0.2, 4), progress=Progress(20, 9, num_seeds=10))
    assert enough[0].endswith("the trials still to run may be enough.") and enough[2] is None
    ahead = said(pair("generative", 0.2, 6), progress=Progress(20, 13, num_seeds=10))
    assert ahead[:2] == (
        "So far, with 13 of 20 trials finished, on MAE, discriminative is ahead of generative by 0.200 "
        "(p = 0.031, 6 seeds).",
        "incomplete",
    )


def test_failed_seeds_and_bad_clips_are_named():
    progress = Progress(16, 15, 1, {"generative": [1113]}, 8, 3)
    assert said(pair("generative", 0.2, 7), progress=progress)[0].endswith(
        ", though generative lacks seed 1113 (failed) and 3 bad clips are left out of every trial."
    )
    several = Progress(16, 12, 4, {"a": [1, 2], "b": [None]}, 8, 1)
    assert said(pair("a", 0.2, 6), progress=several)[0].endswith(
        ", though a lacks seeds 1 and 2 (failed), b lacks its trial (failed) and 1 bad clip is left out of every trial."
    )
    many = Progress(16, 12, 4, {"a": [1], "b": [2], "c": [3, 4]}, 8)
    assert said(pair("a", 0.2, 6), progress=many)[0].endswith(", though 4 trials failed.")


def test_nothing_to_compare():
    none = Comparison("generative", BASE, "mae")
    assert said(none, progress=Progress(12, 0)) == ("No trial is finished yet.", "incomplete", None)
    assert said(none, progress=Progress(12, 0, 12)) == ("No trial is complete: all 12 failed.", "incomplete", None)
    assert said(none, progress=Progress(12, 3))[0] == "No trials that could be compared are finished yet."
    text = "Not decided: no two cells have a Corr that could be compared."
    assert said(Comparison("constant", BASE, "corr", num_collapsed=3), metric="corr") == (text, "not decided", None)
    partly = said(pair("generative", 0.2, 8), replace(none, label="constant"))[0]
    assert partly.endswith("; not decided against discriminative: constant (no MAE to compare).")


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
    assert leading("mae", {}, Progress(4, 0)).text == "No trial is finished yet."


@pytest.mark.parametrize(
    ("needed", "n", "more"), [(9, 3, 6), (6, 8, 1), (203, 3, 200), (204, 3, None), (None, 3, None)]
)
def test_seeds_that_are_missing(needed, n, more):
    one = pair("generative", 0.1, n, p=0.2, num_seeds_needed=needed)
    assert num_seeds_more(one, 1, FULL) == more
    found = sort([one], FULL)
    assert found.waiting == ([one] if more else []) and found.too_small == ([] if more else [one])
