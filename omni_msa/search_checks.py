"""What can be wrong with a search beside the shape of its section: every problem, each in the words of the file."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from omni_msa.errors import InputError, Problem, did_you_mean
from omni_msa.explain import cut, shorten
from omni_msa.metrics import METRICS
from omni_msa.search_space import SECTIONS, Parameter, Parameters, Search, ordered, wanted

Configure = Callable[[Parameters], Any]
"""Makes a configuration from parameters; raises InputError, each `where` a dotted path into the configuration."""


def check_space(space: Mapping[str, Parameter], cells: Iterable[Configure], axes: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with a space beside the shape of its parameters.

    Args:
        space: dotted path to parameter.
        cells: for each cell of the axes, what makes a configuration of it.
        axes: of the sweep.
    """
    problems = [*_check_paths(space, axes), *_check_conditions(space)]
    usable = {path for path in space if not any(_names(problem, path) for problem in problems)}
    if not any(problem.where == "search.space" for problem in problems):
        problems += [problem for configure in cells for problem in _check_values(space, usable, configure)]
    return list(dict.fromkeys(problems))


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
            if other not in space or other == path:
                hint = did_you_mean(other, space)
                yield Problem("not another parameter of the space", place, shorten(other), ", ".join(space), hint)
            elif never := [value for value in wanted(values) if not space[other].has(value)]:
                allowed = shorten(list(space[other].ends()))
                yield Problem("the other parameter never has this value", place, shorten(never[0]), allowed)
    try:
        ordered(space)
    except ValueError as error:
        yield Problem("conditions go round in a circle", "search.space", str(error), "", "remove one of them")


def _check_values(space: Mapping[str, Parameter], usable: set[str], configure: Configure) -> Iterator[Problem]:
    """Put every end of every range into the configuration, with the conditions that it counts under."""
    try:
        configure({})
    except InputError:
        return  # the configuration is wrong without any parameter, and that is said elsewhere
    for path in (path for path in space if path in usable):
        found: dict[tuple[str, ...], Problem] = {}
        for value, given in itertools.product(space[path].ends(), _ways(space, path)):
            if not usable.issuperset(given):
                continue
            try:
                configure({**given, path: value})
            except InputError as error:
                for problem in (_of_parameter(problem, path) for problem in error.problems):
                    each = (problem.got,) if space[path].choice else ()  # both ends of a range: once is enough
                    found.setdefault((problem.what, problem.where, *each), problem)
        yield from found.values()


def _of_parameter(problem: Problem, path: str) -> Problem:
    inside = problem.where if f"{problem.where}.".startswith(f"{path}.") else path
    return Problem(problem.what, f"search.space.{inside}", problem.got, problem.allowed, problem.next_step)


def _ways(space: Mapping[str, Parameter], path: str) -> list[dict[str, Any]]:
    """Return the settings of other parameters at which one counts."""
    ways: list[dict[str, Any]] = [{}]
    for other, values in space[path].when.items():
        if other in space:
            above = _ways(space, other)
            ways = [{**way, **up, other: value} for way in ways for up in above for value in wanted(values)]
    return ways


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
    if search.sampler == "grid":
        for path in (path for path, parameter in search.space.items() if parameter.values() is None):
            kind = search.space[path].kind
            yield Problem("a grid needs values that can be counted", f"search.space.{path}", kind, "choice or int")
