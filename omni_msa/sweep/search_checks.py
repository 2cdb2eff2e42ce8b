"""Checks of a sweep file's `search` section that go beyond types and ranges: all problems, each with its key."""

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
    """Return the problems of a search space whose parameters are well-formed one by one.

    Args:
        space: dotted path to parameter.
        cells: for each cell of the axes, the function that makes a configuration from parameters.
        axes: the axes of the sweep, name to values.
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
    """Return a space without some parameters and without those whose conditions name them."""
    kept = {path: parameter for path, parameter in space.items() if path not in paths}
    orphaned = {path for path, parameter in kept.items() if not kept.keys() >= parameter.when.keys()}
    return _without(kept, orphaned) if orphaned else kept


def _names(problem: Problem, path: str) -> bool:
    return f"{problem.where}.".startswith(f"search.space.{path}.")


def _check_paths(space: Mapping[str, Parameter], axes: Mapping[str, Any]) -> Iterator[Problem]:
    for path in space:
        where, first = f"search.space.{cut(path)}", path.partition(".")[0]
        if first not in SECTIONS or not all(path.split(".")):
            allowed = f"a path into {', '.join(SECTIONS)}, such as adapter.rank"
            yield Problem("unknown parameter", where, shorten(path), allowed, did_you_mean(first, SECTIONS))
        if path == "training.select_metric":
            yield Problem("select.metric sets this", where, shorten(path), "", "remove the parameter")
        for axis in (axis for axis in axes if _overlap(axis, path)):
            yield Problem("a parameter is also an axis", where, f"axes.{cut(axis)}", "only one of them")
        for other in (other for other in space if other != path and path.startswith(f"{other}.")):
            values = space[other].ends()
            key = path.removeprefix(f"{other}.").partition(".")[0]
            if key == "name" or any(isinstance(value, dict) and key in value for value in values):
                yield Problem("two parameters set the same key", where, f"{other} and {path}", "only one of them")


def _overlap(first: str, second: str) -> bool:
    return f"{first}.".startswith(f"{second}.") or f"{second}.".startswith(f"{first}.")


def _check_conditions(space: Mapping[str, Parameter]) -> Iterator[Problem]:
    for path, parameter in space.items():
        for other, values in parameter.when.items():
            where = f"search.space.{cut(path)}.when.{cut(other)}"
            others = [name for name in space if name != path]
            if other not in others:
                hint = did_you_mean(other, others) or "remove the condition"
                yield Problem("a condition names an unknown parameter", where, shorten(other), ", ".join(others), hint)
            elif not wanted(values):
                yield Problem("a condition without values never holds", where, "[]", shorten(list(space[other].ends())))
            elif impossible := [value for value in wanted(values) if not space[other].has(value)]:
                allowed = shorten(list(space[other].ends()))
                yield Problem("the other parameter never has this value", where, shorten(impossible[0]), allowed)
    try:
        ordered({path: _without_itself(path, parameter) for path, parameter in space.items()})
    except ValueError as error:
        yield Problem("the conditions form a circle", "search.space", str(error), "", "remove one of them")


def _without_itself(path: str, parameter: Parameter) -> Parameter:
    when = {other: values for other, values in parameter.when.items() if other != path}
    return parameter.model_copy(update={"when": when})


def _check_use(space: Mapping[str, Parameter], cells: Iterable[Configure]) -> Iterator[Problem]:
    """Yield the parameters without effect: of the adapter or of training, where no readout of the sweep is trained."""
    readouts = dict.fromkeys(config.readout.name for config in _configured(cells))
    used = {section for name in readouts for section in plugins.load(READOUTS, name).uses}
    if not readouts or {"readout", "readout.name"} & set(space):
        return
    for path in (path for path in space if path.partition(".")[0] in {*SECTIONS} - used):
        step = "remove the parameter, or choose a readout that is trained"
        which = f"{'readouts' if len(readouts) > 1 else 'readout'} {', '.join(readouts)}"
        yield Problem("this parameter has no effect", f"search.space.{cut(path)}", which, "", step)


def _configured(cells: Iterable[Configure]) -> Iterator[Any]:
    for configure in cells:
        with suppress(InputError):  # the cell itself is refused, which is reported with the axes
            yield configure({})


def check_rules(search: Search, select_metric: str, seeds: tuple[int, ...]) -> list[Problem]:
    """Return the problems of settings of a search that contradict each other.

    Args:
        search: the section, as pydantic read it.
        select_metric: the metric that chooses the epoch whose weights are kept.
        seeds: the seeds that every proposal is run with.
    """
    problems = [*_check_objectives(search, select_metric), *_check_fresh(search.confirm.seeds, seeds)]
    return [*problems, *_check_sampler(search)]


def _check_objectives(search: Search, select_metric: str) -> Iterator[Problem]:
    objectives = search.objectives
    if len(set(objectives)) != len(objectives):
        yield Problem("an objective is listed twice", "search.objectives", ", ".join(objectives))
    for name in objectives:
        kind = METRICS[name].kind
        if (kind == "quality" and name != select_metric) or kind == "rate":
            allowed = f"{select_metric}, or a cost such as train_s"
            step = "select.metric chooses the epoch that is kept: use that metric as the objective"
            yield Problem("this metric cannot be an objective", "search.objectives", name, allowed, step)
    if search.pruning and objectives not in ((), (select_metric,)):
        got = ", ".join(objectives)
        yield Problem("halving needs select.metric as its only objective", "search.pruning", got, select_metric)
    for path in (path for path in search.space if search.pruning and _sets_epochs(path, search.space[path])):
        what = "halving compares proposals after fixed numbers of epochs, so epochs cannot be searched"
        yield Problem(what, f"search.space.{path}", next_step="remove the parameter, or pruning")


def _sets_epochs(path: str, parameter: Parameter) -> bool:
    is_inside = any(isinstance(value, dict) and "epochs" in value for value in parameter.choice or ())
    return path == "training.epochs" or (path == "training" and is_inside)


def _check_fresh(fresh: tuple[int, ...], seeds: tuple[int, ...]) -> Iterator[Problem]:
    where = "search.confirm.seeds"
    if shared := sorted({*fresh} & {*seeds}):
        step = "choose other seeds: proposals are chosen by their results with these"
        yield Problem("a seed is used both to search and to confirm", where, shorten(shared), "", step)
    if repeated := sorted(seed for seed, count in Counter(fresh).items() if count > 1):
        yield Problem(f"seeds are listed twice: {shorten(repeated)}", where, shorten(list(fresh)))
    if any(not 0 <= seed < 2**31 for seed in fresh):
        yield Problem("a seed is outside 0 to 2147483647", where, shorten(list(fresh)))


def _check_sampler(search: Search) -> Iterator[Problem]:
    if search.sampler == "cmaes" and len(search.objectives) > 1:
        yield Problem("this sampler takes one objective", "search.sampler", "cmaes", "tpe, gp, random, grid")
    if search.sampler == "cmaes" and find_spec("cmaes") is None:
        step = 'install it: python -m pip install -e ".[cmaes]"'
        yield Problem("this sampler needs a package that is not installed", "search.sampler", "cmaes", "", step)
    if search.sampler in ("gp", "cmaes") and search.pruning:
        step = "choose another sampler, or remove pruning"
        what = "this sampler learns from complete proposals only, so it cannot be used with pruning"
        yield Problem(what, "search.sampler", search.sampler, "tpe, random, grid", step)
    if search.sampler == "grid":
        yield from _check_grid(search.space)


def _check_grid(space: Mapping[str, Parameter]) -> Iterator[Problem]:
    infinite = [path for path, parameter in space.items() if parameter.choice is None and not parameter.is_whole]
    for path in infinite:
        where = f"search.space.{path}"
        yield Problem("a grid search needs a finite list of values", where, space[path].kind, "choice, int or log_int")
    is_large = any(parameter.values() is None for parameter in space.values())
    if not infinite and (is_large or len(grid(space, GRID_MAX + 1)) > GRID_MAX):
        got = f"more than {GRID_MAX}: {' x '.join(str(_num_values(each)) for each in space.values())} values"
        step = "list fewer values, or choose another sampler"
        yield Problem("too many points for a grid", "search.space", got, f"at most {GRID_MAX}", step)


def _num_values(parameter: Parameter) -> int:
    low, high = (0, 0) if parameter.choice is not None else parameter.bounds
    return len(parameter.choice) if parameter.choice is not None else int(high) - int(low) + 1
