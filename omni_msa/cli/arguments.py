"""What can be said on the command line."""

import argparse
from collections.abc import Sequence
from pathlib import Path

EPILOG = """exit codes: 0 all trials complete; 1 some failed; 2 bad input, nothing started; 75 interrupted, run it again
--check-data: 0 nothing is wrong, 1 something is
environment: OMNI_MSA_LEDGER (default mlruns), OMNI_MSA_CACHE (default ~/.cache/omni_msa), OMNI_MSA_CACHE_GB (room for
prepared sound and picture; default: no limit), MLFLOW_TRACKING_URI"""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return what was said; what cannot be said ends the program with exit code 2.

    Args:
        arguments: as in `sys.argv[1:]`; None for these.
    """
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
