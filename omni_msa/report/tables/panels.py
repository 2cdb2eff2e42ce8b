"""Further tables of cells: the primary metric in detail, best of n, and numbers from publications."""

from collections.abc import Sequence

from omni_msa.evidence.published import Elsewhere
from omni_msa.evidence.summary import CellSummary
from omni_msa.evidence.sweep_summary import SweepSummary
from omni_msa.report.tables.columns import ColumnOf, count, ends, lay_out, number, percent, word
from omni_msa.report.tables.grid import DASH, Entry, Grid, axes_of, heading, reported_entry, seeds_entry
from omni_msa.stats.metrics import METRICS
from omni_msa.sweep.labels import axis_text

CellColumn = ColumnOf[CellSummary]


def detail_grid(summary: SweepSummary) -> Grid:
    """Return the primary metric of each cell with its intervals and the share of the gap that it closes."""
    name, axes = summary.metric, axes_of(summary.cells)
    metric, cells = METRICS[name], [cell for cell in summary.cells if name in cell.metrics]

    columns: list[CellColumn] = [
        *((axis, lambda cell, axis=axis: Entry(axis_text(cell.axes.get(axis, DASH)))) for axis in axes),
        ("seeds", seeds_entry),
        ("mean", lambda cell: number(cell.of(name).mean, metric)),
        ("median", lambda cell: number(cell.of(name).median, metric)),
        ("min", lambda cell: number(cell.of(name).min, metric)),
        ("max", lambda cell: number(cell.of(name).max, metric)),
        ("95 % over seeds", lambda cell: ends(cell.of(name).interval_95, metric)),
        ("95 % over clips", lambda cell: ends(cell.of(name).interval_clips_95, metric)),
        ("95 % over both", lambda cell: ends(cell.of(name).interval_two_level_95, metric)),
        ("gap closed (%)", lambda cell: percent(cell.gap_share.get(name))),
    ]
    grid = lay_out(f"{metric.heading} in detail", cells, columns, num_words=len(axes))
    grid.notes.extend(note for title, note in _DETAIL_NOTES.items() if title in grid.headings)
    return grid


def selection_grid(summary: SweepSummary) -> Grid | None:
    """Return the best seed of each cell beside its mean, None where no cell has several."""
    name, metric = summary.metric, METRICS[summary.metric]
    cells = [cell for cell in summary.cells if cell.of(name).n > 1]
    if not any(cell.of(name).best is not None for cell in cells):
        return None
    columns: list[CellColumn] = [
        ("cell", lambda cell: Entry(cell.name)),
        ("mean", lambda cell: number(cell.of(name).mean, metric)),
        ("best of n", lambda cell: number(cell.of(name).best, metric)),
        ("n", lambda cell: count(cell.of(name).n)),
        ("seed of the best", lambda cell: word(cell.of(name).best_seed)),
    ]
    grid = lay_out(f"Best of n beside the mean, {metric.heading}", cells, columns)
    grid.notes.append("Best of n: the seed with the best value on test; optimistically biased, more so with larger n.")
    return grid


def elsewhere_grid(rows: Sequence[Elsewhere], style: str) -> Grid:
    """Return the table of numbers from publications on the corpus, each row with its source.

    Args:
        rows: at least one.
        style: of the headline table, so that the numbers are in the same unit.
    """
    names = list(dict.fromkeys(name for row in rows for name in row.metrics))
    texts = [
        [Entry(row.method), *(reported_entry(row.metrics, name, style) for name in names), Entry(row.source)]
        for row in rows
    ]
    titles = ["method", *(heading(name, style).rstrip(" ↓↑") for name in names), "source"]
    note = (
        "Other code, features, machines, selection: context, not a threshold. Accuracies as their authors printed them."
    )
    notes = [note, *dict.fromkeys(row.note for row in rows if row.note)]
    kinds = ["reported"] * len(rows)
    return Grid(titles, texts, notes, "l" + "r" * len(names) + "l", "Reported elsewhere", kinds)


_DETAIL_NOTES = {
    "95 % over seeds": "Over seeds: Student's t, for other seeds on these clips.",
    "95 % over clips": "Over clips: BCa bootstrap, for these trained models on other clips.",
    "95 % over both": "Over both: for other seeds and other clips.",
    "gap closed (%)": "Gap closed: 0 is the constant row, 100 the human rater.",
}
