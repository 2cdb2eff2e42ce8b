"""The convention of another framework, against its published form and by hand."""

import math

import numpy as np
import pytest

from omni_msa.report.tables.mmsa_style import mmsa_summary, mmsa_text


def test_by_hand():
    # rounded to 4 decimals: 0.5512, 0.5689, 0.5841; mean 0.568067, population deviation 0.013445
    values = [0.55124, 0.56886, 0.58406]
    assert mmsa_summary(values) == (56.81, 1.34)
    assert mmsa_text(values) == "56.81 ± 1.34"
    assert mmsa_text([0.5]) == "50.00 ± 0.00"


def test_rounding_comes_first():
    values = [0.00004, 0.00004]  # each is nothing once rounded
    assert mmsa_text(values) == "0.00 ± 0.00"


def test_as_that_framework_computes_it():
    seeds = np.random.default_rng(3).uniform(0, 1, (50, 5))
    for values in seeds:
        stored = [round(float(value), 4) for value in values]  # its metrics come rounded
        expected = round(np.mean(stored) * 100, 2), round(np.std(stored) * 100, 2)
        assert mmsa_summary(values.tolist()) == pytest.approx(expected)


def test_population_deviation_is_smaller_than_ours():
    values = [0.551, 0.569, 0.576, 0.584]
    assert mmsa_summary(values)[1] == pytest.approx(100 * np.std(values, ddof=1) * math.sqrt(3 / 4), abs=0.01)


def test_one_undefined_seed_undoes_the_mean():
    assert mmsa_text([0.5, None]) == mmsa_text([0.5, math.nan]) == "NaN"
