"""Learning curves: training loss and the primary metric on valid, by optimiser step."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from omni_msa.evidence.gather import Evidence
from omni_msa.evidence.records import TrialRecord
from omni_msa.report.figures import canvas
from omni_msa.report.figures.canvas import Figure
from omni_msa.report.figures.shown import best, by_fit, heading, span, unit
from omni_msa.stats.metrics import METRICS

_CELLS_MAX = 6
_SEEDS_FEW = 5  # with more, the thin lines are paler, so as not to hide the bold ones
_RATIO_LOG = 20.0

Curve = list[tuple[int, float]]


@canvas.styled()
def draw(evidence: Evidence, folder: Path) -> list[Figure]:
    """Draw a thin curve for every seed and a bold one for their mean, one style per cell."""
    metric = _metric(evidence)
    trained = [cell for cell in evidence.summary.cells if _has_curve(evidence.of_cell(cell.name))]
    if not trained:
        return []
    apart = by_fit(evidence, trained)
    names = {cell.name: name for cell, name in apart}
    cells, limited = best([cell for cell, _ in apart], metric, _CELLS_MAX, what="cells that were trained")
    labels = [cell.name for cell in cells]
    drawing = canvas.new_drawing(5.2 + 0.2 * len(labels))
    above, below = drawing.subplots(2, 1, sharex=True)
    counts = []
    for index, label in enumerate(labels):
        records = evidence.of_cell(label)
        counts.append(len(records))
        _draw_cell(above, [_losses(record) for record in records], index, names[label])
        _draw_cell(below, [_valid(record, metric) for record in records], index, names[label])
        for record in records:
            _mark_kept(below, record, metric, index)
    losses = [value for label in labels for record in evidence.of_cell(label) for _, value in _losses(record)]
    _name_axes(above, below, metric, losses)
    canvas.add_legend(drawing, above)
    caption = (
        f"Training loss and {METRICS[metric].title} on valid by optimiser step. Thin: each seed; bold: mean over "
        f"seeds ({span(counts)} per cell); ring: the epoch kept. Losses of different readouts have different units. "
        f"{limited}"
    )
    alt = "Learning curves by step: " + "; ".join(_describe(evidence, label, metric) for label in labels)
    return [canvas.save(drawing, folder, "curves", "Learning curves", caption.strip(), f"{alt}.")]


def _metric(evidence: Evidence) -> str:
    """Return the primary metric if it is measured on valid, else the metric that selects the epoch."""
    metric = evidence.summary.metric
    return metric if METRICS[metric].kind == "quality" else evidence.plan.sweep.file.select.metric


def _has_curve(records: Sequence[TrialRecord]) -> bool:
    return any(_losses(record) for record in records)


def curve(rows: Sequence[Mapping[str, Any]], column: str) -> Curve:
    """Return (step, value) of a column of `metrics.jsonl` in order of steps, without rows that have no finite value."""
    points = {row["step"]: row.get(column) for row in rows}
    return [(step, value) for step, value in sorted(points.items()) if value is not None and math.isfinite(value)]


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """Return the mean over seeds at the steps that all curves with any point have."""
    there = [one for one in curves if one]
    values: dict[int, list[float]] = defaultdict(list)
    for step, value in (point for one in there for point in one):
        values[step].append(value)
    return [(step, math.fsum(found) / len(found)) for step, found in sorted(values.items()) if len(found) == len(there)]


def _losses(record: TrialRecord) -> Curve:
    return curve(record.curve, "train_loss")


def _valid(record: TrialRecord, metric: str) -> Curve:
    return [(step, value * unit(metric)) for step, value in curve(record.curve, f"valid_{metric}")]


def _draw_cell(axes: Axes, curves: Sequence[Curve], index: int, label: str) -> None:
    style = canvas.look(index)
    for one in curves:
        axes.plot(*_columns(one), color=style.color, linewidth=0.7, alpha=0.55 if len(curves) <= _SEEDS_FEW else 0.2)
    axes.plot(
        *_columns(mean_curve(curves)), color=style.color, linestyle=style.line, linewidth=2.2, label=label, zorder=4
    )


def _columns(points: Curve) -> tuple[list[int], list[float]]:
    return [step for step, _ in points], [value for _, value in points]


def _mark_kept(axes: Axes, record: TrialRecord, metric: str, index: int) -> None:
    kept = record.result.get("best_epoch")
    points = curve([row for row in record.curve if row.get("epoch") == kept], f"valid_{metric}")
    if points:
        step, value = points[-1]
        style = canvas.look(index)
        axes.plot(step, value * unit(metric), style.marker, color=style.color, fillstyle="none", markersize=8)


def _name_axes(above: Axes, below: Axes, metric: str, losses: Sequence[float]) -> None:
    is_log = min(losses) > 0 and max(losses) > _RATIO_LOG * min(losses)
    if is_log:
        above.set_yscale("log")
    above.set_ylabel("training loss" + (" (log)" if is_log else ""))
    below.set(ylabel=heading(metric, "valid").replace(", ", "\n"), xlabel="optimiser step")
    below.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    for axes in (above, below):
        axes.grid(True)
    if not any(len(line.get_xdata()) for line in below.get_lines()):  # type: ignore[arg-type]
        below.text(0.5, 0.5, "no value on valid is defined", transform=below.transAxes, ha="center")
        below.set_yticks([])


def _describe(evidence: Evidence, label: str, metric: str) -> str:
    points = mean_curve([_valid(record, metric) for record in evidence.of_cell(label)])
    if not points:
        return f"{label}, no value on valid"
    first, last = (METRICS[metric].show(value / unit(metric)) for _, value in (points[0], points[-1]))
    return f"{label}, {METRICS[metric].title} on valid from {first} to {last} at step {points[-1][0]}"
