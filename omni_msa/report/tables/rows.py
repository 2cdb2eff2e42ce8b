"""Cells and trials as flat rows, for CSV files."""

import math
from collections.abc import Mapping
from typing import Any

from omni_msa.evidence.gather import Evidence
from omni_msa.evidence.records import TrialRecord
from omni_msa.evidence.summary import CellSummary
from omni_msa.sweep.labels import axis_text


def cell_row(cell: CellSummary) -> dict[str, Any]:
    """Return the statistics of a cell as one row, with a column for each number."""
    row: dict[str, Any] = {axis: axis_text(value) for axis, value in cell.axes.items()}
    row |= {"label": cell.name, "deterministic": cell.deterministic, "num_seeds": len(cell.seeds)}
    row |= {"missing_seeds": " ".join(map(str, cell.missing))}
    for name, one in cell.metrics.items():
        row |= {f"{name}_mean": one.mean, f"{name}_std": one.std, f"{name}_n": one.n}
        row |= {f"{name}_num_collapsed": one.num_collapsed, **_ends(name, one.interval_95 or (None, None))}
    for name, one in cell.metrics.items():
        row |= {f"{name}_median": one.median, f"{name}_min": one.min, f"{name}_max": one.max}
        if one.best is not None:
            row |= {f"{name}_best_of_n": one.best, f"{name}_best_seed": one.best_seed}
        for over, interval in (("clips", one.interval_clips_95), ("two_level", one.interval_two_level_95)):
            row |= _ends(f"{name}_{over}", interval) if interval else {}
    return row | {f"{name}_gap_share": share for name, share in cell.gap_share.items()}


def _ends(name: str, interval: tuple[float | None, float | None]) -> dict[str, float | None]:
    return {f"{name}_low": interval[0], f"{name}_high": interval[1]}


def trial_rows(evidence: Evidence) -> list[dict[str, Any]]:
    """Return one row for each trial of each cell; an undefined metric reads NaN."""
    axes = {cell.name: cell.axes for cell in evidence.plan.sweep.cells}
    return [_trial_row(axes[label], record) for record in evidence.records for label in record.trial.cells]


def _trial_row(axes: Mapping[str, Any], record: TrialRecord) -> dict[str, Any]:
    row: dict[str, Any] = {axis: axis_text(value) for axis, value in axes.items()}
    row |= {"seed": record.seed, "trial_id": record.trial_id, "state": record.trial.status.state}
    undefined = {name: "NaN" for name, value in record.metrics.items() if value is None or math.isnan(value)}
    return {**row, **record.metrics, **undefined}
