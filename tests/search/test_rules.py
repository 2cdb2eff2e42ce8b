"""The rules of a search, on hand-worked answers."""

import math

import numpy as np
import pytest
from scipy.stats import wilcoxon

from omni_msa.search.rules import (
    ProposalValue,
    Rung,
    SeedOutcome,
    best,
    best_so_far,
    next_to_promote,
    pareto_front,
    rungs,
    score,
    worse_p,
)
from omni_msa.sweep.search_space import Halving

FULL = [Rung(3)]


def done(*values: float) -> SeedOutcome:
    return SeedOutcome("complete", values)


def test_a_proposal_is_worth_the_mean_over_its_seeds():
    found = score([done(1.0, 4.0), done(2.0, 6.0), done(6.0, 8.0)], FULL, 0)
    assert (found.state, found.values, found.by_rung) == ("complete", (3.0, 6.0), {0: 3.0})
    assert found.by_seed == {0: 1.0, 1: 2.0, 2: 6.0}


def test_a_proposal_with_a_failed_seed_is_incomplete_not_better():
    found = score([done(0.1), SeedOutcome("failed"), done(0.1)], FULL, 0)
    assert (found.state, found.values, found.by_rung) == ("failed", None, {})
    assert score([done(0.1), done(math.nan), done(0.1)], FULL, 0).state == "failed"  # a metric that is not defined
    assert score([SeedOutcome("complete", None)], [Rung(1)], 0).state == "failed"
    assert best([found, score([done(9.0)] * 3, FULL, 0)], ["lower"], 2) == [1]


def test_a_proposal_whose_seeds_are_not_all_there_is_running():
    found = score([done(0.1), SeedOutcome()], FULL, 0)
    assert (found.state, found.values, found.by_rung) == ("running", None, {})


HALVING = Halving(epochs=(1, 2, 9), keep=0.5, p=0.25)


def test_rungs_are_epochs_of_the_first_seed_then_seeds():
    assert rungs(HALVING, 4, 3) == [Rung(1, 1), Rung(1, 2), Rung(1), Rung(2), Rung(3)]
    assert rungs(None, 4, 3) == [Rung(3)]


def test_what_an_epoch_is_worth_is_the_best_until_then():
    ends = ((1, 0.9), (2, None), (3, 0.7), (4, 0.8))
    rows = [{"epoch": 1, "train_loss": 1.0}, *({"epoch": epoch, "valid_mae": value} for epoch, value in ends)]
    assert best_so_far(rows, "mae") == {1: 0.9, 2: 0.9, 3: 0.7, 4: 0.7}
    assert best_so_far([{"epoch": 1, "valid_corr": 0.1}, {"epoch": 2, "valid_corr": 0.3}], "corr") == {1: 0.1, 2: 0.3}
    assert best_so_far([{"epoch": 1, "valid_mae": None}], "mae") == {1: math.inf}


def test_a_proposal_stopped_below_the_last_rung_is_pruned():
    steps = rungs(HALVING, 4, 2)
    stopped = SeedOutcome("pruned", None, {1: 0.9, 2: 0.8})
    assert score([stopped], steps, 1) == ProposalValue("pruned", None, {0: 0.9, 1: 0.8}, {})
    assert score([done(0.7)], steps, 2).by_rung == {0: 0.7, 1: 0.7, 2: 0.7}  # it was known before: it has no curve
    whole = score([SeedOutcome("complete", (0.7,), {1: 0.9, 2: 0.8, 3: 0.7, 4: 0.7}), done(0.5)], steps, 3)
    assert (whole.state, whole.by_rung) == ("complete", {0: 0.9, 1: 0.8, 2: 0.7, 3: 0.6})


def at(rung: int, value: float) -> ProposalValue:
    return ProposalValue("pruned", None, dict.fromkeys(range(rung + 1), value), {})


def test_the_better_half_goes_on_and_the_highest_rung_first():
    steps = rungs(HALVING, 4, 1)

    def promote(scores, reached, is_last=False, better="lower"):
        return next_to_promote(scores, reached, steps, HALVING, better, is_last)

    assert promote([at(0, 1.0)], [0]) is None and promote([at(0, 1.0)], [0], True) == 0
    two = [at(0, 1.0), at(0, 0.5)]
    assert promote(two, [0, 0]) == 1 and promote(two, [0, 0], better="higher") == 0
    assert promote(two, [0, 1]) is None  # it was promoted, and runs
    four = [at(0, 1.0), at(1, 0.5), at(1, 0.4), at(0, 0.9)]
    assert promote(four, [0, 1, 1, 0]) == 2  # from the second rung, before any from the first
    assert promote([ProposalValue("failed"), at(0, 1.0)], [0, 0]) is None  # what failed is not one of two


def test_on_paired_seeds_what_is_worse_is_cut():
    steps = rungs(HALVING, 1, 3)  # one, two, three seeds
    whole = ProposalValue("complete", (0.5,), {0: 0.4, 1: 0.45, 2: 0.5}, {0: 0.4, 1: 0.5, 2: 0.6})
    worse = ProposalValue("pruned", None, {0: 0.5, 1: 0.55}, {0: 0.5, 1: 0.6})
    mixed = ProposalValue("pruned", None, {0: 0.3, 1: 0.55}, {0: 0.3, 1: 0.8})
    assert next_to_promote([whole, worse], [2, 1], steps, HALVING, "lower", True) is None
    assert next_to_promote([whole, mixed], [2, 1], steps, HALVING, "lower", True) == 1
    assert next_to_promote([whole, worse], [2, 1], steps, Halving(p=0.2), "lower", True) == 1  # 2 pairs: p >= 1/4
    assert next_to_promote([worse, mixed], [1, 1], steps, HALVING, "lower", True) == 0  # nothing to compare with yet


def test_where_fewer_are_complete_than_are_to_be_confirmed_the_furthest_of_the_others_go_on():
    steps = rungs(HALVING, 4, 2)
    whole = ProposalValue("complete", (0.5,), dict.fromkeys(range(4), 0.5), {0: 0.5, 1: 0.5})
    others = [at(0, 0.6), at(1, 0.9), at(1, 0.8), ProposalValue("failed")]
    scores, reached = [whole, *others], [3, 0, 1, 1, 2]

    def promote(least, better="lower"):
        return next_to_promote(scores, reached, steps, Halving(epochs=(1, 2), keep=0.1), better, least)

    assert promote(1) is None and promote(2) == 3 and promote(2, "higher") == 2
    assert promote(0) is None  # others may come
    assert (
        next_to_promote([whole, ProposalValue("failed")], [3, 0], steps, HALVING, "lower", 3) is None
    )  # nobody is left


def test_the_signed_rank_test_agrees_with_scipy():
    assert [worse_p([1.0] * n) for n in (1, 2, 3)] == [1 / 2, 1 / 4, 1 / 8]
    assert worse_p([]) == worse_p([0.0]) == 1.0 and worse_p([-1.0, -2.0]) == 1.0
    generator = np.random.default_rng(0)
    for n in range(2, 11):
        sample = generator.normal(0.3, 1.0, n)
        assert worse_p(sample.tolist()) == pytest.approx(wilcoxon(sample, alternative="greater", method="exact").pvalue)
    tied = [1.0, 1.0, -1.0, 2.0]  # mean ranks 2, 2, 2, 4; those above zero sum to 8
    sums = [sum(r for r, s in zip((2, 2, 2, 4), np.binary_repr(k, 4), strict=True) if s == "1") for k in range(16)]
    assert worse_p(tied) == sum(each >= 8 for each in sums) / 16


def test_the_pareto_front_is_what_nothing_beats():
    values = [(1.0, 5.0), (2.0, 4.0), (2.0, 5.0), (3.0, 1.0), (1.0, 5.0)]
    assert pareto_front(values, ["lower", "lower"]) == [0, 1, 3, 4]
    assert pareto_front([(1.0, 1.0), (2.0, 2.0)], ["lower", "higher"]) == [0, 1]
    scores = [ProposalValue("complete", each) for each in values]
    assert best(scores, ["lower", "lower"], 3) == [0, 4, 1]
    singles = [ProposalValue("complete", (1.0,)), ProposalValue("running"), ProposalValue("complete", (2.0,))]
    assert best(singles, ["higher"], 5) == [2, 0] and best(singles, ["lower"], 1) == [0]
