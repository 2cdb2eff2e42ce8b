"""Commands that write tables and reports: --report, --diff, and the end of every run."""

import argparse
import json
import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from omni_msa.cli.console import console, first_line
from omni_msa.cli.exit_codes import COMPLETE, SOME_FAILED
from omni_msa.errors import InputError
from omni_msa.execution.driver import sole_driver
from omni_msa.ledger.ledger import Ledger
from omni_msa.ledger.sweep_names import hold, replaced
from omni_msa.planning.plan import Plan, check_name, make_plan, name_holder
from omni_msa.planning.plan_json import as_json
from omni_msa.planning.plan_text import closing_text, failures_text
from omni_msa.sweep.shipped import find
from omni_msa.sweep.sweep import Sweep, load_sweep
from omni_msa.system.files import short_path

if TYPE_CHECKING:
    from omni_msa.report.write import Report
    from omni_msa.tracking._mirror import LedgerMirror


def report(sweep: Sweep, ledger: Ledger, options: argparse.Namespace) -> int:
    """Rebuild tables, figures and the MLflow view from the ledger; return the exit code."""
    check_name(sweep, ledger)
    plan = make_plan(sweep, ledger)
    if not plan.is_readable:
        raise InputError(*plan.refusals)
    from omni_msa.tracking._mirror import LedgerMirror

    with ExitStack() as stack:
        mirror: LedgerMirror | None = LedgerMirror(plan)
        try:
            stack.enter_context(sole_driver(ledger))
        except InputError:  # a run is in progress and writes to MLflow itself; tables can still be written
            mirror = None
        return finish(plan, mirror, options)


def diff_sweeps(sweep: Sweep, ledger: Ledger, options: argparse.Namespace) -> int:
    """Compare two sweeps by their results in the ledger, running nothing; return the exit code."""
    other = load_sweep(find(options.diff)[0], options.settings)
    check_name(sweep, ledger)
    plans = [make_plan(each, ledger) for each in (sweep, other)]
    refusals = [problem for plan in plans if not plan.is_readable for problem in plan.refusals]
    if refusals:
        raise InputError(*dict.fromkeys(refusals))
    from omni_msa.evidence.comparisons.sweep_diff import diff
    from omni_msa.report.tables.diff_tables import TerminalDiff, write_diff

    differences = diff(*plans)
    paths = write_diff(differences, _report_folder(plans[0]))
    if options.json:
        print(json.dumps({**differences.as_json(), "files": list(map(str, paths))}, indent=1))
    else:
        console().print(TerminalDiff(differences))
        print(f"written: {', '.join(str(short_path(path)) for path in paths)}")
    return COMPLETE


def finish(plan: Plan, mirror: "LedgerMirror | None", options: argparse.Namespace) -> int:
    """Write the report and the MLflow view, and print where they are; return the exit code."""
    from omni_msa.report.write import write_report
    from omni_msa.search.dashboard import publish

    if note := replaced(plan.ledger, name_holder(plan.sweep)):
        print(note, file=sys.stderr)
    hold(plan.ledger, name_holder(plan.sweep))
    written = write_report(plan, f"{options.program} {shlex.join([options.sweep, *options.settings])}")
    if written.problem:
        print(f"report.html was not written, as its figures failed: {written.problem}", file=sys.stderr)
    if not options.json:
        _print_report(written, plan)
    if mirror is not None:
        if problem := publish(plan.studies):
            print(f"{problem}; no results are lost: --report writes it again from the ledger", file=sys.stderr)
        mirror.close(plan, written.evidence.summary)
    if options.json:
        values = {"aggregate": written.evidence.summary.as_json(), "report": str(written.folder)}
        print(json.dumps({**as_json(plan), **values}, indent=1))
    else:
        _print_tracking(mirror)
    for title, error in (mirror.errors() if mirror else {}).items():
        what = f"{title} could not be written ({type(error).__name__}: {first_line(error)})"
        print(f"{what}; no results are lost: fix the cause, then --report writes it", file=sys.stderr)
    return COMPLETE if plan.is_complete() or (options.report and not plan.counts()["failed"]) else SOME_FAILED


def _report_folder(plan: Plan) -> Path:
    return plan.ledger.report_folder(plan.sweep.name)


def _print_report(report: "Report", plan: Plan) -> None:
    from omni_msa.report.search_files import lines
    from omni_msa.report.tables.files import terminal_table

    console().print(plan.sweep.file.question, terminal_table(report.evidence.summary), sep="\n", markup=False)
    for line in failures_text(plan):
        print(line, file=sys.stderr)
    print("", closing_text(plan), *lines(plan, report.evidence.searches), sep="\n")
    print(f"report: {short_path(report.folder / ('table.md' if report.problem else 'report.html'))}")


def _print_tracking(mirror: "LedgerMirror | None") -> None:
    print("\n".join(mirror.how_to_look()) if mirror else "trackers: left to the run in progress")
