"""The command that runs the missing trials."""

import argparse
import sys
from typing import TYPE_CHECKING

from omni_msa.cli.exit_codes import INTERRUPTED
from omni_msa.cli.report import finish
from omni_msa.errors import InputError
from omni_msa.execution.driver import DriverSession, sole_driver, wait_for_orphans
from omni_msa.execution.run import Outcome, execute, progress_of
from omni_msa.ledger.ledger import Ledger
from omni_msa.ledger.sweep_names import hold, read_holder
from omni_msa.planning.plan import Plan, make_plan, name_holder
from omni_msa.sweep.sweep import Sweep
from omni_msa.system.process import read_process

if TYPE_CHECKING:
    from omni_msa.tracking._mirror import LedgerMirror


def run(sweep: Sweep, ledger: Ledger, options: argparse.Namespace) -> int:
    """Run the missing trials, then write the report; return the exit code."""
    with sole_driver(ledger) as session:
        plan = make_plan(sweep, ledger, options.retry, bool(options.address))
        if plan.refusals:
            raise InputError(*plan.refusals)
        if read_holder(ledger, plan.sweep.name) is None:  # `finish` prints a note if it replaces another report
            hold(ledger, name_holder(plan.sweep))
        wait_for_orphans(lambda: orphans(plan))
        from omni_msa.tracking._mirror import LedgerMirror

        mirror = LedgerMirror(plan)
        outcome = _train(plan, options, mirror, session) if plan.missing() else Outcome()
        code = finish(make_plan(sweep, ledger), mirror, options)
    return _print_outcome(outcome, code)


def orphans(plan: Plan) -> list[int]:
    """Return the ids of processes on this machine that still run trials of the plan, started by an earlier driver."""
    statuses = (plan.ledger.trial(trial.trial_id).status() for trial in plan.trials)
    return [status.pid for status in statuses if status.state == "running" and read_process(vars(status)).is_here]


def _train(plan: Plan, options: argparse.Namespace, mirror: "LedgerMirror", session: DriverSession) -> Outcome:
    from omni_msa.execution.staging import make_ready

    with progress_of(plan) as progress:
        if make_ready(plan, progress.stage):  # bad clips are left out now, which changes the ids of all trials
            plan = make_plan(plan.asked or plan.sweep, plan.ledger, options.retry, bool(options.address))
        if not plan.missing():
            return Outcome()
        return execute(plan, session, progress, mirror.trial, options.local, options.address)


def _print_outcome(outcome: Outcome, code: int) -> int:
    """Print notes and why the run stopped early, if it did; return the exit code."""
    for note in outcome.notes:
        print(note, file=sys.stderr)
    if outcome.given_up:
        step = "fix the cause and run the same command again with --retry"
        print(f"the sweep was stopped: {outcome.given_up}; {step}", file=sys.stderr)
    if outcome.stopped:
        print(f"{outcome.stopped}; run the same command again to continue", file=sys.stderr)
    return INTERRUPTED if outcome.stopped else code
