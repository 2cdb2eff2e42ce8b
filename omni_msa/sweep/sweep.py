"""A sweep file: read, checked, and expanded into cells (combinations of axis values) and trials (cells x seeds)."""

import copy
import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from omni_msa.config import plugins
from omni_msa.config.plugin_facts import READOUTS, TRACKERS
from omni_msa.config.sections import Section
from omni_msa.config.trial import PLUGIN_SECTIONS, AnyMetric, QualityMetric, TrialConfig, check_metric, parse_trial
from omni_msa.config.validation import cut, explain, shorten
from omni_msa.errors import InputError, Problem, did_you_mean
from omni_msa.stats.metrics import METRICS
from omni_msa.sweep import shipped
from omni_msa.sweep.axes import name_axis, usable_axes
from omni_msa.sweep.labels import value_label
from omni_msa.sweep.search_checks import check_rules, check_space
from omni_msa.sweep.search_space import Parameters, Search, read_space
from omni_msa.sweep.settings import SECTIONS, Settings, assign, read_settings

_TRIALS_MAX, _NAME_LENGTH_MAX = 100_000, 200


class Select(Section):
    """The metric and split that choose the epoch whose weights are kept. Never the test split."""

    metric: QualityMetric = "mae"
    split: Literal["valid"] = "valid"


class Compare(Section):
    """The cell that all others are compared with, named by a value for each axis that has several."""

    against: dict[str, Any]
    metric: AnyMetric = "mae"
    smallest_difference: float | None = Field(
        None, gt=0, description="smallest that matters, in the stored unit (0.01: one point of accuracy); to plan seeds"
    )


class SweepFile(Section):
    """A sweep file's own keys; the configuration sections beside them are checked with each cell."""

    question: str = Field(min_length=1)
    name: str | None = Field(
        None, min_length=1, description="name of the sweep, its report and its experiment; default: the file's name"
    )
    profile: str = "pocket"
    axes: dict[str, list[Any]] = Field({}, description="axis: list of values; optional with a search")
    search: Search | None = Field(None, description="a space to search, once for each cell of the axes")
    seeds: tuple[int, ...] = Field(min_length=1, strict=False)
    select: Select = Select()
    compare: Compare | None = None
    on_bad_clip: Literal["fail", "drop"] = Field(
        "fail", description="a clip that cannot be used stops the run before training, or all trials leave it out"
    )
    style: Literal["standard", "mmsa"] = Field("standard", description="of the main table; mmsa: as in older papers")
    pivot: tuple[str, ...] | None = Field(
        None, strict=False, description="two axes, for the rows and the columns of an additional table"
    )
    trackers: tuple[str, ...] = Field(
        ("mlflow",), strict=False, description="where runs are shown besides the report; [] for none"
    )
    embed_media: bool = Field(True, description="put the audio and video of the worst clips into report.html")

    @field_validator("pivot")
    @classmethod
    def _two(cls, pivot: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if pivot is not None and not len(pivot) == len(set(pivot)) == 2:
            raise ValueError("pivot needs two different axes, for the rows and for the columns")
        return pivot

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        repeated = sorted(seed for seed, count in Counter(seeds).items() if count > 1)
        if repeated:
            raise ValueError(f"seeds are listed twice: {shorten(repeated)}")
        if min(seeds) < 0 or max(seeds) >= 2**31:
            raise ValueError("a seed is outside 0 to 2147483647")
        return seeds


@dataclass(frozen=True)
class Cell:
    """One combination of axis values; `seeds` is (None,) if the readout is deterministic.

    For a proposal of a search, `parameters` are what it sets besides the axes.
    """

    axes: dict[str, Any]
    config: TrialConfig
    deterministic: bool
    seeds: tuple[int | None, ...]
    parameters: Parameters = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The cell's name in tables: its values on the axes."""
        return ", ".join(value_label(axis, value) for axis, value in self.axes.items())


@dataclass(frozen=True)
class Sweep:
    """A checked sweep file, its own keys (`file`), its cells, and the configuration sections all start from (`base`).

    `name` is the key of the file, else the file's own name; for a shipped sweep its path below `sweeps/`.
    """

    path: Path
    name: str
    file: SweepFile
    cells: tuple[Cell, ...]
    overrides: tuple[str, ...] = ()
    base: Mapping[str, Any] = field(default_factory=dict)

    def trials(self) -> list[tuple[Cell, TrialConfig]]:
        """Return every (cell, trial configuration): all cells with their first seed, then all with the second, ..."""
        rounds = max(len(cell.seeds) for cell in self.cells)
        return [
            (cell, cell.config.model_copy(update={"seed": cell.seeds[index]}))
            for index in range(rounds)
            for cell in self.cells
            if index < len(cell.seeds)
        ]


def load_sweep(path: Path, overrides: Sequence[str] = ()) -> Sweep:
    """Read a sweep file with its profile and the overrides, check it, and expand it into cells.

    Args:
        path: the YAML file.
        overrides: `key=value` settings, the key a dotted path, the value YAML.

    Raises:
        InputError: lists every problem of the file, its profile and the overrides.
    """
    settings = read_settings(path, overrides, SweepFile.model_fields["profile"].default)
    file, problems = _check_own_keys(settings)
    problems += _set_select_metric(settings, file)
    cells, cell_problems = _expand(settings, file.seeds if file else ())
    problems += cell_problems
    if file:
        problems += _check_report_keys(file) + _check_trackers(file) + _check_hidden(settings, file)
    if file and not problems and settings.has_profile:
        problems += _check_cells(file, cells)
    problems += _check_search(settings, file, cells)
    problems = settings.problems + [settings.locate(problem) for problem in problems]
    name = (file.name if file else None) or shipped.name_of(path)
    problems += _check_name(name, shorten(str(path)))
    if file is None or problems:
        raise InputError(*dict.fromkeys(problems))
    return Sweep(path, name, file, tuple(cells), tuple(overrides), settings.base)


def _check_name(name: str, where: str) -> list[Problem]:
    """Check that a sweep's name can be part of the names of folders, files and experiments."""
    parts = name.split("/")
    if name.isprintable() and len(name) <= _NAME_LENGTH_MAX and not any(part in ("", ".", "..") for part in parts):
        return []
    allowed = f"printable text of at most {_NAME_LENGTH_MAX} characters, such as paper/lora_rank"
    return [Problem("this cannot be the name of a sweep", f"{where} name", shorten(name), allowed)]


def _check_hidden(settings: Settings, file: SweepFile) -> list[Problem]:
    """Refuse settings of the command line that an axis would replace in every cell."""
    what = "an axis of the sweep replaces this setting"
    return [
        Problem(what, path, shorten(value), "", f"write axes.{axis}=[...]")
        for path, value in settings.layers[0][1].items()
        for axis in file.axes
        if _without_name(axis) in _keys_written(path, value)
    ]


def _keys_written(path: str, value: Any) -> set[str]:
    keys = [f"{path}.{key}" for key in value] if isinstance(value, dict) else [path]
    return {_without_name(key) for key in keys}


def _without_name(key: str) -> str:
    """Return a setting's dotted path; that of a plug-in's name is its section's."""
    section, _, rest = key.partition(".")
    return section if section in PLUGIN_SECTIONS and rest == "name" else key


def _check_trackers(file: SweepFile) -> list[Problem]:
    problems: list[Problem] = []
    for name in file.trackers:
        try:
            plugins.load(TRACKERS, name, "trackers")
        except InputError as error:
            problems += error.problems
    return problems


def _check_search(settings: Settings, file: SweepFile | None, cells: list[Cell]) -> list[Problem]:
    """Check the search, if there is one; its space is checked even if other keys have problems."""
    written, axes = settings.own.get("search"), settings.own.get("axes")
    configures = [partial(_configure_more, settings.base, cell.axes) for cell in cells]
    problems = check_space(read_space(written), configures, axes if isinstance(axes, dict) else {})
    return problems + (check_rules(file.search, file.select.metric, file.seeds) if file and file.search else [])


def proposed(sweep: Sweep, cell: Cell, parameters: Parameters) -> Cell:
    """Return a cell of the axes with the parameters of a proposal set.

    Raises:
        InputError: cell and parameters together are no valid configuration.
    """
    config = _configure_more(sweep.base, cell.axes, parameters)
    deterministic = plugins.load(READOUTS, config.readout.name).deterministic
    config = config.model_copy(update={"dropped_clips": cell.config.dropped_clips})
    return replace(cell, config=config, deterministic=deterministic, parameters=parameters)


def _configure_more(base: Mapping[str, Any], point: dict[str, Any], parameters: Parameters) -> TrialConfig:
    return _configure(base, {**point, **parameters})


def _check_own_keys(settings: Settings) -> tuple[SweepFile | None, list[Problem]]:
    problems = _check_axes_given(settings.own)
    try:
        file = SweepFile.model_validate(settings.own)
        return (None, problems) if problems else (file, [])
    except ValidationError as error:
        problems += explain(error, SweepFile)
    allowed = [*SweepFile.model_fields, *SECTIONS]
    at_top = [problem.what == "unknown key" and problem.where in settings.own for problem in problems]
    return None, [
        replace(problem, allowed=", ".join(allowed), next_step=did_you_mean(problem.where, allowed)) if top else problem
        for problem, top in zip(problems, at_top, strict=True)
    ]


def _check_axes_given(own: dict[str, Any]) -> list[Problem]:
    if own.get("search") is not None or own.get("axes", {}) != {}:
        return []
    if "axes" in own:
        return [Problem("wrong value", "axes", "{}", "at least one axis")]
    return [Problem("a key is missing", "axes", next_step="add axes, such as axes: {adapter.rank: [8, 16]}")]


def _set_select_metric(settings: Settings, file: SweepFile | None) -> list[Problem]:
    """Set `training.select_metric` from `select.metric`; refuse it in the file, where the two could differ."""
    training = settings.base.setdefault("training", {})
    if "select_metric" in training:
        step = "remove it, and write select: {metric: ...} at the top level of the sweep file"
        return [Problem("select.metric sets this", "training.select_metric", repr(training["select_metric"]), "", step)]
    if file:
        training["select_metric"] = file.select.metric
    return []


def _expand(settings: Settings, seeds: tuple[int, ...]) -> tuple[list[Cell], list[Problem]]:
    """Return all cells, and the problems of every axis and of every cell that is no valid configuration."""
    axes, problems = usable_axes(settings.own.get("axes"))
    cells = []
    for values in itertools.product(*axes.values()):
        point = dict(zip(axes, values, strict=True))
        try:
            config = _configure(settings.base, point)
        except InputError as error:
            problems += [name_axis(problem, point) for problem in error.problems]
            continue
        deterministic = plugins.load(READOUTS, config.readout.name).deterministic
        cells.append(Cell(point, config, deterministic, (None,) if deterministic else seeds))
    if not settings.has_profile:  # a key that the profile would set is not missing
        problems = [problem for problem in problems if problem.what != "a key is missing"]
    return cells, problems


def _configure(base: Mapping[str, Any], point: dict[str, Any]) -> TrialConfig:
    data = copy.deepcopy(dict(base))
    order = sorted(point, key=lambda axis: (axis.count("."), not axis.endswith(".name")))
    for axis in order:  # readout before readout.decimals; readout.name first, as it resets the options
        assign(data, axis, copy.deepcopy(point[axis]))
    return parse_trial(data)


def _check_report_keys(file: SweepFile) -> list[Problem]:
    """Check the keys that only the report reads: the axes of `pivot`, the unit of `compare.smallest_difference`."""
    axes = list(file.axes)
    problems = [
        Problem("not an axis of this sweep", "pivot", axis, ", ".join(axes), did_you_mean(axis, axes))
        for axis in file.pivot or ()
        if axis not in axes
    ]
    smallest = file.compare and file.compare.smallest_difference
    if file.compare and smallest and METRICS[file.compare.metric].percent and smallest >= 1:
        where, step = "compare.smallest_difference", f"write {smallest / 100:g} for {smallest:g} points"
        allowed = f"less than 1: {file.compare.metric} is stored as a share"
        problems.append(Problem("the difference is too large", where, f"{smallest:g}", allowed, step))
    return problems


def _check_cells(file: SweepFile, cells: list[Cell]) -> list[Problem]:
    problems = []
    if (num_trials := sum(len(cell.seeds) for cell in cells)) > _TRIALS_MAX:
        problems.append(Problem("too many trials", "seeds", str(num_trials), f"at most {_TRIALS_MAX}"))
    cell_of_config: dict[str, Cell] = {}
    for cell in cells:
        earlier = cell_of_config.setdefault(cell.config.model_dump_json(), cell)
        if earlier is not cell:
            got = f"{cut(earlier.name)}; {cut(cell.name)}"
            problems.append(Problem("two cells have the same configuration", "axes", got, "each one once"))
    if file.compare and find_cell(cells, file.compare.against) is None:
        allowed = "; ".join(cut(json.dumps(cell.axes)) for cell in cells[:12])
        got = cut(json.dumps(file.compare.against))
        problems.append(Problem("compare.against does not name exactly one cell", "compare.against", got, allowed))
    if file.compare:
        for dataset in dict.fromkeys(cell.config.dataset for cell in cells):
            problems += check_metric(file.compare.metric, dataset, "compare.metric")
    return problems


def find_cell(cells: Sequence[Cell], values: dict[str, Any]) -> Cell | None:
    """Return the only cell with these axis values, None if there is none or several."""
    matches = [cell for cell in cells if {**cell.axes, **values} == cell.axes]
    return matches[0] if len(matches) == 1 else None
