"""From a search to what people read: history, importance, what was confirmed, and the best configuration to run."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from omni_msa.files import csv_text, write_json, write_text
from omni_msa.plan import Plan
from omni_msa.search_report import best_sweep, describe, history_rows
from omni_msa.study import Study
from omni_msa.yamlfile import dump


def publish(study: Study) -> None:
    """Show what a study has found in Optuna's database, where `optuna-dashboard` finds it; only the driver writes it.

    It is a view that the next run writes again, so an error ends nothing.
    """
    from omni_msa import search

    with suppress(Exception):
        search.publish(study.ledger.root / "optuna.db", study.title, study.search, study.told())


def find(plan: Plan) -> list[dict[str, Any]]:
    """Return what each of a plan's searches has found, as plain values; nothing without a search.

    Args:
        plan: with the states as they are now.
    """
    if not plan.studies:
        return []
    from omni_msa import search

    return [describe(study, search.importances(study.search, study.told())) for study in plan.studies]


def write_searches(plan: Plan, found: Sequence[dict[str, Any]], folder: Path, is_driver: bool = False) -> list[str]:
    """Write what a plan's searches have found: `search.json`, `search_*.csv` and, once a winner is named, `best.yaml`.

    Args:
        plan: with the states as they are now; without a search nothing is written.
        found: in its searches, as `find` returned it.
        folder: of the report.
        is_driver: the ledger is ours: bring Optuna's database up to date, too.

    Returns:
        for each search where it stands and whether it found anything real.
    """
    if not plan.studies:
        return []
    for study in plan.studies if is_driver else ():
        publish(study)
    write_json(folder / "search.json", {"studies": list(found)})
    rows = {
        "history": [row for one in found for row in history_rows(one)],
        "confirmed": [row for one in found for row in one["confirmed"]],
        "importance": [_importance(one, path, share) for one in found for path, share in one["importances"].items()],
    }
    for name, table in rows.items():
        write_text(folder / f"search_{name}.csv", csv_text(table))
    for number, study in enumerate(plan.studies, 1):
        if study.winner() and study.winner()["winner"] is not None:
            _write_best(study, folder, "best" if len(plan.studies) == 1 else f"best_{number}")
    return [line for study, one in zip(plan.studies, found, strict=True) for line in (study.text(), _text(one))]


def _importance(one: dict[str, Any], path: str, share: float) -> dict[str, Any]:
    return {"study": one["study"], "parameter": path, "share": share}


def _text(one: dict[str, Any]) -> str:
    text: str = one["verdict"]["text"]
    return text


def _write_best(study: Study, folder: Path, name: str) -> None:
    """Write a sweep file that can be run where it lies; copied beside other sweep files it can be run there, too."""
    values = best_sweep(study)
    runtime = values.pop("runtime")
    place = f"# python orchestrate.py {folder / name}.yaml\n"
    write_text(folder / f"{name}.yaml", place + dump(values))
    write_text(folder / "profiles" / f"{values['profile']}.yaml", dump({"runtime": runtime}))
