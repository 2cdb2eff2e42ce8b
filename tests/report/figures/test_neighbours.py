"""Label differences between near neighbours."""

import math

import numpy as np
import pytest

from omni_msa.report.figures.neighbours import nearest, neighbour_difference


def test_a_worked_example():
    states = np.array([[0.0], [1.0], [3.0], [7.0]])
    labels = np.array([0.0, 1.0, 1.0, 5.0])
    assert nearest(states, 2).tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]
    one, two = neighbour_difference(states, labels, [1, 2], 500, np.random.default_rng(0))
    assert one.difference == pytest.approx((1 + 1 + 0 + 4) / 4)
    assert two.difference == pytest.approx((1 + 1 + 1 + 0 + 0 + 1 + 4 + 4) / 8)
    # all six pairs of labels: 1, 1, 5, 0, 4, 4
    assert one.permuted_mean == pytest.approx(15 / 6, abs=0.1)
    assert one.ratio == one.difference / one.permuted_mean


def test_it_agrees_with_brute_force():
    generator = np.random.default_rng(1)
    states, labels = generator.normal(100, 1, (40, 7)), generator.normal(size=40)

    def plainly(labels: np.ndarray, k: int) -> float:
        found = []
        for i in range(40):
            others = sorted((j for j in range(40) if j != i), key=lambda j: math.dist(states[i], states[j]))
            found += [abs(labels[i] - labels[j]) for j in others[:k]]
        return sum(found) / len(found)

    near = neighbour_difference(states, labels, (5, 10, 20), 19, np.random.default_rng(2))
    again = np.random.default_rng(2)
    permuted = [again.permutation(labels) for _ in range(19)]
    for one in near:
        others = [plainly(order, one.k) for order in permuted]
        assert one.difference == pytest.approx(plainly(labels, one.k), rel=1e-12)
        assert one.permuted_mean == pytest.approx(np.mean(others), rel=1e-12)
        assert one.permuted_range == pytest.approx(np.percentile(others, [2.5, 97.5]), rel=1e-12)
        assert one.p == (1 + sum(other <= one.difference for other in others)) / 20


def test_states_that_hold_the_label_have_like_neighbours():
    labels = np.linspace(-3, 3, 200)
    (one,) = neighbour_difference(labels[:, None], labels, [2], 99, np.random.default_rng(0))
    step = labels[1] - labels[0]  # both neighbours are one step off, but at the ends
    assert one.difference == pytest.approx(step * (2 * 198 + 3 + 3) / 400)
    assert one.p == 0.01 and one.ratio < 0.02


def test_random_states_say_nothing_and_are_rejected_at_most_at_the_level():
    num_rejected, ratios = 0, []
    for seed in range(300):
        generator = np.random.default_rng(seed)
        (one,) = neighbour_difference(generator.normal(size=(30, 4)), generator.normal(size=30), [5], 99, generator)
        num_rejected += one.p <= 0.05
        ratios.append(one.ratio)
    assert np.mean(ratios) == pytest.approx(1, abs=0.02)
    assert num_rejected <= 300 * 0.05 + 3 * math.sqrt(300 * 0.05 * 0.95)


def test_classes_are_equal_or_not():
    states, labels = np.array([[0.0], [1.0], [10.0], [11.0], [20.0]]), np.array([0.0, 0.0, 5.0, 1.0, 1.0])
    (one,) = neighbour_difference(states, labels, [1], 9, np.random.default_rng(0), are_classes=True)
    assert one.difference == pytest.approx(2 / 5)  # of the third and the fourth


def test_what_few_clips_do_not_allow_is_left_out():
    states, labels = np.arange(8.0)[:, None], np.zeros(8)
    near = neighbour_difference(states, labels, (5, 7, 8, 20), 3, np.random.default_rng(0))
    assert [one.k for one in near] == [5, 7]
    assert near[0].p == 1.0 and math.isnan(near[0].ratio)  # all labels are equal
    assert neighbour_difference(states[:1], labels[:1], (5,), 3, np.random.default_rng(0)) == []
