"""From a sweep file to the plan: axes times seeds, expanded into cells and trials."""

import copy
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from omni_msa import plugins, yamlfile
from omni_msa.config import PLUGIN_SECTIONS, TrialConfig, explain, parse_trial
from omni_msa.errors import InputError, Problem, did_you_mean
from omni_msa.metrics import METRICS
from omni_msa.options import Section

_NOT_AXES = ("seed", "runtime")
SECTIONS = tuple(name for name in TrialConfig.model_fields if name not in ("seed", "repeat"))


class Select(Section):
    """What chooses the epoch that is kept. Never the test split."""

    metric: str = "mae"
    split: Literal["valid"] = "valid"


class Compare(Section):
    """The cell that all others are compared with: a value for each axis that has more than one."""

    against: dict[str, Any]
    metric: str = "mae"


class SweepFile(Section):
    """A sweep file's own keys; the configuration sections beside them are checked with each cell."""

    question: str = Field(min_length=1)
    profile: str = "pocket"
    axes: dict[str, list[Any]] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(min_length=1, strict=False)
    select: Select = Select()
    compare: Compare | None = None

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
        if twice:
            raise ValueError(f"seeds are written twice: {twice}")
        if min(seeds) < 0 or max(seeds) >= 2**31:
            raise ValueError("a seed lies outside 0 to 2147483647")
        return seeds


@dataclass(frozen=True)
class Cell:
    """One point on all axes; `seeds` is (None,) where the readout is deterministic."""

    axes: dict[str, Any]
    config: TrialConfig
    deterministic: bool
    seeds: tuple[int | None, ...]

    @property
    def label(self) -> str:
        """The cell's name in tables: its values on the axes."""
        return ", ".join(value_label(axis, value) for axis, value in self.axes.items())


@dataclass(frozen=True)
class Sweep:
    """A checked sweep: its name (the file's), what it asks, and its cells."""

    name: str
    file: SweepFile
    cells: tuple[Cell, ...]

    def trials(self) -> list[tuple[Cell, TrialConfig]]:
        """Return every (cell, trial configuration), the first seed of all cells first."""
        rounds = max(len(cell.seeds) for cell in self.cells)
        return [
            (cell, cell.config.model_copy(update={"seed": cell.seeds[place]}))
            for place in range(rounds)
            for cell in self.cells
            if place < len(cell.seeds)
        ]


def value_label(axis: str, value: Any) -> str:
    """Return how an axis value is written in tables: `text+audio`, `rank 8`, `generative(decimals=2)`."""
    if isinstance(value, list):
        return "+".join(map(str, value))
    if isinstance(value, dict):
        options = ", ".join(f"{key}={item}" for key, item in value.items() if key != "name")
        return f"{value.get('name')}({options})" if options else str(value.get("name"))
    return str(value) if isinstance(value, str) else f"{axis.rpartition('.')[2]} {value}"


def load_sweep(path: Path, overrides: list[str] | None = None) -> Sweep:
    """Read a sweep file, its profile and the overrides, and expand it.

    Args:
        path: the YAML file; its profile lies in `profiles/` beside it.
        overrides: `key=value` settings, the key a dotted path, the value YAML.

    Raises:
        InputError: with every problem found in the file, its profile and the overrides.
    """
    data = yamlfile.read(path)
    settings = _parse_overrides(overrides or [])
    for key, value in settings:
        if key.partition(".")[0] not in SECTIONS:
            _set(data, key, value)
    known = {key: data.pop(key) for key in list(data) if key not in SECTIONS}
    problems = []
    try:
        file = SweepFile.model_validate(known)
        problems += _check_metrics(file, str(path))
    except ValidationError as error:
        raise InputError(*_with_sections(explain(error, SweepFile, str(path)))) from error
    base = _read_profile(path, file.profile)
    for section, values in data.items():
        _merge(base, section, values)
    for key, value in settings:
        if key.partition(".")[0] in SECTIONS:
            _set(base, key, value)
    _set(base, "training.select_metric", file.select.metric)
    cells, found = _expand(file, base, str(path))
    problems += found
    problems += _check_against(file, cells, str(path)) if not found else []
    if problems:
        raise InputError(*dict.fromkeys(problems))
    return Sweep(path.stem, file, tuple(cells))


def _with_sections(problems: list[Problem]) -> list[Problem]:
    """Name the configuration sections among the allowed top-level keys."""
    result = []
    for problem in problems:
        if problem.what == "unknown key" and "question" in problem.allowed:
            allowed = [*SweepFile.model_fields, *SECTIONS]
            hint = did_you_mean(problem.got.strip("'"), allowed)
            problem = Problem(problem.what, problem.where, problem.got, ", ".join(allowed), hint)
        result.append(problem)
    return result


def _parse_overrides(overrides: list[str]) -> list[tuple[str, Any]]:
    settings = []
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not all(key.split(".")):
            raise InputError(Problem("not a setting", "command line", repr(text), "key=value, as in training.epochs=2"))
        settings.append((key, yamlfile.parse(value, f"command line {key}")))
    return settings


def _read_profile(path: Path, name: str) -> dict[str, Any]:
    folder = path.parent / "profiles"
    existing = sorted(file.stem for file in folder.glob("*.yaml"))
    if name not in existing:
        step = f"{did_you_mean(name, existing)} to add it, create {folder / (name + '.yaml')}".strip()
        raise InputError(Problem("unknown profile", f"{path} profile", repr(name), ", ".join(existing), step))
    profile = yamlfile.read(folder / f"{name}.yaml")
    unknown = [key for key in profile if key not in SECTIONS]
    if unknown:
        where = str(folder / f"{name}.yaml")
        raise InputError(*(Problem("unknown key", where, repr(key), ", ".join(SECTIONS)) for key in unknown))
    return profile


def _merge(base: dict[str, Any], section: str, values: Any) -> None:
    """Lay values over a section; another plug-in's name replaces the section, whose options would not fit."""
    before = base.get(section)
    if section in PLUGIN_SECTIONS and isinstance(values, str):
        values = {"name": values}
    both = isinstance(before, dict) and isinstance(values, dict)
    if both and values.get("name", before.get("name")) == before.get("name"):
        base[section] = {**before, **values}
    else:
        base[section] = copy.deepcopy(values)


def _set(data: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted path; a path of one part replaces a section as `_merge` does."""
    first, _, rest = key.partition(".")
    if not rest:
        _merge(data, first, value)
    elif first in PLUGIN_SECTIONS and rest == "name":
        _merge(data, first, {"name": value})
    else:
        inner = data.get(first)
        data[first] = inner = dict(inner) if isinstance(inner, dict) else {}
        _set(inner, rest, value)


def _expand(file: SweepFile, base: dict[str, Any], where: str) -> tuple[list[Cell], list[Problem]]:
    problems = [problem for axis, values in file.axes.items() for problem in _check_axis(axis, values, where)]
    if problems:
        return [], problems
    cells = []
    for values in itertools.product(*file.axes.values()):
        axes = dict(zip(file.axes, values, strict=True))
        data = copy.deepcopy(base)
        for axis, value in axes.items():
            _set(data, axis, value)
        try:
            config = parse_trial(data, where)
        except InputError as error:
            problems += [_name_axis(problem, axes, where) for problem in error.problems]
            continue
        deterministic = plugins.load("readouts", config.readout.name).deterministic
        cells.append(Cell(axes, config, deterministic, (None,) if deterministic else file.seeds))
    return cells, problems


def _check_axis(axis: str, values: list[Any], where: str) -> list[Problem]:
    place = f"{where} axes.{axis}"
    first = axis.partition(".")[0]
    if first in _NOT_AXES or first not in TrialConfig.model_fields:
        allowed = ", ".join(name for name in TrialConfig.model_fields if name not in _NOT_AXES)
        step = "seeds have their own key" if first == "seed" else did_you_mean(first, TrialConfig.model_fields)
        return [Problem("unknown axis", place, repr(axis), f"{allowed}, or a path into them as adapter.rank", step)]
    if not values:
        return [Problem("the axis is empty", place, "[]", "at least one value", "add a value or remove the axis")]
    written = [json.dumps(value, sort_keys=True, default=str) for value in values]
    twice = sorted({value for value in written if written.count(value) > 1})
    return [Problem("a value stands twice on the axis", place, value, "each value once") for value in twice]


def _name_axis(problem: Problem, axes: dict[str, Any], where: str) -> Problem:
    """Say `axes.<axis>` where the value at fault came from an axis."""
    path = problem.where.removeprefix(where).strip()
    for axis in axes:
        if path == axis or path.startswith(f"{axis}."):
            return Problem(problem.what, f"{where} axes.{axis}", problem.got, problem.allowed, problem.next_step)
    return problem


def _check_metrics(file: SweepFile, where: str) -> list[Problem]:
    named = {"select.metric": file.select.metric}
    if file.compare is not None:
        named["compare.metric"] = file.compare.metric
    return [
        Problem("unknown metric", f"{where} {key}", repr(name), ", ".join(METRICS), did_you_mean(name, METRICS))
        for key, name in named.items()
        if name not in METRICS
    ]


def _check_against(file: SweepFile, cells: list[Cell], where: str) -> list[Problem]:
    if file.compare is None or find_cell(cells, file.compare.against) is not None:
        return []
    got = json.dumps(file.compare.against)
    allowed = "; ".join(json.dumps(cell.axes) for cell in cells[:12])
    return [Problem("compare.against names no single cell", f"{where} compare.against", got, allowed)]


def find_cell(cells: list[Cell], values: dict[str, Any]) -> Cell | None:
    """Return the one cell with these axis values, or None if there is none or more than one."""
    found = [cell for cell in cells if {**cell.axes, **values} == cell.axes]
    return found[0] if len(found) == 1 else None
