"""Metrics under weights against `metrics.compute` on the clips written out as often as they count."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omni_msa.stats.metrics import HEADLINES, compute, metrics_of
from omni_msa.stats.resampling import clip_weights, influences, jackknife_metrics, weighted_metrics

HALVES = st.integers(-8, 8).map(lambda value: value / 2)  # what rounding and signs are sensitive to
TENTHS = st.integers(-12, 12).map(lambda value: value / 10)  # edges of the classes of CH-SIMS
CLASSES = st.integers(-1, 4).map(float)


@st.composite
def samples(draw):
    """Conventions, labels (N,), scores (2, N) and weights (N,), at least one of them not 0."""
    conventions = draw(st.sampled_from(list(HEADLINES)))
    number = CLASSES if conventions == "classes" else draw(st.sampled_from([HALVES, TENTHS]))
    num = draw(st.integers(1, 12))
    rows = [draw(st.lists(number, min_size=num, max_size=num)) for _ in range(3)]
    weights = draw(st.lists(st.integers(0, 3), min_size=num, max_size=num).filter(any))
    return conventions, np.array(rows[0]), np.array(rows[1:]), np.array(weights)


def agree(found, expected, place):
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name][place] == pytest.approx(value, abs=1e-9, nan_ok=True), name


@settings(max_examples=300, deadline=None)
@given(samples())
def test_weights_count_clips(sample):
    conventions, labels, scores, weights = sample
    both = np.stack([np.ones_like(weights), weights])
    found = weighted_metrics(labels, scores, both, conventions)
    for trial in range(2):
        for row, counts in enumerate(both):
            expected = compute(np.repeat(labels, counts), np.repeat(scores[trial], counts), conventions=conventions)
            agree(found, expected, (row, trial))


@settings(max_examples=150, deadline=None)
@given(samples().filter(lambda sample: len(sample[1]) > 1))
def test_the_jackknife_leaves_one_clip_out(sample):
    conventions, labels, scores, _ = sample
    found = jackknife_metrics(labels, scores, conventions)
    for trial in range(2):
        for place in range(len(labels)):
            left = np.delete(labels, place), np.delete(scores[trial], place)
            agree(found, compute(*left, conventions=conventions), (place, trial))


def test_by_hand():
    # |error| 1, 0, 2 counted 2, 1, 1 times; signs right for the first two
    found = weighted_metrics([1, -1, 1], [[2, -1, -1]], [[2, 1, 1]])
    assert found["mae"][0, 0] == 1.0
    assert found["acc2_non0"][0, 0] == 0.75
    assert found["f1_non0"][0, 0] == pytest.approx(3 / 4 * 4 / 5 + 1 / 4 * 2 / 3)


def test_many_trials_are_done_in_blocks_without_a_seam():
    generator = np.random.default_rng(0)
    labels, scores = generator.uniform(-3, 3, 50), generator.uniform(-3, 3, (67, 50))
    found, without = weighted_metrics(labels, scores, np.ones((1, 50))), jackknife_metrics(labels, scores)
    for trial in (0, 31, 32, 66):
        agree(found, compute(labels, scores[trial]), (0, trial))
        agree(without, compute(labels[1:], scores[trial, 1:]), (0, trial))


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_correlation_keeps_its_digits_far_from_zero_and_on_thousands_of_clips(offset):
    generator = np.random.default_rng(0)
    labels = generator.uniform(-3, 3, 5000)
    scores = (labels + generator.normal(0, 1, 5000)) + offset
    found = weighted_metrics(labels, scores[None], np.ones((1, 5000)), "plain")["corr"]
    assert found[0, 0] == pytest.approx(np.corrcoef(labels, scores)[0, 1], abs=1e-11)


def test_a_constant_has_no_correlation_in_any_resample():
    generator = np.random.default_rng(0)
    labels, weights = generator.uniform(-3, 3, 5000), clip_weights(5000, 20, generator)
    assert np.isnan(weighted_metrics(labels, np.full((1, 5000), 0.1 + 0.2), weights, "plain")["corr"]).all()
    almost = np.full((1, 5000), 0.3)
    almost[0, 7] = 2.0  # constant wherever clip 7 is not drawn
    found = weighted_metrics(labels, almost, weights, "plain")["corr"][:, 0]
    assert np.array_equal(np.isnan(found), weights[:, 7] == 0)
    without = jackknife_metrics(labels, almost, "plain")["corr"][:, 0]
    assert np.flatnonzero(np.isnan(without)).tolist() == [7]


def test_resamples_draw_as_many_clips_as_there_are_each_alike():
    weights = clip_weights(40, 20_000, np.random.default_rng(0))
    assert weights.dtype == np.float64
    assert (weights.sum(1) == 40).all()
    # binomial with 40 draws at 1 / 40: variance 1 - 1 / 40, covariance -1 / 40
    covariance = np.cov(weights.T)
    assert weights.mean(0) == pytest.approx(1.0, abs=0.04)
    assert np.diag(covariance) == pytest.approx(1 - 1 / 40, abs=0.06)
    assert covariance[~np.eye(40, dtype=bool)].mean() == pytest.approx(-1 / 40, abs=1e-3)
    assert np.array_equal(clip_weights(5, 3, np.random.default_rng(1)), clip_weights(5, 3, np.random.default_rng(1)))


@pytest.mark.parametrize("name", metrics_of("mosi"))
def test_influences_have_the_bootstraps_variance(name):
    generator = np.random.default_rng(0)
    labels = np.round(generator.uniform(-3, 3, 400) * 5) / 5
    scores = (0.8 * labels + generator.normal(0, 0.8, 400))[None]
    effects = influences(jackknife_metrics(labels, scores)[name])
    drawn = weighted_metrics(labels, scores, clip_weights(400, 4000, generator))[name]
    assert effects.sum(0) == pytest.approx(0, abs=1e-6)
    assert math.sqrt(np.mean(effects**2) / 399) == pytest.approx(drawn.std(), rel=0.08)


@pytest.mark.parametrize(
    ("labels", "scores", "weights"),
    [([], [[]], [[]]), ([1, 2], [1, 2], [[1, 1]]), ([1, 2], [[1]], [[1, 1]]), ([1, 2], [[1, 2]], [[1]])],
)
def test_arrays_that_do_not_fit_are_refused(labels, scores, weights):
    with pytest.raises(ValueError, match="shape"):
        weighted_metrics(labels, scores, weights)
