"""Writes the report of a sweep from the ledger: tables, figures and report.html. Repeating it changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from omni_msa.evidence.gather import Evidence, gather
from omni_msa.evidence.search_findings import find
from omni_msa.evidence.search_summary import SearchFindings
from omni_msa.evidence.search_verdict import choice_notes, headline
from omni_msa.planning.plan import Plan, opened
from omni_msa.report.search_files import is_best, write_searches
from omni_msa.report.tables.files import write_tables
from omni_msa.report.tables.rows import trial_rows
from omni_msa.system.files import new_folder

_OURS = (
    *("table.*", "pivot.*", "trials.csv", "aggregate.json", "dropped_clips.csv", "probe.csv", "neighbours.csv"),
    *("report.html", "figures", ".*", "search.json", "search_*.csv"),
)


@dataclass(frozen=True)
class Report:
    """What has been written.

    Args:
        evidence: that it was made from.
        folder: of its files.
        problem: the error for which figures and page are missing, "" if they were written.
    """

    evidence: Evidence
    folder: Path
    problem: str = ""


def write_report(plan: Plan, command: str = "") -> Report:
    """Write tables, figures and `report.html` of a sweep; the old report stays until the new one is complete.

    Args:
        plan: with the states as they are now; of a search only cells whose test split is open are in the tables.
        command: the command line that ran the sweep, for the page.
    """
    evidence = _with_searches(gather(opened(plan)), find(plan))
    folder = plan.ledger.report_folder(plan.sweep.name)
    with new_folder(folder, lambda name: is_best(name, plan) or any(fnmatch(name, each) for each in _OURS)) as draft:
        write_tables(draft, evidence.summary, trial_rows(evidence), plan.sweep.file.pivot)
        write_searches(plan, evidence.searches, draft)
        problem = _illustrate(evidence, draft, command)
    return Report(evidence, folder, problem)


def _with_searches(evidence: Evidence, found: Sequence[SearchFindings]) -> Evidence:
    """Return the evidence with what the searches found as its verdict; unchanged without a search."""
    if not found:
        return evidence
    notes = [*evidence.summary.notes, *choice_notes(found)]
    summary = replace(evidence.summary, notes=notes, verdict=headline(found, evidence.summary.cells))
    return replace(evidence, searches=found, summary=summary)


def _illustrate(evidence: Evidence, folder: Path, command: str) -> str:
    """Draw the figures and write the page; return an error as text, as the tables must not be lost for a figure."""
    try:
        from omni_msa.report.figures.draw import draw_all
        from omni_msa.report.page.page import write_page

        write_page(evidence, draw_all(evidence, folder), folder, command)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""
