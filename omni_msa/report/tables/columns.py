"""Builds the columns of a table from its rows; a column without any known value is left out."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from omni_msa.report.tables.grid import DASH, Entry, Grid
from omni_msa.stats.metrics import Metric

T = TypeVar("T")
ColumnOf = tuple[str, Callable[[T], Entry | None]]
"""A heading, and the function from a row to its entry (None: not known)."""


def lay_out(
    title: str, rows: Sequence[T], columns: Sequence[ColumnOf[T]], words: Sequence[str] = (), num_words: int = 1
) -> Grid:
    """Return a table of these rows, without the columns in which no value is known.

    Args:
        title: of the table.
        rows: passed one by one to the function of every column.
        columns: heading and function of each column.
        words: headings of further columns of text, aligned left.
        num_words: how many columns on the left are text.
    """
    shown = [
        (index, name, entries)
        for index, (name, show) in enumerate(columns)
        if any(entries := [show(row) for row in rows])
    ]
    align = "".join("l" if index < num_words or name in words else "r" for index, name, _ in shown)
    lines = [[entry or Entry(DASH) for entry in line] for line in zip(*(entries for *_, entries in shown), strict=True)]
    return Grid([name for _, name, _ in shown], lines, [], align, title)


def number(value: float | None, metric: Metric) -> Entry | None:
    """Return a metric's value as it is shown, None for None."""
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
