"""The arguments of the command line."""

import argparse
import shlex
from collections.abc import Sequence

import shtab

from omni_msa.errors import InputError, Problem, did_you_mean
from omni_msa.sweep import shipped

PROGRAM = "omni-msa"
SHELLS = ("bash", "zsh", "tcsh")
_EPILOG = """exit codes: 0 all trials complete; 1 some failed; 2 bad input, nothing started;
75 interrupted, run the same command again to continue
--check-data: 0 no problems, 1 problems were found
environment: OMNI_MSA_LEDGER (folder of all results, default mlruns), OMNI_MSA_CACHE (default ~/.cache/omni_msa),
OMNI_MSA_CACHE_GB (limit for prepared audio and video, default none), MLFLOW_TRACKING_URI"""
_COMMANDS = {
    "run": "run the missing trials of a sweep, then write the report",
    "list": "list shipped sweeps, profiles, readouts, datasets, backbones and trackers",
    "schema": "print the JSON schema of sweep files, for editors",
    "completion": "print a completion script for a shell",
}
_SWEEPS = {"bash": "_omni_msa_sweeps", "zsh": "_omni_msa_sweeps"}


def parse(arguments: Sequence[str], program: str) -> argparse.Namespace:
    """Return the parsed arguments; invalid options end the program with exit code 2.

    Args:
        arguments: as in `sys.argv[1:]`; the first is a command.
        program: the command that the user typed, for help and messages; it includes `run` if that is implied.

    Raises:
        InputError: the first argument is no command; suggests the one that was probably meant.
    """
    if arguments and arguments[0] == "run":
        parser = argparse.ArgumentParser(
            prog=program if program != PROGRAM else f"{PROGRAM} run",
            description="Run the missing trials of a sweep, then write the report.",
            epilog=_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _add_run_arguments(parser)
        options = parser.parse_intermixed_args(arguments[1:])
        if options.sweep is None:
            parser.error(f"SWEEP is missing: a YAML file, or a name that `{PROGRAM} list` shows")
        if options.measure and not options.plan:
            parser.error("--measure needs --plan")
        return argparse.Namespace(**vars(options), command="run", program=parser.prog)
    if arguments and arguments[0] not in (*_COMMANDS, "-h", "--help"):
        has_sweep = any(it.endswith((".yaml", ".yml")) or it in shipped.names() for it in arguments)
        step = shlex.join([PROGRAM, "run", *arguments]) if has_sweep else did_you_mean(arguments[0], _COMMANDS)
        raise InputError(Problem("unknown command", "command line", arguments[0], ", ".join(_COMMANDS), step))
    return _whole_parser().parse_args(arguments or ["--help"])


def completion(shell: str) -> str:
    """Return a script that lets a shell complete commands, options, names of shipped sweeps and files.

    Args:
        shell: one of `SHELLS`.
    """
    names = " ".join(shipped.names())
    preamble = {
        "bash": f"_omni_msa_sweeps() {{ compgen -W '{names}' -- $1; compgen -d -- $1; compgen -G \"$1*.yaml\"; }}",
        "zsh": f"_omni_msa_sweeps() {{ compadd {names}; _files -g '*.yaml' }}",
    }
    return shtab.complete(_whole_parser(), shell, preamble=preamble.get(shell, ""))


def _whole_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Controlled sweeps over multimodal sentiment models.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    parsers = {name: commands.add_parser(name, help=text, description=text) for name, text in _COMMANDS.items()}
    _add_run_arguments(parsers["run"])
    parsers["completion"].add_argument("shell", choices=SHELLS)
    return parser


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    sweep = add("sweep", nargs="?", metavar="SWEEP", help="a sweep file (YAML), or the name of a shipped sweep")
    add("settings", nargs="*", metavar="key=value", help="settings that override the file, such as training.epochs=2")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--plan", action="store_true", help="show what would run; nothing starts")
    instead.add_argument("--status", action="store_true", help="show which trials are done, running or failed, and why")
    instead.add_argument("--check-data", action="store_true", help="decode every clip once and list what is wrong")
    instead.add_argument("--report", action="store_true", help="rebuild the report and the MLflow view from the ledger")
    other = instead.add_argument(
        "--diff", metavar="OTHER", help="compare with sweep OTHER by stored results; settings override both files"
    )
    for action in (sweep, other):
        action.complete = _SWEEPS  # type: ignore[attr-defined]  # the attribute that shtab reads
    add("--measure", action="store_true", help="with --plan: time a few steps of each kind of trial first")
    add("--retry", action="store_true", help="also run trials that failed before")
    add("--local", action="store_true", help="run trials in this process, without Ray (for a debugger)")
    add("--address", metavar="A", help="run trials on the Ray cluster at this address (host:port, or auto)")
    add("--json", action="store_true", help="machine-readable output")
