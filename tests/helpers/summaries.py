"""Summaries as `aggregate.json` has them, made from a few numbers: for tests of tables."""

from typing import Any

from omni_msa.evidence.comparisons.comparison import Comparison
from omni_msa.evidence.summary import summarise
from omni_msa.stats.intervals import moments
from omni_msa.stats.metrics import METRICS
from omni_msa.stats.paired import p_floor, sign_flip_p

SEEDS = (1, 2, 3)


def cell(label: str, values: dict[int | None, dict[str, float | None]], **more: Any) -> dict[str, Any]:
    """Return a cell from the metrics of its finished seeds; `None` as the only seed makes it deterministic."""
    deterministic = None in values
    seeds = [None] if deterministic else list(more.pop("seeds", SEEDS))
    done = [seed for seed in seeds if seed in values]
    names = dict.fromkeys(name for seed in done for name in values[seed])
    found = {name: [values[seed].get(name) for seed in done] for name in names}
    return {
        "label": label,
        "axes": {"readout": label},
        "deterministic": deterministic,
        "seeds": seeds,
        "missing": [seed for seed in seeds if seed not in values],
        "failed": [],
        "metrics": {name: summarise(each, done, METRICS[name].better) for name, each in found.items()},
        "gap_share": {},
        **more,
    }


def summary(*cells: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a summary of some cells."""
    return {"sweep": "s", "question": "Which?", "style": "standard", "cells": list(cells), "notes": [], **more}


def pair(label: str, against: str, values: list[float], metric: str = "mae", **more: Any) -> Comparison:
    """Return a comparison of two cells from the differences of their seeds."""
    mean, std, interval = moments(values)
    tested = {"p": sign_flip_p(values), "p_floor": p_floor(len(values))} if values else {}
    found = {"seeds": list(range(1, len(values) + 1)), "values": values, "n": len(values)}
    found |= {"mean": mean, "std": std, "interval": interval}
    return Comparison(label, against, metric, **{**found, **tested, **more})
