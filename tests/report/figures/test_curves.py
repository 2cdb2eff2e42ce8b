"""Learning curves."""

import math

from omni_msa.report.figures.curves import curve, mean_curve


def test_a_curve_is_in_the_order_of_steps_without_holes():
    rows = [
        {"step": 4, "train_loss": 1.0},
        {"step": 2, "train_loss": 3.0},
        {"step": 3},
        {"step": 5, "train_loss": None},
    ]
    rows += [
        {"step": 6, "train_loss": math.nan},
        {"step": 4, "train_loss": 2.0},
    ]  # a step made again counts as it was last
    assert curve(rows, "train_loss") == [(2, 3.0), (4, 2.0)]
    assert curve(rows, "valid_mae") == []


def test_the_mean_is_over_the_steps_that_all_have():
    curves = [[(1, 1.0), (2, 2.0), (3, 9.0)], [(1, 3.0), (2, 5.0)], []]
    assert mean_curve(curves) == [(1, 2.0), (2, 3.5)]
    assert mean_curve([[], []]) == mean_curve([]) == []
