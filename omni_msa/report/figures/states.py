"""Last-token hidden states: PCA, t-SNE, and label differences between near neighbours."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from numpy.typing import NDArray

from omni_msa.evidence.gather import Evidence
from omni_msa.evidence.records import TrialRecord
from omni_msa.evidence.summary import CellSummary
from omni_msa.report.figures import canvas
from omni_msa.report.figures.canvas import Figure
from omni_msa.report.figures.embedding import NUM_COMPONENTS, perplexity, principal_components, tsne
from omni_msa.report.figures.neighbours import Neighbours, neighbour_difference
from omni_msa.report.figures.shown import best, by_fit
from omni_msa.stats.metrics import METRICS

_CELLS_MAX = 4
_CLIPS_MAX = 1000  # t-SNE takes seconds for this many
_CLIPS_MIN = 10
_KS = (5, 10, 20)
_NUM_PERMUTATIONS = 1000
_SEED = 0

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Space:
    """The hidden states of the trial that represents its cell.

    Args:
        label: name of the cell, or of the cells that share fit or states.
        record: the trial.
        states: hidden states of test clips, float64 (N, D); `labels`: of the clips, float64 (N,).
        are_classes: whether labels are class numbers.
        neighbours: label differences for each k.
    """

    label: str
    record: TrialRecord
    states: Array
    labels: Array
    are_classes: bool
    neighbours: list[Neighbours]


def spaces(evidence: Evidence) -> tuple[list[Space], str]:
    """Return the hidden states of one trial for each of at most four cells, and a sentence on how they were chosen.

    A cell is represented by the trial whose value of the primary metric is the (lower) median.

    Args:
        evidence: of the sweep.
    """
    metric = evidence.summary.metric
    there = _by_states(evidence, by_fit(evidence, evidence.summary.cells), metric)
    names = {cell.name: name for cell, name in there}
    kept, limited = best([cell for cell, _ in there], metric, _CELLS_MAX, what="cells with hidden states")
    found = [_space(evidence, cell, names[cell.name], metric) for cell in kept]
    return [one for one in found if one is not None], limited


def _by_states(
    evidence: Evidence, cells: Sequence[tuple[CellSummary, str]], metric: str
) -> list[tuple[CellSummary, str]]:
    """Return the cells with hidden states; those with equal ones (of an untrained backbone) as one, with all names."""
    found: dict[bytes, tuple[CellSummary, list[str]]] = {}
    for cell, name in cells:
        record = _median_trial(evidence, cell.name, metric)
        states = record.folder.states() if record is not None else None
        if states is not None:
            content = states.clip_ids.tobytes() + states.labels.tobytes() + states.states.tobytes()
            found.setdefault(hashlib.sha256(content).digest(), (cell, []))[1].append(name)
    return [(cell, " and ".join(names)) for cell, names in found.values()]


def _median_trial(evidence: Evidence, label: str, metric: str) -> TrialRecord | None:
    records = [record for record in evidence.of_cell(label) if record.folder.shows_states]
    valued = [record for record in records if record.metrics.get(metric) is not None] or records
    valued.sort(key=lambda record: (record.metrics.get(metric) or 0.0, record.trial_id))
    return valued[(len(valued) - 1) // 2] if valued else None


def _space(evidence: Evidence, cell: CellSummary, name: str, metric: str) -> Space | None:
    record = _median_trial(evidence, cell.name, metric)
    found = record.folder.states() if record is not None else None
    if record is None or found is None or len(found.labels) < _CLIPS_MIN:
        return None
    generator = np.random.default_rng(_SEED)
    states, labels = found.states.astype(np.float64), found.labels.astype(np.float64)
    if len(labels) > _CLIPS_MAX:
        kept = np.sort(generator.choice(len(labels), _CLIPS_MAX, replace=False))
        states, labels = states[kept], labels[kept]
    are_classes = "mae" not in cell.metrics
    near = neighbour_difference(states, labels, _KS, _NUM_PERMUTATIONS, generator, are_classes)
    return Space(name, record, states, labels, are_classes, near)


def neighbour_rows(found: Sequence[Space]) -> list[dict[str, Any]]:
    """Return the rows of `neighbours.csv`, one for each cell and k."""
    return [
        {
            "cell": space.label,
            "trial_id": space.record.trial_id,
            "seed": space.record.seed,
            "num_clips": len(space.labels),
            "k": one.k,
            "difference": one.difference,
            "permuted_mean": one.permuted_mean,
            "permuted_low": one.permuted_range[0],
            "permuted_high": one.permuted_range[1],
            "ratio": one.ratio,
            "p": one.p,
        }
        for space in found
        for one in space.neighbours
    ]


@canvas.styled()
def draw(found: Sequence[Space], limited: str, metric: str, folder: Path) -> list[Figure]:
    """Draw the hidden states, one row per cell, and how much the labels of near neighbours differ.

    Args:
        found: as `spaces` returned them; without any, nothing is drawn.
        limited: the sentence that `spaces` returned.
        metric: the name of the metric that chose the trials.
        folder: of the figures.
    """
    if not found:
        return []
    return [_draw_spaces(found, limited, metric, folder), _draw_neighbours(found, limited, folder)]


def _draw_spaces(found: Sequence[Space], limited: str, metric: str, folder: Path) -> Figure:
    drawing = canvas.new_drawing(2.75 * len(found) + 0.7)
    panels = drawing.subplots(len(found), 2, squeeze=False)
    low, high = (float(end(np.concatenate([space.labels for space in found]))) for end in (np.min, np.max))
    for (left, right), space in zip(panels, found, strict=True):
        scores, shares = principal_components(space.states, space.labels, NUM_COMPONENTS)
        points = _draw_points(left, scores[:, :2], space, (low, high))
        _draw_points(right, tsne(scores), space, (low, high))
        left.set_title(canvas.wrap(space.label, 28, 3), loc="left")
        right.set_title(f"seed {space.record.seed}" if space.record.seed is not None else "no seed", loc="left")
        left.set(xlabel=f"PC 1 ({shares[0] * 100:.0f} % of variance)", ylabel=f"PC 2 ({shares[1:2].sum() * 100:.0f} %)")
        right.set(xlabel="t-SNE 1", ylabel="t-SNE 2")
    bar = drawing.colorbar(points, ax=panels, orientation="horizontal", fraction=0.04, pad=0.02, aspect=40)
    bar.set_label("label of the clip")
    sizes = sorted({len(space.labels) for space in found})
    caption = (
        f"Last-token hidden states of {' or '.join(map(str, sizes))} test clips, coloured by label: PCA left, t-SNE "
        f"right (perplexity {perplexity(sizes[-1]):.3g}, of {NUM_COMPONENTS} components). One trial per cell, the "
        f"one with the median {METRICS[metric].title}. {limited}"
    )
    names = "; ".join(space.label for space in found)
    alt = f"Clouds of test clips in two dimensions by PCA and t-SNE, coloured by label, for {names}."
    return canvas.save(drawing, folder, "states", "Hidden states by label", caption.strip(), alt)


def _draw_points(axes: Axes, points: Array, space: Space, limits: tuple[float, float]) -> PathCollection:
    signs = np.sign(space.labels) if not space.are_classes else np.zeros(len(points))
    looks: dict[str, Any] = {"s": 15, "vmin": limits[0], "vmax": limits[1], "edgecolor": canvas.GREY, "linewidth": 0.25}
    drawn = None
    for sign, marker in ((-1, "v"), (0, "o"), (1, "^")):  # markers show the label's sign, also without colour
        mask = signs == sign
        shown = points[mask, 0], points[mask, 1]
        is_image = len(points) > 300
        drawn = axes.scatter(*shown, c=space.labels[mask], marker=marker, rasterized=is_image, **looks)
    axes.set_xticks([])
    axes.set_yticks([])
    assert drawn is not None
    return drawn


def _draw_neighbours(found: Sequence[Space], limited: str, folder: Path) -> Figure:
    drawing = canvas.new_drawing(3.3 + 0.2 * len(found))
    axes = drawing.subplots()
    for index, space in enumerate(found):
        _draw_line(axes, space, index, is_last=index == len(found) - 1)
    axes.set_xticks(range(len(_KS)), [str(k) for k in _KS])
    axes.set_ylim(bottom=0)
    what = "share of another class" if found[0].are_classes else "mean difference of labels"
    axes.set(xlabel="k nearest neighbours", ylabel=f"{what}\nlower: similar labels are closer")
    axes.grid(axis="y")
    canvas.add_legend(drawing, axes)
    caption = (
        f"How much labels differ between each test clip and its k nearest neighbours (Euclidean) among the hidden "
        f"states of one trial per cell, on average, against {_NUM_PERMUTATIONS:,} permutations of labels. {limited}"
    )
    alt = "Label difference of nearest neighbours: " + "; ".join(map(_describe, found))
    return canvas.save(drawing, folder, "neighbours", "Labels of near neighbours", caption.strip(), f"{alt}.")


def _draw_line(axes: Axes, space: Space, index: int, is_last: bool) -> None:
    style, near = canvas.look(index), space.neighbours
    ks, (low, high) = [_KS.index(one.k) for one in near], zip(*(one.permuted_range for one in near), strict=True)
    axes.plot(ks, [one.difference for one in near], label=space.label, zorder=3, markersize=7, **style.of_line)
    label = "labels permuted: mean and middle 95 %" if is_last else None
    axes.plot(ks, [one.permuted_mean for one in near], color=canvas.GREY, linewidth=1, label=label)
    axes.fill_between(ks, low, high, color=canvas.GREY, alpha=0.3, linewidth=0)


def _describe(space: Space) -> str:
    texts = (
        f"{one.difference:.3f} at k = {one.k} (permuted {one.permuted_mean:.3f}, p = {one.p:.2g})"
        for one in space.neighbours
    )
    return f"{space.label}, {', '.join(texts)}"
