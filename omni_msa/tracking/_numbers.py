"""What a trial's files hold, as flat names, texts and numbers: the form that an experiment tracker takes."""

import math
import time
from datetime import datetime

from omni_msa.evidence.summary import CellSummary
from omni_msa.ledger.trial_folder import TrialFolder
from omni_msa.stats.metrics import METRICS
from omni_msa.training.system_metrics import PREFIX


def final_metrics(folder: TrialFolder) -> dict[str, float]:
    """Return the numbers of a finished trial: `best_valid_*` of the epoch kept, `test_*`, and the costs."""
    result, test = folder.result() or {}, folder.test_metrics() if folder.opens_test else None
    groups = (("best_valid_", result.get("valid")), ("test_", test), ("", result.get("cost")))
    return {prefix + name: as_number(value) for prefix, values in groups for name, value in (values or {}).items()}


def cell_numbers(cell: CellSummary, is_valid: bool = False) -> dict[str, float]:
    """Return the numbers of a cell: `*_mean`, `*_std`, `*_n`, and each mean again under the trials' own name for it.

    So `test_mae` is a column of MLflow's table, and an axis of its charts, that cells and trials share.

    Args:
        cell: its statistics.
        is_valid: they are of the valid split, and named `best_valid_*`.
    """
    found: dict[str, float | None] = {}
    for name, one in cell.metrics.items():
        is_cost = name in METRICS and METRICS[name].kind == "cost"
        own = f"best_valid_{name}" if is_valid and not is_cost else name
        found |= {f"{own}_mean": one.mean, f"{own}_std": one.std, f"{own}_n": one.n}
        found[own if is_cost or is_valid else f"test_{name}"] = one.mean
    return {key: float(value) for key, value in found.items() if value is not None}


def shown_name(name: str) -> str:
    """Return what MLflow is to call a value of `metrics.jsonl`: it shows `system/...` on a page of its own."""
    return f"system/{name.removeprefix(PREFIX)}" if name.startswith(PREFIX) else name


def as_number(value: float | None) -> float:
    """Return a number; one that is not defined is NaN."""
    return math.nan if value is None else float(value)


def milliseconds(text: str | None) -> int:
    """Return an ISO time in milliseconds since 1970, or the present one where there is none or something else."""
    try:
        return int(1000 * datetime.fromisoformat(text or "").timestamp())
    except (TypeError, ValueError, OverflowError):
        return int(1000 * time.time())
