"""Intervals against scipy, numbers worked by hand, and the variance components of a table."""

import math

import numpy as np
import other_methods
import pytest
from scipy import stats

from omni_msa.stats import intervals
from omni_msa.stats.resampling import influences, jackknife_metrics


def crossed(num_clips, num_seeds, seeds=1.0, clips=1.0, both=1.0, seed=0):
    """Losses (N, S) of seeds that all score the same clips."""
    generator = np.random.default_rng(seed)
    return (
        seeds * generator.normal(size=num_seeds)
        + clips * generator.normal(size=(num_clips, 1))
        + both * generator.normal(size=(num_clips, num_seeds))
    )


def interval_of(losses):
    return intervals.two_level_interval(losses.mean(0), losses - losses.mean(0))


def test_t_interval_by_hand_and_against_scipy():
    # mean 2, standard deviation 1, t of 2 degrees of freedom 4.302653
    assert intervals.t_interval([1, 2, 3]) == pytest.approx((2 - 4.302653 / math.sqrt(3), 2 + 4.302653 / math.sqrt(3)))
    values = np.random.default_rng(0).normal(1, 0.1, 7).tolist()
    expected = stats.t(df=6, loc=np.mean(values), scale=stats.sem(values)).interval(0.95)
    assert intervals.t_interval(values) == pytest.approx(expected)
    corrected = stats.t(df=6, loc=np.mean(values), scale=stats.sem(values)).interval(1 - 0.05 / 3)
    assert intervals.t_interval(values, 3) == pytest.approx(corrected)
    assert intervals.t_interval([1.0]) is None
    assert intervals.t_interval([0.1 + 0.2] * 3) is None  # three equal seeds do not say that all are


def test_moments_say_what_so_few_values_allow():
    assert intervals.moments([]) == (None, None, None)
    assert intervals.moments([0.5]) == (0.5, None, None)
    mean, std, interval = intervals.moments([1, 2, 3])
    assert (mean, std) == (2, 1)
    differences = [0.2 - 0.1, 0.3 - 0.2, 0.8 - 0.7]
    assert len(set(differences)) > 1 and intervals.moments(differences) == (pytest.approx(0.1), 0.0, None)
    assert intervals.moments([0.0917] * 3) == (pytest.approx(0.0917), 0.0, None)
    assert interval == intervals.t_interval([1, 2, 3])


@pytest.mark.parametrize("num", [20, 45, 300])
def test_bca_against_scipy_at_the_widened_level(num):
    values = np.random.default_rng(num).exponential(1, num)
    quantile = stats.t(num - 1).ppf(0.975) * math.sqrt(num / (num - 1))
    options = {"method": "BCa", "n_resamples": 1999, "confidence_level": 1 - 2 * stats.norm.cdf(-quantile), "rng": 1}
    expected = stats.bootstrap((values,), np.mean, **options)
    jackknife = [np.delete(values, place).mean() for place in range(num)]
    found = intervals.bca_interval(expected.bootstrap_distribution, values.mean(), jackknife)
    assert found == pytest.approx(tuple(expected.confidence_interval))


def test_bca_of_symmetric_replicates_is_the_percentile_interval():
    # no bias and no acceleration: the quantiles at Phi(-+t sqrt(n / (n - 1)))
    replicates, jackknife = np.linspace(-1, 1, 10_001), np.linspace(-1, 1, 100)
    share = stats.norm.cdf(stats.t(99).ppf(0.975) * math.sqrt(100 / 99))
    expected = (1 - 2 * share, 2 * share - 1)
    assert intervals.bca_interval(replicates, 0.0, jackknife) == pytest.approx(expected, abs=1e-6)


def test_bca_moves_towards_the_long_tail():
    generator = np.random.default_rng(0)
    values = generator.exponential(1, 60)
    low, high = other_methods.bca_seeds_interval(values, generator)
    assert high - values.mean() > 1.1 * (values.mean() - low) > 0
    assert other_methods.bca_seeds_interval(values, np.random.default_rng(3)) == other_methods.bca_seeds_interval(
        values, np.random.default_rng(3)
    )


def test_bca_is_none_where_it_says_nothing():
    generator = np.random.default_rng(0)
    good, jackknife = generator.normal(size=1000), generator.normal(size=60)
    assert intervals.bca_interval(good, 0.0, jackknife) is not None
    assert intervals.bca_interval(good, 0.0, jackknife[:19]) is None
    assert intervals.bca_interval(good, math.nan, jackknife) is None
    assert intervals.bca_interval(good, 99.0, jackknife) is None  # outside of all replicates
    few, many = good.copy(), good.copy()
    few[:10], many[:11] = math.nan, math.nan
    assert intervals.bca_interval(few, 0.0, jackknife) is not None
    assert intervals.bca_interval(many, 0.0, jackknife) is None
    assert intervals.bca_interval(np.zeros(1000), 0.0, jackknife) is None  # all replicates are equal
    assert intervals.bca_interval(good, 0.0, np.full(60, 0.1 + 0.2)) is None  # no clip says anything
    assert intervals.bca_interval(np.ones(2000), 1.0, np.ones(120)) is None
    assert other_methods.bca_seeds_interval([0.5] * 25, generator) is None
    assert other_methods.bca_seeds_interval(range(19), generator) is None
    assert other_methods.bca_seeds_interval(range(20), generator) is not None


def test_two_level_variance_is_that_of_a_two_way_table():
    losses = crossed(80, 6)
    num_clips, num_seeds = losses.shape
    # the textbook's analysis of variance of a table with one entry a field
    grand, rows, columns = losses.mean(), losses.mean(1), losses.mean(0)
    mean_square = {
        "seeds": num_clips * np.sum((columns - grand) ** 2) / (num_seeds - 1),
        "clips": num_seeds * np.sum((rows - grand) ** 2) / (num_clips - 1),
        "both": np.sum((losses - rows[:, None] - columns + grand) ** 2) / ((num_seeds - 1) * (num_clips - 1)),
    }
    total = mean_square["seeds"] + mean_square["clips"] - mean_square["both"]
    freedom = total**2 / (
        mean_square["seeds"] ** 2 / (num_seeds - 1)
        + mean_square["clips"] ** 2 / (num_clips - 1)
        + mean_square["both"] ** 2 / ((num_seeds - 1) * (num_clips - 1))
    )
    half = stats.t(freedom).ppf(0.975) * math.sqrt(total / (num_seeds * num_clips))
    seeds_alone = stats.t(num_seeds - 1).ppf(0.975) * stats.sem(columns)
    assert half > seeds_alone  # so that the rule about them is not what is tested here
    assert interval_of(losses) == pytest.approx((grand - half, grand + half))


def test_two_level_interval_by_hand():
    # clips +-1 around 0 for every seed, seed effects -1, 0, 1: variances 1/3 and 1/63, none is left over
    losses = np.tile([1.0, -1.0], 32)[:, None] + np.array([-1.0, 0.0, 1.0])
    total = 1 / 3 + 1 / 63
    freedom = total**2 / ((1 / 3) ** 2 / 2 + (1 / 63) ** 2 / 63)
    half = max(stats.t(freedom).ppf(0.975) * math.sqrt(total), stats.t(2).ppf(0.975) * math.sqrt(1 / 3))
    assert interval_of(losses) == pytest.approx((-half, half))


@pytest.mark.parametrize("spread", [0.0, 0.1, 3.0])
@pytest.mark.parametrize("num_seeds", [3, 4, 10])
def test_two_level_is_never_narrower_than_over_seeds(num_seeds, spread):
    for seed in range(100):
        losses = crossed(60, num_seeds, seeds=spread, clips=0.1, seed=seed)
        low, high = interval_of(losses)
        t_low, t_high = intervals.t_interval(losses.mean(0))
        assert low <= t_low + 1e-12 and high >= t_high - 1e-12


def test_seeds_that_do_not_differ_leave_the_clips():
    losses = crossed(200, 5, seeds=0.0)
    losses -= losses.mean(0) - losses.mean()  # no difference at all
    by_clip = losses.mean(1)
    of_clips, of_both = stats.sem(by_clip) ** 2, np.sum((losses - by_clip[:, None]) ** 2) / (200 * 5) / (199 * 4)
    freedom = of_clips**2 / (of_clips**2 / 199 + of_both**2 / (199 * 4))
    expected = stats.t(freedom, by_clip.mean(), stats.sem(by_clip)).interval(0.95)
    assert interval_of(losses) == pytest.approx(expected)


def shares(num_clips, num_won, num_lost=0):
    """What each clip adds to a share, or to a difference of two: 1, -1 or 0."""
    return np.repeat([1.0, -1.0, 0.0], [num_won, num_lost, num_clips - num_won - num_lost])


@pytest.mark.parametrize("num_clips", [60, 120, 686])
@pytest.mark.parametrize(("num_won", "num_lost"), [(0, 0), (1, 0), (4, 0), (5, 0), (2, 2), (3, 2), (1, 9)])
def test_the_clips_that_tell_something_of_a_share(num_clips, num_won, num_lost):
    hits = shares(num_clips, num_won, num_lost)
    num = num_won + num_lost
    assert intervals.num_telling(hits - hits.mean()) == intervals.num_telling(hits.mean() - hits) == num
    weights = np.random.default_rng(0).multinomial(num_clips, np.full(num_clips, 1 / num_clips), 400)
    replicates, jackknife = weights @ hits / num_clips, (hits.sum() - hits) / (num_clips - 1)
    enough = num >= intervals.MIN_TELLING
    assert (intervals.bca_interval(replicates, hits.mean(), jackknife) is not None) == enough
    assert (intervals.clip_interval(hits.mean(), hits - hits.mean()) is not None) == enough
    assert (interval_of(np.repeat(hits[:, None], 3, 1)) is not None) == enough


def test_of_acc2_and_f1_it_is_the_wrong_clips_that_tell_something():
    labels = np.resize([1.0, 2.0, 0.0, -1.0], 200)
    for num_wrong in (3, 4, 5, 9):
        scores = labels.copy()
        wrong = np.flatnonzero(labels)[:num_wrong]
        scores[wrong] = -labels[wrong]
        without = jackknife_metrics(labels, scores[None])
        for name in ("acc2_non0", "f1_non0"):
            assert intervals.num_telling(influences(without[name])[:, 0]) == num_wrong, name


@pytest.mark.parametrize("seed", range(20))
def test_of_mae_and_corr_many_clips_tell_something(seed):
    generator = np.random.default_rng(seed)
    labels = generator.normal(0, 1.4, 60)
    scores = labels + generator.exponential(1, (2, 60))  # errors of skewness 2
    without = jackknife_metrics(labels, scores)
    for name in ("mae", "corr"):
        effects = influences(without[name])
        for each in (effects[:, 0], effects[:, 0] - effects[:, 1]):
            assert intervals.num_telling(each) > intervals.MIN_TELLING
            assert intervals.clip_interval(0.5, each) is not None


def test_two_level_interval_does_not_depend_on_order_or_scale():
    losses = crossed(90, 4, seeds=0.2)
    shuffled = np.random.default_rng(1).permuted(losses, axis=0)  # breaks the pairing by clip
    low, high = interval_of(losses)
    assert interval_of(losses[::-1, ::-1]) == pytest.approx((low, high))
    assert interval_of(2 * losses + 1) == pytest.approx((2 * low + 1, 2 * high + 1))
    assert interval_of(shuffled) != pytest.approx((low, high))


def test_a_correlations_interval_is_made_on_fishers_scale():
    values, effects = np.array([0.97, 0.98, 0.99]), crossed(100, 3, 0, 0.3, 0.3)
    effects -= effects.mean(0)
    low, high = intervals.two_level_interval(values, effects, correlation=True)
    plain_low, plain_high = intervals.two_level_interval(values, effects)
    half = (plain_high - plain_low) / 2
    assert plain_high > 1 > high
    assert (math.atanh(low), math.atanh(high)) == pytest.approx(
        (math.atanh(0.98) - half / (1 - 0.98**2), math.atanh(0.98) + half / (1 - 0.98**2))
    )
    assert intervals.two_level_interval(np.ones(3), effects * 0, correlation=True) is None


def test_two_level_interval_is_none_below_its_limits_or_undefined():
    losses = crossed(60, 3)
    assert interval_of(losses) is not None
    assert interval_of(losses[:59]) is None
    assert interval_of(losses[:, :2]) is None
    assert interval_of(losses[:, :0]) is None
    values, effects = losses.mean(0), losses - losses.mean(0)
    values[1] = math.nan
    assert intervals.two_level_interval(values, effects) is None
    assert interval_of(np.zeros((60, 3))) is None  # nothing varies


def test_influences_of_a_mean_are_deviations():
    losses = crossed(50, 2)
    jackknife = np.stack([np.delete(losses, place, 0).mean(0) for place in range(50)])
    np.testing.assert_allclose(influences(jackknife), losses - losses.mean(0), atol=1e-12)


def test_the_bootstrap_of_both_agrees_with_the_two_level_interval():
    losses = crossed(300, 40, seeds=0.5)
    generator = np.random.default_rng(0)
    weights = generator.multinomial(300, np.full(300, 1 / 300), 4000)
    found = other_methods.pigeonhole_interval(weights @ losses / 300, generator)
    assert found == pytest.approx(interval_of(losses), abs=0.1 * (found[1] - found[0]))
    assert other_methods.pigeonhole_interval(np.zeros((10, 19)), generator) is None
    assert other_methods.pigeonhole_interval(np.full((10, 20), math.nan), generator) is None


def test_the_bootstrap_of_both_is_none_where_nothing_varies():
    assert other_methods.pigeonhole_interval(np.ones((10, 20)), np.random.default_rng(0)) is None
