"""Commands that describe the package itself: list, schema, completion."""

import argparse
import json

from omni_msa.cli.arguments import completion
from omni_msa.cli.exit_codes import COMPLETE
from omni_msa.config import plugins
from omni_msa.config.plugin_facts import BACKBONES, DATASETS, READOUTS, TRACKERS
from omni_msa.errors import InputError
from omni_msa.sweep import shipped
from omni_msa.system import yaml_file


def list_known(options: argparse.Namespace) -> int:
    """Print all names that a sweep file or the command line may use, with a line about each; return the exit code."""
    questions = {name: str(yaml_file.read(shipped.folder() / f"{name}.yaml")["question"]) for name in shipped.names()}
    _print("sweeps", questions)
    _print("profiles", {name: _first_comment(name) for name in shipped.profile_names()})
    for kind in (READOUTS, DATASETS, BACKBONES, TRACKERS):
        loaded = plugins.load_each(kind)
        _print("trackers" if kind == TRACKERS else kind, {name: _about(kind, name, loaded[name]) for name in loaded})
    return COMPLETE


def _print(title: str, lines: dict[str, str]) -> None:
    width = max(map(len, lines))
    print(f"{title}:", *(f"  {name:{width}}  {text}" for name, text in lines.items()), "", sep="\n")


def _about(kind: str, name: str, plugin: object) -> str:
    """Return the first line of a plug-in's docstring, with package and version if it is from another package."""
    if isinstance(plugin, InputError):
        return "cannot be used: " + "; ".join(f"{problem.what}: {problem.got}" for problem in plugin.problems)
    text = (plugin.__doc__ or "").strip().partition("\n")[0]
    origin = plugins.package(kind, name)
    return f"{text} ({' '.join(origin)})" if origin else text


def _first_comment(profile: str) -> str:
    text = (shipped.folder() / shipped.PROFILES / f"{profile}.yaml").read_text(encoding="utf-8")
    return text.partition("\n")[0].removeprefix("#").strip()


def print_schema(options: argparse.Namespace) -> int:
    """Print the JSON schema of sweep files; return the exit code."""
    from omni_msa.sweep.json_schema import sweep_schema

    print(json.dumps(sweep_schema(), indent=1))
    return COMPLETE


def print_completion(options: argparse.Namespace) -> int:
    """Print a completion script; return the exit code."""
    print(completion(options.shell))
    return COMPLETE
