"""The content of a trial's files as flat names and numbers, the form that an experiment tracker takes."""

import math
import time
from datetime import datetime

from omni_msa.evidence.summary import CellSummary
from omni_msa.ledger.trial_folder import TrialFolder
from omni_msa.stats.metrics import METRICS
from omni_msa.training.system_metrics import PREFIX


def final_metrics(folder: TrialFolder) -> dict[str, float]:
    """Return the numbers of a finished trial: `best_valid_*` of the chosen epoch, `test_*`, and the costs."""
    result, test = folder.result() or {}, folder.test_metrics() if folder.opens_test else None
    groups = (("best_valid_", result.get("valid")), ("test_", test), ("", result.get("cost")))
    return {prefix + name: as_number(value) for prefix, values in groups for name, value in (values or {}).items()}


def cell_numbers(cell: CellSummary, of_valid: bool = False) -> dict[str, float]:
    """Return the numbers of a cell: `*_mean`, `*_std`, `*_n`, and each mean also under the name that trials use.

    So cells and trials share, for example, the column `test_mae` of MLflow's table and charts.

    Args:
        cell: its statistics.
        of_valid: they are of the valid split, and named `best_valid_*`.
    """
    numbers: dict[str, float | None] = {}
    for name, summary in cell.metrics.items():
        is_cost = name in METRICS and METRICS[name].kind == "cost"
        own = f"best_valid_{name}" if of_valid and not is_cost else name
        numbers |= {f"{own}_mean": summary.mean, f"{own}_std": summary.std, f"{own}_n": summary.n}
        numbers[own if is_cost or of_valid else f"test_{name}"] = summary.mean
    return {key: float(value) for key, value in numbers.items() if value is not None}


def shown_name(name: str) -> str:
    """Return the name in MLflow of a value of `metrics.jsonl`; MLflow shows `system/...` on a separate page."""
    return f"system/{name.removeprefix(PREFIX)}" if name.startswith(PREFIX) else name


def as_number(value: float | None) -> float:
    """Return a number as float, NaN for None."""
    return math.nan if value is None else float(value)


def milliseconds(text: str | None) -> int:
    """Return an ISO time in milliseconds since 1970; the present time if it is missing or invalid."""
    try:
        return int(1000 * datetime.fromisoformat(text or "").timestamp())
    except (TypeError, ValueError, OverflowError):
        return int(1000 * time.time())
