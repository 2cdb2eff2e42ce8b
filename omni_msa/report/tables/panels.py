"""The tables of single cells beside the headline table: the deciding metric in detail, best of n, other people's."""

from collections.abc import Callable, Sequence

from omni_msa.evidence.published import Elsewhere
from omni_msa.report.tables.columns import Column, Row, count, ends, lay_out, number, percent, word
from omni_msa.report.tables.grid import DASH, Entry, Grid, axes_of, heading, primary_metric, reported_entry, seeds_entry
from omni_msa.stats.metrics import METRICS
from omni_msa.sweep.labels import axis_text


def detail_grid(summary: Row) -> Grid:
    """Return the primary metric of each cell with its intervals and the share of the gap that it closes."""
    name = primary_metric(summary)
    metric, axes = METRICS[name], axes_of(summary["cells"])
    cells = [cell for cell in summary["cells"] if name in cell["metrics"]]

    def of(part: str) -> Callable[[Row], Entry | None]:
        return lambda cell: number(cell["metrics"][name].get(part), metric)

    def between(part: str) -> Callable[[Row], Entry | None]:
        return lambda cell: ends(cell["metrics"][name].get(part), metric)

    columns: list[Column] = [
        *((axis, lambda cell, axis=axis: Entry(axis_text(cell["axes"].get(axis, DASH)))) for axis in axes),
        ("seeds", seeds_entry),
        *((part, of(part)) for part in ("mean", "median", "min", "max")),
        ("95 % over seeds", between("interval_95")),
        ("95 % over clips", between("interval_clips_95")),
        ("95 % over both", between("interval_two_level_95")),
        ("gap closed (%)", lambda cell: percent((cell.get("gap_share") or {}).get(name))),
    ]
    grid = lay_out(f"{metric.heading} in detail", cells, columns, num_words=len(axes))
    grid.notes.extend(note for title, note in _DETAIL_NOTES.items() if title in grid.headings)
    return grid


def selection_grid(summary: Row) -> Grid | None:
    """Return the best seed of each cell beside its mean, None where no cell has several."""
    name = primary_metric(summary)
    metric = METRICS[name]
    cells = [cell for cell in summary["cells"] if cell["metrics"].get(name, {}).get("n", 0) > 1]
    if not any(cell["metrics"][name].get("best") is not None for cell in cells):
        return None
    columns: list[Column] = [
        ("cell", lambda cell: Entry(cell["label"])),
        ("mean", lambda cell: number(cell["metrics"][name]["mean"], metric)),
        ("best of n", lambda cell: number(cell["metrics"][name]["best"], metric)),
        ("n", lambda cell: count(cell["metrics"][name]["n"])),
        ("seed of the best", lambda cell: word(cell["metrics"][name].get("best_seed"))),
    ]
    grid = lay_out(f"Best of n beside the mean, {metric.heading}", cells, columns)
    grid.notes.append("Best of n: the best seed on test, chosen after seeing test. It flatters, more so with larger n.")
    return grid


def elsewhere_grid(rows: Sequence[Elsewhere], style: str) -> Grid:
    """Return what other people reported on the corpus, each row with its source.

    Args:
        rows: at least one.
        style: of the headline table, so that the numbers can be read side by side.
    """
    names = list(dict.fromkeys(name for row in rows for name in row.metrics))
    texts = [
        [Entry(row.method), *(reported_entry(row.metrics, name, style) for name in names), Entry(row.source)]
        for row in rows
    ]
    titles = ["method", *(heading(name, style).rstrip(" ↓↑") for name in names), "source"]
    note = (
        "Other code, features, machines and selection: context, no threshold. Accuracies as their authors printed them."
    )
    notes = [note, *dict.fromkeys(row.note for row in rows if row.note)]
    kinds = ["reported"] * len(rows)
    return Grid(titles, texts, notes, "l" + "r" * len(names) + "l", "Reported elsewhere", kinds)


_DETAIL_NOTES = {
    "95 % over seeds": "Over seeds: Student's t, other seeds on these clips.",
    "95 % over clips": "Over clips: BCa bootstrap, these trained models on other clips.",
    "95 % over both": "Over both: other seeds and other clips.",
    "gap closed (%)": "Gap closed: 0 is the constant row, 100 the human rater.",
}
