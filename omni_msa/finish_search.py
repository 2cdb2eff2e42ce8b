"""From a search to what people read: history, importance, what was confirmed, and the best configuration to run."""

import re
import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from omni_msa.planning.plan import Plan
from omni_msa.search.study import Study
from omni_msa.search.study_folder import DEFAULT
from omni_msa.search_report import best_sweep, describe, history_rows
from omni_msa.sweep.search_space import label
from omni_msa.sweep.sweep import Cell
from omni_msa.system.files import csv_text, is_number, write_json, write_text
from omni_msa.system.yaml_file import dump

PUBLISH_EVERY_S = 30.0
"""A driver shows a search so often while it goes on."""


def publish(plan: Plan) -> str:
    """Show what searches have found in Optuna's database, where `optuna-dashboard` finds it; only the driver writes it.

    Args:
        plan: of the searches; how far they are is read from the ledger.

    Returns:
        What went wrong, "" if nothing did: it is a view, which every run writes again.
    """
    from omni_msa.search import optuna_sampler

    try:
        for study in (replace(each, proposals=[]) for each in plan.studies):
            path = study.ledger.root / "optuna.db"
            optuna_sampler.publish(path, study.title, study.search, study.dated(), study.is_searched())
    except Exception as error:
        return f"optuna.db could not be written ({type(error).__name__}: {(str(error).splitlines() or [''])[0]})"
    return ""


def find(plan: Plan) -> tuple[dict[str, Any], ...]:
    """Return what each of a plan's searches has found, as plain values; nothing without a search.

    Args:
        plan: with the states as they are now.
    """
    return tuple(
        {**describe(study, _importances(study)), "best": _best_name(plan, number)}
        for number, study in enumerate(plan.studies, 1)
    )


def _best_name(plan: Plan, number: int) -> str:
    """Return the file that a study's winner is written to, "" if none was ever named."""
    if plan.studies[number - 1].named().get("winner") is None:
        return ""
    return f"{plan.sweep.name}_best{'' if number == 1 else f'_{number}'}.yaml"


def is_best(name: str, plan: Plan) -> bool:
    """Return whether a file of a report is one that a winner is written to."""
    return re.fullmatch(rf"{re.escape(plan.sweep.name)}_best(_\d+)?\.yaml", name) is not None


def _importances(study: Study) -> dict[str, float]:
    """Return what each parameter explains; it says nothing about what was found, so an error leaves it out."""
    from omni_msa.search import optuna_sampler

    with suppress(Exception):
        return optuna_sampler.importances(study.search, study.told())
    return {}


def write_searches(plan: Plan, found: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Write what searches have found: `search.json`, `search_*.csv` and, once named, the winner as a sweep file.

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
    for study, one in zip(plan.studies, found, strict=True):
        if one["best"]:
            _write_best(study, folder, report, one["best"])


def lines(plan: Plan, found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return for each search where it stands; where there are several, what each of them has found.

    Args:
        plan: with the states as they are now.
        found: in its searches, as `find` returned it.
    """
    several = len(plan.studies) > 1
    both = [(_where(study), str(one["verdict"]["text"])) for study, one in zip(plan.studies, found, strict=True)]
    return [line for where, verdict in both for line in (where, *([verdict] if several else []))]


def _where(study: Study) -> str:
    winner = study.named().get("winner", DEFAULT)
    parameters = "" if winner == DEFAULT else f" ({label(study.proposal(winner).parameters)})"
    return f"{study.text()}{parameters}"


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
    note = "# The best of several, chosen by these seeds: others, set on the command line, show more.\n"
    note += "# Each report writes this file anew: copy it before you change it.\n"
    place = f"# python orchestrate.py {report / name} 'seeds=[...]'\n"
    write_text(folder / name, note + place + dump(values))
    write_text(folder / "profiles" / f"{values['profile']}.yaml", dump({"runtime": runtime}))
