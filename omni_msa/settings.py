"""A sweep's settings in three layers: the profile, over it the sweep file, over both the command line."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from omni_msa import yamlfile
from omni_msa.config import PLUGIN_SECTIONS, TrialConfig
from omni_msa.errors import InputError, Problem, did_you_mean
from omni_msa.explain import shorten

SECTIONS = tuple(name for name in TrialConfig.model_fields if name not in ("seed", "repeat"))
COMMAND_LINE = "command line"


@dataclass
class Settings:
    """What was written, where it was written, and what is wrong with it so far.

    Args:
        where: the sweep file.
        own: the sweep's own keys (question, axes, ...), the command line's laid over the file's.
        base: the configuration sections that all cells start from.
        layers: (where, values as written), the strongest first.
        problems: found while reading.
    """

    where: str
    own: dict[str, Any] = field(default_factory=dict)
    base: dict[str, Any] = field(default_factory=dict)
    layers: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def locate(self, problem: Problem) -> Problem:
        """Return a problem whose `where` is a dotted path, with the file (or command line) that wrote it in front."""
        written = (where for where, values in self.layers if _holds(values, problem.where))
        return replace(problem, where=f"{next(written, self.where)} {problem.where}".strip())


def read_settings(path: Path, overrides: Iterable[str] = (), default_profile: str = "") -> Settings:
    """Read a sweep file, the profile it names and the overrides. What is wrong in them is collected, not raised.

    Args:
        path: the YAML file; its profile lies in `profiles/` beside it.
        overrides: `key=value` settings, the key a dotted path, the value YAML.
        default_profile: taken where none is named.

    Raises:
        InputError: the sweep file itself cannot be read.
    """
    data = yamlfile.read(path)
    settings = Settings(str(path))
    assigned = _parse_overrides(overrides, settings)
    settings.own = {key: value for key, value in data.items() if key not in SECTIONS}
    for key, value in assigned.items():
        if key.partition(".")[0] not in SECTIONS:
            _set_own(settings.own, key, value)
    profile_where, profile = _read_profile(path, settings.own.get("profile", default_profile), settings)
    settings.layers = [(COMMAND_LINE, assigned), (str(path), data), (profile_where, profile)]
    for where, values in ((profile_where, profile), (str(path), data)):
        for section in values.keys() & set(SECTIONS):
            _lay(settings, where, section, values[section])
    for key, value in assigned.items():
        section, _, rest = key.partition(".")
        if section in SECTIONS and rest:
            assign(settings.base, key, value)
        elif section in SECTIONS:
            _lay(settings, COMMAND_LINE, section, value)
    return settings


def _parse_overrides(overrides: Iterable[str], settings: Settings) -> dict[str, Any]:
    assigned: dict[str, Any] = {}
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not all(key.split(".")):
            allowed = "key=value, as in training.epochs=2"
            settings.problems.append(Problem("not a setting", COMMAND_LINE, shorten(text), allowed))
        else:
            try:
                assigned.pop(key, None)  # the last one counts, in its place
                assigned[key] = yamlfile.parse(value, f"{COMMAND_LINE} {key}")
            except InputError as error:
                settings.problems += error.problems
    return assigned


def _read_profile(path: Path, name: Any, settings: Settings) -> tuple[str, dict[str, Any]]:
    folder = path.parent / "profiles"
    existing = sorted(file.stem for file in folder.glob("*.yaml"))
    if name not in existing:
        if isinstance(name, str):  # anything else is refused together with the sweep's own keys
            step = f"{did_you_mean(name, existing)} to add it, create {folder / 'NAME.yaml'}".replace("NAME", name)
            problem = Problem("unknown profile", "profile", repr(name), ", ".join(existing), step.strip())
            written = COMMAND_LINE if settings.own.get("profile") != name else settings.where
            settings.problems.append(replace(problem, where=f"{written} profile"))
        return settings.where, {}
    where = folder / f"{name}.yaml"
    try:
        profile = yamlfile.read(where)
    except InputError as error:
        settings.problems += error.problems
        return str(where), {}
    for key in profile.keys() - set(SECTIONS):
        hint = did_you_mean(key, SECTIONS)
        settings.problems.append(Problem("unknown key", f"{where} {key}", repr(key), ", ".join(SECTIONS), hint))
    return str(where), profile
