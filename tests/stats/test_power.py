"""Numbers of seeds against published tables, scipy and simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from omni_msa.stats import power
from omni_msa.stats.paired import sign_flip_p


@pytest.mark.parametrize(("effect", "expected"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)])
def test_t_power_gives_the_published_numbers_of_pairs(effect, expected):
    # G*Power 3 (Faul et al. 2007, Behavior Research Methods 39, 175-191): paired t test, two-sided, .05, power .8
    assert power.t_power(effect, expected) >= 0.8 > power.t_power(effect, expected - 1)


@pytest.mark.parametrize(("effect", "num"), [(0.3, 12), (1.1, 5), (0.0, 7)])
def test_t_power_against_simulation(effect, num):
    values = np.random.default_rng(0).normal(effect, 1, (40_000, num))
    rate = np.mean(stats.ttest_1samp(values, 0, axis=1).pvalue <= 0.05)
    assert power.t_power(effect, num) == pytest.approx(rate, abs=4 * math.sqrt(rate * (1 - rate) / 40_000))


def test_t_power_is_one_far_away_and_never_undefined():
    for num in (2, 6, 100, 10_000):
        curve = [power.t_power(effect, num) for effect in np.geomspace(0.001, 5000, 400)]
        assert (np.diff(curve) > -1e-9).all()  # NaN fails too
        assert curve[-1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("effect", "num", "family"),
    [(1.3, 6, 1), (1.3, 7, 1), (1.2, 8, 1), (1.6, 8, 3), (1.6, 9, 5), (1.8, 10, 10), (1.0, 10, 1), (0.8, 12, 1)],
)
def test_sign_flip_power_against_simulation(effect, num, family):
    values = np.random.default_rng(num).normal(effect, 1, (3000, num))
    rate = np.mean([sign_flip_p(row) <= 0.05 / family for row in values])
    error = 3 * math.sqrt(rate * (1 - rate) / 3000)
    assert power.sign_flip_power(effect, num, 0.05 / family) == pytest.approx(rate, abs=error + 0.01)


@pytest.mark.parametrize(("num", "num_steps"), [(7, 3), (9, 2), (9, 5), (9, 12), (10, 25)])
def test_the_least_mean_at_which_a_sample_is_rejected(num, num_steps):
    # the same draws: just above that mean the test itself rejects, just below it does not
    draws = np.random.default_rng(0).normal(size=(power._NUM_SAMPLES, num))[:40]
    deviations = draws - draws.mean(1, keepdims=True)
    level = num_steps * 2 / 2**num
    for row, least in zip(deviations, power._least_means(num, num_steps), strict=False):
        assert sign_flip_p(row + least + 1e-6) <= level < sign_flip_p(row + least - 1e-6)


@pytest.mark.parametrize("family", [1, 3, 5, 20])
def test_a_smaller_effect_never_takes_fewer_seeds(family):
    effects = np.geomspace(0.4, 4, 60)
    nums = [power.num_seeds_needed(effect, 1.0, num_comparisons=family) for effect in effects]
    assert (np.diff(nums) <= 0).all() and nums[0] > nums[-1]


def test_sign_flip_power_by_hand():
    # with six pairs it rejects when all have one sign, each with probability Phi(1) = .8413
    assert power.sign_flip_power(1.0, 6) == pytest.approx(0.841345**6 + 0.158655**6, abs=1e-5)
    assert power.sign_flip_power(9.0, 5) == 0.0
    assert power.sign_flip_power(0.0, 6) == pytest.approx(2 / 64)


@pytest.mark.parametrize(("num_comparisons", "expected"), [(1, 6), (2, 7), (4, 8), (10, 9), (100, 12)])
def test_the_fewest_seeds_that_can_reject(num_comparisons, expected):
    assert power.num_seeds_least(0.05, num_comparisons) == expected
    assert 2 / 2**expected <= 0.05 / num_comparisons < 2 / 2 ** (expected - 1)
    assert power.num_seeds_least(1.0) == 1


@pytest.mark.parametrize("num_comparisons", [1, 5])
@pytest.mark.parametrize("effect", [0.12, 0.37, 0.8, 1.4, 2.2, 5.0])
def test_seeds_needed_are_the_fewest_with_the_power(effect, num_comparisons):
    num = power.num_seeds_needed(-0.01 * effect, 0.01, num_comparisons=num_comparisons)
    least, level = power.num_seeds_least(0.05, num_comparisons), 0.05 / num_comparisons
    curve = [power.sign_flip_power(effect, each, level) for each in range(least, num + 1)]
    assert num == least + next(place for place, found in enumerate(curve) if found >= 0.8)


def test_seeds_needed_at_the_edges():
    assert power.num_seeds_needed(0.5, 1.0) == 34
    assert power.num_seeds_needed(0.1, 0.0) == power.num_seeds_needed(100.0, 1.0) == 6
    assert power.num_seeds_needed(100.0, 1.0, num_comparisons=10) == 9
    assert power.num_seeds_needed(0.5, 1.0, power=0.95) > 34
    for difference, std in ((0.0, 1.0), (None, 1.0), (1.0, None), (math.nan, 1.0), (1.0, math.inf), (1e-6, 1.0)):
        assert power.num_seeds_needed(difference, std) is None


def test_upper_limit_of_a_standard_deviation():
    # chi squared of 4 degrees of freedom has its 20 % point at 1.6488
    assert power.std_upper_limit(0.01, 5) == pytest.approx(0.01 * math.sqrt(4 / 1.6488), rel=1e-4)
    assert power.std_upper_limit(1.0, 12, 0.95) == pytest.approx(math.sqrt(11 / stats.chi2(11).ppf(0.05)))
    assert power.std_upper_limit(0.0, 3) == 0.0
    assert power.std_upper_limit(0.0, 1) is None
    samples = np.random.default_rng(0).normal(0, 1, (10_000, 4)).std(1, ddof=1)
    assert np.mean([power.std_upper_limit(std, 4) > 1 for std in samples]) == pytest.approx(0.8, abs=0.016)
