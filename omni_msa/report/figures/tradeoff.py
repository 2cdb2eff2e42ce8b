"""The primary metric against its cost: latency and memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from omni_msa.evidence.gather import Evidence
from omni_msa.evidence.summary import CellSummary
from omni_msa.report.figures import canvas
from omni_msa.report.figures.canvas import Figure
from omni_msa.report.figures.shown import Spread, best, heading, spread
from omni_msa.stats.metrics import METRICS

_CELLS_MAX = 30
_NAMED_MAX = 8
_NAME_LENGTH_MAX = 24
_COSTS = ("latency_s", "peak_memory_gb")
_HALO = {"boxstyle": "square,pad=0.05", "facecolor": "white", "alpha": 0.75, "linewidth": 0}
_OFFSETS = [
    (distance * x, distance * y)
    for distance in (7, 14, 22, 32, 44, 58, 74)
    for x, y in ((0.8, 0.8), (0.8, -0.8), (-0.8, 0.8), (-0.8, -0.8), (1, 0), (-1, 0), (0, 1), (0, -1))
]


@dataclass(frozen=True)
class Point:
    """A cell in a panel: its cost on the x axis (`across`), its metric on the y axis (`up`)."""

    label: str
    across: Spread
    up: Spread


@canvas.styled()
def draw(evidence: Evidence, folder: Path) -> list[Figure]:
    """Draw the metric of each cell against each measured cost, with the Pareto front."""
    metric = evidence.summary.metric
    cells = [cell for cell in evidence.summary.cells if cell.of(metric).mean is not None]
    cells, limited = best(cells, metric, _CELLS_MAX)
    costs = {cost: _points(cells, cost, metric) for cost in _COSTS if cost != metric}
    costs = {cost: points for cost, points in costs.items() if len(points) > 1}
    if not costs or METRICS[metric].better == "none":
        return []
    fronts = {cost: _front(points, metric) for cost, points in costs.items()}
    names, key = _names([cell.name for cell in cells], [label for front in fronts.values() for label in front])
    drawing = canvas.new_drawing(3.1 * len(costs) + 0.4 + 0.2 * len(key))
    panels = drawing.subplots(len(costs), 1, squeeze=False)[:, 0]
    for axes, (cost, points) in zip(panels, costs.items(), strict=True):
        draw_panel(axes, points, fronts[cost], names)
        axes.set(xlabel=f"{METRICS[cost].heading}, lower is better", ylabel=heading(metric, "test").replace(", ", "\n"))
    for text in key:
        panels[0].plot([], [], linestyle="none", label=text)
    canvas.add_legend(drawing, panels[0])
    place_labels(drawing)
    title = f"{METRICS[metric].title} against latency and memory"
    alt = f"{METRICS[metric].title} against cost. Not beaten in both: " + "; ".join(
        f"by {METRICS[cost].heading}: {', '.join(front)}" for cost, front in fronts.items()
    )
    return [canvas.save(drawing, folder, "cost", title, _caption(metric, len(cells), bool(key), limited), f"{alt}.")]


def _points(cells: Sequence[CellSummary], cost: str, metric: str) -> list[Point]:
    return [Point(cell.name, spread(cell, cost), spread(cell, metric)) for cell in cells if cell.of(cost).mean]


def _names(labels: Sequence[str], fronts: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return the text at each point and a key; long or many labels become numbers, only for points on a front."""
    if len(labels) <= _NAMED_MAX and max(map(len, labels)) <= _NAME_LENGTH_MAX:
        return {label: label for label in labels}, []
    numbers = {label: str(place) for place, label in enumerate(dict.fromkeys(fronts), start=1)}
    return numbers, [f"{number}: {label}" for label, number in numbers.items()]


def _caption(metric: str, num_cells: int, has_key: bool, limited: str) -> str:
    texts = [f"{METRICS[metric].title} on test against cost, means over seeds, one point per cell."]
    if num_cells <= _NAMED_MAX:
        texts.append(
            "Lines: 95 % intervals, where there are any (Student t over seeds; over clips where a cell ran once)."
        )
    texts.append("The green line joins the cells that no other beats in both (triangles: the Pareto front).")
    if has_key:
        texts.append("Cells on a front have numbers.")
    return " ".join(filter(None, [*texts, limited]))


def pareto(points: Sequence[tuple[float, float]], higher_is_better: bool) -> list[int]:
    """Return the Pareto front: points for which no other is at least as good in both values and better in one.

    Args:
        points: (cost, metric) of each; less cost is better.
        higher_is_better: of the metric.

    Returns:
        The indices of these points, by increasing cost.
    """
    sign = -1 if higher_is_better else 1
    costs = [(cost, sign * value) for cost, value in points]

    def is_beaten(point: tuple[float, float]) -> bool:
        return any(other[0] <= point[0] and other[1] <= point[1] and other != point for other in costs)

    return sorted((index for index, point in enumerate(costs) if not is_beaten(point)), key=lambda index: costs[index])


def _front(points: Sequence[Point], metric: str) -> list[str]:
    """Return the labels of the cells on the front, by increasing cost."""
    return [
        points[index].label for index in pareto([_means(one) for one in points], METRICS[metric].better == "higher")
    ]


def _means(point: Point) -> tuple[float, float]:
    return point.across.mean or 0.0, point.up.mean or 0.0


def draw_panel(axes: Axes, points: Sequence[Point], front: Sequence[str], names: Mapping[str, str]) -> None:
    """Draw the points, their intervals if they are few, and the line through those on the front.

    Args:
        axes: the panel.
        points: of the cells.
        front: labels of the points on the Pareto front, by increasing cost.
        names: label of a point to the text beside it; points without an entry have no text.
    """
    means = {point.label: _means(point) for point in points}
    line = [means[label] for label in front]
    axes.plot(*zip(*line, strict=True), color=canvas.COLOURS[2], linewidth=1.6, zorder=1, drawstyle="steps-post")
    for point in points:
        look = canvas.look(2 if point.label in front else 0)
        looks: dict[str, Any] = {"color": look.color, "markersize": 8, "markeredgecolor": "white", "clip_on": False}
        axes.plot(*means[point.label], look.marker, zorder=3, **looks)
        if len(points) <= _NAMED_MAX:  # intervals of more would hide the points
            _draw_intervals(axes, point)
        if point.label in names:
            _write_name(axes, means[point.label], names[point.label])
    axes.margins(0.12)
    axes.grid(True)


def _draw_intervals(axes: Axes, point: Point) -> None:
    across, up = _means(point)
    looks: dict[str, Any] = {"color": canvas.GREY, "linewidth": 0.9, "zorder": 2}
    if point.up.interval is not None:
        axes.vlines(across, *point.up.interval, **looks)
    if point.across.interval is not None:
        axes.hlines(up, *point.across.interval, **looks)


def _write_name(axes: Axes, place: tuple[float, float], name: str) -> None:
    arrow = {"arrowstyle": "-", "color": canvas.GREY, "linewidth": 0.6}
    looks: dict[str, Any] = {"textcoords": "offset points", "fontsize": 9, "bbox": _HALO, "arrowprops": arrow}
    axes.annotate(name, place, (6, 6), zorder=4, **looks)


def place_labels(drawing: Drawing) -> None:
    """Move the labels so that, if there is room, none covers a label or a point or leaves its panel."""
    drawing.draw_without_rendering()
    for axes in drawing.axes:
        labels = [child for child in axes.get_children() if isinstance(child, Annotation)]
        area = axes.get_window_extent()
        taken = [_around(axes, label) for label in labels]
        for label in labels:
            taken.append(_place(label, taken, area))


def _around(axes: Axes, label: Annotation) -> Bbox:
    across, up = axes.transData.transform(label.xy)
    return Bbox.from_bounds(across - 6, up - 6, 12, 12)


def _place(label: Annotation, taken: Sequence[Bbox], area: Bbox) -> Bbox:
    """Move a label to the nearest position with the least overlap, and return its box."""
    tried = []
    for order, (across, up) in enumerate(_OFFSETS):
        label.set(position=(across, up), ha=_side(across, "left", "right"), va=_side(up, "bottom", "top"))
        box = Text.get_window_extent(label)  # the box without the line to its point
        outside = box.width * box.height - _overlap(box, area)
        tried.append((sum(_overlap(box, other) for other in taken) + 3 * outside, order, box))
        if tried[-1][0] < 1:
            break
    _, order, box = min(tried, key=lambda one: one[:2])
    across, up = _OFFSETS[order]
    label.set(position=(across, up), ha=_side(across, "left", "right"), va=_side(up, "bottom", "top"))
    return box


def _side(offset: float, positive: str, negative: str) -> str:
    return positive if offset > 0 else negative if offset < 0 else "center"


def _overlap(first: Bbox, second: Bbox) -> float:
    common = Bbox.intersection(first, second)
    return 0.0 if common is None else common.width * common.height
