"""What can be wrong with a search beside the shape of its section: every problem, each in the words of the file."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from omni_msa.config import plugins
from omni_msa.config.plugin_facts import READOUTS
from omni_msa.config.validation import cut, shorten
from omni_msa.errors import InputError, Problem, did_you_mean
from omni_msa.stats.metrics import METRICS
from omni_msa.sweep.search_points import Configure, check_points
from omni_msa.sweep.search_space import GRID_MAX, SECTIONS, Parameter, Search, grid, ordered, wanted


def check_space(space: Mapping[str, Parameter], cells: Iterable[Configure], axes: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with a space beside the shape of its parameters.

    Args:
        space: dotted path to parameter.
        cells: for each cell of the axes, what makes a configuration of it.
        axes: of the sweep.
    """
    if not space:
        return []
    cells = list(cells)
    problems = [*_check_paths(space, axes), *_check_conditions(space), *_check_use(space, cells)]
    if not any(problem.where == "search.space" for problem in problems):
        at_fault = {path for path in space if any(_names(problem, path) for problem in problems)}
        problems += check_points(_without(space, at_fault), cells)
    return list(dict.fromkeys(problems))


def _without(space: Mapping[str, Parameter], paths: set[str]) -> dict[str, Parameter]:
    """Return a space without some parameters and without those that count only beside them."""
    left = {path: parameter for path, parameter in space.items() if path not in paths}
    lost = {path for path, parameter in left.items() if not left.keys() >= parameter.when.keys()}
    return _without(left, lost) if lost else left


def _names(problem: Problem, path: str) -> bool:
    return f"{problem.where}.".startswith(f"search.space.{path}.")


def _check_paths(space: Mapping[str, Parameter], axes: Mapping[str, Any]) -> Iterator[Problem]:
    for path in space:
        place, first = f"search.space.{cut(path)}", path.partition(".")[0]
        if first not in SECTIONS or not all(path.split(".")):
            allowed = f"a path into {', '.join(SECTIONS)}, as adapter.rank"
            yield Problem("unknown parameter", place, shorten(path), allowed, did_you_mean(first, SECTIONS))
        if path == "training.select_metric":
            yield Problem("select.metric sets this", place, shorten(path), "", "remove the parameter")
        for axis in (axis for axis in axes if _overlap(axis, path)):
            yield Problem("a parameter is also an axis", place, f"axes.{cut(axis)}", "one of them")
        for other in (other for other in space if other != path and path.startswith(f"{other}.")):
            values = space[other].ends()
            key = path.removeprefix(f"{other}.").partition(".")[0]
            if key == "name" or any(isinstance(value, dict) and key in value for value in values):
                yield Problem("two parameters set the same key", place, f"{other} and {path}", "one of them")


def _overlap(one: str, other: str) -> bool:
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _check_conditions(space: Mapping[str, Parameter]) -> Iterator[Problem]:
    for path, parameter in space.items():
        for other, values in parameter.when.items():
            place = f"search.space.{cut(path)}.when.{cut(other)}"
            others = [name for name in space if name != path]
            if other not in others:
                hint = did_you_mean(other, others) or "remove the condition"
                yield Problem("not another parameter of the space", place, shorten(other), ", ".join(others), hint)
            elif not wanted(values):
                yield Problem("a condition that is never met", place, "[]", shorten(list(space[other].ends())))
            elif never := [value for value in wanted(values) if not space[other].has(value)]:
                allowed = shorten(list(space[other].ends()))
                yield Problem("the other parameter never has this value", place, shorten(never[0]), allowed)
    try:
        ordered({path: _without_itself(path, parameter) for path, parameter in space.items()})
    except ValueError as error:
        yield Problem("conditions go round in a circle", "search.space", str(error), "", "remove one of them")


def _without_itself(path: str, parameter: Parameter) -> Parameter:
    when = {other: values for other, values in parameter.when.items() if other != path}
    return parameter.model_copy(update={"when": when})


def _check_use(space: Mapping[str, Parameter], cells: Iterable[Configure]) -> Iterator[Problem]:
    """A readout that trains nothing depends on no adapter and no training: there is nothing to search in them."""
    readouts = dict.fromkeys(config.readout.name for config in _configured(cells))
    used = {section for name in readouts for section in plugins.load(READOUTS, name).uses}
    if not readouts or {"readout", "readout.name"} & set(space):
        return
    for path in (path for path in space if path.partition(".")[0] in {*SECTIONS} - used):
        step = "remove the parameter, or take a readout that is trained"
        which = f"{'readouts' if len(readouts) > 1 else 'readout'} {', '.join(readouts)}"
        yield Problem("nothing depends on this parameter", f"search.space.{cut(path)}", which, "", step)


def _configured(cells: Iterable[Configure]) -> Iterator[Any]:
    for configure in cells:
        with suppress(InputError):  # it is wrong without any parameter, and that is said elsewhere
            yield configure({})


def check_rules(search: Search, select_metric: str, seeds: tuple[int, ...]) -> list[Problem]:
    """Return which of a search's settings contradict each other.

    Args:
        search: the section, as pydantic read it.
        select_metric: what chooses the epoch that is kept.
        seeds: of the proposals.
    """
    found = [*_check_objectives(search, select_metric), *_check_fresh(search.confirm.seeds, seeds)]
    return [*found, *_check_sampler(search)]


def _check_objectives(search: Search, select_metric: str) -> Iterator[Problem]:
    objectives = search.objectives
    if len(set(objectives)) != len(objectives):
        yield Problem("an objective is written twice", "search.objectives", ", ".join(objectives))
    for name in objectives:
        kind = METRICS[name].kind
        if (kind == "quality" and name != select_metric) or kind == "rate":
            allowed = f"{select_metric}, or a cost"
            step = "the epoch that is kept is chosen by select.metric: search by the same"
            yield Problem("this cannot be an objective", "search.objectives", name, allowed, step)
    if search.pruning and objectives not in ((), (select_metric,)):
        got = ", ".join(objectives)
        yield Problem("halving needs select.metric as the one objective", "search.pruning", got, select_metric)
    for path in (path for path in search.space if search.pruning and _sets_epochs(path, search.space[path])):
        what = "halving compares proposals after so many epochs, so their number cannot be searched"
        yield Problem(what, f"search.space.{path}", next_step="remove the parameter, or pruning")


def _sets_epochs(path: str, parameter: Parameter) -> bool:
    is_inside = any(isinstance(value, dict) and "epochs" in value for value in parameter.choice or ())
    return path == "training.epochs" or (path == "training" and is_inside)


def _check_fresh(fresh: tuple[int, ...], seeds: tuple[int, ...]) -> Iterator[Problem]:
    place = "search.confirm.seeds"
    if both := sorted({*fresh} & {*seeds}):
        step = "take others: seeds that the search has seen are not fresh"
        yield Problem("a seed confirms what it has helped to choose", place, shorten(both), "", step)
    if twice := sorted(seed for seed, count in Counter(fresh).items() if count > 1):
        yield Problem(f"seeds are written twice: {shorten(twice)}", place, shorten(list(fresh)))
    if any(not 0 <= seed < 2**31 for seed in fresh):
        yield Problem("a seed lies outside 0 to 2147483647", place, shorten(list(fresh)))


def _check_sampler(search: Search) -> Iterator[Problem]:
    if search.sampler == "cmaes" and len(search.objectives) > 1:
        yield Problem("this sampler takes one objective", "search.sampler", "cmaes", "tpe, gp, random, grid")
    if search.sampler == "cmaes" and find_spec("cmaes") is None:
        step = 'install it: python -m pip install -e ".[cmaes]"'
        yield Problem("this sampler needs a package that is not installed", "search.sampler", "cmaes", "", step)
    if search.sampler in ("gp", "cmaes") and search.pruning:
        step = "take another sampler, or remove pruning"
        what = "this sampler learns from whole proposals only, so it cannot be used with pruning"
        yield Problem(what, "search.sampler", search.sampler, "tpe, random, grid", step)
    if search.sampler == "grid":
        yield from _check_grid(search.space)


def _check_grid(space: Mapping[str, Parameter]) -> Iterator[Problem]:
    endless = [path for path, parameter in space.items() if parameter.choice is None and not parameter.is_whole]
    for path in endless:
        place = f"search.space.{path}"
        yield Problem("a grid needs values that can be counted", place, space[path].kind, "choice or int")
    is_large = any(parameter.values() is None for parameter in space.values())
    if not endless and (is_large or len(grid(space, GRID_MAX + 1)) > GRID_MAX):
        got = f"more than {GRID_MAX}: {' x '.join(str(_num_values(each)) for each in space.values())} values"
        step = "name fewer values, or take another sampler"
        yield Problem("too many points for a grid", "search.space", got, f"at most {GRID_MAX}", step)


def _num_values(parameter: Parameter) -> int:
    low, high = (0, 0) if parameter.choice is not None else parameter.bounds
    return len(parameter.choice) if parameter.choice is not None else int(high) - int(low) + 1
