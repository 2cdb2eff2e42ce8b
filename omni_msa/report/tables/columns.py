"""How the columns of a table are made from its rows; what is not known leaves no column."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from omni_msa.report.tables.grid import DASH, Entry, Grid
from omni_msa.stats.metrics import Metric

T = TypeVar("T")
ColumnOf = tuple[str, Callable[[T], Entry | None]]
"""A heading, and what makes the entry of a row, None where nothing is known."""


def lay_out(
    title: str, rows: Sequence[T], columns: Sequence[ColumnOf[T]], words: Sequence[str] = (), num_words: int = 1
) -> Grid:
    """Lay out rows; a column in which nothing is known is left out.

    Args:
        title: of the table.
        rows: each the argument of every column.
        columns: heading, and what makes a row's entry, None where nothing is known.
        words: headings of further columns that are words.
        num_words: how many columns on the left are words.
    """
    shown = [
        (place, name, entries)
        for place, (name, show) in enumerate(columns)
        if any(entries := [show(row) for row in rows])
    ]
    align = "".join("l" if place < num_words or name in words else "r" for place, name, _ in shown)
    lines = [[entry or Entry(DASH) for entry in line] for line in zip(*(entries for *_, entries in shown), strict=True)]
    return Grid([name for _, name, _ in shown], lines, [], align, title)


def number(value: float | None, metric: Metric) -> Entry | None:
    """Return a number in the unit of its column, None for None."""
    return None if value is None else Entry(metric.show(value), value=value)


def ends(interval: Sequence[float] | None, metric: Metric, signed: bool = False) -> Entry | None:
    """Return an interval as `[-0.12, +0.30]`, None for None."""
    return None if interval is None else Entry(f"[{', '.join(metric.show(end, signed) for end in interval)}]")


def p_text(value: float | None) -> Entry | None:
    """Return a p-value with three significant digits, None for None."""
    return None if value is None else Entry(f"{value:.3g}", value=value)


def count(value: int | None) -> Entry | None:
    """Return a whole number, None for None."""
    return None if value is None else Entry(str(value), value=value)


def percent(share: float | None) -> Entry | None:
    """Return a share in [0, 1] as a whole number of percent, None for None."""
    return None if share is None else Entry(str(round(100 * share)), value=share)


def word(value: Any) -> Entry | None:
    """Return a value as text, None for None and for the empty text."""
    return None if value is None or value == "" else Entry(str(value))
