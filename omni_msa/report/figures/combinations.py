"""The primary metric by modalities: bars above a matrix of dots that shows the modalities of each bar."""

import json
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from omni_msa.config.sections import MODALITIES
from omni_msa.evidence.gather import Evidence
from omni_msa.evidence.summary import CellSummary
from omni_msa.report.figures import canvas
from omni_msa.report.figures.canvas import Figure
from omni_msa.report.figures.shown import Spread, axis_values, explain, heading, spread, unit
from omni_msa.stats.metrics import METRICS
from omni_msa.sweep.labels import axis_text

_AXIS = "modalities"
_PANELS_MAX = 4


@canvas.styled()
def draw(evidence: Evidence, folder: Path) -> list[Figure]:
    """Draw the metric of each set of modalities, one panel per setting of the other axes (UpSet, Lex et al. 2014)."""
    metric = evidence.summary.metric
    cells = [cell for cell in evidence.summary.cells if metric in cell.metrics and cell.axes.get(_AXIS)]
    sets = sorted(
        axis_values(cells, _AXIS, bool), key=lambda names: (len(names), [MODALITIES.index(name) for name in names])
    )
    if len(sets) < 3:
        return []
    groups = by_other_axes(cells, _AXIS)
    names = [name for name in groups if len(groups[name]) > 1][:_PANELS_MAX]
    drawing = canvas.new_drawing(2.5 * len(names) + 1.1)
    panels = drawing.subplots(len(names) + 1, 1, height_ratios=[*[2.5] * len(names), 0.9], squeeze=False)[:, 0]
    spreads: list[Spread] = []
    for axes, name in zip(panels, names, strict=False):
        spreads += _draw_bars(axes, groups[name], sets, metric)
        axes.set_title(canvas.wrap(name, 60, 2), loc="left")
    _draw_matrix(panels[-1], sets)
    limited = (
        f" {len(names)} of {len(groups)} settings of the other axes are shown." if len(names) < len(groups) else ""
    )
    caption = (
        f"{METRICS[metric].title} on test of each set of modalities (filled dots below each bar), mean over seeds. "
        f"{explain(spreads)}{limited}"
    )
    alt = f"Bars of {heading(metric, 'test')} by modalities: " + "; ".join(
        _describe(cell, metric) for name in names for cell in groups[name]
    )
    title = f"{METRICS[metric].title} by modalities"
    return [canvas.save(drawing, folder, "modalities", title, caption, f"{alt}.")]


def by_other_axes(cells: Sequence[CellSummary], axis: str) -> dict[str, list[CellSummary]]:
    """Return the cells grouped by their values on all axes but one; a group is named by those that vary.

    Args:
        cells: of the summary.
        axis: the axis that is left out.
    """
    varied = {name for cell in cells for name in cell.axes if name != axis and _varies(cells, name)}
    groups: dict[str, list[CellSummary]] = {}
    for cell in cells:
        parts = (f"{name.rpartition('.')[2]} {axis_text(cell.axes.get(name))}" for name in cell.axes if name in varied)
        groups.setdefault(", ".join(parts), []).append(cell)
    return groups


def _varies(cells: Sequence[CellSummary], axis: str) -> bool:
    return len({json.dumps(cell.axes.get(axis), sort_keys=True) for cell in cells}) > 1


def _draw_bars(axes: Axes, cells: Sequence[CellSummary], sets: Sequence[Sequence[str]], metric: str) -> list[Spread]:
    spreads = [spread(cell, metric) for cell in cells]
    for cell, one in zip(cells, spreads, strict=True):
        x = sets.index(cell.axes[_AXIS])
        axes.bar(x, one.mean or 0, 0.6, **canvas.BAR)
        if one.interval is not None:
            axes.vlines(x, *one.interval, color=canvas.INK, linewidth=1.5, zorder=3)
        across = [x + offset for offset in canvas.side_by_side(len(one.values), 0.3)]
        axes.scatter(across, one.values, **canvas.DOT)
        text = "NaN" if one.mean is None else METRICS[metric].show(one.mean / unit(metric))
        top = max([0.0, one.mean or 0, *one.values, *(one.interval or ())])
        axes.annotate(text, (x, top), (0, 3), textcoords="offset points", ha="center", fontsize=canvas.SMALL)
    axes.set_xlim(-0.6, len(sets) - 0.4)
    axes.set_xticks([])
    axes.axhline(0, color=canvas.INK, linewidth=0.8)
    axes.margins(y=0.12)
    axes.set_ylabel(heading(metric).replace(", ", "\n"))
    axes.grid(axis="y")
    return spreads


def _draw_matrix(axes: Axes, sets: Sequence[Sequence[str]]) -> None:
    used = [name for name in MODALITIES if any(name in one for one in sets)]
    for x, names in enumerate(sets):
        rows = [row for row, name in enumerate(used) if name in names]
        axes.scatter([x] * len(used), range(len(used)), s=70, color=canvas.PALE)
        axes.scatter([x] * len(rows), rows, s=70, color=canvas.INK)
        axes.plot([x] * 2, [rows[0], rows[-1]], color=canvas.INK, linewidth=2)
    canvas.name_rows(axes, used)
    axes.set_xlim(-0.6, len(sets) - 0.4)
    axes.set_xticks([])
    axes.spines[:].set_visible(False)


def _describe(cell: CellSummary, metric: str) -> str:
    mean = cell.of(metric).mean
    return f"{cell.name} {'NaN' if mean is None else METRICS[metric].show(mean)}"
