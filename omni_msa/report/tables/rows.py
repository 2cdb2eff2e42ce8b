"""Cells and trials as flat rows, for CSV files."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omni_msa.evidence.cell_trials import Seed
from omni_msa.sweep.labels import axis_text


@dataclass(frozen=True)
class TrialRow:
    """One trial as `trials.csv` lists it; `metrics` is empty until it is complete."""

    axes: Mapping[str, Any]
    seed: Seed
    trial_id: str
    state: str
    metrics: Mapping[str, float | None]


def cell_rows(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Flatten the content of `aggregate.json`: one row a cell, each number in a column of its own."""
    rows = []
    for cell in summary["cells"]:
        row: dict[str, Any] = {axis: axis_text(value) for axis, value in cell["axes"].items()}
        row |= {"label": cell["label"], "deterministic": cell["deterministic"], "num_seeds": len(cell["seeds"])}
        row |= {"missing_seeds": " ".join(map(str, cell["missing"]))}
        for name, numbers in cell["metrics"].items():
            low, high = numbers["interval_95"] or (None, None)
            row |= {f"{name}_{part}": numbers[part] for part in ("mean", "std", "n", "num_collapsed")}
            row |= {f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return rows


def trial_rows(trials: Sequence[TrialRow]) -> list[dict[str, Any]]:
    """Flatten trials: one row each; an undefined metric reads NaN."""
    rows = []
    for trial in trials:
        row: dict[str, Any] = {axis: axis_text(value) for axis, value in trial.axes.items()}
        row |= {"seed": trial.seed, "trial_id": trial.trial_id, "state": trial.state}
        for name, value in trial.metrics.items():
            row[name] = "NaN" if value is None or math.isnan(value) else value
        rows.append(row)
    return rows
