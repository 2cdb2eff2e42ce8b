"""From a search to what people read: history, importance, what was confirmed, and the best configuration to run."""

import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from omni_msa.files import csv_text, is_number, write_json, write_text
from omni_msa.plan import Plan
from omni_msa.search_report import best_sweep, describe, history_rows
from omni_msa.study import Study
from omni_msa.sweep import Cell
from omni_msa.yamlfile import dump


def publish(study: Study) -> None:
    """Show what a study has found in Optuna's database, where `optuna-dashboard` finds it; only the driver writes it.

    It is a view that the next run writes again, so an error ends nothing.
    """
    from omni_msa import search

    with suppress(Exception):
        search.publish(study.ledger.root / "optuna.db", study.title, study.search, study.told())


def find(plan: Plan) -> tuple[dict[str, Any], ...]:
    """Return what each of a plan's searches has found, as plain values; nothing without a search.

    Args:
        plan: with the states as they are now.
    """
    return tuple(describe(study, _importances(study)) for study in plan.studies)


def _importances(study: Study) -> dict[str, float]:
    """Return what each parameter explains; it says nothing about what was found, so an error leaves it out."""
    from omni_msa import search

    with suppress(Exception):
        return search.importances(study.search, study.told())
    return {}


def write_searches(plan: Plan, found: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Write what a plan's searches have found: `search.json`, `search_*.csv` and, once a winner is named, `best.yaml`.

    Args:
        plan: with the states as they are now; without a search nothing is written.
        found: in its searches, as `find` returned it.
        folder: that becomes the report.
    """
    if not plan.studies:
        return
    write_json(folder / "search.json", {"studies": list(found)})
    rows = {
        "history": [row for one in found for row in history_rows(one)],
        "confirmed": [row for one in found for row in one["confirmed"]],
        "importance": [_importance(one, path, share) for one in found for path, share in one["importances"].items()],
    }
    for name, table in rows.items():
        write_text(folder / f"search_{name}.csv", csv_text(table))
    report = plan.ledger.report_folder(plan.sweep.name)
    for number, study in enumerate(plan.studies, 1):
        if study.winner() and study.winner()["winner"] is not None:
            _write_best(study, folder, report, "best" if len(plan.studies) == 1 else f"best_{number}")


def lines(plan: Plan, found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return for each search where it stands and whether it found anything real.

    Args:
        plan: with the states as they are now.
        found: in its searches, as `find` returned it.
    """
    return [
        line
        for study, one in zip(plan.studies, found, strict=True)
        for line in (study.text(), str(one["verdict"]["text"]))
    ]


def locked_cells(plan: Plan) -> list[dict[str, Any]]:
    """Return for each cell whose test split is locked its means over the seeds on valid, as MLflow's cells show them.

    Args:
        plan: with the states as they are now.
    """
    return [_locked(study, cell) for study in plan.studies for cell in study.cells() if not cell.config.opens_test]


def _locked(study: Study, cell: Cell) -> dict[str, Any]:
    found = {seed: study.ledger.trial(study.id_of(cell, seed), opens_test=False).result() for seed in cell.seeds}
    results = [result for result in found.values() if result is not None]
    values: dict[str, list[float]] = {}
    for name, value in (item for result in results for item in {**result["valid"], **result["cost"]}.items()):
        values.setdefault(name, []).extend([value] if is_number(value) else [])
    return {
        "label": cell.label,
        "seeds": list(cell.seeds),
        "missing": [seed for seed, result in found.items() if result is None],
        "deterministic": cell.deterministic,
        "split": "valid",
        "metrics": {name: _statistics(each) for name, each in values.items() if each},
    }


def _statistics(values: Sequence[float]) -> dict[str, float | None]:
    std = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "std": std, "n": len(values)}


def _importance(one: Mapping[str, Any], path: str, share: float) -> dict[str, Any]:
    return {"study": one["study"], "parameter": path, "share": share}


def _write_best(study: Study, folder: Path, report: Path, name: str) -> None:
    """Write a sweep file that can be run where it lies; copied beside other sweep files it can be run there, too."""
    values = best_sweep(study)
    runtime = values.pop("runtime")
    place = f"# python orchestrate.py {report / name}.yaml\n"
    write_text(folder / f"{name}.yaml", place + dump(values))
    write_text(folder / "profiles" / f"{values['profile']}.yaml", dump({"runtime": runtime}))
