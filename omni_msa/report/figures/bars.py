"""The primary metric, one bar per cell; and all headline metrics in small panels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from omni_msa.evidence.gather import Evidence
from omni_msa.evidence.summary import CellSummary
from omni_msa.report.figures import canvas
from omni_msa.report.figures.canvas import Figure
from omni_msa.report.figures.shown import Spread, best, explain, heading, quality_metrics, spread, unit
from omni_msa.stats.metrics import METRICS

_CELLS_MAX = 30
_CELLS_MAX_PANELS = 12


@canvas.styled()
def draw_bars(evidence: Evidence, folder: Path) -> list[Figure]:
    """Draw one bar per cell with its interval and a dot for every seed; human and constant rows as lines."""
    metric = evidence.summary.metric
    cells = [cell for cell in evidence.summary.cells if metric in cell.metrics]
    if not cells:
        return []
    against = {one.against for one in evidence.summary.differences}
    cells, limited = best(cells, metric, _CELLS_MAX, against)
    labels, spreads = [cell.name for cell in cells], [spread(cell, metric) for cell in cells]
    drawing = canvas.new_drawing(canvas.rows_height_in(labels) + 0.95)
    axes = drawing.subplots()
    for row, one in enumerate(spreads):
        axes.barh(row, one.mean or 0, 0.62, hatch="///" if labels[row] in against else None, **canvas.BAR)
        _draw_seeds(axes, row, one)
        axes.text(1.02, row, _number(one, metric), transform=axes.get_yaxis_transform(), va="center", fontsize=9)
    references = _draw_references(axes, evidence, metric)
    canvas.name_rows(axes, labels)
    axes.set_xlabel(heading(metric, "test"))
    axes.axvline(0, color=canvas.INK, linewidth=0.8)
    axes.grid(axis="x")
    canvas.add_legend(drawing, axes)
    title = f"{METRICS[metric].title} of each cell"
    hatched = "Hatched: the cell that the others are compared with. " if against & set(labels) else ""
    caption = f"{METRICS[metric].title} on test: mean over seeds of each cell. {explain(spreads)} {hatched}{limited}"
    alt = _describe(cells, spreads, metric, references)
    return [canvas.save(drawing, folder, "bars", title, caption.strip(), alt)]


def _draw_seeds(axes: Axes, row: float, one: Spread) -> None:
    if one.interval is not None:
        low, high = one.interval
        looks: dict[str, Any] = {"ecolor": canvas.INK, "elinewidth": 1.5, "capsize": 3.5, "zorder": 3}
        axes.errorbar((low + high) / 2, row, xerr=(high - low) / 2, fmt="none", **looks)
    rows = [row + offset for offset in canvas.side_by_side(len(one.values), 0.34)]
    axes.scatter(one.values, rows, **canvas.DOT)


def _number(one: Spread, metric: str) -> str:
    if one.mean is None:
        return f"NaN in {one.num_collapsed}" if one.num_collapsed else "no value"
    text = METRICS[metric].show(one.mean / unit(metric))
    return f"{text}\n({one.num_collapsed} NaN)" if one.num_collapsed else text


def _draw_references(axes: Axes, evidence: Evidence, metric: str) -> list[str]:
    """Draw the human and the constant row as lines; return their labels."""
    lines, human = [], (evidence.summary.human or {}).get(metric)
    if human is not None:
        lines.append(("human rater", human * unit(metric), "-"))
    floor = _floor(evidence, metric)
    if floor is not None:
        lines.append(("constant prediction", floor, "--"))
    texts = []
    for name, value, style in lines:
        texts.append(f"{name} {METRICS[metric].show(value / unit(metric))}")
        axes.axvline(value, color=canvas.INK, linestyle=style, linewidth=1.2, label=texts[-1], zorder=2)
    return texts


def _floor(evidence: Evidence, metric: str) -> float | None:
    """Return the mean of the constant cells; None without any, or if their means differ."""
    labels = {cell.name for cell in evidence.plan.sweep.cells if cell.config.readout.name == "constant"}
    means = {spread(cell, metric).mean for cell in evidence.summary.cells if cell.name in labels}
    return means.pop() if len(means) == 1 else None


def _describe(cells: Sequence[CellSummary], spreads: Sequence[Spread], metric: str, references: Sequence[str]) -> str:
    texts = [f"{cell.name} {_number(one, metric)}".replace("\n", " ") for cell, one in zip(cells, spreads, strict=True)]
    return f"Bar chart of {heading(metric, 'test')}: " + "; ".join([*texts, *references]) + "."


@canvas.styled()
def draw_metrics(evidence: Evidence, folder: Path) -> list[Figure]:
    """Draw every headline metric of every cell in small panels, two per row."""
    metrics = quality_metrics(evidence.summary)
    if len(metrics) < 2:
        return []
    cells = [cell for cell in evidence.summary.cells if cell.metrics]
    cells, limited = best(cells, metrics[0], _CELLS_MAX_PANELS)
    labels, num_rows = [cell.name for cell in cells], -(-len(metrics) // 2)
    drawing = canvas.new_drawing(num_rows * (canvas.rows_height_in(labels, 22) + 0.75))
    panels = drawing.subplots(num_rows, 2, squeeze=False).flat
    spreads = []
    for index, axes in enumerate(panels):
        if index >= len(metrics):
            axes.set_visible(False)
            continue
        spreads += _draw_panel(axes, cells, metrics[index])
        canvas.name_rows(axes, labels, 22)
        if index % 2:
            axes.set_yticklabels([])
    title = "Headline metrics of each cell"
    caption = f"Headline metrics on test, diamonds: means over seeds. {explain(spreads)} {limited}".strip()
    names = "; ".join(heading(metric) for metric in metrics)
    alt = f"Small panels, one per metric ({names}), with one row per cell; the table has the numbers."
    return [canvas.save(drawing, folder, "metrics", title, caption, alt)]


def _draw_panel(axes: Axes, cells: Sequence[CellSummary], metric: str) -> list[Spread]:
    spreads = [spread(cell, metric) for cell in cells]
    for row, one in enumerate(spreads):
        _draw_seeds(axes, row, one)
        if one.mean is None:
            axes.text(0.5, row, "NaN", transform=axes.get_yaxis_transform(), ha="center", va="center", fontsize=9)
        else:
            axes.plot(one.mean, row, "D", color=canvas.COLOURS[0], markersize=5, markeredgecolor="white", zorder=5)
    better = {"lower": "\N{LEFTWARDS ARROW} better", "higher": "better \N{RIGHTWARDS ARROW}", "none": ""}
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_title(f"{METRICS[metric].heading}  {better[METRICS[metric].better]}", loc="left")
    axes.grid(True)
    return spreads
