"""The tables of a sweep as files, and the headline table for a terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omni_msa.evidence import published
from omni_msa.evidence.summary import CellSummary
from omni_msa.evidence.sweep_summary import SweepSummary
from omni_msa.report.tables.formats import STYLE, html_table, latex, markdown_section
from omni_msa.report.tables.grid import MMSA, Grid, build_grid, default_columns
from omni_msa.report.tables.mmsa_style import mmsa_summary
from omni_msa.report.tables.pair_grids import controls_grid, differences_grid, exploratory_grid, strength_grid
from omni_msa.report.tables.panels import detail_grid, elsewhere_grid, selection_grid
from omni_msa.report.tables.pivot import pivot_axes, pivot_grid, pivot_rows
from omni_msa.report.tables.rows import cell_row
from omni_msa.report.tables.terminal import TerminalTable
from omni_msa.stats.metrics import METRICS
from omni_msa.system.files import csv_text, finite, write_json, write_text


def write_tables(
    folder: Path, summary: SweepSummary, trials: Sequence[Mapping[str, Any]] = (), pivot: Sequence[str] | None = None
) -> list[Path]:
    """Write `table.md`, `.csv`, `.tex`, `.html`, `aggregate.json`, `trials.csv`; where there are any, `pivot.*` too.

    Args:
        folder: `mlruns/reports/<sweep>/`, made if missing.
        summary: of the sweep; its dropped clips go to `dropped_clips.csv`. On mosi and mosei, numbers from papers are
            added.
        trials: a row for every trial of the plan.
        pivot: the axes that the sweep file names, down and across, None if it names none.

    Returns:
        The files written.
    """
    texts = _texts(summary, pivot) | {"trials.csv": csv_text(trials)}
    for name, text in texts.items():
        write_text(folder / name, text)
    write_json(folder / "aggregate.json", summary.as_json())
    return [folder / name for name in (*texts, "aggregate.json")]


def _texts(summary: SweepSummary, pivot: Sequence[str] | None) -> dict[str, str]:
    grid = build_grid(summary)
    texts = {
        "table.md": markdown(summary, grid, pivot),
        "table.csv": csv_text(_flat_rows(summary)),
        "table.tex": _latex_headline(summary),
        "table.html": STYLE + html_table(grid),
    }
    if axes := pivot_axes(summary.cells, pivot):
        laid = pivot_grid(summary, *axes)
        texts |= {
            "pivot.md": "\n".join(markdown_section(laid)) + "\n",
            "pivot.csv": csv_text(finite(pivot_rows(summary, *axes))),
            "pivot.tex": latex(laid),
            "pivot.html": STYLE + html_table(laid, "pivot"),
        }
    if summary.dropped_clips:
        texts["dropped_clips.csv"] = csv_text([clip.as_row() for clip in summary.dropped_clips])
    return texts


def side_grids(summary: SweepSummary, pivot: Sequence[str] | None = None) -> dict[str, Grid]:
    """Return the tables below the headline table, by name; those without data are left out.

    Args:
        summary, pivot: as in `write_tables`.
    """
    cells, pairs, others = summary.cells, summary.differences, summary.exploratory
    axes, reports = pivot_axes(cells, pivot), published.elsewhere(summary.dataset)
    grids = {
        "pivot": pivot_grid(summary, *axes) if axes else None,
        "detail": detail_grid(summary) if any(cell.metrics for cell in cells) else None,
        "differences": differences_grid(pairs, cells) if pairs else None,
        "strength": strength_grid(pairs, others) if pairs else None,
        "controls": controls_grid(summary.controls) if summary.controls else None,
        "exploratory": exploratory_grid(others, cells) if others else None,
        "selection": selection_grid(summary),
        "elsewhere": elsewhere_grid(reports, summary.style) if reports else None,
    }
    return {name: grid for name, grid in grids.items() if grid is not None}


def markdown(summary: SweepSummary, grid: Grid, pivot: Sequence[str] | None = None) -> str:
    """Return `table.md`: question, answer, headline table, and the tables below it.

    Args:
        summary, pivot: as in `write_tables`.
        grid: the headline table.
    """
    lines = [f"# {summary.sweep}", "", summary.question, ""]
    if summary.verdict.text:
        lines += [f"**Answer:** {summary.verdict.text}", ""]
    lines += markdown_section(grid)
    for side in side_grids(summary, pivot).values():
        lines += ["", *markdown_section(side)]
    if said := summary.selection.text:
        lines += ["", "## What was tried and what was selected", "", *(f"- {sentence}" for sentence in said)]
    return "\n".join(lines) + "\n"


def terminal_table(summary: SweepSummary) -> TerminalTable:
    """Return the headline table, without numbers from papers, and the answer, for `rich` to print."""
    return TerminalTable(replace(summary, dataset=""))


def _latex_headline(summary: SweepSummary) -> str:
    """Return the headline table in two parts that each fit a page: quality; rates and costs."""
    names = default_columns(summary.cells)
    quality = [name for name in names if METRICS[name].kind == "quality"]
    rest = [name for name in names if name not in quality]
    parts = [latex(build_grid(summary, quality))]
    if rest:
        parts.append(latex(build_grid(replace(summary, notes=(), human=None, dataset=""), rest)))
    return "\n\\bigskip\n\n".join(parts)


def _flat_rows(summary: SweepSummary) -> list[dict[str, Any]]:
    """Return one row per cell in full precision, then the human row and the numbers from publications."""
    rows = []
    for cell in summary.cells:
        row = {"kind": "cell", **finite(cell_row(cell))} | (_mmsa_columns(cell) if summary.style == MMSA else {})
        paper = published.lookup(summary.dataset, cell.axes)
        rows.append(row | (_reported_columns(paper.metrics, "_paper") if paper else {}))
    if summary.human is not None:
        means = {f"{name}_mean": value for name, value in summary.human.items()}
        rows.append({"kind": "human", "label": "human rater", **means})
    for other in published.elsewhere(summary.dataset):
        row = {"kind": "reported elsewhere", "label": other.method, "source": other.source}
        rows.append(row | _reported_columns(other.metrics))
    return rows


def _reported_columns(metrics: Mapping[str, published.Value], of: str = "") -> dict[str, float | None]:
    row: dict[str, float | None] = {}
    for name, (mean, std) in metrics.items():
        row |= {f"{name}{of}_mean": mean, f"{name}{of}_std": std}
    return row


def _mmsa_columns(cell: CellSummary) -> dict[str, float]:
    """Return mean and standard deviation of each metric of quality in the convention of the MMSA framework."""
    row: dict[str, float] = {}
    for name in (name for name in cell.metrics if METRICS[name].kind == "quality"):
        row[f"{name}_mmsa_mean"], row[f"{name}_mmsa_std"] = mmsa_summary(cell.metrics[name].values)
    return row
