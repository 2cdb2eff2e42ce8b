"""Paired tests against enumeration, scipy and numbers worked by hand."""

import itertools
import json
import math

import numpy as np
import pytest
from scipy import stats

from helpers.paths import FIXTURES
from omni_msa.stats import paired
from omni_msa.stats.metrics import compute
from omni_msa.stats.resampling import influences, jackknife_metrics, weighted_metrics

PAPER = json.loads((FIXTURES / "paper_seeds.json").read_text())


@pytest.mark.parametrize("n", range(1, 9))
def test_sign_flip_against_enumeration_scipy_and_its_floor(n):
    values = np.random.default_rng(n).normal(0.5, 1, n)
    flips = [abs(np.dot(signs, values)) for signs in itertools.product((1, -1), repeat=n)]
    assert paired.sign_flip_p(values) == pytest.approx(np.mean([flip >= abs(values.sum()) - 1e-12 for flip in flips]))
    if n > 1:
        options = {"permutation_type": "samples", "n_resamples": np.inf, "alternative": "two-sided"}
        expected = stats.permutation_test((values,), np.mean, **options).pvalue
        assert paired.sign_flip_p(values) == pytest.approx(expected)
    assert paired.sign_flip_p(np.arange(1, n + 1)) == paired.sign_flip_floor(n) == 2 / 2**n
    assert PAPER["smallest_two_sided_sign_flip_p"].get(str(n), 2 / 2**n) == paired.sign_flip_floor(n)


def test_sign_flip_by_hand():
    # of the 8 patterns of 1, 2, 4 the sums +-7 and +-5 are at least the 5 of -1 + 2 + 4
    assert paired.sign_flip_p([-1, 2, 4]) == 4 / 8
    assert paired.sign_flip_p([0.0] * 6) == 1.0
    assert paired.sign_flip_p([0.1, -0.3, 0.2]) == 1.0  # the sum is 0 but for rounding


def test_sixteen_pairs_are_enumerated_and_more_are_drawn():
    assert paired.sign_flip_p(np.ones(16)) == 2 / 2**16
    assert paired.sign_flip_p(np.ones(40), num_draws=999) == 1 / 1000  # (k + 1) / (m + 1) is never 0
    assert paired.p_floor(40, 999) == 1 / 1000
    assert (paired.p_floor(3), paired.p_floor(16), paired.p_floor(17)) == (1 / 4, 2 / 2**16, 1 / 100_000)
    assert paired.sign_flip_p(np.ones(40)) == paired.p_floor(40)
    values = np.random.default_rng(0).normal(0.4, 1, 17)
    half = np.abs(np.array(list(itertools.product((1, -1), repeat=16))) @ values[1:, None] + values[0])
    exact = np.mean(half >= abs(values.sum()) - 1e-12)  # the first sign may be held: it mirrors all others
    error = math.sqrt(exact * (1 - exact) / 99_999)
    assert 0.02 < exact < 0.9
    assert paired.sign_flip_p(values) == pytest.approx(exact, abs=4 * error)
    assert paired.sign_flip_p(values) == paired.sign_flip_p(values)
    assert paired.sign_flip_p(values, np.random.default_rng(5), 999) != paired.sign_flip_p(
        values, np.random.default_rng(6), 999
    )


def test_many_comparisons_over_clips_share_their_patterns():
    generator = np.random.default_rng(0)
    values = generator.normal([0.0, 0.15, 1.0], 1, (120, 3))
    together = paired.paired_clip_p(values, np.random.default_rng(1), 4_999)
    alone = [paired.paired_clip_p(values[:, [place]], np.random.default_rng(1), 4_999)[0] for place in range(3)]
    assert together.tolist() == alone
    assert together[2] == 1 / 5000
    for place in range(2):  # with so many clips the test is nearly that of Student
        expected = stats.ttest_1samp(values[:, place], 0).pvalue
        assert together[place] == pytest.approx(expected, abs=0.03)


def test_clips_that_do_not_differ_are_no_evidence_and_ties_count():
    generator = np.random.default_rng(0)
    assert paired.paired_clip_p(np.zeros((100, 1)), generator, 99).tolist() == [1.0]
    hits = np.repeat([1.0, -1.0, 0.0], [30, 18, 52])[:, None]  # hits that one cell alone has, as in McNemar's test
    expected = stats.binomtest(18, 48).pvalue
    assert paired.paired_clip_p(hits / 3, generator, 20_000)[0] == pytest.approx(expected, abs=0.01)


def test_clip_differences_are_those_of_the_losses():
    generator = np.random.default_rng(0)
    labels, scores = generator.uniform(-3, 3, 70), generator.uniform(-3, 3, (4, 70))
    values, without = weighted_metrics(labels, scores, np.ones((1, 70))), jackknife_metrics(labels, scores)

    def differences(name):
        effects = influences(without[name])
        return paired.clip_differences(values[name][0, :2] - values[name][0, 2:], effects[:, :2] - effects[:, 2:])

    losses = np.abs(scores - labels)
    np.testing.assert_allclose(differences("mae"), losses[:2].mean(0) - losses[2:].mean(0), atol=1e-10)
    corr = [compute(labels, row)["corr"] for row in scores]
    assert differences("corr").mean() == pytest.approx(np.mean(corr[:2]) - np.mean(corr[2:]))


def test_improvement_is_the_share_of_better_pairs():
    assert paired.improvement([-1, -2, 3, 0]) == (2 + 0.5) / 4
    assert paired.improvement([-1, -2, 3, 0], "higher") == (1 + 0.5) / 4
    assert paired.improvement([[-1, math.nan], [1, -1]]) == pytest.approx(2 / 3)
    assert paired.improvement([]) is None
    # among all combinations instead of pairs it is Mann-Whitney's U (Agarwal et al. 2021)
    generator = np.random.default_rng(0)
    a, b = generator.integers(0, 5, 9), generator.integers(0, 5, 7)
    expected = stats.mannwhitneyu(a, b).statistic / 63
    assert paired.improvement(a[:, None] - b, "higher") == pytest.approx(expected)


def test_effect_size_by_hand():
    # mean 2, standard deviation 1; Hedges' correction with 2 degrees of freedom is Gamma(1) / Gamma(1/2) = 0.5642
    assert paired.effect_size([1, 2, 3]) == pytest.approx(2 / math.sqrt(math.pi))
    many = np.random.default_rng(0).normal(0.7, 1, 41)
    approximate = (1 - 3 / (4 * 40 - 1)) * many.mean() / many.std(ddof=1)  # Hedges 1981, his approximation
    assert paired.effect_size(many) == pytest.approx(approximate, rel=1e-4)
    assert paired.effect_size([1, 2]) is None
    assert paired.effect_size([0.3, 0.3, 0.3]) is None
    assert paired.effect_size([0.2 - 0.1, 0.3 - 0.2, 0.8 - 0.7]) is None  # equal but for rounding
    assert paired.all_equal([1e6, 1e6 + 1e-8]) and not paired.all_equal([0.5, 0.5 + 1e-9])


def test_effect_size_has_no_bias():
    generator = np.random.default_rng(0)
    sizes = [paired.effect_size(row) for row in generator.normal(0.8, 1, (20_000, 6))]
    assert np.mean(sizes) == pytest.approx(0.8, abs=4 * np.std(sizes) / math.sqrt(20_000))
