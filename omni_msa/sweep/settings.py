"""A sweep's settings from three layers: the command line overrides the sweep file, which overrides the profile."""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from omni_msa.config.trial import PLUGIN_SECTIONS, TrialConfig
from omni_msa.config.validation import cut, shorten
from omni_msa.errors import InputError, Problem, did_you_mean
from omni_msa.sweep import shipped
from omni_msa.system import yaml_file

_NO_SECTIONS = ("seed", "repeat", "num_train_clips", "dropped_clips", "opens_test", "stops_after_epoch")
SECTIONS = tuple(name for name in TrialConfig.model_fields if name not in _NO_SECTIONS)
COMMAND_LINE = "command line"
_KEYS_WITH_DOTS = (
    "axes.",
    "compare.against.",
    "search.space.",
)  # below these, a dotted path such as adapter.rank is one key


@dataclass
class Settings:
    """The settings of a sweep, where each was written, and the problems found while reading.

    Args:
        where: the sweep file.
        own: the sweep's own keys (question, axes, ...), with the overrides of the command line.
        base: the configuration sections that all cells start from.
        layers: (file or "command line", values as written), the one that overrides the others first.
        has_profile: whether the profile was found and read.
        problems: found while reading.
    """

    where: str
    own: dict[str, Any] = field(default_factory=dict)
    base: dict[str, Any] = field(default_factory=dict)
    layers: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    has_profile: bool = False
    problems: list[Problem] = field(default_factory=list)

    def locate(self, problem: Problem) -> Problem:
        """Return a problem with the file (or "command line") that set its dotted path in front of its `where`."""
        sources = (where for where, values in self.layers if _holds(values, problem.where))
        return replace(problem, where=f"{next(sources, self.where)} {problem.where}".strip())


def read_settings(path: Path, overrides: Iterable[str], default_profile: str) -> Settings:
    """Read a sweep file, the profile it names and the overrides; problems in them are collected, not raised.

    Args:
        path: the YAML file; its profile is in `profiles/` beside it or in the folder above, or is a shipped one.
        overrides: `key=value` settings, the key a dotted path, the value YAML.
        default_profile: used if the sweep names none.

    Raises:
        InputError: the sweep file itself cannot be read.
    """
    data = yaml_file.read(path)
    settings = Settings(str(path))
    assigned = _parse_overrides(overrides, settings.problems)
    settings.layers = [(COMMAND_LINE, assigned), (str(path), data)]
    settings.own = {key: value for key, value in data.items() if key not in SECTIONS}
    _assign_all(settings, settings.own, assigned, sections=False)
    _read_profile(_profile_folders(path), settings.own.get("profile", default_profile), settings)
    for where, values in reversed(settings.layers[1:]):
        for section in (name for name in SECTIONS if name in values):
            if _check_shape(section, values[section], where, settings.problems):
                overlay(settings.base, section, values[section])
    _assign_all(settings, settings.base, assigned, sections=True)
    return settings


def _profile_folders(path: Path) -> list[Path]:
    """Return the folders that may hold profiles, first those of the user: beside the sweep file or one folder above.

    For a shipped sweep it is `profiles/` in the current folder. The last one is that of the shipped profiles.
    """
    above, beside = path.absolute().parent.parent / shipped.PROFILES, path.parent / shipped.PROFILES
    own = above if above.is_dir() and not beside.is_dir() else beside
    return [Path(shipped.PROFILES) if shipped.is_shipped(path) else own, shipped.folder() / shipped.PROFILES]


def overlay(base: dict[str, Any], section: str, values: Any) -> None:
    """Override values of a section in place; the name of another plug-in replaces the section and its options."""
    current = base.get(section)
    if section in PLUGIN_SECTIONS and isinstance(values, str):
        values = {"name": values}
    values = copy.deepcopy(values)
    if isinstance(current, dict) and isinstance(values, dict):
        is_same = values.get("name", current.get("name")) == current.get("name")
        values = {**current, **values} if is_same else values
    base[section] = values


def assign(base: dict[str, Any], path: str, value: Any) -> None:
    """Set the value of a dotted path in the configuration sections; a path of one part overrides its section.

    Raises:
        InputError: a part of the path has a plain value and so no keys below it; `where` is the dotted path.
    """
    section, _, rest = path.partition(".")
    if not rest:
        overlay(base, section, value)
    elif section in PLUGIN_SECTIONS and rest == "name":
        overlay(base, section, {"name": value})
    else:
        _put(base, path.split("."), value)


def _put(data: dict[str, Any], parts: list[str], value: Any) -> None:
    for part in parts[:-1]:
        inner = data.get(part, {})
        if not isinstance(inner, dict):
            raise InputError(Problem("a plain value has no keys below", ".".join(parts), f"{part}: {shorten(inner)}"))
        data[part] = data = dict(inner)
    data[parts[-1]] = value


def _assign_all(settings: Settings, target: dict[str, Any], assigned: dict[str, Any], sections: bool) -> None:
    """Apply the overrides of the command line to the configuration sections, or to the sweep's own keys."""
    for path, value in assigned.items():
        if (path.partition(".")[0] in SECTIONS) is not sections:
            continue
        if path in SECTIONS and not _check_shape(path, value, COMMAND_LINE, settings.problems):
            continue
        try:
            if sections:
                assign(target, path, value)
            else:
                _put(target, _own_parts(path), value)
        except InputError as error:
            settings.problems += map(settings.locate, error.problems)


def _own_parts(path: str) -> list[str]:
    for prefix in _KEYS_WITH_DOTS:
        if path.startswith(prefix):
            return [*prefix.removesuffix(".").split("."), path.removeprefix(prefix)]
    return path.split(".")


def _check_shape(section: str, values: Any, where: str, problems: list[Problem]) -> bool:
    """Return whether values have the shape of a section; if not, add a problem, since pydantic would not see them."""
    is_plugin = section in PLUGIN_SECTIONS
    if isinstance(values, dict) or section == "modalities" or (is_plugin and isinstance(values, str)):
        return True
    allowed = "a name, or a mapping of a name and options" if is_plugin else "a mapping of names to values"
    problems.append(Problem("wrong value", f"{where} {section}", shorten(values), allowed))
    return False


def _parse_overrides(overrides: Iterable[str], problems: list[Problem]) -> dict[str, Any]:
    assigned: dict[str, Any] = {}
    for text in overrides:
        path, equals, value = text.partition("=")
        if not equals or not all(path.split(".")):
            problems.append(Problem("not a setting", COMMAND_LINE, shorten(text), "key=value, as in training.epochs=2"))
            continue
        try:
            parsed = yaml_file.parse_value(value, f"{COMMAND_LINE} {path}")
        except InputError as error:
            problems += error.problems
            continue
        assigned.pop(path, None)  # of two overrides of a key the later one counts
        assigned[path] = parsed
    return assigned


def _read_profile(folders: Sequence[Path], name: Any, settings: Settings) -> None:
    files = {file.stem: file for folder in reversed(folders) for file in folder.glob("*.yaml")}  # the first folder wins
    existing = sorted(files)
    if not isinstance(name, str):
        return  # reported with the sweep's own keys
    if name not in existing:
        create = f"to add it, create {folders[0] / cut(name)}.yaml"
        step = f"{did_you_mean(name, existing)} {create}".strip()
        problem = Problem("unknown profile", "profile", shorten(name), ", ".join(existing), step)
        settings.problems.append(settings.locate(problem))
        return
    where = str(files[name])
    try:
        profile = yaml_file.read(Path(where))
    except InputError as error:
        settings.problems += error.problems
        return
    for key in (key for key in profile if key not in SECTIONS):
        hint = did_you_mean(key, SECTIONS)
        settings.problems.append(Problem("unknown key", f"{where} {key}", repr(key), ", ".join(SECTIONS), hint))
    settings.layers.append((where, profile))
    settings.has_profile = True


def _holds(values: Any, path: str) -> bool:
    """Return whether nested values set a dotted path, or something below it; a key may join several of its parts."""
    if not isinstance(values, dict) or not path or any(key.startswith(f"{path}.") for key in values):
        return True
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        key = ".".join(parts[:length])
        if key in values:
            return _holds(values[key], ".".join(parts[length:]))
    return False
