"""The tables of a sweep as files, and the one that a terminal shows."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omni_msa.evidence import published
from omni_msa.evidence.comparisons.pairs import Pairs
from omni_msa.report.tables.formats import STYLE, html_table, latex, markdown_section
from omni_msa.report.tables.grid import MMSA, STANDARD, Grid, build_grid, default_columns
from omni_msa.report.tables.mmsa_style import mmsa_summary
from omni_msa.report.tables.pair_grids import controls_grid, differences_grid, exploratory_grid, strength_grid
from omni_msa.report.tables.panels import detail_grid, elsewhere_grid, selection_grid
from omni_msa.report.tables.pivot import pivot_axes, pivot_grid, pivot_rows
from omni_msa.report.tables.rows import TrialRow, cell_rows, trial_rows
from omni_msa.report.tables.terminal import TerminalTable
from omni_msa.stats.metrics import METRICS
from omni_msa.system.files import csv_text, write_json, write_text

NO_PAIRS = Pairs()


def write_tables(
    folder: Path,
    summary: Mapping[str, Any],
    pairs: Pairs = NO_PAIRS,
    trials: Sequence[TrialRow] = (),
    pivot: Sequence[str] | None = None,
) -> list[Path]:
    """Write `table.md`, `.csv`, `.tex`, `.html`, `aggregate.json`, `trials.csv`; where there are any, `pivot.*` too.

    Args:
        folder: `mlruns/reports/<sweep>/`, made if missing.
        summary: the content of `aggregate.json`; clips that were left out go to `dropped_clips.csv`. With `dataset`
            mosi or mosei numbers of papers stand beside.
        pairs: its comparisons.
        trials: every trial of the plan.
        pivot: the axes that the sweep names, down and across.

    Returns:
        The files written.
    """
    texts = _texts(summary, pairs, pivot) | {"trials.csv": csv_text(trial_rows(trials))}
    for name, text in texts.items():
        write_text(folder / name, text)
    write_json(folder / "aggregate.json", dict(summary))
    return [folder / name for name in (*texts, "aggregate.json")]


def _texts(summary: Mapping[str, Any], pairs: Pairs, pivot: Sequence[str] | None) -> dict[str, str]:
    human, dataset = summary.get("human"), summary.get("dataset", "")
    grid = build_grid(summary, human, dataset)
    texts = {
        "table.md": markdown(summary, grid, pairs, dataset, pivot),
        "table.csv": csv_text(_flat_rows(summary, human, dataset)),
        "table.tex": _latex_headline(summary, human, dataset),
        "table.html": STYLE + html_table(grid),
    }
    if axes := pivot_axes(summary["cells"], pivot):
        laid = pivot_grid(summary, *axes)
        texts |= {
            "pivot.md": "\n".join(markdown_section(laid)) + "\n",
            "pivot.csv": csv_text(pivot_rows(summary, *axes)),
            "pivot.tex": latex(laid),
            "pivot.html": STYLE + html_table(laid, "pivot"),
        }
    if summary.get("dropped_clips"):
        texts["dropped_clips.csv"] = csv_text(summary["dropped_clips"])
    return texts


def _side_grids(summary: Mapping[str, Any], pairs: Pairs, dataset: str, pivot: Sequence[str] | None) -> Iterator[Grid]:
    """Yield the tables that stand below the headline table; what is not known is left out."""
    if axes := pivot_axes(summary["cells"], pivot):
        yield pivot_grid(summary, *axes)
    if any(cell["metrics"] for cell in summary["cells"]):
        yield detail_grid(summary)
    if pairs.differences:
        yield differences_grid(pairs.differences, summary["cells"])
        if strength := strength_grid(pairs.differences, pairs.exploratory):
            yield strength
    if pairs.controls:
        yield controls_grid(pairs.controls)
    if pairs.exploratory:
        yield exploratory_grid(pairs.exploratory, summary["cells"])
    if best := selection_grid(summary):
        yield best
    if rows := published.elsewhere(dataset):
        yield elsewhere_grid(rows, summary.get("style", STANDARD))


def markdown(
    summary: Mapping[str, Any], grid: Grid, pairs: Pairs, dataset: str = "", pivot: Sequence[str] | None = None
) -> str:
    """Return `table.md`: question, answer, headline table, and the tables below it.

    Args:
        summary, pairs, dataset, pivot: as in `write_tables`.
        grid: the headline table.
    """
    lines = [f"# {summary['sweep']}", "", summary.get("question", ""), ""]
    if answer := answer_of(summary):
        lines += [f"**Answer:** {answer}", ""]
    lines += markdown_section(grid)
    for side in _side_grids(summary, pairs, dataset, pivot):
        lines += ["", *markdown_section(side)]
    if said := selection_text(summary):
        lines += ["", "## What was tried and what selected", "", *(f"- {sentence}" for sentence in said)]
    return "\n".join(lines) + "\n"


def answer_of(summary: Mapping[str, Any]) -> str:
    """Return the sentence that the statistics support, "" if the summary has none."""
    return str((summary.get("verdict") or {}).get("text", ""))


def selection_text(summary: Mapping[str, Any]) -> list[str]:
    """Return the sentences on what was tried and what selected."""
    return list((summary.get("selection") or {}).get("text", ()))


def terminal_table(summary: Mapping[str, Any], human: Mapping[str, float] | None = None) -> TerminalTable:
    """Return the headline table and the answer for `rich` to print.

    Args:
        summary: the content of `aggregate.json`.
        human: metrics of a human rater, or None.
    """
    return TerminalTable(summary, human)


def _latex_headline(summary: Mapping[str, Any], human: Mapping[str, float] | None, dataset: str) -> str:
    """Return the headline table in two parts that fit a page: quality; rates and costs."""
    names = default_columns(summary["cells"])
    quality = [name for name in names if METRICS[name].kind == "quality"]
    rest = [name for name in names if name not in quality]
    parts = [latex(build_grid(summary, human, dataset, quality))]
    if rest:
        parts.append(latex(build_grid({**summary, "notes": []}, columns=rest)))
    return "\n\\bigskip\n\n".join(parts)


def _flat_rows(summary: Mapping[str, Any], human: Mapping[str, float] | None, dataset: str) -> list[dict[str, Any]]:
    """One row a cell, full precision; then the human row and what others reported."""
    rows = [{"kind": "cell", **row} for row in cell_rows(dict(summary))]
    for row, cell in zip(rows, summary["cells"], strict=True):
        row |= _more_columns(cell) | (_mmsa_columns(cell) if summary.get("style") == MMSA else {})
        paper = published.lookup(dataset, cell["axes"])
        for name, (mean, std) in (paper.metrics if paper else {}).items():
            row |= {f"{name}_paper_mean": mean, f"{name}_paper_std": std}
    if human is not None:
        rows.append({"kind": "human", "label": "human rater", **{f"{name}_mean": human[name] for name in human}})
    for other in published.elsewhere(dataset):
        row = {"kind": "reported elsewhere", "label": other.method, "source": other.source}
        for name, (mean, std) in other.metrics.items():
            row |= {f"{name}_mean": mean, f"{name}_std": std}
        rows.append(row)
    return rows


def _more_columns(cell: Mapping[str, Any]) -> dict[str, Any]:
    """What `aggregate.cell_rows` leaves out: the middle, the ends, best of n, the other intervals, the gap closed."""
    row: dict[str, Any] = {}
    for name, summary in cell["metrics"].items():
        row |= {f"{name}_{part}": summary.get(part) for part in ("median", "min", "max")}
        if summary.get("best") is not None:
            row |= {f"{name}_best_of_n": summary["best"], f"{name}_best_seed": summary.get("best_seed")}
        for over in ("clips", "two_level"):
            if interval := summary.get(f"interval_{over}_95"):
                row |= {f"{name}_{over}_low": interval[0], f"{name}_{over}_high": interval[1]}
    for name, share in (cell.get("gap_share") or {}).items():
        row[f"{name}_gap_share"] = share
    return row


def _mmsa_columns(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Mean and ± of the metrics of quality in the convention of the MMSA framework, beside the standard ones."""
    row: dict[str, Any] = {}
    for name in (name for name in cell["metrics"] if METRICS[name].kind == "quality"):
        row[f"{name}_mmsa_mean"], row[f"{name}_mmsa_std"] = mmsa_summary(cell["metrics"][name]["values"])
    return row
