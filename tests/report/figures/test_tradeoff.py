"""Accuracy against cost."""

import itertools

import numpy as np
import pytest
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from omni_msa.report.figures import canvas
from omni_msa.report.figures.shown import Spread
from omni_msa.report.figures.tradeoff import Point, draw_panel, pareto, place_labels


def test_a_front_by_hand():
    points = [(1.0, 0.9), (2.0, 0.5), (3.0, 0.6), (4.0, 0.4), (4.0, 0.4), (2.0, 0.7)]
    assert pareto(points, higher_is_better=False) == [0, 1, 3, 4]  # equal points do not beat each other
    assert pareto(points, higher_is_better=True) == [0]
    assert pareto([], True) == []


@pytest.mark.parametrize("higher", [True, False])
def test_every_other_point_is_beaten_by_one_of_the_front(higher):
    values = np.random.default_rng(0).integers(0, 12, (40, 2)).tolist()
    front = pareto([tuple(value) for value in values], higher)
    best = max if higher else min
    for place, (cost, value) in enumerate(values):
        reachable = best(other for other_cost, other in values if other_cost <= cost)
        cheaper = [c for c, other in values if other == value and c < cost]
        assert (place in front) == (value == reachable and not cheaper)
    assert [values[place][0] for place in front] == sorted(values[place][0] for place in front)


@pytest.mark.parametrize("spread", [1.0, 0.01])
@canvas.styled()
def test_labels_cover_neither_each_other_nor_points(spread):
    generator = np.random.default_rng(0)
    means = [*generator.normal(size=(6, 2)) * spread, *generator.normal(size=(2, 2)) * 3]
    points = [
        Point(f"a cell number {place}", Spread(float(x), None, "", [], 0), Spread(float(y), None, "", [], 0))
        for place, (x, y) in enumerate(means)
    ]
    drawing = canvas.new_drawing(3.4)
    axes = drawing.subplots()
    draw_panel(axes, points, [points[0].label], {point.label: point.label for point in points})
    place_labels(drawing)
    labels = [child for child in axes.get_children() if isinstance(child, Annotation)]
    boxes = [Text.get_window_extent(label) for label in labels]
    assert len(boxes) == 8
    for one, other in itertools.combinations(boxes, 2):
        assert Bbox.intersection(one, other) is None
    for box, (x, y) in itertools.product(boxes, axes.transData.transform(means)):
        assert not box.contains(x, y)
