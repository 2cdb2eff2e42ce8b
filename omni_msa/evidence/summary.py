"""Statistics of cells over the metrics of their trials."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from omni_msa.evidence.cell_trials import CellTrials, Seed
from omni_msa.evidence.comparisons.clip_scores import Resampler
from omni_msa.stats.intervals import Interval, moments, two_level_interval
from omni_msa.stats.metrics import METRICS


@dataclass(frozen=True)
class MetricSummary:
    """One metric of a cell over its finished trials. A statistic for which n is too small is None.

    Args:
        mean, std, median, min, max: of the defined values, in the stored unit (shares in [0, 1]); std has ddof 1.
        n: the number of defined values; `num_collapsed`: the number of undefined ones.
        interval_95: Student-t interval of the mean over seeds; None where all values are equal.
        best, best_seed: the best value and its seed; None for a metric without a better direction.
        values: one per finished trial, in the order of the seeds; None where it is undefined.
        interval_clips_95: BCa interval over test clips, of a cell with one trial.
        interval_two_level_95: interval over seeds and clips.
    """

    mean: float | None = None
    std: float | None = None
    n: int = 0
    num_collapsed: int = 0
    median: float | None = None
    min: float | None = None
    max: float | None = None
    interval_95: Interval | None = None
    best: float | None = None
    best_seed: Seed = None
    values: Sequence[float | None] = ()
    interval_clips_95: Interval | None = None
    interval_two_level_95: Interval | None = None


@dataclass(frozen=True)
class CellSummary:
    """The statistics of one cell.

    Args:
        name: the cell's; `axes`: its values on the axes.
        deterministic: whether it has no randomness; it then has one trial, whose seed is None.
        seeds: of the sweep; `missing`: those without a complete trial; `failed`: those whose trial failed.
        metrics: statistics of each metric that a finished trial has, by name.
        gap_share: for each metric of quality, the share of the gap between constant row and human row that the mean
            closes: 0 at the constant row, 1 at the human row, None where one of them is not known.
    """

    name: str
    axes: Mapping[str, Any]
    deterministic: bool
    seeds: Sequence[Seed]
    missing: Sequence[Seed] = ()
    failed: Sequence[Seed] = ()
    metrics: Mapping[str, MetricSummary] = field(default_factory=dict)
    gap_share: Mapping[str, float | None] = field(default_factory=dict)

    def of(self, metric: str) -> MetricSummary:
        """Return the statistics of a metric, with n = 0 if no finished trial has it."""
        return self.metrics.get(metric, MetricSummary())

    def is_whole(self, metric: str) -> bool:
        """Return whether a metric is defined at every seed of the sweep."""
        return self.of(metric).n == len(self.seeds) > 0

    def as_json(self) -> dict[str, Any]:
        """Return the cell as `aggregate.json` has it."""
        values = asdict(self)
        return {"label": values.pop("name"), **values}


def cell_summary(trials: CellTrials, resampler: Resampler) -> CellSummary:
    """Return the statistics of a cell, without its `gap_share`.

    Args:
        trials: of the cell.
        resampler: resamples the clips.
    """
    cell, tested = trials.cell, trials.tested
    names = dict.fromkeys(name for record in trials.records.values() for name in record.metrics)
    alone = tested is not None and len(trials.records) == len(tested.seeds) == 1
    over_clips = resampler.intervals(tested) if tested is not None and alone else {}
    metrics = {}
    for name in names:
        summary = summarise([trials.at(seed, name) for seed in trials.records], trials.seeds, METRICS[name].better)
        two_levels = _at_both_levels(trials, name)
        interval = two_level_interval(*two_levels, correlation=name == "corr") if two_levels else None
        metrics[name] = replace(
            summary,
            interval_95=within_range(summary.interval_95, name),
            interval_clips_95=over_clips.get(name),
            interval_two_level_95=within_range(interval, name),
        )
    missing = [seed for seed in cell.seeds if seed not in trials.records]
    return CellSummary(cell.name, cell.axes, cell.deterministic, cell.seeds, missing, trials.failed, metrics)


def within_range(interval: Interval | None, metric: str) -> Interval | None:
    """Clip an interval to the range of the metric; no mean lies outside of that, so its coverage is unchanged.

    Args:
        interval: low and high end, with the mean between them, or None.
        metric: its name; a correlation is in [-1, 1], a share in [0, 1], all else (errors, times, sizes) at least 0.
    """
    if interval is None:
        return None
    is_correlation = metric == "corr"
    least, most = -1.0 if is_correlation else 0.0, 1.0 if is_correlation or METRICS[metric].percent else math.inf
    return max(interval[0], least), min(interval[1], most)


def _at_both_levels(trials: CellTrials, metric: str) -> tuple[Any, Any] | None:
    """Return a metric at each seed and the influences of the clips on it, None if a seed lacks one of the two."""
    tested = trials.tested
    if tested is None or metric not in tested.metrics or list(tested.seeds) != trials.seeds:
        return None
    values = [trials.at(seed, metric) for seed in trials.seeds]
    return None if None in values else (values, tested.influences(metric))


def summarise(values: Sequence[float | None], seeds: Sequence[Seed] = (), better: str = "none") -> MetricSummary:
    """Return the statistics of one metric over seeds, without those over clips.

    Args:
        values: one per finished trial, unrounded; None, NaN and infinities count as undefined.
        seeds: of the trials, in the same order.
        better: which direction is an improvement, as in `metrics.Metric`.
    """
    plain = [None if value is None or not math.isfinite(value) else float(value) for value in values]
    defined = [value for value in plain if value is not None]
    mean, std, interval = moments(defined)
    best = {"lower": min(defined, default=None), "higher": max(defined, default=None)}.get(better)
    return MetricSummary(
        mean=mean,
        std=std,
        n=len(defined),
        num_collapsed=len(plain) - len(defined),
        median=float(np.median(defined)) if defined else None,
        min=min(defined, default=None),
        max=max(defined, default=None),
        interval_95=interval,
        best=best,
        best_seed=seeds[plain.index(best)] if best is not None and seeds else None,
        values=plain,
    )


def floor_of(cells: Sequence[CellTrials], cell: CellTrials) -> CellTrials | None:
    """Return the cell with the constant readout that is the reference of a cell, None if the sweep has none.

    Args:
        cells: of the sweep.
        cell: one of them; of several constant cells, the one with most axis values in common with it is returned.
    """

    def agreement(other: CellTrials) -> int:
        return sum(value == cell.cell.axes[axis] for axis, value in other.cell.axes.items())

    constants = [each for each in cells if each.cell.config.readout.name == "constant"]
    return max(constants, key=agreement, default=None)


def gap_shares(
    metrics: Mapping[str, MetricSummary], floor: Mapping[str, MetricSummary], human: Mapping[str, float]
) -> dict[str, float | None]:
    """Return the share of the gap between constant row and human row that a cell closes, for each metric of quality.

    Args:
        metrics: of the cell.
        floor: those of the constant row, empty if there is none.
        human: metrics of a human rater, empty if there is none.

    Returns:
        0 at the constant row, 1 at the human row; None where one of the three is missing, or the human row is not
        better than the constant one.
    """
    shares: dict[str, float | None] = {}
    for name in (name for name in metrics if METRICS[name].kind == "quality"):
        mean, low, high = metrics[name].mean, floor.get(name, MetricSummary()).mean, human.get(name)
        shares[name] = None
        if mean is None or low is None or high is None:
            continue
        if high < low if METRICS[name].better == "lower" else high > low:
            shares[name] = (mean - low) / (high - low) + 0.0  # not -0.0
    return shares
