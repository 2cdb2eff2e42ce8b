"""Pairs of cells: by seed, by clip, and what so many pairs allow to say."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helpers.made_cells import CLIPS, LABELS, cells_of, finish, made_plan, noisy
from omni_msa.evidence.comparisons.clip_scores import Resampler
from omni_msa.evidence.comparisons.compare import compare, pairs_of
from omni_msa.stats.intervals import two_level_interval
from omni_msa.stats.power import num_seeds_needed

PAIR = {"axes": "{readout: [discriminative, generative]}"}


@pytest.fixture
def make(tmp_path, write_sweep, own_cache):
    """Return a function that compares the cells of a small sweep with the one of a readout."""

    def make(said, against="discriminative", metrics=("mae",), smallest=None, **keys):
        num = max(len(trials) for trials in said.values())
        keys = {"seeds": str(list(range(1, num + 1))), **keys}
        plan = made_plan(tmp_path / "mlruns", write_sweep, said, **keys)
        cells = [*cells_of(plan).values()]
        return compare(pairs_of(cells, {"readout": against}), metrics, Resampler(1), smallest)

    return make


def maes(*values, first=1):
    return {seed: {"mae": value} for seed, value in enumerate(values, first)}


def test_pairs_go_by_seed(make):
    said = {"discriminative": maes(1.0, 2.0, 4.0), "generative": {3: {"mae": 3.0}, 1: {"mae": 0.5}}}
    (one,) = make(said, **PAIR)
    assert (one.name, one.against, one.metric) == ("generative", "discriminative", "mae")
    assert (one.seeds, one.values, one.n) == ([1, 3], [-0.5, -1.0], 2)
    assert (one.mean, one.std) == pytest.approx((-0.75, 0.5 / math.sqrt(2)))
    assert one.interval == pytest.approx((-0.75 - 12.7062 * 0.25, -0.75 + 12.7062 * 0.25), abs=1e-4)
    assert (one.p, one.p_floor, one.p_holm, one.better) == (0.5, 0.5, 0.5, "label")
    assert (one.improvement_seeds, one.effect_size) == (1.0, None)
    assert "not testable at 0.05 with n = 2 < 6 pairs" in one.note


@pytest.mark.parametrize("reverse", [False, True])
def test_a_deterministic_cell_pairs_with_every_seed(make, reverse):
    said = {"constant": {None: {"mae": 1.0}}, "discriminative": maes(1.5, 2.0, 0.5)}
    (one,) = make(said, "discriminative" if reverse else "constant", axes="{readout: [constant, discriminative]}")
    assert one.seeds == [1, 2, 3]
    assert one.values == [(-1 if reverse else 1) * value for value in (0.5, 1.0, -0.5)]
    assert (
        one.p
        == stats.permutation_test(
            (one.values,), np.mean, permutation_type="samples", alternative="two-sided", n_resamples=np.inf
        ).pvalue
    )


def test_axes_not_named_stay_those_of_each_cell(tmp_path, write_sweep, own_cache):
    axes = "{readout: [discriminative, generative], adapter.rank: [2, 4]}"
    labels = [f"{name}, rank {rank}" for name in ("discriminative", "generative") for rank in (2, 4)]
    said = {label: maes(value) for label, value in zip(labels, (1.0, 10.0, 3.0, 15.0), strict=True)}
    plan = made_plan(tmp_path / "mlruns", write_sweep, said, axes=axes, seeds="[1]")
    cells = [*cells_of(plan).values()]

    def values(against):
        return [one.values for one in compare(pairs_of(cells, against), ["mae"], Resampler(1))]

    assert values({"readout": "discriminative"}) == [[2.0], [5.0]]
    assert values({"readout": "discriminative", "adapter.rank": 2}) == [[9.0], [2.0], [14.0]]


def test_collapsed_and_absent_partners(make):
    said = {"discriminative": maes(None, 1.0), "generative": maes(0.5, 0.5), "constant": {}}
    axes = "{readout: [discriminative, generative, constant]}"
    collapsed, absent = make(said, axes=axes)
    assert (collapsed.values, collapsed.num_collapsed) == ([-0.5], 1)
    assert (absent.n, absent.mean, absent.p, absent.p_holm, absent.better) == (0, None, None, None, "none")
    missing = make(said, "expected_value", axes=axes)
    assert len(missing) == 3 and all("no such cell" in one.note and one.against == "" for one in missing)


def test_testable_from_six_pairs_on(make):
    six, seven = ({"discriminative": maes(*[1.0] * n), "generative": maes(*[2.0] * n)} for n in (6, 7))
    (one,) = make(six, **PAIR)
    assert (one.note, one.p, one.p_floor, one.better) == (
        "not paired by clip: their predictions are missing",
        0.03125,
        0.03125,
        "against",
    )
    assert make(seven, **PAIR)[0].p == 2 / 2**7


def test_both_are_paired_by_clip(make):
    a, b = ({seed: noisy(noise, seed) for seed in (1, 2, 3)} for noise in (0.9, 0.6))
    (one,) = make({"discriminative": a, "generative": b}, **PAIR)
    errors = [np.abs(np.array(list(scores.values())) - LABELS).T for scores in (b, a)]  # (N, S)
    differences = errors[0] - errors[1]
    assert one.values == pytest.approx(differences.mean(0))
    centred = differences - differences.mean(0)
    assert one.interval_two_level == pytest.approx(two_level_interval(differences.mean(0), centred))
    assert one.improvement_clips == np.mean((differences < 0) + (differences == 0) / 2)
    # over clips, by the normal distribution that 120 random signs are near to
    by_clip = differences.mean(1)
    z = by_clip.sum() / math.sqrt((by_clip**2).sum())
    assert one.p_clips == pytest.approx(2 * stats.norm.sf(abs(z)), abs=0.02)
    assert one.interval_clips is None and "by clip" not in one.note


def test_accuracies_and_correlations_are_tested_seed_by_seed(make):
    a, b = noisy(1.6, 1), noisy(0.5, 2)
    (one,) = make({"discriminative": {1: a}, "generative": {1: b}}, **PAIR)
    counted = LABELS != 0
    right = [(scores > 0)[counted] == (LABELS > 0)[counted] for scores in (a, b)]
    table = [int(np.sum(right[0] & ~right[1])), int(np.sum(right[1] & ~right[0]))]
    exact = stats.binomtest(table[0], sum(table)).pvalue
    assert one.mcnemar["acc2_non0"] == pytest.approx(exact)
    assert set(one.mcnemar) == {"acc7", "acc5", "acc2_has0", "acc2_non0"}  # F1 is not a share of right clips
    assert one.williams_p is not None and one.williams_p < 1e-6
    (same,) = make({"discriminative": {1: a}, "generative": {1: -1 * -a}}, **PAIR)
    assert same.mcnemar["acc7"] == 1.0 and same.williams_p is None  # equal scores leave nothing to test
    assert (same.p_clips, same.improvement_clips, same.better) == (1.0, 0.5, "none")


def test_different_clips_are_not_paired(make, tmp_path, write_sweep, own_cache):
    keys = {**PAIR, "seeds": "[1]"}
    plan = made_plan(tmp_path / "other", write_sweep, {"discriminative": {1: noisy(0.5)}}, **keys)
    finish(plan, "generative", 1, noisy(0.6), clips=[f"{name}_b" for name in CLIPS])
    cells = [*cells_of(made_plan(tmp_path / "other", write_sweep, **keys)).values()]
    (one,) = compare(pairs_of(cells, {"readout": "discriminative"}), ["mae"], Resampler(1))
    assert one.n == 1 and one.p_clips is None and one.improvement_clips is None and one.mcnemar == {}
    assert one.note == "tested on other clips, so the difference is also one of clips"
    assert (one.pairing, one.p, one.p_floor, one.p_holm, one.is_over_clips) == ("other clips", None, None, None, False)
    assert one.values and one.mean is not None  # what they scored is told all the same


def test_the_order_of_clips_in_a_file_does_not_matter(make, tmp_path, write_sweep, own_cache):
    keys = {**PAIR, "seeds": "[1]"}
    order = np.argsort([name[::-1] for name in CLIPS])
    plan = made_plan(tmp_path / "m", write_sweep, {"discriminative": {1: noisy(0.5)}}, **keys)
    scores = noisy(0.6, 3)
    finish(plan, "generative", 1, scores)
    (path,) = [
        plan.ledger.trial(trial.trial_id).path / "predictions.test.parquet"
        for trial in plan.trials
        if "generative" in trial.cells
    ]
    pd.read_parquet(path).iloc[order].to_parquet(path)
    cells = [*cells_of(made_plan(tmp_path / "m", write_sweep, **keys)).values()]
    (one,) = compare(pairs_of(cells, {"readout": "discriminative"}), ["mae"], Resampler(1))
    errors = np.abs(scores - LABELS) - np.abs(noisy(0.5) - LABELS)
    assert one.improvement_clips == np.mean((errors < 0) + (errors == 0) / 2)


def test_two_deterministic_cells_are_tested_over_clips(make):
    axes = "{readout: [constant, frozen_probe, generative_zero_shot]}"
    said = {
        "constant": {None: noisy(1.5)},
        "frozen_probe": {None: noisy(0.5, 3)},
        "generative_zero_shot": {None: noisy(1.5, 9)},
    }
    far, near = make(said, "constant", axes=axes)
    assert (far.seeds, far.n, far.p, far.p_floor, far.interval, far.num_seeds_needed) == (
        [None],
        1,
        None,
        None,
        None,
        None,
    )
    assert far.is_over_clips and far.p_clips < 0.001 and far.p_holm == 2 * far.p_clips
    assert near.p_holm == near.p_clips > 0.05
    assert "over clips alone" in far.note and "not testable" not in far.note
    errors = np.abs(noisy(0.5, 3) - LABELS) - np.abs(noisy(1.5) - LABELS)
    rival = stats.bootstrap((errors,), np.mean, n_resamples=4000, method="BCa", random_state=3).confidence_interval
    assert far.interval_clips == pytest.approx(list(rival), abs=0.1 * (rival.high - rival.low))


def test_holm_counts_comparisons_that_could_not_be_made(make):
    axes = "{readout: [discriminative, generative, expected_value, constant]}"
    said = {"discriminative": maes(*[1.0] * 6), "generative": maes(*[2.0] * 6), "expected_value": {}, "constant": {}}
    first, *others = make(said, axes=axes)
    assert (first.p, first.p_holm) == (0.03125, 3 * 0.03125)
    assert [one.p_holm for one in others] == [None, None]


def test_few_pairs_are_judged_by_the_whole_family(make):
    axes = "{readout: [discriminative, generative, expected_value, constant]}"
    said = {"discriminative": maes(*[1.0] * 6), "generative": maes(*[2.0] * 6), "expected_value": {}, "constant": {}}
    first, second, _ = make(said, axes=axes)
    assert first.note.startswith("not testable at 0.05 with n = 6 < 7 pairs (3 comparisons); not paired")  # 2 / 2^7 * 3
    assert first.family == 3 and second.note == "not testable at 0.05 with n = 0 < 7 pairs (3 comparisons)"


def test_what_no_seed_has_is_told_as_undefined(make):
    said = {
        "discriminative": {1: {"corr": 0.5}, 2: {"corr": 0.6}},
        "generative": {1: {"corr": None}, 2: {"corr": None}},
    }
    (one,) = make(said, metrics=("corr",), **PAIR)
    assert (one.n, one.num_collapsed, one.note) == (0, 2, "undefined: constant predictions")


def test_collapses_are_counted_on_their_side(make):
    said = {"discriminative": maes(None, 1.0, None, 1.0), "generative": maes(None, 2.0, 2.0, 2.0)}
    (one,) = make(said, **PAIR)
    assert (one.n, one.num_collapsed, one.num_collapsed_label, one.num_collapsed_against) == (2, 2, 1, 2)


def test_correlations_are_tested_where_every_pair_has_one(make):
    steady = {seed: noisy(0.5, seed) for seed in (1, 2, 3)}
    other = {seed: noisy(1.5, 9 + seed) for seed in (1, 2, 3)}
    (whole,) = make({"discriminative": steady, "generative": other}, **PAIR)
    assert whole.williams_p is not None and whole.williams_p < 0.001


def test_correlations_with_a_collapsed_pair_are_not_tested(make):
    steady = {seed: noisy(0.5, seed) for seed in (1, 2, 3)}
    other = {1: noisy(1.5, 10), 2: np.ones(120), 3: np.ones(120)}
    (one,) = make({"discriminative": steady, "generative": other}, **PAIR)
    assert one.williams_p is None and one.n == 3


@pytest.mark.parametrize("num", [16, 17, 18])
def test_no_p_is_below_its_floor(make, num):
    said = {"discriminative": maes(*[1.0] * num), "generative": maes(*[1.5 + place / 100 for place in range(num)])}
    (one,) = make(said, **PAIR)
    assert one.p_floor == (2 / 2**16 if num == 16 else 1 / 100_000) <= one.p  # above 16 pairs 99,999 patterns are drawn


def test_without_predictions_two_fixed_cells_cannot_be_tested(make):
    axes = "{readout: [constant, frozen_probe]}"
    (one,) = make({"constant": {None: {"mae": 0.7}}, "frozen_probe": {None: {"mae": 0.8}}}, "constant", axes=axes)
    assert one.note == "neither cell is random: their predictions are missing" and one.p_clips is None


def test_exploratory_metrics_are_one_family(make):
    said = {"discriminative": {1: noisy(0.5)}, "generative": {1: noisy(0.6)}}
    found = make(said, metrics=("corr", "acc7"), **PAIR)
    assert [one.metric for one in found] == ["corr", "acc7"]
    assert all(one.p == 1.0 and one.p_holm == 1.0 and one.p_clips is not None for one in found)
    assert found[0].better == "against"  # a lower correlation is worse


def test_seeds_needed_for_what_is_seen_and_for_what_would_matter(make):
    values = (0.30, 0.10, 0.25, 0.18)
    said = {"discriminative": maes(*[1.0] * 4), "generative": maes(*[1 + value for value in values])}
    (one,) = make(said, smallest=0.05, **PAIR)
    std = np.std(values, ddof=1)
    assert one.num_seeds_needed == num_seeds_needed(np.mean(values), std)
    assert one.num_seeds_needed_stated == num_seeds_needed(0.05, std) > one.num_seeds_needed
    upper = std * math.sqrt(3 / stats.chi2.ppf(0.2, 3))
    assert one.num_seeds_needed_pessimistic == num_seeds_needed(np.mean(values), upper) > one.num_seeds_needed
    assert one.stated_difference == 0.05
    (alone,) = make({"discriminative": maes(1.0), "generative": maes(2.0)}, **PAIR)
    assert alone.num_seeds_needed is None  # one pair has no spread


def test_costs_are_compared_by_seed_alone(make):
    said = {"discriminative": {1: noisy(0.5)}, "generative": {1: noisy(0.6)}}
    (one,) = make(said, metrics=("train_s",), **PAIR)
    assert (one.values, one.p_clips, one.interval_two_level) == ([0.0], None, None)


def test_the_same_numbers_each_time(make):
    said = {"discriminative": {1: noisy(0.5)}, "generative": {1: noisy(0.55, 8)}}
    assert make(said, **PAIR) == make(said, **PAIR)
