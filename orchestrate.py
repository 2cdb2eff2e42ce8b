"""Command line: a sweep file in, a table that answers its question out."""

import argparse
import errno
import io
import json
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from omni_msa.errors import InputError, Problem
from omni_msa.execution.driver import Seat, sole_driver, wait_for_orphans
from omni_msa.execution.progress import Progress
from omni_msa.execution.run import Outcome, execute, progress_of
from omni_msa.ledger.ledger import Ledger
from omni_msa.planning.plan import Plan, make_plan
from omni_msa.planning.plan_json import as_json
from omni_msa.planning.plan_text import closing_text, failures_text, plan_text, status_text
from omni_msa.sweep.sweep import Sweep, load_sweep
from omni_msa.system.files import is_about
from omni_msa.system.process import read_process

if TYPE_CHECKING:
    from rich.console import Console

    from omni_msa.report.write import Report
    from omni_msa.tracking.mirror import Record

COMPLETE, SOME_FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 75
EPILOG = """exit codes: 0 all trials complete; 1 some failed; 2 bad input, nothing started; 75 interrupted, run it again
--check-data: 0 nothing is wrong, 1 something is
environment: OMNI_MSA_LEDGER (default mlruns), OMNI_MSA_CACHE (default ~/.cache/omni_msa), OMNI_MSA_CACHE_GB (room for
prepared sound and picture; default: no limit), MLFLOW_TRACKING_URI"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: as in `sys.argv[1:]`, the default.

    Returns:
        the exit code: 0 all trials complete, 1 some failed, 2 bad input, 75 interrupted.
    """
    options = _parse(arguments)
    ledger = Ledger(Path(os.environ.get("OMNI_MSA_LEDGER") or "mlruns").expanduser().absolute())
    try:
        sweep = load_sweep(options.sweep, options.settings)
        if options.check_data:
            return _check_data(sweep, ledger)
        if options.diff:
            return _diff(sweep, ledger, options)
        if options.plan or options.status:
            return _describe(_planned(sweep, ledger, options), options)
        return _report(sweep, ledger, options) if options.report else _run(sweep, ledger, options)
    except InputError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        return _tell_unusable(error, ledger.root)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED


def _tell_unusable(error: OSError, folder: Path) -> int:
    """Say that the ledger's folder cannot be used, or its disk is full; any other error is raised again."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        print(f"the disk is full ({error}); make room, and the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    if not is_about(error, folder):
        raise error
    step = "mend or remove what is there, or set OMNI_MSA_LEDGER to another folder"
    print(InputError(Problem("the ledger cannot be used", str(folder), str(error), next_step=step)), file=sys.stderr)
    return BAD_INPUT


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Run the trials of a sweep that are missing, then report.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("sweep", type=Path, metavar="SWEEP.yaml", help="what to compare")
    add("settings", nargs="*", metavar="key=value", help="settings laid over the file's, as training.epochs=2")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--plan", action="store_true", help="show what would run; nothing starts")
    instead.add_argument("--status", action="store_true", help="show what is done, running, failed and why")
    instead.add_argument("--check-data", action="store_true", help="decode every clip once and list what is wrong")
    instead.add_argument("--report", action="store_true", help="rebuild tables and the MLflow view from the ledger")
    instead.add_argument(
        "--diff", type=Path, metavar="OTHER.yaml", help="compare two sweeps by the ledger; settings are laid over both"
    )
    add("--measure", action="store_true", help="with --plan: measure a few steps of each kind of trial first")
    add("--retry", action="store_true", help="also run trials that failed before")
    add("--local", action="store_true", help="in this process, no Ray (for a debugger)")
    add("--address", metavar="A", help="join the Ray cluster at this address")
    add("--json", action="store_true", help="machine-readable output")
    options = parser.parse_intermixed_args(arguments)
    if options.measure and not options.plan:
        parser.error("--measure goes with --plan")
    return options


def _planned(sweep: Sweep, ledger: Ledger, options: argparse.Namespace) -> Plan:
    """Return the plan, after a measured warm-up if that was asked for."""
    plan = make_plan(sweep, ledger, options.retry, bool(options.address))
    if not options.measure or plan.refusals or not plan.missing():
        return plan
    from omni_msa.execution.profile_run import measure
    from omni_msa.execution.staging import make_ready

    with sole_driver(ledger), progress_of(plan) as progress:
        if make_ready(plan, progress.stage):
            plan = make_plan(plan.asked or plan.sweep, ledger, options.retry, bool(options.address))
        measure(plan.missing(), ledger, progress.stage)
    return make_plan(plan.asked or plan.sweep, ledger, options.retry, bool(options.address))


def _describe(plan: Plan, options: argparse.Namespace) -> int:
    if options.json:
        print(json.dumps(as_json(plan), indent=1))
    else:
        print(plan_text(plan) if options.plan else status_text(plan))
    return COMPLETE


def _check_data(sweep: Sweep, ledger: Ledger) -> int:
    from omni_msa.execution.check_data import check_data

    with Progress(0) as progress:
        checked = check_data(sweep, ledger.report_folder(sweep.name), progress.stage)
    print(checked.text)
    print(f"details: {_short(checked.file)}")
    return SOME_FAILED if checked.num_wrong else COMPLETE


def _run(sweep: Sweep, ledger: Ledger, options: argparse.Namespace) -> int:
    with sole_driver(ledger) as seat:
        plan = make_plan(sweep, ledger, options.retry, bool(options.address))
        if plan.refusals:
            raise InputError(*plan.refusals)
        wait_for_orphans(lambda: _orphans(plan))
        from omni_msa.tracking.mirror import Record

        record = Record(plan)
        outcome = _train(plan, options, record, seat) if plan.missing() else Outcome()
        code = _finish(make_plan(sweep, ledger), record, options)
    return _tell(outcome, code)


def _orphans(plan: Plan) -> list[int]:
    statuses = (plan.ledger.trial(trial.trial_id).status() for trial in plan.trials)
    return [status.pid for status in statuses if status.state == "running" and read_process(vars(status)).is_here]


def _train(plan: Plan, options: argparse.Namespace, record: "Record", seat: Seat) -> Outcome:
    from omni_msa.execution.staging import make_ready

    with progress_of(plan) as progress:
        if make_ready(plan, progress.stage):  # clips are left out from now on: all trials have other ids
            plan = make_plan(plan.asked or plan.sweep, plan.ledger, options.retry, bool(options.address))
        if not plan.missing():
            return Outcome()
        return execute(plan, seat, progress, record.trial, options.local, options.address)


def _tell(outcome: Outcome, code: int) -> int:
    """Say what was out of the ordinary; return the exit code."""
    for note in outcome.notes:
        print(note, file=sys.stderr)
    if outcome.given_up:
        step = "mend the cause and run again with --retry"
        print(f"the sweep was stopped: {outcome.given_up}; {step}", file=sys.stderr)
    if outcome.stopped:
        print(f"{outcome.stopped}; the same command goes on from here", file=sys.stderr)
    return INTERRUPTED if outcome.stopped else code


def _report(sweep: Sweep, ledger: Ledger, options: argparse.Namespace) -> int:
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
        return _finish(plan, record, options)


def _diff(sweep: Sweep, ledger: Ledger, options: argparse.Namespace) -> int:
    """Compare two sweeps by what the ledger has of them; nothing is run."""
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
        _console().print(TerminalDiff(found))
        print(f"written: {', '.join(str(_short(path)) for path in paths)}")
    return COMPLETE


def _finish(plan: Plan, record: "Record | None", options: argparse.Namespace) -> int:
    """Write the report and MLflow, and say where they are."""
    from omni_msa.report.write import write_report
    from omni_msa.search.dashboard import publish

    command = ["python", "orchestrate.py", str(_short(options.sweep.absolute())), *options.settings]
    report = write_report(plan, shlex.join(command))
    if report.problem:
        print(f"there is no report.html, its figures failed: {report.problem}", file=sys.stderr)
    if not options.json:
        _print_report(report, plan)
    if record is not None:
        if problem := publish(plan.studies):
            print(f"{problem}; nothing is lost: it is a view of the ledger", file=sys.stderr)
        record.close(plan, report.evidence.summary)
    if options.json:
        values = {"aggregate": report.evidence.summary, "report": str(report.folder)}
        print(json.dumps({**as_json(plan), **values}, indent=1))
    else:
        _print_tracking(record)
    if record is not None and record.error is not None:
        what = f"MLflow could not be written ({type(record.error).__name__}: {_first_line(record.error)})"
        print(f"{what}; nothing is lost: mend the cause, then --report writes it", file=sys.stderr)
    return COMPLETE if plan.is_complete() or (options.report and not plan.counts()["failed"]) else SOME_FAILED


def _report_folder(plan: Plan) -> Path:
    return plan.ledger.report_folder(plan.sweep.name)


def _print_report(report: "Report", plan: Plan) -> None:
    from omni_msa.report.search_files import lines
    from omni_msa.report.tables.files import terminal_table

    evidence = report.evidence
    table = terminal_table(evidence.summary, evidence.human)
    _console().print(plan.sweep.file.question, table, sep="\n", markup=False)
    for line in failures_text(plan):
        print(line, file=sys.stderr)
    print("", closing_text(plan), *lines(plan, evidence.searches), sep="\n")
    print(f"report: {_short(report.folder / ('table.md' if report.problem else 'report.html'))}")


def _print_tracking(record: "Record | None") -> None:
    if record is None:
        print("MLflow: left to the run that is going on")
    elif record.error is None:
        print(f"MLflow: mlflow ui --backend-store-uri {_short_uri(record.uri)}")


def _console() -> "Console":
    """Return what prints tables; where nobody reads at a terminal, there is room."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=160)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _short_uri(uri: str) -> str:
    kind, colon, path = uri.partition("sqlite:///")
    return f"{kind}{colon}{_short(Path(path))}" if colon and not kind else uri


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that cannot show a character gets its number
        sys.stdout.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough, as in `--status | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = COMPLETE
    sys.exit(code)
