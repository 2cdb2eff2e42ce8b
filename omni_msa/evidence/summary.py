"""From the numbers of trials to the statistics of cells."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from omni_msa.evidence.cell_trials import CellTrials, Seed
from omni_msa.evidence.comparisons.clip_scores import Resampler
from omni_msa.stats.intervals import moments, two_level_interval
from omni_msa.stats.metrics import METRICS


def cell_summary(trials: CellTrials, resampler: Resampler) -> dict[str, Any]:
    """Summarise a cell: one of the `cells` of `aggregate.json`, plain values, strict JSON.

    Args:
        trials: of the cell.
        resampler: of the clips.
    """
    cell, tested = trials.cell, trials.tested
    names = dict.fromkeys(name for record in trials.records.values() for name in record.metrics)
    alone = tested is not None and len(trials.records) == len(tested.seeds) == 1
    over_clips = resampler.intervals(tested) if tested is not None and alone else {}
    metrics = {}
    for name in names:
        summary = summarise([trials.at(seed, name) for seed in trials.records], trials.seeds, METRICS[name].better)
        both = _at_both_levels(trials, name)
        interval = two_level_interval(*both, correlation=name == "corr") if both else None
        summary["interval_clips_95"] = list(over_clips[name]) if name in over_clips else None
        summary["interval_95"] = within_range(summary["interval_95"], name)
        summary["interval_two_level_95"] = within_range(interval, name)
        metrics[name] = summary
    return {
        "label": cell.label,
        "axes": _plain(cell.axes),
        "deterministic": cell.deterministic,
        "seeds": list(cell.seeds),
        "missing": [seed for seed in cell.seeds if seed not in trials.records],
        "failed": list(trials.failed),
        "metrics": metrics,
    }


def within_range(interval: Sequence[float] | None, metric: str) -> list[float] | None:
    """Cut an interval off where the metric's values end; what is cut off can hold no mean, so it covers as before.

    Args:
        interval: low and high end, the mean between them.
        metric: its name: a correlation ends at -1 and 1, a share at 0 and 1, all else (errors, times, sizes) at 0.
    """
    if interval is None:
        return None
    is_correlation = metric == "corr"
    least, most = -1.0 if is_correlation else 0.0, 1.0 if is_correlation or METRICS[metric].percent else math.inf
    return [max(interval[0], least), min(interval[1], most)]


def _at_both_levels(trials: CellTrials, metric: str) -> tuple[Any, Any] | None:
    """Return a metric of each seed and the clips' influences on it, None where some seed lacks one of them."""
    tested = trials.tested
    if tested is None or metric not in tested.metrics or list(tested.seeds) != trials.seeds:
        return None
    values = [trials.at(seed, metric) for seed in trials.seeds]
    return None if None in values else (values, tested.influences(metric))


def summarise(values: Sequence[float | None], seeds: Sequence[Seed] = (), better: str = "none") -> dict[str, Any]:
    """Describe one metric over seeds.

    Args:
        values: one a finished trial, unrounded; None, NaN and infinities count as collapsed.
        seeds: of the trials, in the same order.
        better: which direction is an improvement, as in `metrics.Metric`.

    Returns:
        `mean`, `std` (ddof 1), `n` (values averaged), `num_collapsed`, `median`, `min`, `max`, `interval_95`
        (Student t; None where all values are equal), `best` and `best_seed`, `values` (collapsed ones as None). What n
        does not allow is None.
    """
    plain = [None if value is None or not math.isfinite(value) else float(value) for value in values]
    kept = [value for value in plain if value is not None]
    mean, std, interval = moments(kept)
    best = {"lower": min(kept, default=None), "higher": max(kept, default=None)}.get(better)
    return {
        "mean": mean,
        "std": std,
        "n": len(kept),
        "num_collapsed": len(plain) - len(kept),
        "median": float(np.median(kept)) if kept else None,
        "min": min(kept, default=None),
        "max": max(kept, default=None),
        "interval_95": list(interval) if interval else None,
        "best": best,
        "best_seed": seeds[plain.index(best)] if best is not None and seeds else None,
        "values": plain,
    }


def floor_of(cells: Sequence[CellTrials], cell: CellTrials) -> CellTrials | None:
    """Return the constant readout's cell that a cell is to be measured by, None if the sweep has none.

    Args:
        cells: of the sweep.
        cell: one of them; of several constants, the one that agrees with it in most of the other axes counts.
    """

    def agreement(other: CellTrials) -> int:
        return sum(value == cell.cell.axes[axis] for axis, value in other.cell.axes.items())

    constants = [each for each in cells if each.cell.config.readout.name == "constant"]
    return max(constants, key=agreement, default=None)


def gap_shares(
    metrics: Mapping[str, Mapping[str, Any]], floor: Mapping[str, Mapping[str, Any]], human: Mapping[str, float]
) -> dict[str, float | None]:
    """Return how much of the way from the constant row to the human row a cell has gone, on each metric.

    Args:
        metrics: of the cell, as `cell_summary` has them.
        floor: those of the constant row, empty if there is none.
        human: metrics of a human rater, empty if there is none.

    Returns:
        0 at the floor, 1 at the ceiling; None where one of the three is missing, or people are no better than a
        constant.
    """
    shares: dict[str, float | None] = {}
    for name in (name for name in metrics if METRICS[name].kind == "quality"):
        mean, low, high = metrics[name]["mean"], floor.get(name, {}).get("mean"), human.get(name)
        shares[name] = None
        if mean is None or low is None or high is None:
            continue
        if high < low if METRICS[name].better == "lower" else high > low:
            shares[name] = (mean - low) / (high - low) + 0.0  # not -0.0
    return shares


def _plain(value: Any) -> Any:
    """Return the value as JSON would give it back: tuples become lists."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
