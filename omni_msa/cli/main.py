"""The command line: parses the arguments, runs a command, and turns errors into messages and exit codes."""

import argparse
import errno
import io
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from omni_msa.cli.arguments import PROGRAM, parse
from omni_msa.cli.describe import check_clips, describe, plan_of
from omni_msa.cli.describe_package import list_known, print_completion, print_schema
from omni_msa.cli.exit_codes import BAD_INPUT, COMPLETE, INTERRUPTED
from omni_msa.cli.report import diff_sweeps, report
from omni_msa.cli.run import run
from omni_msa.errors import InputError, Problem
from omni_msa.ledger.ledger import Ledger
from omni_msa.sweep.shipped import find
from omni_msa.sweep.sweep import load_sweep
from omni_msa.system.files import is_about


def main(arguments: Sequence[str], program: str = PROGRAM) -> int:
    """Run the command line.

    Args:
        arguments: as in `sys.argv[1:]`; the first is a command: run, list, schema or completion.
        program: the command that the user typed, for messages and for the command shown in the report.

    Returns:
        the exit code: 0 all trials complete, 1 some failed, 2 bad input, 75 interrupted.
    """
    try:
        options = parse(arguments, program)
        return _run(options) if options.command == "run" else _DESCRIBED[options.command](options)
    except InputError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted; run the same command again to continue", file=sys.stderr)
        return INTERRUPTED


_DESCRIBED = {"list": list_known, "schema": print_schema, "completion": print_completion}


def _run(options: argparse.Namespace) -> int:
    ledger = Ledger(Path(os.environ.get("OMNI_MSA_LEDGER") or "mlruns").expanduser().absolute())
    path, note = find(options.sweep)
    if note:
        print(note, file=sys.stderr)
    sweep = load_sweep(path, options.settings)
    try:
        ledger.check_format()
        if options.check_data:
            return check_clips(sweep, ledger)
        if options.diff:
            return diff_sweeps(sweep, ledger, options)
        if options.plan or options.status:
            return describe(plan_of(sweep, ledger, options), options)
        return report(sweep, ledger, options) if options.report else run(sweep, ledger, options)
    except OSError as error:
        return _report_unusable(error, ledger.root)


def _report_unusable(error: OSError, folder: Path) -> int:
    """Print that the disk is full or the ledger's folder cannot be used; return the exit code, raise other errors."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        print(f"the disk is full ({error}); free space, then run the same command again to continue", file=sys.stderr)
        return INTERRUPTED
    if not is_about(error, folder):
        raise error
    step = "repair or remove that file or folder, or set OMNI_MSA_LEDGER to another folder"
    print(InputError(Problem("the ledger cannot be used", str(folder), str(error), next_step=step)), file=sys.stderr)
    return BAD_INPUT


def run_as_program(arguments: Sequence[str] | None = None, program: str = PROGRAM) -> NoReturn:
    """Run the command line as a program: set up signals and streams, and exit with the exit code.

    Args:
        arguments: as for `main`; None means those of this process.
        program: as for `main`.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # print the code of characters that the terminal cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = main(sys.argv[1:] if arguments is None else arguments, program)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader closed the pipe, as in `--status | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = COMPLETE
    sys.exit(code)
