"""The headline table for a terminal: as many metrics side by side as fit its width."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from omni_msa.evidence.sweep_summary import SweepSummary
from omni_msa.report.tables.grid import Grid, build_grid, default_columns, heading
from omni_msa.stats.metrics import METRICS

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table

_WORDS_WIDTH_MAX = 28  # longer text is folded
_WORDS_WIDTH_MIN = 10
_GAP = 2  # blanks between two columns


@dataclass(frozen=True)
class TerminalTable:
    """The headline table, its notes and the answer, for `rich` to print.

    Metrics of quality are always shown, in several tables if they do not fit side by side; rates and costs only as far
    as they fit into the last table. A number is never cut.

    Args:
        summary: of the sweep.
    """

    summary: SweepSummary

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Yield what `rich` prints within a width."""
        from rich.text import Text

        names = default_columns(self.summary.cells)
        whole = _short(build_grid(self.summary, names), self.summary.style, names)
        num_left = whole.num_axes + 1
        parts = _parts(whole, num_left, options.max_width, [METRICS[name].kind == "quality" for name in names])
        for index, part in enumerate(parts):
            yield _table(_pick(whole, part), "" if index else self.summary.sweep)
        shown = [names[index - num_left] for part in parts for index in part[num_left:]]
        yield Text("\n".join(build_grid(self.summary, shown).notes), "italic dim")
        if answer := self.summary.verdict.text:
            yield Text(f"\n{answer}", "bold")


def parts_that_fit(grid: Grid, num_left: int, title: str, width: int) -> "list[Table]":
    """Return a table in parts that each fit a width (in characters); all have the first `num_left` columns."""
    parts = _parts(grid, num_left, width, [True] * (len(grid.headings) - num_left))
    return [_table(_pick(grid, part), "" if index else title) for index, part in enumerate(parts)]


def _short(grid: Grid, style: str, names: Sequence[str]) -> Grid:
    """Return a narrower table: headings without units except for costs (shares are in percent), no spaces around ±."""
    titles = [heading(name, style) if METRICS[name].kind == "cost" else METRICS[name].title for name in names]
    rows = [[replace(entry, text=entry.text.replace(" ± ", "±")) for entry in row] for row in grid.rows]
    return replace(grid, headings=[*grid.headings[: grid.num_axes + 1], *titles], rows=rows)


def _parts(grid: Grid, num_left: int, width: int, must: Sequence[bool]) -> list[list[int]]:
    """Return the column indices of each part of a table, so that it fits a width.

    Args:
        num_left: number of columns on the left, which all parts have.
        must: for each other column whether it must be shown; the first optional one that does not fit ends the list.
    """
    lengths = [
        max(len(text) for text in (title, *texts)) for title, texts in zip(grid.headings, _columns(grid), strict=True)
    ]
    widths = [
        (min(length, _WORDS_WIDTH_MAX) if letter == "l" else length) + _GAP
        for length, letter in zip(lengths, grid.align, strict=True)
    ]
    room = width - 2 - sum(widths[:num_left])
    parts: list[list[int]] = [[]]
    for index, has_to in enumerate(must, start=num_left):
        if sum(widths[other] for other in parts[-1]) + widths[index] > room and parts[-1]:
            if not has_to:
                break
            parts.append([])
        parts[-1].append(index)
    return [[*range(num_left), *part] for part in parts]


def _columns(grid: Grid) -> list[list[str]]:
    return [[row[index].text for row in grid.rows] for index in range(len(grid.headings))]


def _pick(grid: Grid, indices: Sequence[int]) -> Grid:
    rows = [[row[index] for index in indices] for row in grid.rows]
    align = "".join(grid.align[index] for index in indices)
    return Grid([grid.headings[index] for index in indices], rows, [], align)


def _table(grid: Grid, title: str) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name, letter in zip(grid.headings, grid.align, strict=True):
        if letter == "l":
            table.add_column(name, overflow="fold", min_width=_WORDS_WIDTH_MIN, max_width=_WORDS_WIDTH_MAX)
        else:
            table.add_column(name, justify="right", no_wrap=True)
    for row in grid.rows:
        table.add_row(*(Text(entry.text, "bold" if entry.bold else "") for entry in row))
    return table
