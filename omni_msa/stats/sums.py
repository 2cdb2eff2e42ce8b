"""Quality metrics as functions of sums over clips, so that resampling clips is a matrix product.

`features` returns the summands, `finish` computes metrics from the sums. If every clip counts once, the result equals
that of `omni_msa.stats.metrics.compute`, which tests verify.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
_SIMS_EDGES = {"acc5": (-0.7, -0.1, 0.1, 0.7), "acc3": (-0.1, 0.1), "acc2": (0.0,)}
_CONSTANT = 1e-10  # a variance this small relative to the mean square is rounding error


def features(labels: ArrayLike, scores: ArrayLike, conventions: str) -> dict[str, Array]:
    """Return the summands over clips for all quality metrics.

    Args:
        labels: float (N,), finite.
        scores: float (S, N), finite, of each trial.
        conventions: one of `metrics.HEADLINES`.

    Returns:
        float (S, N) by the name of the sum, or (1, N) if it is the same for all trials.
    """
    true, score = np.asarray(labels, float)[None, :], np.asarray(scores, float)
    if conventions == "classes":
        return {"clips": np.ones_like(true), **_class_features(true, score)}
    if conventions == "sims":
        true, score = np.clip(true, -1, 1), np.clip(score, -1, 1)
    x, y = score - score.mean(1, keepdims=True), true - true.mean()  # centred, so that moments lose no digits
    terms = {"clips": np.ones_like(true), "error": np.abs(score - true)}
    terms |= {"x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y}
    return terms | _CLASSES[conventions](true, score)


def _mosi(true: Array, score: Array) -> dict[str, Array]:
    terms = {
        f"acc{2 * bound + 1}": _same(*(np.round(np.clip(array, -bound, bound)) for array in (true, score)))
        for bound in (3, 2)
    }
    terms |= _binary_features(true >= 0, score >= 0, np.ones_like(true), "_has0")
    return terms | _binary_features(true > 0, score > 0, (true != 0).astype(float), "_non0")


def _sims(true: Array, score: Array) -> dict[str, Array]:
    terms = {
        name: _same(*(np.digitize(array, edges, right=True) for array in (true, score)))
        for name, edges in _SIMS_EDGES.items()
        if name != "acc2"
    }
    return terms | _binary_features(true > 0, score > 0, np.ones_like(true), "")


def _plain(true: Array, score: Array) -> dict[str, Array]:
    return {}


_CLASSES = {"mosi": _mosi, "sims": _sims, "plain": _plain}


def _same(true: NDArray[Any], score: NDArray[Any]) -> Array:
    return (true == score).astype(float)


def _binary_features(
    true: NDArray[np.bool_], score: NDArray[np.bool_], counted: Array, suffix: str
) -> dict[str, Array]:
    return {
        f"counted{suffix}": counted,
        f"true{suffix}": true * counted,
        f"named{suffix}": score * counted,
        f"hits{suffix}": (true & score) * counted,
    }


def _class_features(true: Array, score: Array) -> dict[str, Array]:
    terms = {"accuracy": _same(true, score)}
    for number in np.unique(true):
        is_true, is_named = true == number, score == number
        terms |= {f"true {number}": is_true.astype(float), f"named {number}": is_named.astype(float)}
        terms[f"hits {number}"] = (is_true & is_named).astype(float)
    return terms


def finish(sums: dict[str, Array], conventions: str) -> dict[str, Array]:
    """Return the metrics computed from sums of `features`; undefined ones are NaN.

    Args:
        sums: float (R, S) or (R, 1) by name, for R weightings of the clips.
        conventions: those of the features.

    Returns:
        float (R, S) by metric name, in the order of `metrics.compute`.
    """
    clips = sums["clips"]
    if conventions == "classes":
        return {"accuracy": sums["accuracy"] / clips, "f1_weighted": _weighted_f1(sums)}
    values = {"mae": sums["error"] / clips, "corr": _correlation(sums)}
    values |= {name: sums[name] / clips for name in ("acc7", "acc5", "acc3") if name in sums}
    for suffix in ("_has0", "_non0", ""):
        if f"counted{suffix}" in sums:
            values |= _binary(sums, suffix)
    return values


def _correlation(sums: dict[str, Array]) -> Array:
    x, y, xx, yy, xy = (sums[name] / sums["clips"] for name in ("x", "y", "xx", "yy", "xy"))
    x_spread, y_spread = xx - x * x, yy - y * y
    constant = (x_spread <= _CONSTANT * xx) | (y_spread <= _CONSTANT * yy)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(constant, np.nan, np.clip((xy - x * y) / np.sqrt(x_spread * y_spread), -1, 1))


def _binary(sums: dict[str, Array], suffix: str) -> dict[str, Array]:
    counted, true, named, hits = (sums[f"{name}{suffix}"] for name in ("counted", "true", "named", "hits"))
    others = counted - true - named + hits  # hits of the other class
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = true * _f1(hits, true + named) + (counted - true) * _f1(others, 2 * counted - true - named)
        return {f"acc2{suffix}": (hits + others) / counted, f"f1{suffix}": f1 / counted}


def _weighted_f1(sums: dict[str, Array]) -> Array:
    names = [name.removeprefix("true ") for name in sums if name.startswith("true ")]
    parts = (
        sums[f"true {name}"] * _f1(sums[f"hits {name}"], sums[f"true {name}"] + sums[f"named {name}"]) for name in names
    )
    return np.asarray(sum(parts) / sums["clips"])


def _f1(hits: Array, named: Array) -> Array:
    return 2 * hits / np.where(named > 0, named, 1)
