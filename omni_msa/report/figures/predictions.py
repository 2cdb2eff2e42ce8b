"""Predicted against true scores, and the error by label."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from omni_msa.evidence.gather import Evidence
from omni_msa.report.figures import canvas
from omni_msa.report.figures.canvas import Figure
from omni_msa.report.figures.shown import best, span
from omni_msa.stats.metrics import METRICS

_CELLS_MAX = 6
_POINTS_MAX = 2000  # more points are counted in hexagons
_VECTORS_MAX = 300  # more points are drawn as an image within the SVG
_CLIPS_MIN = 20  # of a bin, for a t interval over clips: with fewer, absolute errors are too skewed

Array = NDArray[np.float64]
Seeds = list[tuple[Array, Array]]  # labels and scores of each seed


@dataclass(frozen=True)
class Bin:
    """The errors of the clips whose labels lie in one bin, averaged over seeds.

    Args:
        centre: of the bin.
        num_clips: number of clips in the bin, of the seed that has most.
        bias: mean of score minus label; `mae`: mean absolute error.
        bias_interval, mae_interval: 95 % Student t intervals over seeds; with one seed over clips, at least 20.
    """

    centre: float
    num_clips: int
    bias: float
    mae: float
    bias_interval: tuple[float, float] | None
    mae_interval: tuple[float, float] | None


def bin_edges(labels: Array) -> Array:
    """Return the edges of label bins: one bin per whole number if labels span more than 3, else seven of equal width.

    Args:
        labels: (N,), N at least 1.
    """
    low, high = float(labels.min()), float(labels.max())
    if high - low > 3:
        return np.arange(np.round(low), np.round(high) + 2) - 0.5
    return np.linspace(low, high, 8) if high > low else np.array([low - 0.5, low + 0.5])


def errors_by_label(seeds: Seeds, edges: Array) -> list[Bin]:
    """Return bias and mean absolute error in each label bin that has clips.

    Args:
        seeds: labels and scores of each seed.
        edges: of the bins, increasing; a label on an inner edge belongs to the bin above, one outside to the nearest.
    """
    num_bins = len(edges) - 1
    indices = [np.clip(np.searchsorted(edges, labels, side="right") - 1, 0, num_bins - 1) for labels, _ in seeds]
    bins = []
    for index in range(num_bins):
        errors = [(scores - labels)[where == index] for (labels, scores), where in zip(seeds, indices, strict=True)]
        errors = [one for one in errors if len(one)]
        if errors:
            bins.append(_bin((edges[index] + edges[index + 1]) / 2, errors))
    return bins


def _bin(centre: float, errors: list[Array]) -> Bin:
    from omni_msa.stats.intervals import t_interval

    def interval(values: list[Array]) -> tuple[float, float] | None:
        if len(values) > 1:
            return t_interval([float(one.mean()) for one in values])
        return t_interval(values[0].tolist()) if len(values[0]) >= _CLIPS_MIN else None

    sizes = [np.abs(one) for one in errors]
    return Bin(
        centre=float(centre),
        num_clips=max(map(len, errors)),
        bias=float(np.mean([one.mean() for one in errors])),
        mae=float(np.mean([one.mean() for one in sizes])),
        bias_interval=interval(errors),
        mae_interval=interval(sizes),
    )


@canvas.styled()
def draw(evidence: Evidence, folder: Path) -> list[Figure]:
    """Draw predicted against true scores, one panel per cell, and the error of the same cells by label."""
    cells, limited = _chosen(evidence)
    if not cells:
        return []
    everything = np.concatenate([array for seeds in cells.values() for pair in seeds for array in pair])
    labels = np.concatenate([one for seeds in cells.values() for one, _ in seeds])
    limits = float(everything.min()) - 0.2, float(everything.max()) + 0.2
    return [_draw_scores(cells, limits, limited, folder), _draw_errors(cells, bin_edges(labels), limited, folder)]


def _chosen(evidence: Evidence) -> tuple[dict[str, Seeds], str]:
    summary = evidence.summary
    scored = [cell for cell in summary.cells if "mae" in cell.metrics]
    against = {one.against for one in summary.differences}
    metric = summary.metric if METRICS[summary.metric].kind == "quality" else "mae"
    cells, limited = best(scored, metric, _CELLS_MAX, sorted(against)[:1])
    found: dict[str, Seeds] = {}
    for cell in cells:
        tests = [record.test_predictions for record in evidence.of_cell(cell.name)]
        seeds = [(one.labels, one.scores) for one in tests if one is not None]
        if seeds:
            found[cell.name] = seeds
    return found, limited


def _draw_scores(cells: dict[str, Seeds], limits: tuple[float, float], limited: str, folder: Path) -> Figure:
    num_rows = -(-len(cells) // 2)
    drawing = canvas.new_drawing(2.75 * num_rows)
    panels = drawing.subplots(num_rows, 2, squeeze=False, sharex=True, sharey=True)
    for axes in panels.flat[len(cells) :]:
        axes.set_visible(False)
    for axes, (label, seeds) in zip(panels.flat, cells.items(), strict=False):
        _draw_panel(axes, seeds, limits)
        axes.set_title(canvas.wrap(label, 26, 3))
        axes.tick_params(labelbottom=True)
    drawing.supxlabel("true score", fontsize=9.5)
    drawing.supylabel("predicted score", fontsize=9.5)
    counts = [len(one) for seeds in cells.values() for one, _ in seeds]
    marks = f"Each dot is one of {span(counts)} test clips, every seed with its own marker"
    if any(_is_counted(seeds) for seeds in cells.values()):
        marks = f"Test clips ({span(counts)} a seed) of all seeds; the darker a hexagon, the more of them it holds"
    caption = f"{marks}. Dashed: predicted equals true. {limited}"
    alt = "Predicted against true score on test, one panel per cell: " + "; ".join(map(_describe, cells.items())) + "."
    return canvas.save(drawing, folder, "predictions", "Predicted against true scores", caption.strip(), alt)


def _describe(item: tuple[str, Seeds]) -> str:
    label, seeds = item
    low, high = np.percentile(np.concatenate([scores for _, scores in seeds]), [10, 90])
    return f"{label}, 80 % of predictions between {low:.2f} and {high:.2f}"


def _is_counted(seeds: Seeds) -> bool:
    return sum(len(labels) for labels, _ in seeds) > _POINTS_MAX


def _draw_panel(axes: Axes, seeds: Seeds, limits: tuple[float, float]) -> None:
    total, is_counted = sum(len(labels) for labels, _ in seeds), _is_counted(seeds)
    color, order = (canvas.COLOURS[1], 5) if is_counted else (canvas.GREY, 1)
    axes.plot(limits, limits, linestyle="--", color=color, linewidth=1.2, zorder=order)
    if is_counted:
        true, score = (np.concatenate(arrays) for arrays in zip(*seeds, strict=True))
        axes.hexbin(
            true, score, gridsize=24, extent=(*limits, *limits), mincnt=1, bins="log", cmap="cividis_r", linewidths=0.1
        )
    else:
        for index, (labels, scores) in enumerate(seeds):
            style = canvas.look(index)
            looks: dict[str, Any] = {"marker": style.marker, "color": style.color, "alpha": 0.6, "linewidth": 0}
            axes.scatter(labels, scores, s=11, rasterized=total > _VECTORS_MAX, **looks)
    axes.set(xlim=limits, ylim=limits, aspect="equal")


def _draw_errors(cells: dict[str, Seeds], edges: Array, limited: str, folder: Path) -> Figure:
    drawing = canvas.new_drawing(4.9 + 0.2 * len(cells))
    above, below = drawing.subplots(2, 1, sharex=True)
    by_cell = {label: errors_by_label(seeds, edges) for label, seeds in cells.items()}
    for index, (label, bins) in enumerate(by_cell.items()):
        shift = (index - (len(cells) - 1) / 2) * 0.1 * float(edges[1] - edges[0])
        _draw_line(above, bins, "bias", index, shift, label)
        _draw_line(below, bins, "mae", index, shift, label)
    above.axhline(0, color=canvas.INK, linewidth=0.8)
    above.set_ylabel("bias\n(predicted - true)")
    below.set(ylabel="MAE\n(lower is better)", xlabel="true score (bin)")
    below.set_ylim(bottom=0)
    for axes in (above, below):
        axes.grid(axis="y")
    canvas.add_legend(drawing, above)
    bins = next(iter(by_cell.values()))
    caption = (
        f"Bias and mean absolute error on test by true score, clips in {len(bins)} bins "
        f"({span(one.num_clips for one in bins)} clips each), "
        f"averaged over seeds. Bars: 95 % Student t intervals over seeds, or over clips where a cell has one seed and "
        f"a bin at least {_CLIPS_MIN} clips. {limited}"
    )
    alt = "Error by true score: " + "; ".join(
        f"{label}, MAE {', '.join(f'{one.mae:.2f} at {one.centre:.3g}' for one in bins)}"
        for label, bins in by_cell.items()
    )
    return canvas.save(drawing, folder, "errors", "Error by true score", caption.strip(), f"{alt}.")


def _draw_line(axes: Axes, bins: Sequence[Bin], what: str, index: int, shift: float, label: str) -> None:
    style = canvas.look(index)
    centres, values = [one.centre + shift for one in bins], [getattr(one, what) for one in bins]
    axes.plot(centres, values, markersize=4.5, linewidth=1.3, label=label, **style.of_line)
    for centre, one in zip(centres, bins, strict=True):
        ends = getattr(one, f"{what}_interval")
        if ends is not None:
            axes.plot([centre, centre], ends, color=style.color, linewidth=1.1)
