"""The content of a table before it is formatted, and the headline table of a sweep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from omni_msa.evidence import published
from omni_msa.evidence.summary import CellSummary
from omni_msa.evidence.sweep_summary import SweepSummary
from omni_msa.report.tables.mmsa_style import mmsa_text
from omni_msa.stats.metrics import METRICS, headline
from omni_msa.sweep.labels import axis_text

RATES = ("unparsable_rate", "zero_rate")
COSTS = ("train_s", "latency_s", "peak_memory_gb", "trainable_parameters")
"""The costs that the headline table shows; `table.csv` has all."""
DASH = "\N{EN DASH}"
STANDARD, MMSA = "standard", "mmsa"
_ARROWS = {"lower": " ↓", "higher": " ↑", "none": ""}


@dataclass(frozen=True)
class Entry:
    """One entry of a table.

    Args:
        text: as it is shown.
        bold: whether it is the best of its column.
        value: the unrounded number in its stored unit, for sorting; None for text.
    """

    text: str
    bold: bool = False
    value: float | None = None


@dataclass(frozen=True)
class Grid:
    """A table before it is formatted.

    Args:
        headings: one per column.
        rows: each with one entry per column.
        notes: what the reader must know, plain text.
        align: one letter per column, "l" for text and "r" for numbers.
        title: of the table, "" for the headline table.
        kinds: the kind of each row ("cell", "human", "reported"), or empty where rows are not distinguished.
    """

    headings: list[str]
    rows: list[list[Entry]]
    notes: list[str]
    align: str
    title: str = ""
    kinds: list[str] = field(default_factory=list)

    @property
    def num_axes(self) -> int:
        """The number of text columns on the left."""
        return len(self.align) - len(self.align.lstrip("l"))


def build_grid(summary: SweepSummary, columns: Sequence[str] | None = None) -> Grid:
    """Lay out the headline table: mean and standard deviation of each cell, and the human row.

    Args:
        summary: of the sweep; its `style` says whether numbers are shown as stored or as the MMSA framework prints
            them. On mosi and mosei the paper's numbers are shown beside them.
        columns: metrics to show; by default those of `default_columns`.
    """
    cells, style, human = summary.cells, summary.style, summary.human
    names = columns if columns is not None else default_columns(cells)
    axes = axes_of(cells)
    rows = [
        [*(Entry(axis_text(cell.axes.get(axis, DASH))) for axis in axes), seeds_entry(cell)]
        + [mean_entry(cell, name, style) for name in names]
        for cell in cells
    ]
    for index, name in enumerate(names, start=len(axes) + 1):
        for row in best_rows(cells, name):
            rows[row][index] = replace(rows[row][index], bold=True)
    if human is not None:
        rows.append([Entry("human rater"), *[Entry("")] * (len(axes) - 1), Entry(DASH)])
        rows[-1] += [Entry(_one(name, human.get(name), style), value=human.get(name)) for name in names]
    grid = Grid(
        [*axes, "seeds", *(heading(name, style) for name in names)],
        rows,
        [*_notes(cells, names, human is not None, style), *summary.notes],
        "l" * len(axes) + "r" * (1 + len(names)),
        kinds=["cell"] * len(cells) + ["human"] * (human is not None),
    )
    return _with_reported(grid, summary, [name for name in names if METRICS[name].kind == "quality"])


def default_columns(cells: Sequence[CellSummary]) -> list[str]:
    """Return the metrics of the headline table: quality, then the rates and main costs that any cell has."""
    there = {name for cell in cells for name in cell.metrics}
    return [*headline(there), *(name for name in (*RATES, *COSTS) if name in there)]


def axes_of(cells: Sequence[CellSummary]) -> list[str]:
    """Return the names of all axes, in the order of the sweep; "cell" where there is none."""
    return list(dict.fromkeys(axis for cell in cells for axis in cell.axes)) or ["cell"]


def heading(name: str, style: str = STANDARD) -> str:
    """Return a metric's column heading: title, unit, and an arrow (down: lower is better)."""
    metric = METRICS[name]
    return (f"{metric.title} (x100)" if _is_scaled(name, style) else metric.heading) + _ARROWS[metric.better]


def _is_scaled(name: str, style: str) -> bool:
    return style == MMSA and METRICS[name].kind == "quality"


def _one(name: str, value: float | None, style: str) -> str:
    """Return a number that is not a mean over seeds, in the unit of its column."""
    return METRICS[name].show(value) if value is None or not _is_scaled(name, style) else f"{value * 100:z.2f}"


def seeds_entry(cell: CellSummary) -> Entry:
    """Return how many seeds of a cell are finished, as `3`, `2/3` (one is missing), or `1 (det.)`."""
    num, num_missing = len(cell.seeds), len(cell.missing)
    count = f"{num - num_missing}/{num}" if num_missing else str(num)
    return Entry(f"{count} (det.)" if cell.deterministic else count, value=num - num_missing)


def mean_entry(cell: CellSummary, name: str, style: str = STANDARD) -> Entry:
    """Return a mean, its standard deviation after ±, and the number of defined values where some are undefined.

    Args:
        cell: of the summary.
        name: of a metric.
        style: "standard", or "mmsa" for that framework's convention.
    """
    if name not in cell.metrics:
        return Entry(DASH)
    summary, metric = cell.metrics[name], METRICS[name]
    counted = f" ({summary.n}/{summary.n + summary.num_collapsed})" if summary.num_collapsed else ""
    if summary.mean is None:
        return Entry("NaN" + counted)
    if _is_scaled(name, style):
        return Entry(mmsa_text(summary.values) + counted, value=summary.mean)
    spread = "" if summary.std is None or metric.count else f" ± {metric.show(summary.std)}"
    return Entry(metric.show(summary.mean) + spread + counted, value=summary.mean)


def best_rows(cells: Sequence[CellSummary], name: str) -> list[int]:
    """Return the rows of the best mean, among cells with a value at every seed; none if all of these are equal."""
    better = METRICS[name].better
    means = {
        row: mean for row, cell in enumerate(cells) if cell.is_whole(name) and (mean := cell.of(name).mean) is not None
    }
    if better == "none" or len(means) < 2:
        return []
    best = min(means.values()) if better == "lower" else max(means.values())
    rows = [row for row, mean in means.items() if abs(mean - best) <= 1e-12 * max(1.0, abs(best))]
    return rows if len(rows) < len(means) else []


def _notes(cells: Sequence[CellSummary], names: Sequence[str], human: bool, style: str) -> list[str]:
    collapsed = any(cell.of(name).num_collapsed for cell in cells for name in names)
    notes = {
        "Test split. ±: sample standard deviation (ddof 1) over seeds, of unrounded values; one seed has none.": style
        != MMSA,
        "Test split, in the convention of the MMSA framework, only to be compared with old tables: metrics of quality "
        "times 100, each seed's value rounded before averaging, ± with ddof 0 (smaller than ddof 1, and 0 for one "
        "seed). Other tables, intervals and tests use unrounded values and ddof 1; numbers from papers are times "
        "100 too.": style == MMSA,
        "Bold: best mean of a column, among cells with every seed.": True,
        "(det.): the cell has no randomness and is run once.": any(cell.deterministic for cell in cells),
        "Seeds such as 2/3: two of three are finished, the mean is over these.": any(cell.missing for cell in cells),
        "(1/2) after a number: of two finished seeds one has a value, that of the other is undefined (NaN); constant "
        "predictions have no correlation.": collapsed,
        _zeros_note(names): "zero_rate" in names,
        _latency_note(names): "latency_s" in names,
        "Human rater: how well people's own ratings agree; never in bold.": human,
    }
    return [note for note, applies in notes.items() if applies]


def _zeros_note(names: Sequence[str]) -> str:
    sides = {"non0": "negative", "has0": "positive"}
    there = [ending for ending in sides if any(name.endswith(f"_{ending}") for name in names)]
    said = [f"; {ending} metrics count them as {sides[ending]}" for ending in there]
    return f"Exact zeros: scores that are 0{''.join(said)}."


def _latency_note(names: Sequence[str]) -> str:
    model = "; model: from prompt to score" if "latency_model_s" in names else ""
    p95 = " p95: 95th percentile." if {"latency_p95_s", "latency_model_p95_s"} & set(names) else ""
    return f"Latency: one clip at a time, from files to score{model}.{p95}"


def _with_reported(grid: Grid, summary: SweepSummary, names: Sequence[str]) -> Grid:
    """Add columns with the paper's numbers on the right, if it has any for these cells."""
    style, rows = summary.style, [published.lookup(summary.dataset, cell.axes) for cell in summary.cells]
    published_rows = [row for row in rows if row]
    shown = [name for name in names if any(name in row.metrics for row in published_rows)]
    if not shown:
        return grid
    extra = [[reported_entry(row.metrics if row else {}, name, style) for name in shown] for row in rows]
    extra += [[Entry("")] * len(shown)] * (len(grid.rows) - len(rows))
    settings = " and ".join(dict.fromkeys(row.setting for row in published_rows))
    note = f"(paper): reported in {published.CITATION} ({settings}); other code and machines: context, not a threshold."
    return replace(
        grid,
        headings=[*grid.headings, *(f"{heading(name, style).rstrip(' ↓↑')} (paper)" for name in shown)],
        rows=[[*left, *right] for left, right in zip(grid.rows, extra, strict=True)],
        notes=[*grid.notes, note],
        align=grid.align + "r" * len(shown),
    )


def reported_entry(metrics: Mapping[str, published.Value], name: str, style: str = STANDARD) -> Entry:
    """Return a number from a publication, with its standard deviation after ± if one was printed."""
    mean, std = metrics.get(name, (None, None))
    return Entry(_one(name, mean, style) + (f" ± {_one(name, std, style)}" if std is not None else ""), value=mean)
