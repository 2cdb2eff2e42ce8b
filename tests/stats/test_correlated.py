"""Tests of two models on the same clips against published numbers, scipy and independent derivations."""

import math

import numpy as np
import pytest
from other_methods import steiger_p
from scipy import stats

from omni_msa.stats.correlated import mcnemar_p, williams_p

# Correlations rounded to four digits, and the statistics that R's cocor printed for the unrounded ones
# (Diedenhofen and Musch 2015, PLoS ONE 10: e0121945).
COCOR = [
    {"r": (-0.1741, 0.2015, 0.3734, 646), "t": -9.0340, "z": -8.6124},
    {"r": (0.1724, 0.1795, 0.5387, 646), "t": -0.1909, "z": -0.1909},
    {"r": (0.0228, 0.3522, 0.3718, 553), "z": -7.1345},
]


def t_of(p, n):
    return stats.t(n - 3).isf(p / 2)


def test_williams_published_examples():
    # Howell, Statistical Methods for Psychology (6th edition, p. 262): t = 1.36 with 23 degrees of freedom, p = .187
    p = williams_p(0.80, 0.72, 0.89, 26)
    assert p == pytest.approx(0.187, abs=5e-4)
    assert t_of(p, 26) == pytest.approx(1.361, abs=5e-4)
    for case in COCOR[:2]:
        n = case["r"][3]
        assert t_of(williams_p(*case["r"]), n) == pytest.approx(-case["t"], abs=3e-3)


def test_steiger_published_examples():
    for case in COCOR:
        assert stats.norm.isf(steiger_p(*case["r"]) / 2) == pytest.approx(-case["z"], abs=3e-3)


@pytest.mark.parametrize("test", [williams_p, steiger_p])
def test_the_order_of_the_models_does_not_matter_and_equal_ones_do_not_differ(test):
    assert test(0.7, 0.6, 0.5, 100) == pytest.approx(test(0.6, 0.7, 0.5, 100))
    assert test(-0.7, -0.6, 0.5, 100) == pytest.approx(test(0.7, 0.6, 0.5, 100))
    assert test(0.7, 0.7, 0.5, 100) == 1.0
    assert test(0.7, 0.6, 0.9, 100) < test(0.7, 0.6, 0.5, 100)  # models that agree are easier to tell apart


@pytest.mark.parametrize("test", [williams_p, steiger_p])
def test_what_is_not_defined_is_none(test):
    assert test(0.7, 0.7, 1.0, 100) is None
    for place in range(3):
        values = [0.5, 0.4, 0.3]
        values[place] = math.nan
        assert test(*values, 100) is None


def test_steigers_covariance_is_that_of_a_simulation():
    # the spread of z_xy - z_xz over samples of 300 normal triples with known correlations
    rho = np.array([[1, 0.6, 0.6], [0.6, 1, 0.5], [0.6, 0.5, 1]])
    draws = np.random.default_rng(0).multivariate_normal(np.zeros(3), rho, (8000, 300))
    draws -= draws.mean(1, keepdims=True)
    draws /= np.sqrt((draws**2).sum(1, keepdims=True))
    found = np.einsum("rni,rnj->rij", draws, draws)
    difference = np.arctanh(found[:, 0, 1]) - np.arctanh(found[:, 0, 2])
    z = stats.norm.isf(steiger_p(math.tanh(math.atanh(0.6) + 0.05), math.tanh(math.atanh(0.6) - 0.05), 0.5, 300) / 2)
    assert 0.1 / z == pytest.approx(difference.std(), rel=0.03)
    for test in (williams_p, steiger_p):
        rejected = [test(r[0, 1], r[0, 2], r[1, 2], 300) <= 0.05 for r in found]
        assert np.mean(rejected) == pytest.approx(0.05, abs=4 * math.sqrt(0.05 * 0.95 / 8000))


def test_williams_and_steiger_agree_on_many_clips():
    assert williams_p(0.82, 0.80, 0.85, 5000) == pytest.approx(steiger_p(0.82, 0.80, 0.85, 5000), rel=0.05)


def test_mcnemar_by_hand_and_against_scipy():
    a, b = np.array([1, 1, 1, 1, 1, 1, 0, 0]), np.array([0, 0, 0, 0, 0, 1, 1, 0])
    assert mcnemar_p(a, b) == pytest.approx(2 * (1 + 6) / 2**6)  # 5 against 1
    assert mcnemar_p(a, a) == 1.0
    assert mcnemar_p([1, 0], [0, 1]) == 1.0
    generator = np.random.default_rng(0)
    for _ in range(20):
        a, b = generator.random((2, 300)) < generator.uniform(0.6, 0.9, (2, 1))
        num_a, num_b = int(np.sum(a & ~b)), int(np.sum(b & ~a))
        assert mcnemar_p(a, b) == pytest.approx(stats.binomtest(num_a, num_a + num_b).pvalue)
        assert mcnemar_p(a, b) == mcnemar_p(b, a)
