"""Hidden states in two dimensions."""

import numpy as np
import pytest

from omni_msa.report.figures.embedding import perplexity, principal_components, tsne


def test_principal_components_are_those_of_the_covariance():
    generator = np.random.default_rng(0)
    states = generator.normal(size=(60, 5)) * [3, 2, 1, 0.5, 0.1] + 7
    scores, shares = principal_components(states, states[:, 0], 2)
    sizes, axes = np.linalg.eigh(np.cov(states, rowvar=False))
    assert shares == pytest.approx(sizes[::-1][:2] / sizes.sum())
    expected = (states - states.mean(axis=0)) @ axes[:, ::-1][:, :2]
    assert np.abs(scores) == pytest.approx(np.abs(expected))


def test_components_rise_with_the_label():
    states = np.outer(np.linspace(5, -5, 20), [1.0, 2.0]) + np.random.default_rng(0).normal(size=(20, 2)) * 0.1
    labels = np.linspace(-1, 1, 20)
    for one in (labels, -labels):
        scores, _ = principal_components(states, one, 2)
        assert np.all(one @ scores >= 0) and np.corrcoef(one, scores[:, 0])[0, 1] > 0.99


def test_components_that_there_are_not_are_zero():
    scores, shares = principal_components(np.arange(6.0)[:, None], np.arange(6.0), 3)
    assert scores[:, 0] == pytest.approx(np.arange(6) - 2.5) and not scores[:, 1:].any()
    assert shares.tolist() == [1, 0, 0]
    scores, shares = principal_components(np.ones((6, 4)), np.arange(6.0), 2)
    assert not scores.any() and not shares.any()


def test_tsne_parts_what_is_apart_and_is_the_same_again():
    generator = np.random.default_rng(0)
    states = np.concatenate([generator.normal(size=(30, 8)), generator.normal(size=(30, 8)) + 30])
    scores, _ = principal_components(states, np.repeat([0.0, 1.0], 30), 8)
    first = tsne(scores)
    assert first.shape == (60, 2) and np.array_equal(first, tsne(scores))
    halves = first[:30], first[30:]
    centres = [half.mean(axis=0) for half in halves]
    run_key = max(np.linalg.norm(half - half.mean(axis=0), axis=1).max() for half in halves)
    assert np.linalg.norm(centres[0] - centres[1]) > run_key
    assert not tsne(np.zeros((12, 2))).any()


def test_perplexity_is_a_third_of_few_clips():
    assert perplexity(1000) == 30 and perplexity(31) == 10
