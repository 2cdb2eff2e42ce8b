"""Writes what searches found: history, importance, confirmed proposals, and the best configuration to run."""

import re
from collections.abc import Sequence
from pathlib import Path

from omni_msa.evidence.search_findings import best_sweep, history_rows
from omni_msa.evidence.search_summary import SearchFindings
from omni_msa.ledger import names
from omni_msa.planning.plan import Plan
from omni_msa.search import confirmation
from omni_msa.search.study import Study
from omni_msa.search.study_folder import DEFAULT
from omni_msa.sweep.search_space import label
from omni_msa.system.files import csv_text, finite, write_json, write_text
from omni_msa.system.yaml_file import dump


def is_best(name: str, plan: Plan) -> bool:
    """Return whether a file name in a report folder is that of a search's winner."""
    return re.fullmatch(rf"{re.escape(names.folder_name(plan.sweep.name))}_best(_\d+)?\.yaml", name) is not None


def write_searches(plan: Plan, found: Sequence[SearchFindings], folder: Path) -> None:
    """Write what searches have found: `search.json`, `search_*.csv` and, once named, the winner as a sweep file.

    Args:
        plan: with the states as they are now; without a search nothing is written.
        found: the findings of its searches, as `find` returned them.
        folder: that becomes the report.
    """
    if not plan.studies:
        return
    write_json(folder / "search.json", {"studies": [search.as_json() for search in found]})
    rows = {
        "history": [row for search in found for row in history_rows(search)],
        "confirmed": [row.as_row() for search in found for row in search.confirmed],
        "importance": [
            {"study": search.study, "parameter": path, "share": share}
            for search in found
            for path, share in search.importances.items()
        ],
    }
    for name, table in rows.items():
        write_text(folder / f"search_{name}.csv", csv_text(finite(table)))
    report = plan.ledger.report_folder(plan.sweep.name)
    for study, search in zip(plan.studies, found, strict=True):
        if search.best:
            _write_best(study, folder, report, search.best)


def lines(plan: Plan, found: Sequence[SearchFindings]) -> list[str]:
    """Return the state of each search and, if there are several, the verdict of each.

    Args:
        plan: with the states as they are now.
        found: the findings of its searches, as `find` returned them.
    """
    several = len(plan.studies) > 1
    states = [(_where(study), search.verdict.text) for study, search in zip(plan.studies, found, strict=True)]
    return [line for where, verdict in states for line in (where, *([verdict] if several else []))]


def _where(study: Study) -> str:
    winner = confirmation.named(study).get("winner", DEFAULT)
    parameters = "" if winner == DEFAULT else f" ({label(study.proposal(winner).parameters)})"
    return f"{confirmation.standing(study)}{parameters}"


def _write_best(study: Study, folder: Path, report: Path, name: str) -> None:
    """Write the winner as a sweep file, with its profile beside it; it also runs when copied to other sweep files."""
    values = best_sweep(study)
    runtime = values.pop("runtime")
    note = "# The best of several, chosen by these seeds: others, set on the command line, show more.\n"
    note += "# Each report writes this file anew: copy it before you change it.\n"
    place = f"# python orchestrate.py {report / name} 'seeds=[...]'\n"
    write_text(folder / name, note + place + dump(values))
    write_text(folder / "profiles" / f"{values['profile']}.yaml", dump({"runtime": runtime}))
