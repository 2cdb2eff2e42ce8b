"""Metrics of one trial, by the conventions of the field, and how each of them is displayed."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Metric:
    """Meaning and display of one metric.

    Args:
        name: in files and configurations.
        better: direction of improvement; a metric with "none" cannot choose between trials.
        title: column heading.
        kind: "quality" is computed on any split and can choose epochs and trials; "rate" only for decoded answers;
            "cost" is measured separately.
        decimals: displayed digits after the point (of the percentage if `percent`).
        percent: stored as a share in [0, 1], shown times 100.
        unit: shown in the column heading; "" for numbers without unit.
        count: a whole number, shown as 3.1 M.
    """

    name: str
    better: Literal["lower", "higher", "none"]
    title: str
    kind: Literal["quality", "rate", "cost"] = "quality"
    decimals: int = 3
    percent: bool = False
    unit: str = ""
    count: bool = False

    @property
    def heading(self) -> str:
        """Return the title with its unit, such as "Acc-7 (%)"."""
        unit = "%" if self.percent else self.unit
        return f"{self.title} ({unit})" if unit else self.title

    def show(self, value: float | None, signed: bool = False) -> str:
        """Return a value of this metric as text: an en dash for None, "NaN" for NaN, counts as 3.1 M.

        Args:
            value: in the stored unit (shares in [0, 1]).
            signed: also write the sign of positive values and of zero (for differences).
        """
        if value is None:
            return "–"  # noqa: RUF001
        if math.isnan(value):
            return "NaN"
        sign = "+" if signed else ""
        if self.count:
            return _count(value, sign)
        return f"{value * (100 if self.percent else 1):{sign}z.{self.decimals}f}"


def _count(value: float, sign: str) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:{sign}.1f} {letter}"
    return f"{value:{sign}z.0f}"


_QUALITY = (
    Metric("mae", "lower", "MAE"),
    Metric("corr", "higher", "Corr"),
    Metric("acc7", "higher", "Acc-7", decimals=1, percent=True),
    Metric("acc5", "higher", "Acc-5", decimals=1, percent=True),
    Metric("acc2_has0", "higher", "Acc-2 has0", decimals=1, percent=True),
    Metric("f1_has0", "higher", "F1 has0", decimals=1, percent=True),
    Metric("acc2_non0", "higher", "Acc-2 non0", decimals=1, percent=True),
    Metric("f1_non0", "higher", "F1 non0", decimals=1, percent=True),
    Metric("acc3", "higher", "Acc-3", decimals=1, percent=True),
    Metric("acc2", "higher", "Acc-2", decimals=1, percent=True),
    Metric("f1", "higher", "F1", decimals=1, percent=True),
    Metric("accuracy", "higher", "Accuracy", decimals=1, percent=True),
    Metric("f1_weighted", "higher", "F1 weighted", decimals=1, percent=True),
    Metric("mae_parsable", "lower", "MAE parsable", "rate"),
)
_RATES = (
    Metric("unparsable_rate", "lower", "Unparsable", "rate", 1, percent=True),
    Metric("out_of_range_rate", "lower", "Out of range", "rate", 1, percent=True),
    Metric("zero_rate", "none", "Exact zeros", "rate", 1, percent=True),
)
_COSTS = (
    Metric("train_s", "lower", "Training", "cost", 1, unit="s"),
    Metric("latency_s", "lower", "Latency", "cost", 3, unit="s"),
    Metric("latency_p95_s", "lower", "Latency p95", "cost", 3, unit="s"),
    Metric("latency_model_s", "lower", "Latency, model", "cost", 3, unit="s"),
    Metric("latency_model_p95_s", "lower", "Latency, model p95", "cost", 3, unit="s"),
    Metric("peak_memory_gb", "lower", "Peak memory", "cost", 2, unit="GB"),
    Metric("peak_memory_inference_gb", "lower", "Peak memory of inference", "cost", 2, unit="GB"),
    Metric("trainable_parameters", "none", "Trainable parameters", "cost", count=True),
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in (*_QUALITY, *_RATES, *_COSTS)}

HEADLINES: dict[str, tuple[str, ...]] = {
    "mosi": ("mae", "corr", "acc7", "acc2_non0", "f1_non0"),
    "sims": ("mae", "corr", "acc5", "acc3", "acc2", "f1"),
    "plain": ("mae", "corr"),
    "classes": ("accuracy", "f1_weighted"),
}
"""The conventions by which metrics of a dataset can be computed, with the metrics of each that tables show."""
_SIMS_EDGES = {"acc5": (-0.7, -0.1, 0.1, 0.7), "acc3": (-0.1, 0.1), "acc2": (0.0,)}


def compute(
    labels: ArrayLike,
    scores: ArrayLike,
    parsed: ArrayLike | None = None,
    in_range: ArrayLike | None = None,
    conventions: str = "mosi",
) -> dict[str, float]:
    """Compute all metrics of one split's predictions.

    Args:
        labels: true sentiment, float (N,), N >= 1, finite; for "classes" class numbers from 0.
        scores: predicted sentiment, float (N,), finite; readouts score an unparsable answer as 0.0. For "classes" class
            numbers, and -1 for an unparsable answer, which is always wrong.
        parsed: bool (N,), whether a number was found in the answer; None for readouts that do not decode.
        in_range: bool (N,), whether the number lay in the label range; None for readouts that do not decode.
        conventions: one of `HEADLINES`: "mosi" has accuracies over classes from -3 to 3, "sims" over classes from -1
            to 1 after clipping, "plain" has none; in "classes" labels are classes themselves.

    Returns:
        metrics by name; shares in [0, 1]. Undefined metrics are NaN: the correlation with a constant, `non0` metrics if
        all labels are 0, `mae_parsable` if no answer was parsed. Rates are included only if their flags are given.

    Raises:
        ValueError: no items, different lengths, or a label or score is not finite.
    """
    true, score = _checked(labels, scores)
    if conventions == "classes":  # numbers of classes have neither distances nor a range
        rates = {} if parsed is None else {"unparsable_rate": float(np.mean(~np.asarray(parsed, dtype=bool)))}
        return {"accuracy": float(np.mean(true == score)), "f1_weighted": _weighted_f1(true, score), **rates}
    rates = _rates(true, score, parsed, in_range)
    if conventions == "sims":
        true, score = np.clip(true, -1, 1), np.clip(score, -1, 1)
    values = {"mae": float(np.mean(np.abs(score - true))), "corr": _correlation(true, score)}
    return {**values, **_CLASSES[conventions](true, score), **rates}


def _mosi_classes(true: NDArray[np.float64], score: NDArray[np.float64]) -> dict[str, float]:
    non0 = true != 0
    return {
        "acc7": _class_accuracy(true, score, bound=3),
        "acc5": _class_accuracy(true, score, bound=2),
        **_binary(true >= 0, score >= 0, "_has0"),
        **_binary(true[non0] > 0, score[non0] > 0, "_non0"),
    }


def _sims_classes(true: NDArray[np.float64], score: NDArray[np.float64]) -> dict[str, float]:
    """Compute as github.com/thuiar/MMSA for CH-SIMS: a class includes its upper edge, so 0 is negative."""
    classes = {
        name: [np.digitize(array, edges, right=True) for array in (true, score)] for name, edges in _SIMS_EDGES.items()
    }
    values = {name: float(np.mean(pair[0] == pair[1])) for name, pair in classes.items()}
    return values | _binary(true > 0, score > 0, "")


def _plain_classes(true: NDArray[np.float64], score: NDArray[np.float64]) -> dict[str, float]:
    return {}


_CLASSES = {"mosi": _mosi_classes, "sims": _sims_classes, "plain": _plain_classes}


@cache
def metrics_of(conventions: str) -> tuple[str, ...]:
    """Return the names of the quality metrics of some conventions (a key of `HEADLINES`)."""
    return tuple(compute([0.0], [0.0], conventions=conventions))


@cache
def rates_of(conventions: str) -> tuple[str, ...]:
    """Return the names of the rates of decoded answers of some conventions (a key of `HEADLINES`)."""
    return tuple(name for name in compute([0], [0], [True], [True], conventions) if METRICS[name].kind == "rate")


def headline(computed: Collection[str]) -> list[str]:
    """Return the quality metrics that a table shows: those of every convention whose metrics were all computed."""
    shown = [names for names in HEADLINES.values() if set(names) <= set(computed)] or [HEADLINES["mosi"]]
    return list(dict.fromkeys(name for names in shown for name in names))


def _checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    true, score = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if true.ndim != 1 or true.shape != score.shape or not len(true):
        raise ValueError(f"need as many scores as labels, at least one: {true.shape} labels, {score.shape} scores")
    for what, array in (("labels", true), ("scores", score)):
        if num_bad := int(np.sum(~np.isfinite(array))):
            raise ValueError(f"{num_bad} of {len(array)} {what} are not finite")
    return true, score


def _correlation(true: NDArray[np.float64], score: NDArray[np.float64]) -> float:
    """Return Pearson's r. Constants are checked first, because rounding makes their deviations nonzero."""
    if np.ptp(true) == 0 or np.ptp(score) == 0:
        return math.nan
    a, b = true - true.mean(), score - score.mean()
    return float(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1, 1))


def _class_accuracy(true: NDArray[np.float64], score: NDArray[np.float64], bound: int) -> float:
    """Return the accuracy after clipping to +-bound and rounding half to even, as MulT (arXiv 1906.00295) does."""
    classes = [np.round(np.clip(array, -bound, bound)) for array in (true, score)]
    return float(np.mean(classes[0] == classes[1]))


def _binary(true: NDArray[np.bool_], score: NDArray[np.bool_], suffix: str) -> dict[str, float]:
    """Return accuracy, and F1 of both classes weighted by the number of *true* items (so it is not symmetric)."""
    if not len(true):
        return {f"acc2{suffix}": math.nan, f"f1{suffix}": math.nan}
    f1 = 0.0
    for positive in (True, False):
        num_hits = int(np.sum((true == positive) & (score == positive)))
        num_named = int(np.sum(true == positive)) + int(np.sum(score == positive))
        f1 += float(np.mean(true == positive)) * (2 * num_hits / num_named if num_named else 0.0)
    return {f"acc2{suffix}": float(np.mean(true == score)), f"f1{suffix}": f1}


def _weighted_f1(true: NDArray[np.float64], score: NDArray[np.float64]) -> float:
    """Return F1 of the classes in the labels, weighted by their number of *true* items, as for MELD (1810.02508)."""
    f1 = 0.0
    for number in np.unique(true):
        is_true, is_named = true == number, score == number
        f1 += float(np.mean(is_true)) * 2 * int(np.sum(is_true & is_named)) / int(np.sum(is_true) + np.sum(is_named))
    return f1


def _rates(
    true: NDArray[np.float64], score: NDArray[np.float64], parsed: ArrayLike | None, in_range: ArrayLike | None
) -> dict[str, float]:
    values = {}
    is_parsed = np.ones(len(true), dtype=bool) if parsed is None else np.asarray(parsed, dtype=bool)
    if parsed is not None:
        values["unparsable_rate"] = float(np.mean(~is_parsed))
        values["mae_parsable"] = float(np.mean(np.abs(score - true)[is_parsed])) if is_parsed.any() else math.nan
    if in_range is not None:  # an answer without a number is unparsable, not out of range
        values["out_of_range_rate"] = float(np.mean(is_parsed & ~np.asarray(in_range, dtype=bool)))
    if parsed is not None or in_range is not None:
        values["zero_rate"] = float(np.mean(score == 0))
    return values
