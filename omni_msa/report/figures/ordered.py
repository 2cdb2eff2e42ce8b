"""The primary metric along a numeric axis, such as adapter rank or number of training clips."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from omni_msa.evidence.gather import Evidence
from omni_msa.evidence.summary import CellSummary
from omni_msa.report.figures import canvas
from omni_msa.report.figures.canvas import Figure
from omni_msa.report.figures.combinations import by_other_axes
from omni_msa.report.figures.shown import Spread, axis_values, best, explain, heading, spread
from omni_msa.stats.metrics import METRICS

_LINES_MAX = 6
_BANDS_MAX = 3  # more bands would cover each other
_RATIO_LOG = 10
_TICK_GAP = 0.08  # least distance of two ticks, as a share of the axis
_NO_SCALE = ("repeat",)  # numbers reruns: not a quantity


@canvas.styled()
def draw(evidence: Evidence, folder: Path) -> list[Figure]:
    """Draw a figure for each axis with at least two numbers, with a line for each setting of the other axes."""
    cells = evidence.summary.cells
    axes = dict.fromkeys(axis for cell in cells for axis in cell.axes if axis not in _NO_SCALE)
    found = (_draw_axis(evidence, folder, axis) for axis in axes if len(axis_values(cells, axis, _is_number)) > 1)
    return [figure for figure in found if figure is not None]


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _draw_axis(evidence: Evidence, folder: Path, axis: str) -> Figure | None:
    metric, every = evidence.summary.metric, evidence.summary.cells
    cells = [cell for cell in every if _is_number(cell.axes.get(axis)) and spread(cell, metric).mean is not None]
    cells.sort(key=lambda cell: cell.axes[axis])
    groups = {name: group for name, group in by_other_axes(cells, axis).items() if len(group) > 1}
    if not groups:
        return None
    names, limited = _lines(groups, metric)
    drawing = canvas.new_drawing(3.4 + 0.2 * len(names))
    panel = drawing.subplots()
    spreads: list[Spread] = []
    for index, name in enumerate(names):
        spreads += _draw_line(panel, groups[name], axis, metric, index, name, has_band=len(names) <= _BANDS_MAX)
    is_log = _set_ticks(panel, sorted({cell.axes[axis] for name in names for cell in groups[name]}))
    panel.set(xlabel=axis + (" (log scale)" if is_log else ""), ylabel=heading(metric, "test").replace(", ", "\n"))
    if names != [""]:
        canvas.add_legend(drawing, panel)
    num_out = len(every) - len(cells)
    without = f" Cells left out, as they have no number on this axis or no value: {num_out}." if num_out else ""
    caption = f"{METRICS[metric].title} on test against {axis}, means over seeds. {explain(spreads)} {limited}{without}"
    alt = f"{heading(metric, 'test')}, against {axis}: " + "; ".join(
        f"{name or 'cells'}: {', '.join(_describe(cell, axis, metric) for cell in groups[name])}" for name in names
    )
    title = f"{METRICS[metric].title} against {axis}"
    return canvas.save(drawing, folder, f"axis_{axis.replace('.', '_')}", title, " ".join(caption.split()), f"{alt}.")


def _lines(groups: dict[str, list[CellSummary]], metric: str) -> tuple[list[str], str]:
    """Return the names of the lines to draw, those with the best cells if there are too many, and a sentence on it."""
    if len(groups) <= _LINES_MAX:
        return list(groups), ""
    leaders = {name: best(group, metric, 1)[0][0].name for name, group in groups.items()}
    firsts = [cell for name, group in groups.items() for cell in group if cell.name == leaders[name]]
    chosen = {cell.name for cell in best(firsts, metric, _LINES_MAX)[0]}
    return (
        [name for name in groups if leaders[name] in chosen],
        f"The {_LINES_MAX} of {len(groups)} lines with the best cells are shown.",
    )


def _draw_line(
    panel: Axes, cells: Sequence[CellSummary], axis: str, metric: str, index: int, name: str, has_band: bool
) -> list[Spread]:
    style, spreads = canvas.look(index), [spread(cell, metric) for cell in cells]
    values = [cell.axes[axis] for cell in cells]
    means = [one.mean or 0.0 for one in spreads]
    panel.plot(values, means, linewidth=1.8, markersize=6, label=name, zorder=3, **style.of_line)
    there = [(value, *one.interval) for value, one in zip(values, spreads, strict=True) if one.interval is not None]
    if there:
        across, low, high = zip(*there, strict=True)
        panel.vlines(across, low, high, color=style.color, linewidth=1)
        if has_band:
            panel.fill_between(across, low, high, color=style.color, alpha=0.15, linewidth=0)
    for value, one in zip(values, spreads, strict=True):
        panel.plot([value] * len(one.values), one.values, ".", color=style.color, markersize=5, alpha=0.8)
    return spreads


def _set_ticks(panel: Axes, values: Sequence[float]) -> bool:
    """Label the values on the axis as far as there is room; return whether its scale is logarithmic."""
    is_log = values[0] > 0 and values[-1] > _RATIO_LOG * values[0]
    if is_log:
        panel.set_xscale("log")
    shown = spaced(values, is_log)
    panel.set_xticks(shown, [f"{value:g}" for value in shown])
    panel.set_xticks([], minor=True)
    panel.grid(True)
    return is_log


def spaced(values: Sequence[float], is_log: bool) -> list[float]:
    """Return the values that get a tick: those far enough from the tick before.

    Args:
        values: increasing, at least two.
        is_log: whether the scale is logarithmic; then all values are positive.
    """
    positions = [math.log(value) if is_log else value for value in values]
    kept = [0]
    for index in range(1, len(values)):
        if positions[index] - positions[kept[-1]] > _TICK_GAP * (positions[-1] - positions[0]):
            kept.append(index)
    return [values[index] for index in kept]


def _describe(cell: CellSummary, axis: str, metric: str) -> str:
    return f"{METRICS[metric].show(cell.of(metric).mean)} at {cell.axes[axis]:g}"
