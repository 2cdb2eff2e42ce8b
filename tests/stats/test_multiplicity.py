"""Many tests at once: by hand, against a direct definition, and by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from omni_msa.stats.multiplicity import combined_p, holm


def stepwise(p_values, level):
    """Holm's procedure as he wrote it: reject the smallest while it is at most level / (number left)."""
    rejected = [False] * len(p_values)
    for left, place in zip(range(len(p_values), 0, -1), np.argsort(p_values, kind="stable"), strict=True):
        if p_values[place] > level / left:
            break
        rejected[place] = True
    return rejected


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([0.04]) == [0.04]


def test_a_test_that_could_not_be_done_still_counts():
    assert holm([0.01, None, 0.02]) == pytest.approx([0.03, None, 0.04])
    assert holm([None]) == [None]


@pytest.mark.parametrize("seed", range(20))
def test_holm_rejects_what_the_step_down_procedure_rejects(seed):
    p_values = (np.random.default_rng(seed).random(9) ** 3).tolist()
    adjusted = holm(p_values)
    for level in np.linspace(0.003, 0.5, 23):
        assert [p <= level for p in adjusted] == stepwise(p_values, level)


def test_combined_p_by_hand():
    assert combined_p([0.03]) == 0.03
    assert combined_p([0.03, 0.5]) == 0.06
    assert combined_p([0.5, 0.01, 0.02]) == pytest.approx(1.5 * 0.02)
    assert combined_p([0.9, 0.8, 0.95]) == 1.0
    assert combined_p([0.03, math.nan]) == 0.03
    assert combined_p([]) is combined_p([math.nan]) is None


@pytest.mark.parametrize("dependence", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("num", [2, 3, 5])
def test_combined_p_keeps_its_level_however_seeds_depend(num, dependence):
    generator = np.random.default_rng(num)
    shared, own = generator.normal(size=(20_000, 1)), generator.normal(size=(20_000, num))
    p_values = stats.norm.sf(math.sqrt(dependence) * shared + math.sqrt(1 - dependence) * own)
    for level in (0.05, 0.2):
        rate = np.mean([combined_p(row) <= level for row in p_values])
        assert rate <= level + 4 * math.sqrt(level * (1 - level) / 20_000)
