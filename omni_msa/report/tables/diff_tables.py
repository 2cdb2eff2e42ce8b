"""The difference of two sweeps as files, and for a terminal."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omni_msa.evidence.comparisons.sweep_diff import MetricDifference, SharedCell, SweepDiff
from omni_msa.report.tables.formats import STYLE, html_table, markdown_section
from omni_msa.report.tables.grid import DASH, Entry, Grid
from omni_msa.report.tables.pair_grids import once_each
from omni_msa.report.tables.pair_notes import floor_note
from omni_msa.report.tables.terminal import parts_that_fit
from omni_msa.stats.metrics import METRICS
from omni_msa.sweep.labels import axis_text
from omni_msa.system.files import csv_text, write_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

_MARKS = {"lower": "Negative: A is better.", "higher": "Positive: A is better.", "none": ""}
_NOTE = (
    "A and B: means over all seeds of each sweep. A - B: mean of the paired differences, ± their standard deviation "
    "(ddof 1), with its 95 % Student-t interval; pairs share a seed. Intervals assume roughly normal values; they and "
    "p are for one row each, not corrected for their number. p: two-sided sign-flip test over seeds, exact between two "
    "random cells; against a cell without randomness it assumes symmetrically distributed values. "
)


def write_diff(found: SweepDiff, folder: Path) -> list[Path]:
    """Write `diff_<other>.md`, `.csv` and `.html` into the first sweep's report folder and return their paths.

    Args:
        found: of the two sweeps.
        folder: made if missing.
    """
    start = folder / f"diff_{found.other}"
    paths = [start.with_name(f"{start.name}{ending}") for ending in (".md", ".csv", ".html")]
    for path, text in zip(paths, (_markdown(found), csv_text(_flat_rows(found)), _page(found)), strict=True):
        write_text(path, text)
    return paths


def summary_lines(found: SweepDiff) -> list[str]:
    """Return sentences on what is compared, which settings differ, and which cells only one sweep has."""
    lines = [f"A: {found.name}, {_counted(found.counts)}. B: {found.other}, {_counted(found.other_counts)}."]
    lines += [_settings_line(cells, len(found.cells)) for cells in _alike(found.cells)]
    for name, labels in (("A", found.only), ("B", found.only_other)):
        if labels:
            lines.append(f"Only in {name}: {'; '.join(labels)}.")
    renamed = [f"{cell.label} (A) is {cell.other_label} (B)" for cell in found.cells if cell.label != cell.other_label]
    return [*lines, *([f"Matched by their axis values: {'; '.join(renamed)}."] if renamed else [])]


def _counted(counts: Mapping[str, int]) -> str:
    return f"{counts['complete']} of {counts['trials']} trials complete"


def _alike(cells: Sequence[SharedCell]) -> list[list[SharedCell]]:
    """Group the cells for which the same settings differ."""
    groups: dict[str, list[SharedCell]] = {}
    for cell in cells:
        groups.setdefault(f"{_settings_text(cell.settings)} {cell.same_trials} {cell.controlled}", []).append(cell)
    return list(groups.values())


def _settings_line(cells: Sequence[SharedCell], num_cells: int) -> str:
    """Return what differs between the sweeps for cells with equal differences."""
    one = cells[0]
    everything = f"All {num_cells} shared cells" if num_cells > 1 else "The one shared cell"
    which = everything if len(cells) == num_cells else "; ".join(cell.label for cell in cells)
    if one.same_trials:
        return f"{which}: the same trials in both sweeps, the difference is zero by construction."
    if not one.settings:
        state = "no setting differs" if one.controlled else "no setting differs, but what the trials recorded does"
        return f"{which}: {state}."
    if one.controlled:
        return f"{which}: controlled, nothing but this setting differs: {_settings_text(one.settings)}."
    num = len(one.settings)
    what = f"{num} settings differ at once" if num > 1 else "more than this setting differs"
    return f"{which}: NOT controlled, {what}: {_settings_text(one.settings)}."


def _settings_text(settings: Mapping[str, Sequence[Any]]) -> str:
    return "; ".join(f"{key} {axis_text(a)} (A), {axis_text(b)} (B)" for key, (a, b) in settings.items())


def diff_grids(found: SweepDiff) -> list[Grid]:
    """Return a table for each metric, one row per shared cell; the first, of the primary metric, has the common notes.

    Args:
        found: of the two sweeps.
    """
    names = list(dict.fromkeys(one.metric for cell in found.cells for one in cell.metrics))
    grids = [_grid(name, found.cells) for name in names]
    grids[0].notes.append(_NOTE + floor_note([len(one.values) for cell in found.cells for one in cell.metrics]))
    return grids


def _grid(name: str, cells: Sequence[SharedCell]) -> Grid:
    metric = METRICS[name]
    headings = ["cell", "A", "B", "A - B", "pairs", "95 % interval", "p", "floor of p", "note"]
    rows = [_row(cell, one) for cell in cells for one in cell.metrics if one.metric == name]
    notes = [_MARKS[metric.better]] if _MARKS[metric.better] else []
    return Grid(headings, rows, notes, "lrrrrrrrl", metric.heading)


def _row(cell: SharedCell, one: MetricDifference) -> list[Entry]:
    metric = METRICS[one.metric]
    spread = "" if one.std is None else f" ± {metric.show(one.std)}"
    interval = DASH if one.interval is None else f"[{', '.join(metric.show(end, True) for end in one.interval)}]"
    p_text = [DASH if value is None or cell.same_trials else f"{value:.3g}" for value in (one.p, one.p_floor)]
    return [
        Entry(cell.label),
        Entry(metric.show(one.mean), value=one.mean),
        Entry(metric.show(one.other_mean), value=one.other_mean),
        Entry(metric.show(one.difference, True) + spread, value=one.difference),
        Entry(str(len(one.values)), value=len(one.values)),
        Entry(DASH if cell.same_trials else interval),
        *map(Entry, p_text),
        Entry(cell.note(one)),
    ]


def _title(found: SweepDiff) -> str:
    return f"{found.name} minus {found.other}"


def _markdown(found: SweepDiff) -> str:
    lines = [f"# {_title(found)}", "", *(f"- {line}" for line in summary_lines(found))]
    for grid in diff_grids(found):
        lines += ["", *markdown_section(grid)]
    if flags := _flags(found):
        lines += ["", "## What a reader must know", "", *(f"- {flag}" for flag in flags)]
    return "\n".join(lines) + "\n"


def _flags(found: SweepDiff) -> list[str]:
    return once_each([(cell.label, cell.flags) for cell in found.cells])


def _page(found: SweepDiff) -> str:
    """Return one whole HTML page."""
    lists = "".join(f"<li>{html.escape(line)}</li>\n" for line in summary_lines(found))
    tables = "".join(html_table(grid, "diff") for grid in diff_grids(found))
    flags = "".join(f"<li>{html.escape(flag)}</li>\n" for flag in _flags(found))
    below = f"<h2>What a reader must know</h2>\n<ul>\n{flags}</ul>\n" if flags else ""
    head = f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{html.escape(_title(found))}</title>\n'
    return f"{head}{STYLE}<h1>{html.escape(_title(found))}</h1>\n<ul>\n{lists}</ul>\n{tables}{below}</html>\n"


def _flat_rows(found: SweepDiff) -> list[dict[str, Any]]:
    """Return one unrounded row per shared cell and metric, then the cells that only one sweep has."""
    rows: list[dict[str, Any]] = []
    for cell in found.cells:
        settings = _settings_text(cell.settings)
        for one in cell.metrics:
            low, high = one.interval or (None, None)
            row: dict[str, Any] = {"in": "both", "cell": cell.label, "other_cell": cell.other_label}
            row |= {"metric": one.metric, "mean_a": one.mean, "mean_b": one.other_mean}
            row |= {"difference": one.difference, "std": one.std}
            row |= {"n": len(one.values), "seeds": " ".join(map(str, one.seeds)), "low": low, "high": high}
            row |= {"p": one.p, "p_floor": one.p_floor, "same_trials": cell.same_trials}
            rows.append(row | {"controlled": cell.controlled, "settings": settings})
    rows += [{"in": found.name, "cell": label} for label in found.only]
    return rows + [{"in": found.other, "other_cell": label} for label in found.only_other]


@dataclass(frozen=True)
class TerminalDiff:
    """The difference of two sweeps on the deciding metric, for `rich` to print."""

    found: SweepDiff

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """Yield what `rich` prints within a width."""
        from rich.text import Text

        yield Text(_title(self.found), "bold")
        yield Text("\n".join(summary_lines(self.found)))
        grid = diff_grids(self.found)[0]
        yield from parts_that_fit(grid, 1, grid.title, options.max_width)
        yield Text("\n".join(grid.notes), "italic dim")
