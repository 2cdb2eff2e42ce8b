"""Which cells a figure shows, and their numbers in the unit people read."""

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
    """One metric of one cell, percentages times 100.

    Args:
        mean: over the seeds that have a value, None if none has.
        interval: 95 %, None where so few seeds or clips allow none.
        over: what the interval is over, "seeds" or "clips"; "" without one.
        values: one a seed that has a value.
        num_collapsed: seeds whose value is undefined (NaN).
    """

    mean: float | None
    interval: Interval | None
    over: str
    values: list[float]
    num_collapsed: int


def unit(metric: str) -> float:
    """Return what a stored value is multiplied by to be shown: 100 for a share, else 1."""
    return 100.0 if METRICS[metric].percent else 1.0


def heading(metric: str, split: str = "") -> str:
    """Return the name of an axis that shows a metric: title, unit and which direction is better."""
    place = f" on {split}" if split else ""
    return f"{METRICS[metric].heading}{place}, {_ARROWS[METRICS[metric].better]}"


def spread(cell: CellSummary, metric: str) -> Spread:
    """Return a metric of a cell of the summary; the interval over clips where there is none over seeds.

    Args:
        cell: of the sweep.
        metric: its name; a cell without it has no values.
    """
    found, size = cell.of(metric), unit(metric)
    ends, over = found.interval_95, "seeds"
    if ends is None:
        ends, over = found.interval_clips_95, "clips"
    return Spread(
        mean=None if found.mean is None else found.mean * size,
        interval=None if ends is None else (ends[0] * size, ends[1] * size),
        over=over if ends is not None else "",
        values=[value * size for value in found.values if value is not None],
        num_collapsed=found.num_collapsed,
    )


def best(
    cells: Sequence[CellSummary], metric: str, num_max: int, keep: Collection[str] = (), what: str = "cells"
) -> tuple[list[CellSummary], str]:
    """Choose the cells to show: all if they are few, else those with the best means.

    Args:
        cells: to choose from.
        metric: what is best.
        num_max: how many can be shown.
        keep: labels of cells that are shown whatever their mean.
        what: the cells are, for the sentence.

    Returns:
        The cells in the order given, and the sentence that says so, "" if all are shown.
    """
    if len(cells) <= num_max:
        return list(cells), ""
    sign = -1 if METRICS[metric].better == "higher" else 1

    def order(place: int) -> tuple[bool, float]:
        mean = spread(cells[place], metric).mean
        return cells[place].name not in keep, math.inf if mean is None else sign * mean

    chosen = sorted(sorted(range(len(cells)), key=order)[:num_max])
    title = METRICS[metric].title
    return [cells[place] for place in chosen], f"The {num_max} best of {len(cells)} {what} by {title} are shown."


def quality_metrics(summary: SweepSummary) -> list[str]:
    """Return the headline metrics of a sweep that any cell has, the one the sweep is about first."""
    there = {name for cell in summary.cells for name in cell.metrics}
    names = [name for name in headline(there) if name in there]
    primary = summary.metric
    return [primary, *(name for name in names if name != primary)] if primary in there else names


def explain(spreads: Sequence[Spread]) -> str:
    """Return the sentence that says what dots and intervals are, for these numbers."""
    counts = [len(one.values) for one in spreads if one.values]
    over = {one.over for one in spreads} - {""}
    if not counts:
        return "No seed has a value: all are undefined (NaN)."
    text = f"Dots: each seed ({span(counts)} a cell); "
    seeds = "95 % Student t intervals of the mean over seeds"
    clips = "95 % bootstrap (BCa) intervals over test clips"
    texts = {
        frozenset({"seeds"}): f"lines: {seeds}.",
        frozenset({"clips"}): f"lines: {clips}.",
        frozenset({"seeds", "clips"}): f"lines: {seeds}, or {clips} where a cell ran once.",
    }
    return text + texts.get(frozenset(over), "no intervals, because so few seeds allow none.")


def by_fit(evidence: Evidence, cells: Sequence[CellSummary]) -> list[tuple[CellSummary, str]]:
    """Return the cells that were trained apart, each with its name.

    Args:
        evidence: of the sweep.
        cells: of its summary; those that share all fits with an earlier one, and so its curves and states, are added to
            its name.
    """
    found: dict[tuple[str, ...], tuple[CellSummary, list[str]]] = {}
    for cell in cells:
        fits = tuple(record.trial.fit_id for record in evidence.of_cell(cell.name)) or (cell.name,)
        found.setdefault(fits, (cell, []))[1].append(cell.name)
    return [(cell, " and ".join(names)) for cell, names in found.values()]


def span(counts: Iterable[int]) -> str:
    """Return the least and the largest of some counts as "2 to 5", or as "5" if they are the same."""
    low, high = min(found := list(counts)), max(found)
    return f"{low} to {high}" if low < high else str(low)


def axis_values(cells: Sequence[CellSummary], axis: str, usable: Callable[[Any], bool]) -> list[Any]:
    """Return the different values that cells have on an axis, in order of first appearance.

    Args:
        cells: of the summary.
        axis: its name.
        usable: whether a value counts.
    """
    found: list[Any] = []
    for cell in cells:
        value = cell.axes.get(axis)
        if usable(value) and value not in found:
            found.append(value)
    return found
