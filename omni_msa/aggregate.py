"""From the numbers of trials to the statistics of cells, and to paired differences between cells."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

CONFIDENCE = 0.95
NUM_PAIRS_MAX = 16  # 2 ** 16 sign patterns are enumerated in milliseconds
Seed = int | None


@dataclass(frozen=True)
class CellResults:
    """What is known of one cell.

    Args:
        axes: axis name to value.
        label: the cell's name.
        deterministic: the cell has no randomness and is run once, with seed None.
        seeds: the seeds expected.
        values: seed of each finished trial to its metrics; None and NaN both mean undefined.
    """

    axes: dict[str, Any]
    label: str
    deterministic: bool
    seeds: Sequence[Seed]
    values: Mapping[Seed, Mapping[str, float | None]]


@dataclass(frozen=True)
class TrialRow:
    """One trial as `trials.csv` lists it; `metrics` is empty until it is complete."""

    axes: Mapping[str, Any]
    seed: Seed
    trial_id: str
    state: str
    metrics: Mapping[str, float | None]


@dataclass(frozen=True)
class PairedDifference:
    """One cell minus another on one metric, over the seeds that both have.

    Args:
        label: the cell; `against`: the label of the cell subtracted ("" if the sweep has none).
        metric: what is compared.
        seeds: the seeds of the pairs used; `values`: their differences.
        num_collapsed: pairs left out because a value is undefined.
        mean, std: of the differences (ddof 1), None without (two) pairs.
        interval: 95 % Student-t interval of the mean, None with fewer than two pairs.
        p: two-sided exact sign-flip p-value, None without pairs or with more than 16.
        p_floor: the smallest p that so many pairs can give.
        note: what the reader must know, "" if nothing.
    """

    label: str
    against: str
    metric: str
    seeds: list[Seed] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    num_collapsed: int = 0
    mean: float | None = None
    std: float | None = None
    interval: tuple[float, float] | None = None
    p: float | None = None
    p_floor: float | None = None
    note: str = ""

    @property
    def n(self) -> int:
        """The number of pairs used."""
        return len(self.values)


def aggregate(sweep: str, cells: Sequence[CellResults], question: str = "") -> dict[str, Any]:
    """Summarise all cells of a sweep: the content of `aggregate.json`, plain values, strict JSON.

    Args:
        sweep: its name.
        cells: in table order.
        question: what the sweep asks.

    Returns:
        `{"sweep", "question", "cells": [{"label", "axes", "deterministic", "seeds", "missing", "metrics"}]}`;
        `metrics` maps a name to what `summarise` returns, its `values` in the order of the seeds not missing.
    """
    return {"sweep": sweep, "question": question, "cells": [_cell(cell) for cell in cells]}


def _cell(cell: CellResults) -> dict[str, Any]:
    done = [seed for seed in cell.seeds if seed in cell.values]
    names = dict.fromkeys(name for seed in done for name in cell.values[seed])
    return {
        "label": cell.label,
        "axes": _plain(cell.axes),
        "deterministic": cell.deterministic,
        "seeds": list(cell.seeds),
        "missing": [seed for seed in cell.seeds if seed not in cell.values],
        "metrics": {name: summarise([cell.values[seed].get(name) for seed in done]) for name in names},
    }


def summarise(values: Sequence[float | None]) -> dict[str, Any]:
    """Describe one metric over seeds.

    Args:
        values: one a finished trial, unrounded; None, NaN and infinities count as collapsed.

    Returns:
        `mean`, `std` (ddof 1), `n` (values averaged), `num_collapsed`, `median`, `min`, `max`, `interval_95`
        (Student t), `values` (collapsed ones as None). What n does not allow is None.
    """
    plain = [None if value is None or not math.isfinite(value) else float(value) for value in values]
    kept = [value for value in plain if value is not None]
    mean, std, interval = _moments(kept)
    return {
        "mean": mean,
        "std": std,
        "n": len(kept),
        "num_collapsed": len(plain) - len(kept),
        "median": float(np.median(kept)) if kept else None,
        "min": min(kept, default=None),
        "max": max(kept, default=None),
        "interval_95": list(interval) if interval else None,
        "values": plain,
    }


def _moments(values: list[float]) -> tuple[float | None, float | None, tuple[float, float] | None]:
    if not values:
        return None, None, None
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, None, None
    from scipy.special import stdtrit  # quantile of Student's t; far lighter to import than scipy.stats

    std = float(np.std(values, ddof=1)) if min(values) < max(values) else 0.0
    half = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2)) * std / math.sqrt(len(values))
    return mean, std, (mean - half, mean + half)


def compare(cells: Sequence[CellResults], against: Mapping[str, Any], metric: str = "mae") -> list[PairedDifference]:
    """Subtract from every cell the one it is compared with, seed by seed.

    Args:
        cells: all cells of the sweep.
        against: axis values of the cell compared with; axes it does not name are those of each cell.
        metric: a metric's name.

    Returns:
        One difference a cell, the cells compared with left out. A deterministic cell pairs with every seed.
    """
    target = _plain(dict(against))
    differences = []
    for cell in cells:
        axes = _plain(cell.axes)
        other = next((one for one in cells if _plain(one.axes) == axes | target), None)
        if other is not cell:
            differences.append(_difference(cell, other, metric))
    return differences


def _difference(cell: CellResults, other: CellResults | None, metric: str) -> PairedDifference:
    if other is None:
        return PairedDifference(cell.label, "", metric, note="the sweep has no such cell to compare with")
    pairs = [(seed, _at(cell, seed, metric), _at(other, seed, metric)) for seed in _common_seeds(cell, other)]
    whole = [(seed, a - b) for seed, a, b in pairs if a is not None and b is not None]
    seeds, values = [seed for seed, _ in whole], [value for _, value in whole]
    mean, std, interval = _moments(values)
    note = f"not testable at 0.05 with n = {len(values)} < 6 pairs" if len(values) < 6 else ""
    if len(values) > NUM_PAIRS_MAX:
        note = f"sign patterns are enumerated up to n = {NUM_PAIRS_MAX} pairs: read the interval"
    return PairedDifference(
        label=cell.label,
        against=other.label,
        metric=metric,
        seeds=seeds,
        values=values,
        num_collapsed=len(pairs) - len(whole),
        mean=mean,
        std=std,
        interval=interval,
        p=sign_flip_p(values) if 0 < len(values) <= NUM_PAIRS_MAX else None,
        p_floor=2 / 2 ** len(values) if values else None,
        note=note,
    )


def sign_flip_p(differences: Sequence[float]) -> float:
    """Return the exact two-sided sign-flip p-value of a mean difference (Fisher's randomisation test).

    Args:
        differences: float (n,), 1 <= n <= 16.

    Returns:
        The share of all 2^n sign patterns whose absolute sum is at least the one observed; at least 2 / 2^n.
    """
    values = np.abs(np.asarray(differences, dtype=np.float64))
    patterns = np.arange(2 ** len(values))[:, None] >> np.arange(len(values)) & 1  # (2^n, n)
    sums = np.abs((1 - 2 * patterns) @ values)  # (2^n,)
    observed = abs(math.fsum(differences))
    return float(np.mean(sums >= observed - 1e-9 * values.sum()))  # ties are equal but for rounding


def _common_seeds(cell: CellResults, other: CellResults) -> list[Seed]:
    if cell.deterministic and None in cell.values:
        return [seed for seed in other.seeds if seed in other.values]
    shared = [seed for seed in cell.seeds if seed in cell.values]
    return shared if other.deterministic and None in other.values else [seed for seed in shared if seed in other.values]


def _at(cell: CellResults, seed: Seed, metric: str) -> float | None:
    value = cell.values[None if cell.deterministic else seed].get(metric)
    return None if value is None or not math.isfinite(value) else value


def cell_rows(aggregate: dict[str, Any]) -> list[dict[str, Any]]:
    """Flatten what `aggregate` returned: one row a cell, mean, std, counts and interval in columns of their own."""
    rows = []
    for cell in aggregate["cells"]:
        row: dict[str, Any] = {axis: axis_text(value) for axis, value in cell["axes"].items()}
        row |= {"label": cell["label"], "deterministic": cell["deterministic"], "num_seeds": len(cell["seeds"])}
        row |= {"missing_seeds": " ".join(map(str, cell["missing"]))}
        for name, summary in cell["metrics"].items():
            low, high = summary["interval_95"] or (None, None)
            row |= {f"{name}_{part}": summary[part] for part in ("mean", "std", "n", "num_collapsed")}
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


def axis_text(value: Any) -> str:
    """Return an axis value as it stands under the axis's name: `text+audio`, `generative(decimals=2)`, `8`."""
    if isinstance(value, list | tuple):
        return "+".join(map(axis_text, value))
    if isinstance(value, Mapping):
        options = ", ".join(f"{key}={axis_text(item)}" for key, item in value.items() if key != "name")
        return str(value.get("name", "")) + (f"({options})" if options else "")
    return str(value)


def _plain(value: Any) -> Any:
    """Return the value as JSON would give it back: tuples become lists."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
