"""Summaries made from a few numbers: for tests of tables and figures."""

from typing import Any

from omni_msa.evidence.comparisons.comparison import Comparison
from omni_msa.evidence.comparisons.selection import Selection
from omni_msa.evidence.comparisons.verdict import Verdict
from omni_msa.evidence.search_summary import SearchFindings, SearchVerdict, Spent
from omni_msa.evidence.summary import CellSummary, summarise
from omni_msa.evidence.sweep_summary import SweepSummary
from omni_msa.stats.intervals import moments
from omni_msa.stats.metrics import METRICS, headline
from omni_msa.stats.paired import p_floor, sign_flip_p

SEEDS = (1, 2, 3)
NOTHING_SELECTED = Selection(0, 0, 0, 0, 0, 0, 0, 0, "")
NOTHING_SAID = Verdict("", "no comparison")


def cell(name: str, values: dict[int | None, dict[str, float | None]], **more: Any) -> CellSummary:
    """Return a cell from the metrics of its finished seeds; `None` as the only seed makes it deterministic."""
    deterministic = None in values
    seeds = [None] if deterministic else list(more.pop("seeds", SEEDS))
    done = [seed for seed in seeds if seed in values]
    metrics = dict.fromkeys(metric for seed in done for metric in values[seed])
    found = {metric: [values[seed].get(metric) for seed in done] for metric in metrics}
    made = {
        "axes": {"readout": name},
        "deterministic": deterministic,
        "seeds": seeds,
        "missing": [seed for seed in seeds if seed not in values],
        "metrics": {metric: summarise(each, done, METRICS[metric].better) for metric, each in found.items()},
    }
    return CellSummary(name, **{**made, **more})


def summary(*cells: CellSummary, **more: Any) -> SweepSummary:
    """Return a summary of some cells; its metric is MAE, or the first headline one they have."""
    there = {name for cell in cells for name in cell.metrics}
    metric = "mae" if "mae" in there or not there else headline(there)[0]
    made = {"sweep": "s", "question": "Which?", "style": "standard", "metric": metric, "cells": list(cells)}
    made |= {"differences": [], "exploratory": [], "controls": []}
    return SweepSummary(**{**made, "selection": NOTHING_SELECTED, "verdict": NOTHING_SAID, **more})


def pair(label: str, against: str, values: list[float], metric: str = "mae", **more: Any) -> Comparison:
    """Return a comparison of two cells from the differences of their seeds."""
    mean, std, interval = moments(values)
    tested = {"p": sign_flip_p(values), "p_floor": p_floor(len(values))} if values else {}
    found = {"seeds": list(range(1, len(values) + 1)), "values": values, "n": len(values)}
    found |= {"mean": mean, "std": std, "interval": interval}
    return Comparison(label, against, metric, **{**found, **tested, **more})


def findings(**changes: Any) -> SearchFindings:
    """Return what a search of one objective found, nothing but what is given."""
    made = {"study": "s", "axes": {}, "sampler": "tpe", "seed": 0, "objectives": ["mae"], "space": {}}
    made |= {"seeds": [1, 2], "confirm_seeds": [11], "rungs": [], "spent": Spent(0.0, 0.0), "num_known": 0}
    made |= {"first_rung": "", "history": [], "importances": {}, "pareto_front": None, "confirmed": []}
    made |= {"num_confirmed": 0, "is_fresh": True, "winner": None, "times_test_was_opened": 0, "comparison": None}
    return SearchFindings(**{**made, "verdict": SearchVerdict("unfinished", ""), **changes})
