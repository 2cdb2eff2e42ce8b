"""Commands that describe a sweep and train nothing: --plan, --status, --check-data."""

import argparse
import json

from omni_msa.cli.exit_codes import COMPLETE, SOME_FAILED
from omni_msa.execution.driver import sole_driver
from omni_msa.execution.progress import Progress
from omni_msa.execution.run import progress_of
from omni_msa.ledger.ledger import Ledger
from omni_msa.planning.plan import Plan, check_name, make_plan
from omni_msa.planning.plan_json import as_json
from omni_msa.planning.plan_text import plan_text, status_text
from omni_msa.sweep.sweep import Sweep
from omni_msa.system.files import short_path


def plan_of(sweep: Sweep, ledger: Ledger, options: argparse.Namespace) -> Plan:
    """Return the plan of a sweep; with `--measure`, after a timed warm-up of the trials whose cost is unknown."""
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


def describe(plan: Plan, options: argparse.Namespace) -> int:
    """Print the plan (`--plan`) or the state of every trial (`--status`), as text or JSON; return the exit code."""
    if options.json:
        print(json.dumps(as_json(plan), indent=1))
    else:
        print(plan_text(plan) if options.plan else status_text(plan))
    return COMPLETE


def check_clips(sweep: Sweep, ledger: Ledger) -> int:
    """Decode every clip once and print the problems; return the exit code, 1 if there are any."""
    from omni_msa.execution.check_data import check_data

    check_name(sweep, ledger)
    with Progress(0) as progress:
        checked = check_data(sweep, ledger.report_folder(sweep.name), progress.stage)
    print(checked.text)
    print(f"details: {short_path(checked.file)}")
    return SOME_FAILED if checked.num_wrong else COMPLETE
