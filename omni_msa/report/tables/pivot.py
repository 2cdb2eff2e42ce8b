"""The primary metric laid out by two axes: one down, one across."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from omni_msa.evidence.summary import CellSummary
from omni_msa.evidence.sweep_summary import SweepSummary
from omni_msa.report.tables.grid import DASH, Entry, Grid, axes_of, best_rows, heading, mean_entry
from omni_msa.sweep.labels import axis_text

_OF_SEARCHES = ("proposal", "stage")
"""Axes that a search adds to its cells; proposals with the same number in two searches are unrelated."""
_CONVENTION = "Test split, mean ± sample standard deviation (ddof 1) over seeds; one seed has none."


def pivot_axes(cells: Sequence[CellSummary], wanted: Sequence[str] | None = None) -> tuple[str, str] | None:
    """Return the axes to lay out, down and across, or None if there are no such two axes.

    Args:
        cells: of the summary.
        wanted: the axes that the sweep file names; without them there must be exactly two axes with more than one
            value, not counting those that a search adds to its cells.
    """
    there = [axis for axis in axes_of(cells) if axis not in _OF_SEARCHES and len(_values(cells, axis)) > 1]
    if wanted:
        down, across = wanted
        return (down, across) if {down, across} <= set(axes_of(cells)) else None
    return (there[0], there[1]) if len(there) == 2 else None


def pivot_grid(summary: SweepSummary, down: str, across: str) -> Grid:
    """Return the primary metric's mean and ± with one axis down and one across, whatever the summary's style.

    Args:
        summary: of the sweep.
        down, across: axes; further axes with several values become columns on the left.
    """
    cells, name = summary.cells, summary.metric
    lefts, values, found = _layout(cells, down, across)
    best = set(best_rows(cells, name))
    rows = []
    for left in _distinct(cells, lefts):
        places = [found.get((_key(left), _key(value))) for value in values]
        entries = [Entry(DASH) if place is None else _entry(cells[place], name) for place in places]
        entries = [replace(entry, bold=place in best) for entry, place in zip(entries, places, strict=True)]
        rows.append([*(Entry(axis_text(value)) for value in left), *entries])
    notes = [_CONVENTION, *(["Bold: best mean of the table, among cells with every seed."] if best else [])]
    title = f"{heading(name)} by {down} (down) and {across} (across)"
    return Grid([*lefts, *map(axis_text, values)], rows, notes, "l" * len(lefts) + "r" * len(values), title)


def _entry(cell: CellSummary, name: str) -> Entry:
    """A mean, and how many of its seeds are finished where some are not."""
    entry = mean_entry(cell, name)
    num = len(cell.seeds)
    return replace(entry, text=f"{entry.text} ({num - len(cell.missing)}/{num} seeds)") if cell.missing else entry


def pivot_rows(summary: SweepSummary, down: str, across: str) -> list[dict[str, Any]]:
    """Return the rows of `pivot.csv`: for each value across its mean, std and n, unrounded."""
    cells, name = summary.cells, summary.metric
    lefts, values, found = _layout(cells, down, across)
    rows = []
    for left in _distinct(cells, lefts):
        row: dict[str, Any] = {axis: axis_text(value) for axis, value in zip(lefts, left, strict=True)}
        for value in values:
            place = found.get((_key(left), _key(value)))
            one = None if place is None else cells[place].metrics.get(name)
            numbers = (one.mean, one.std, one.n) if one else (None, None, None)
            parts = (f"{axis_text(value)} {part}" for part in ("mean", "std", "n"))
            row |= dict(zip(parts, numbers, strict=True))
        rows.append(row)
    return rows


def _layout(
    cells: Sequence[CellSummary], down: str, across: str
) -> tuple[list[str], list[Any], dict[tuple[str, str], int]]:
    """Return the axes on the left, the values across, and the index of the cell at each position."""
    others = [axis for axis in axes_of(cells) if axis not in (down, across) and len(_values(cells, axis)) > 1]
    lefts = [*others, down]
    index_of = {
        (_key([cell.axes.get(axis) for axis in lefts]), _key(cell.axes.get(across))): index
        for index, cell in enumerate(cells)
    }
    return lefts, _values(cells, across), index_of


def _values(cells: Sequence[CellSummary], axis: str) -> list[Any]:
    return [value for (value,) in _distinct(cells, [axis])]


def _distinct(cells: Sequence[CellSummary], axes: Sequence[str]) -> list[list[Any]]:
    lists = [[cell.axes.get(axis) for axis in axes] for cell in cells]
    return list({_key(values): values for values in lists}.values())


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
