"""The error by label."""

import numpy as np
import pytest

from omni_msa.report.figures.predictions import bin_edges, errors_by_label
from omni_msa.stats.intervals import t_interval


def test_whole_numbers_are_bins_of_wide_labels_and_seven_bins_cover_narrow_ones():
    assert bin_edges(np.array([-3.0, 0.2, 2.6])).tolist() == [-3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5]
    assert bin_edges(np.array([-1.0, 1.0])) == pytest.approx(np.linspace(-1, 1, 8))
    assert bin_edges(np.array([2.0, 2.0])).tolist() == [1.5, 2.5]


def test_a_worked_example():
    labels = np.array([-1.0, -0.6, 1.0, 1.4])
    seeds = [(labels, labels + np.array(errors)) for errors in ([1.0, -1.0, 0.5, 0.5], [0.0, 0.0, -1.0, -2.0])]
    low, high = errors_by_label(seeds, np.array([-1.5, -0.5, 0.5, 1.5]))
    assert (low.centre, low.num_clips, low.bias, low.mae) == (-1.0, 2, 0.0, 0.5)
    assert (high.centre, high.bias, high.mae) == (1.0, pytest.approx(-0.5), pytest.approx(1.0))
    assert low.bias_interval is None  # both seeds are equal: that does not say that all are
    assert high.mae_interval == pytest.approx(t_interval([0.5, 1.5]))


def test_bins_agree_with_a_plain_loop():
    generator = np.random.default_rng(0)
    labels = generator.uniform(-3, 3, 200)
    seeds = [(labels, labels + generator.normal(size=200)) for _ in range(3)]
    for one in errors_by_label(seeds, bin_edges(labels)):
        errors = [[s - t for t, s in zip(*pair, strict=True) if round(t) == one.centre] for pair in seeds]
        assert one.num_clips == len(errors[0])
        assert one.bias == pytest.approx(np.mean(errors)) and one.mae == pytest.approx(np.mean(np.abs(errors)))


def test_one_seed_has_intervals_over_at_least_20_clips():
    labels = np.array([0.0] * 20 + [1.0] * 19)
    scores = labels + np.random.default_rng(0).normal(size=39)
    many, few = errors_by_label([(labels, scores)], np.array([-0.5, 0.5, 1.5]))
    assert few.mae_interval is None and few.bias_interval is None
    assert many.mae_interval == pytest.approx(t_interval(np.abs(scores[:20]).tolist()))


def test_labels_at_and_beyond_edges_belong_to_a_bin():
    labels = np.array([-9.0, 0.0, 1.0, 2.0, 9.0])
    found = errors_by_label([(labels, labels)], np.array([0.0, 1.0, 2.0]))
    assert [one.num_clips for one in found] == [2, 3]


def test_the_interval_over_20_clips_covers():
    """Absolute errors are skewed: those of a normal error, 20 at a time."""
    errors = np.abs(np.random.default_rng(0).normal(size=(4000, 20)))
    ends = np.array([t_interval(row.tolist()) for row in errors])
    truth = np.sqrt(2 / np.pi)
    assert 0.93 < np.mean((ends[:, 0] < truth) & (truth < ends[:, 1])) < 0.97
