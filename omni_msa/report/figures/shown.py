"""Which cells a figure shows, and their numbers in the unit of display."""

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from omni_msa.evidence.gather import Evidence
from omni_msa.evidence.summary import CellSummary
from omni_msa.evidence.sweep_summary import SweepSummary
from omni_msa.stats.intervals import Interval
from omni_msa.stats.metrics import METRICS, headline

_ARROWS = {"lower": "lower is better", "higher": "higher is better", "none": "no direction is better"}


@dataclass(frozen=True)
class Spread:
    """One metric of one cell in the unit of display (shares times 100).

    Args:
        mean: over the seeds that have a value, None if none has.
        interval: 95 %, None where so few seeds or clips allow none.
        over: what the interval is over, "seeds" or "clips"; "" without one.
        values: one per seed that has a value.
        num_collapsed: seeds whose value is undefined (NaN).
    """

    mean: float | None
    interval: Interval | None
    over: str
    values: list[float]
    num_collapsed: int


def unit(metric: str) -> float:
    """Return the factor from a stored value to the displayed one: 100 for a share, else 1."""
    return 100.0 if METRICS[metric].percent else 1.0


def heading(metric: str, split: str = "") -> str:
    """Return the label of an axis that shows a metric: title, unit, split and which direction is better."""
    where = f" on {split}" if split else ""
    return f"{METRICS[metric].heading}{where}, {_ARROWS[METRICS[metric].better]}"


def spread(cell: CellSummary, metric: str) -> Spread:
    """Return a metric of a cell; its interval is that over clips where there is none over seeds.

    Args:
        cell: of the sweep.
        metric: its name; a cell without this metric has no values.
    """
    summary, size = cell.of(metric), unit(metric)
    ends, over = summary.interval_95, "seeds"
    if ends is None:
        ends, over = summary.interval_clips_95, "clips"
    return Spread(
        mean=None if summary.mean is None else summary.mean * size,
        interval=None if ends is None else (ends[0] * size, ends[1] * size),
        over=over if ends is not None else "",
        values=[value * size for value in summary.values if value is not None],
        num_collapsed=summary.num_collapsed,
    )


def best(
    cells: Sequence[CellSummary], metric: str, num_max: int, keep: Collection[str] = (), what: str = "cells"
) -> tuple[list[CellSummary], str]:
    """Choose the cells to show: all if they are few, else those with the best means.

    Args:
        cells: to choose from.
        metric: the name of the metric that ranks them.
        num_max: how many can be shown.
        keep: labels of cells that come before all others, whatever their mean.
        what: a noun for the cells, for the sentence.

    Returns:
        The cells in the order given, and a sentence that says how they were chosen, "" if all are shown.
    """
    if len(cells) <= num_max:
        return list(cells), ""
    sign = -1 if METRICS[metric].better == "higher" else 1

    def order(index: int) -> tuple[bool, float]:
        mean = spread(cells[index], metric).mean
        return cells[index].name not in keep, math.inf if mean is None else sign * mean

    chosen = sorted(sorted(range(len(cells)), key=order)[:num_max])
    title = METRICS[metric].title
    return [cells[index] for index in chosen], f"The {num_max} best of {len(cells)} {what} by {title} are shown."


def quality_metrics(summary: SweepSummary) -> list[str]:
    """Return the headline metrics of a sweep that any cell has, the primary one first."""
    there = {name for cell in summary.cells for name in cell.metrics}
    names = [name for name in headline(there) if name in there]
    primary = summary.metric
    return [primary, *(name for name in names if name != primary)] if primary in there else names


def explain(spreads: Sequence[Spread]) -> str:
    """Return the sentence that explains the dots and intervals of a figure with these values."""
    counts = [len(one.values) for one in spreads if one.values]
    over = {one.over for one in spreads} - {""}
    if not counts:
        return "No seed has a value: all are undefined (NaN)."
    text = f"Dots: each seed ({span(counts)} per cell); "
    seeds = "95 % Student t intervals of the mean over seeds"
    clips = "95 % bootstrap (BCa) intervals over test clips"
    texts = {
        frozenset({"seeds"}): f"lines: {seeds}.",
        frozenset({"clips"}): f"lines: {clips}.",
        frozenset({"seeds", "clips"}): f"lines: {seeds}, or {clips} where a cell ran once.",
    }
    return text + texts.get(frozenset(over), "no intervals, because so few seeds allow none.")


def by_fit(evidence: Evidence, cells: Sequence[CellSummary]) -> list[tuple[CellSummary, str]]:
    """Return the cells with different fits, each with its name.

    Args:
        evidence: of the sweep.
        cells: of its summary. Cells that share all fits, and so curves and hidden states, are returned as the first
            of them, under the names of all.
    """
    found: dict[tuple[str, ...], tuple[CellSummary, list[str]]] = {}
    for cell in cells:
        fits = tuple(record.trial.fit_id for record in evidence.of_cell(cell.name)) or (cell.name,)
        found.setdefault(fits, (cell, []))[1].append(cell.name)
    return [(cell, " and ".join(names)) for cell, names in found.values()]


def span(counts: Iterable[int]) -> str:
    """Return the range of some counts as "2 to 5", or as "5" if all are equal; there must be at least one."""
    low, high = min(found := list(counts)), max(found)
    return f"{low} to {high}" if low < high else str(low)


def axis_values(cells: Sequence[CellSummary], axis: str, usable: Callable[[Any], bool]) -> list[Any]:
    """Return the different values that cells have on an axis, in order of first appearance.

    Args:
        cells: of the summary.
        axis: its name.
        usable: returns whether a value counts.
    """
    values: list[Any] = []
    for cell in cells:
        value = cell.axes.get(axis)
        if usable(value) and value not in values:
            values.append(value)
    return values
