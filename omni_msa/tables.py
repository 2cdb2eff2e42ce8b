"""The tables of a sweep: Markdown, CSV, LaTeX, and the terminal. Numbers in, text out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omni_msa import reported
from omni_msa.aggregate import PairedDifference, TrialRow, axis_text, cell_rows, trial_rows
from omni_msa.files import csv_text, write_json, write_text
from omni_msa.metrics import METRICS, headline

if TYPE_CHECKING:
    from rich.table import Table

RATES = ("unparsable_rate", "zero_rate")
COSTS = tuple(name for name, metric in METRICS.items() if metric.kind == "cost")
DASH = "\N{EN DASH}"
_ARROWS = {"lower": " ↓", "higher": " ↑", "none": ""}
_TEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$"}
    | {"±": r"$\pm$", "↓": r"$\downarrow$", "↑": r"$\uparrow$", DASH: "--"}
)


@dataclass(frozen=True)
class Entry:
    """One place of a table: text, and whether it is the best of its column."""

    text: str
    bold: bool = False


@dataclass(frozen=True)
class Grid:
    """A table before it takes a format. `num_axes` columns on the left are words, the others numbers."""

    headings: list[str]
    rows: list[list[Entry]]
    notes: list[str]
    num_axes: int


def write_tables(
    folder: Path,
    aggregate: dict[str, Any],
    trials: Sequence[TrialRow] = (),
    differences: Sequence[PairedDifference] = (),
    human: Mapping[str, float] | None = None,
    dataset: str = "",
) -> list[Path]:
    """Write `table.md`, `.csv`, `.tex`, `aggregate.json`, `trials.csv` and, if any are, `dropped_clips.csv`.

    Args:
        folder: `mlruns/reports/<sweep>/`, made if missing.
        aggregate: what `aggregate.aggregate` returned, of test and costs; may have `notes` and `dropped_clips`.
        trials: every trial of the plan.
        differences: what `aggregate.compare` returned.
        human: metrics of a human rater, or None.
        dataset: the plug-in's name where it is no axis; for mosi and mosei the paper's numbers stand beside.

    Returns:
        The files written.
    """
    grid = build_grid(aggregate, human, dataset)
    texts = {
        "table.md": markdown(aggregate, grid, differences),
        "table.csv": csv_text(_flat_rows(aggregate, human, dataset)),
        "table.tex": latex(grid),
        "trials.csv": csv_text(trial_rows(trials)),
    }
    (folder / "dropped_clips.csv").unlink(missing_ok=True)
    if aggregate.get("dropped_clips"):
        texts["dropped_clips.csv"] = csv_text(aggregate["dropped_clips"])
    for name, text in texts.items():
        write_text(folder / name, text)
    paired = [{**asdict(difference), "n": difference.n} for difference in differences]
    people = None if human is None else dict(human)
    write_json(folder / "aggregate.json", {**aggregate, "differences": paired, "human": people})
    return [folder / name for name in (*texts, "aggregate.json")]


def build_grid(
    aggregate: dict[str, Any],
    human: Mapping[str, float] | None = None,
    dataset: str = "",
    columns: Sequence[str] | None = None,
) -> Grid:
    """Lay out the headline table.

    Args:
        aggregate, human, dataset: as in `write_tables`.
        columns: metrics to show; by default quality, and rates and costs that any cell has.
    """
    cells = aggregate["cells"]
    names = columns or default_columns(cells)
    axes = _axes(cells)
    rows = [
        [*(Entry(axis_text(cell["axes"].get(axis, DASH))) for axis in axes), Entry(_seeds(cell))]
        + [Entry(_summary(cell, name)) for name in names]
        for cell in cells
    ]
    for place, name in enumerate(names, start=len(axes) + 1):
        for row in _best(cells, name):
            rows[row][place] = replace(rows[row][place], bold=True)
    if human is not None:
        rows.append([Entry("human rater"), *[Entry("")] * (len(axes) - 1), Entry(DASH)])
        rows[-1] += [Entry(METRICS[name].show(human.get(name))) for name in names]
    headings = [*axes, "seeds", *(METRICS[name].heading + _ARROWS[METRICS[name].better] for name in names)]
    grid = Grid(headings, rows, _notes(cells, names, human is not None) + aggregate.get("notes", []), len(axes))
    return _with_reported(grid, cells, dataset, [name for name in names if METRICS[name].kind == "quality"])


def default_columns(cells: Sequence[dict[str, Any]]) -> list[str]:
    """Return the metrics of the headline table: quality, and rates and costs that any cell has."""
    there = {name for cell in cells for name in cell["metrics"]}
    return [*headline(there), *(name for name in (*RATES, *COSTS) if name in there)]


def _axes(cells: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(axis for cell in cells for axis in cell["axes"])) or ["cell"]


def _seeds(cell: dict[str, Any]) -> str:
    num, num_missing = len(cell["seeds"]), len(cell["missing"])
    count = f"{num - num_missing}/{num}" if num_missing else str(num)
    return f"{count} (det.)" if cell["deterministic"] else count


def _summary(cell: dict[str, Any], name: str) -> str:
    """A mean, its ±, and how many seeds counted where some collapsed."""
    summary = cell["metrics"].get(name)
    if summary is None:
        return DASH
    metric, num_seeds = METRICS[name], len(cell["seeds"])
    counted = f" ({summary['n']}/{num_seeds})" if summary["num_collapsed"] else ""
    if summary["mean"] is None:
        return "NaN" + counted
    spread = "" if summary["std"] is None or metric.count else f" ± {metric.show(summary['std'])}"
    return metric.show(summary["mean"]) + spread + counted


def _best(cells: Sequence[dict[str, Any]], name: str) -> list[int]:
    """Return the rows with the best mean; only cells where every seed counted compete, and one alone is no best."""
    better = METRICS[name].better
    means = {
        row: cell["metrics"][name]["mean"]
        for row, cell in enumerate(cells)
        if name in cell["metrics"] and cell["metrics"][name]["n"] == len(cell["seeds"]) > 0
    }
    if better == "none" or len(means) < 2:
        return []
    best = min(means.values()) if better == "lower" else max(means.values())
    return [row for row, mean in means.items() if abs(mean - best) <= 1e-12 * max(1.0, abs(best))]


def _notes(cells: Sequence[dict[str, Any]], names: Sequence[str], human: bool) -> list[str]:
    summaries = [summary for cell in cells for name, summary in cell["metrics"].items() if name in names]
    collapsed = any(summary["num_collapsed"] for summary in summaries)
    notes = {
        "Test split. ±: sample standard deviation (ddof 1) over seeds, of unrounded values; one seed has none.": True,
        "Bold: best mean of a column, among cells with every seed.": True,
        "(det.): the cell has no randomness and is run once.": any(cell["deterministic"] for cell in cells),
        "Seeds such as 2/3: two of three are finished, the mean is over these.": any(cell["missing"] for cell in cells),
        "(2/3) after a number: undefined (NaN) for the other seeds; a constant has no correlation.": collapsed,
        "Exact zeros: scores that are 0; non0 metrics count them as negative, has0 as positive.": "zero_rate" in names,
        "Latency: one clip alone, from files to score; model: from prompt to score. p95: 95th percentile.": "latency_s"
        in names,
        "Human rater: how well people's own ratings agree; it does not compete for bold.": human,
    }
    return [note for note, applies in notes.items() if applies]


def _with_reported(grid: Grid, cells: Sequence[dict[str, Any]], dataset: str, names: Sequence[str]) -> Grid:
    """Add the paper's numbers on the right, where it has any for these cells."""
    rows = [reported.lookup(dataset, cell["axes"]) for cell in cells]
    found = [row for row in rows if row]
    shown = [name for name in names if any(name in row.metrics for row in found)]
    extra = [[Entry(_reported_text(row, name)) for name in shown] for row in rows]
    extra += [[Entry("")] * len(shown)] * (len(grid.rows) - len(rows))
    if not shown:
        return grid
    settings = " and ".join(dict.fromkeys(row.setting for row in found))
    note = f"(paper): as reported in {reported.CITATION} ({settings}); other code and machines: context, no threshold."
    return Grid(
        [*grid.headings, *(f"{METRICS[name].heading} (paper)" for name in shown)],
        [[*left, *right] for left, right in zip(grid.rows, extra, strict=True)],
        [*grid.notes, note],
        grid.num_axes,
    )


def _reported_text(row: reported.Reported | None, name: str) -> str:
    mean, std = row.metrics.get(name, (None, None)) if row else (None, None)
    return METRICS[name].show(mean) + (f" ± {METRICS[name].show(std)}" if std is not None else "")


def markdown(aggregate: dict[str, Any], grid: Grid, differences: Sequence[PairedDifference] = ()) -> str:
    """Return `table.md`: the headline table, its notes, and the paired differences."""
    lines = [f"# {aggregate['sweep']}", "", aggregate.get("question", ""), "", *_pipe_table(grid), ""]
    lines += [f"- {note}" for note in grid.notes]
    if differences:
        title, table = differences_grid(differences)
        lines += ["", f"## {title}", "", *_pipe_table(table), "", *(f"- {note}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def _pipe_table(grid: Grid) -> list[str]:
    def line(texts: Iterable[str]) -> str:
        return f"| {' | '.join(text.replace('|', '&#124;') for text in texts)} |"

    rule = ["---" if place < grid.num_axes else "---:" for place in range(len(grid.headings))]
    bodies = ([f"**{entry.text}**" if entry.bold else entry.text for entry in row] for row in grid.rows)
    return [line(grid.headings), line(rule), *map(line, bodies)]


def differences_grid(differences: Sequence[PairedDifference]) -> tuple[str, Grid]:
    """Return the title and the table of paired differences (at least one, all on one metric)."""
    metric = METRICS[differences[0].metric]
    targets = " and ".join(dict.fromkeys(f'"{one.against}"' for one in differences if one.against))
    title = f"Paired differences in {metric.heading} against {targets or 'a cell that is missing'}"
    rows = []
    for one in differences:
        spread = "" if one.std is None else f" ± {metric.show(one.std)}"
        interval = DASH if one.interval is None else f"[{', '.join(metric.show(end, True) for end in one.interval)}]"
        odds = [DASH if value is None else f"{value:.3g}" for value in (one.p, one.p_floor)]
        texts = [one.label, metric.show(one.mean, True) + spread, str(one.n), interval, *odds, one.note]
        rows.append([Entry(text) for text in texts])
    headings = ["cell", "difference", "pairs", "95 % t interval", "sign-flip p", "floor of p", "note"]
    better = {"lower": "Negative: the cell is better.", "higher": "Positive: the cell is better.", "none": ""}
    notes = [f"{better[metric.better]} Pairs share a seed; a deterministic cell pairs with every seed.".strip()]
    notes.append(
        "Sign-flip p: exact, two-sided, over all sign patterns; no result of so many pairs can go below its floor."
    )
    if any(one.num_collapsed for one in differences):
        notes.append(f"Pairs with an undefined value are left out: {sum(one.num_collapsed for one in differences)}.")
    return title, Grid(headings, rows, notes, num_axes=1)


def latex(grid: Grid) -> str:
    """Return the headline table as a LaTeX `tabular` (needs the package booktabs)."""

    def line(texts: Iterable[str]) -> str:
        return " & ".join(texts) + r" \\"

    width = len(grid.headings)
    bodies = [
        [rf"\textbf{{{entry.text.translate(_TEX)}}}" if entry.bold else entry.text.translate(_TEX) for entry in row]
        for row in grid.rows
    ]
    notes = [rf"\multicolumn{{{width}}}{{l}}{{\footnotesize {note.translate(_TEX)}}} \\" for note in grid.notes]
    head = [
        "% needs \\usepackage{booktabs}",
        rf"\begin{{tabular}}{{{'l' * grid.num_axes}{'r' * (width - grid.num_axes)}}}",
    ]
    rows = [r"\toprule", line(text.translate(_TEX) for text in grid.headings), r"\midrule", *map(line, bodies)]
    return "\n".join([*head, *rows, r"\bottomrule", *notes, r"\end{tabular}"]) + "\n"


def terminal_table(aggregate: dict[str, Any], human: Mapping[str, float] | None = None) -> "Table":
    """Return the headline table for `rich` to print, its quality columns only; shares in percent."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    names = headline({name for cell in aggregate["cells"] for name in cell["metrics"]})
    grid = build_grid(aggregate, human, columns=names)
    notes = Text("\n".join(grid.notes), "table.caption")  # plain text: a note may have brackets
    table = Table(
        title=aggregate["sweep"], caption=notes, caption_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for heading in grid.headings[: grid.num_axes]:
        table.add_column(heading, overflow="fold")
    for heading in ("seeds", *(METRICS[name].title for name in names)):  # units take too much room here
        table.add_column(heading, justify="right", no_wrap=True)
    for row in grid.rows:
        texts = (entry.text.replace(" ± ", "±") for entry in row)
        table.add_row(*(Text(text, "bold" if entry.bold else "") for text, entry in zip(texts, row, strict=True)))
    return table


def _flat_rows(aggregate: dict[str, Any], human: Mapping[str, float] | None, dataset: str) -> list[dict[str, Any]]:
    """One row a cell, full precision; then the human row."""
    rows = [{"kind": "cell", **row} for row in cell_rows(aggregate)]
    for row, cell in zip(rows, aggregate["cells"], strict=True):
        paper = reported.lookup(dataset, cell["axes"])
        for name, (mean, std) in (paper.metrics if paper else {}).items():
            row |= {f"{name}_paper_mean": mean, f"{name}_paper_std": std}
    if human is not None:
        rows.append({"kind": "human", "label": "human rater", **{f"{name}_mean": human[name] for name in human}})
    return rows
