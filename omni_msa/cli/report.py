"""Commands that write what people read: --report, --diff, and the end of every run."""

import argparse
import json
import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from omni_msa.cli.console import console, first_line, short_path, short_uri
from omni_msa.cli.exit_codes import COMPLETE, SOME_FAILED
from omni_msa.errors import InputError
from omni_msa.execution.driver import sole_driver
from omni_msa.ledger.ledger import Ledger
from omni_msa.planning.plan import Plan, make_plan
from omni_msa.planning.plan_json import as_json
from omni_msa.planning.plan_text import closing_text, failures_text
from omni_msa.sweep.sweep import Sweep, load_sweep

if TYPE_CHECKING:
    from omni_msa.report.write import Report
    from omni_msa.tracking.mirror import Record


def report(sweep: Sweep, ledger: Ledger, options: argparse.Namespace) -> int:
    """Rebuild tables and MLflow's view from the ledger; return the exit code."""
    plan = make_plan(sweep, ledger)
    if not plan.is_readable:
        raise InputError(*plan.refusals)
    from omni_msa.tracking.mirror import Record

    with ExitStack() as stack:
        record: Record | None = Record(plan)
        try:
            stack.enter_context(sole_driver(ledger))
        except InputError:  # the running driver writes MLflow; tables can be had meanwhile
            record = None
        return finish(plan, record, options)


def diff_sweeps(sweep: Sweep, ledger: Ledger, options: argparse.Namespace) -> int:
    """Compare two sweeps by what the ledger has of them; nothing is run. Returns the exit code."""
    plans = [make_plan(one, ledger) for one in (sweep, load_sweep(options.diff, options.settings))]
    refusals = [problem for plan in plans if not plan.is_readable for problem in plan.refusals]
    if refusals:
        raise InputError(*dict.fromkeys(refusals))
    from omni_msa.evidence.comparisons.sweep_diff import diff
    from omni_msa.report.tables.diff_tables import TerminalDiff, write_diff

    found = diff(*plans)
    paths = write_diff(found, _report_folder(plans[0]))
    if options.json:
        print(json.dumps({**found.as_json(), "files": list(map(str, paths))}, indent=1))
    else:
        console().print(TerminalDiff(found))
        print(f"written: {', '.join(str(short_path(path)) for path in paths)}")
    return COMPLETE


def finish(plan: Plan, record: "Record | None", options: argparse.Namespace) -> int:
    """Write the report and MLflow, and say where they are; return the exit code."""
    from omni_msa.report.write import write_report
    from omni_msa.search.dashboard import publish

    command = ["python", "orchestrate.py", str(short_path(options.sweep.absolute())), *options.settings]
    written = write_report(plan, shlex.join(command))
    if written.problem:
        print(f"there is no report.html, its figures failed: {written.problem}", file=sys.stderr)
    if not options.json:
        _print_report(written, plan)
    if record is not None:
        if problem := publish(plan.studies):
            print(f"{problem}; nothing is lost: it is a view of the ledger", file=sys.stderr)
        record.close(plan, written.evidence.summary)
    if options.json:
        values = {"aggregate": written.evidence.summary, "report": str(written.folder)}
        print(json.dumps({**as_json(plan), **values}, indent=1))
    else:
        _print_tracking(record)
    if record is not None and record.error is not None:
        what = f"MLflow could not be written ({type(record.error).__name__}: {first_line(record.error)})"
        print(f"{what}; nothing is lost: mend the cause, then --report writes it", file=sys.stderr)
    return COMPLETE if plan.is_complete() or (options.report and not plan.counts()["failed"]) else SOME_FAILED


def _report_folder(plan: Plan) -> Path:
    return plan.ledger.report_folder(plan.sweep.name)


def _print_report(report: "Report", plan: Plan) -> None:
    from omni_msa.report.search_files import lines
    from omni_msa.report.tables.files import terminal_table

    evidence = report.evidence
    table = terminal_table(evidence.summary, evidence.human)
    console().print(plan.sweep.file.question, table, sep="\n", markup=False)
    for line in failures_text(plan):
        print(line, file=sys.stderr)
    print("", closing_text(plan), *lines(plan, evidence.searches), sep="\n")
    print(f"report: {short_path(report.folder / ('table.md' if report.problem else 'report.html'))}")


def _print_tracking(record: "Record | None") -> None:
    if record is None:
        print("MLflow: left to the run that is going on")
    elif record.error is None:
        print(f"MLflow: mlflow ui --backend-store-uri {short_uri(record.uri)}")
