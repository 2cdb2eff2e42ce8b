"""Checks that the points of a search space are valid configurations: single values, pairs, and random points.

A pair of parameters is tried if one of them has names or mappings as values, for these decide which other keys exist.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from omni_msa.config.validation import cut
from omni_msa.errors import InputError, Problem
from omni_msa.sweep.search_space import Parameter, Parameters, counts, label, ordered, text, wanted

Configure = Callable[[Parameters], Any]
"""Makes a configuration from parameters; raises InputError, whose `where` are dotted paths into the configuration."""

NUM_POINTS = 100
"""How many random points are tried, over all cells together."""

Space = Mapping[str, Parameter]


@dataclass
class _Findings:
    """The problems found so far, each cause once.

    Args:
        problems: to be reported.
        causes: sets of paths that cause a problem together.
        bad: sets of values that are refused together, whatever the other parameters are, each as (path, text).
    """

    problems: list[Problem] = field(default_factory=list)
    causes: list[frozenset[str]] = field(default_factory=list)
    bad: set[frozenset[tuple[str, str]]] = field(default_factory=set)


def check_points(space: Space, cells: Sequence[Configure]) -> list[Problem]:
    """Return a problem for each cause why points of a space are no valid configurations.

    Args:
        space: dotted path to parameter; conditions name only parameters of the space and form no circle.
        cells: for each cell of the axes, the function that makes a configuration from parameters; a cell that is
            refused without any parameter is skipped, as that is reported with the axes.
    """
    findings, valid_cells = _Findings(), [configure for configure in cells if not refused(configure, {})]
    kinds: dict[Any, Configure] = {}
    for configure in valid_cells:
        _check_values(space, configure, findings)
        kinds.setdefault(getattr(getattr(configure({}), "readout", None), "name", None), configure)
    for configure in kinds.values():
        for path, other in itertools.combinations(ordered(space), 2):
            if _is_named(space[path]) or _is_named(space[other]):
                _check_pair(space, path, other, configure, findings)
    for configure, point in zip(itertools.cycle(valid_cells), drawn(space), strict=False):
        _check_point(space, point, configure, findings)
    return list(dict.fromkeys(findings.problems))


def refused(configure: Configure, point: Parameters) -> tuple[Problem, ...]:
    """Return the problems of a point as a configuration, () if it is a valid one."""
    names_first = sorted(point, key=lambda path: not path.endswith(".name"))  # the name decides which options exist
    try:
        configure({path: point[path] for path in names_first})
    except InputError as error:
        return error.problems
    return ()


def at_ends(space: Space) -> list[tuple[str, dict[str, Any]]]:
    """Return (path, point) for all values of each choice and both ends of each range.

    A point holds the value and, of other parameters, the values at which this one is active.
    """
    return [
        (path, {**conditions, path: value})
        for path in space
        for value, conditions in itertools.product(space[path].ends(), _condition_settings(space, path))
    ]


def drawn(space: Space, num: int = NUM_POINTS) -> list[dict[str, Any]]:
    """Return `num` random points of the space; every call returns the same."""
    random = Random(0)
    return [_draw(space, random) for _ in range(num)]


def of_parameter(problem: Problem, path: str) -> Problem:
    """Return a problem of a configuration as a problem of the search parameter that causes it."""
    inside = problem.where if f"{problem.where}.".startswith(f"{path}.") else path
    return Problem(problem.what, f"search.space.{inside}", problem.got, problem.allowed, problem.next_step)


def at_fault(problem: Problem, paths: Sequence[str]) -> str:
    """Return the parameter that a problem is about: the most specific path that contains it, else the last."""
    inside = [path for path in paths if f"{problem.where}.".startswith(f"{path}.")]
    return max(inside, key=len, default=paths[-1])


def _is_named(parameter: Parameter) -> bool:
    return any(isinstance(value, str | dict) for value in parameter.choice or ())


def _condition_settings(space: Space, path: str) -> list[dict[str, Any]]:
    """Return all settings of other parameters at which a parameter is active."""
    settings: list[dict[str, Any]] = [{}]
    for other, values in space[path].when.items():
        parents = _condition_settings(space, other)
        settings = [{**own, **outer, other: value} for own in settings for outer in parents for value in wanted(values)]
    return settings


def _draw(space: Space, random: Random) -> dict[str, Any]:
    point: dict[str, Any] = {}
    for path in ordered(space):
        if counts(space[path], point):
            point[path] = _value(space[path], random)
    return point


def _value(parameter: Parameter, random: Random) -> Any:
    if parameter.choice is not None:
        return random.choice(parameter.choice)
    low, high = parameter.bounds
    if parameter.is_log:
        value = min(high, max(low, math.exp(random.uniform(math.log(low), math.log(high)))))
        return round(value) if parameter.is_whole else value
    return random.randint(int(low), int(high)) if parameter.is_whole else random.uniform(low, high)


def _check_values(space: Space, configure: Configure, findings: _Findings) -> None:
    """Try all values of each choice and both ends of each range.

    A value that is accepted under one condition and refused under another is left to `_check_pair`.
    """
    problem_of_cause: dict[tuple[str, ...], Problem] = {}
    tried = [(path, point, refused(configure, point)) for path, point in at_ends(space)]
    accepted = {(path, text(point[path])) for path, point, problems in tried if not problems}
    for path, point, problems in tried:
        if (path, text(point[path])) in accepted:
            continue
        for problem in (of_parameter(problem, path) for problem in problems):
            value = (problem.got,) if space[path].choice else ()  # of a range, one report for both ends
            problem_of_cause.setdefault((path, problem.what, problem.where, *value), problem)
            findings.bad.add(_values({path: point[path]}))
            findings.causes.append(frozenset({path}))
    findings.problems += problem_of_cause.values()


def _check_pair(space: Space, path: str, other: str, configure: Configure, findings: _Findings) -> None:
    """Try all pairs of values of two parameters that can be active together and are accepted one by one."""
    refusals: list[tuple[dict[str, Any], Problem]] = []
    accepted: list[dict[str, Any]] = []
    refused_before = set(findings.bad)  # these are reported already
    for point in _pair_points(space, path, other):
        if not any(bad <= _values(point) for bad in refused_before):
            problems = refused(configure, point)
            refusals += [(point, problem) for problem in problems[:1]]
            accepted += [] if problems else [point]
    findings.bad |= {_values({path: point[path], other: point[other]}) for point, _ in refusals}
    if refusals and frozenset({path, other}) not in findings.causes:
        findings.causes.append(frozenset({path, other}))
        findings.problems.append(_pair_problem(space, (path, other), refusals, accepted))


def _values(point: Parameters) -> frozenset[tuple[str, str]]:
    return frozenset((path, text(value)) for path, value in point.items())


def _pair_points(space: Space, path: str, other: str) -> Iterator[dict[str, Any]]:
    """Yield the points at which both parameters are active, with the settings that their conditions need."""
    settings = list(itertools.product(_condition_settings(space, path), _condition_settings(space, other)))
    for first, second in itertools.product(space[path].ends(), space[other].ends()):
        for setting, other_setting in settings:
            point = {**setting, **other_setting, path: first, other: second}
            if all(counts(space[name], point) for name in point):
                yield point


def _pair_problem(
    space: Space, pair: tuple[str, str], refusals: list[tuple[dict[str, Any], Problem]], accepted: list[dict[str, Any]]
) -> Problem:
    """Return the problem that two parameters exclude each other, with a condition that would allow both."""
    point, problem = refusals[0]
    path = at_fault(problem, pair)
    other = next(name for name in pair if name != path)
    bad = {text(point[other]) for point, _ in refusals}
    good = list({text(point[other]): point[other] for point in accepted if text(point[other]) not in bad}.values())
    step = f"remove one of them, or give one of them a `when`: {problem.next_step}".removesuffix(": ")
    if good and space[other].choice is not None and path not in _parents(space, other):
        values = [label({"": value}).removeprefix("=") for value in good]
        condition = values[0] if len(values) == 1 else f"[{', '.join(values)}]"
        step = f"give {path} `when: {{{other}: {condition}}}`"
    got = f"{label({name: point[name] for name in (other, path)})}: {problem.what}"
    return Problem("two parameters exclude each other", f"search.space.{path}", cut(got), "", step)


def _parents(space: Space, path: str) -> set[str]:
    """Return the parameters that a parameter's conditions depend on, directly or through others."""
    return {path for setting in _condition_settings(space, path) for path in setting}


def _check_point(space: Space, point: dict[str, Any], configure: Configure, findings: _Findings) -> None:
    """Try a whole point; if it is refused, find a minimal set of parameters that causes it."""
    for problem in refused(configure, point)[:1]:
        least = _least(space, point, configure)
        if any(cause <= set(least) for cause in findings.causes):
            return
        causes = [path for path in least if not any(path in _parents(space, other) for other in least)] or [*least]
        findings.causes.append(frozenset(causes))
        problem = next(iter(refused(configure, least)), problem)
        if len(causes) == 1:
            findings.problems.append(of_parameter(problem, causes[0]))
        elif len(causes) == 2:
            findings.problems.append(_pair_problem(space, (causes[0], causes[1]), [(least, problem)], []))
        else:
            got = cut(f"{label({path: least[path] for path in causes})}: {problem.what}")
            where = f"search.space.{at_fault(problem, causes)}"
            step = "remove one of them, or give one of them a `when`"
            findings.problems.append(Problem("these parameters exclude each other", where, got, "", step))


def _least(space: Space, point: dict[str, Any], configure: Configure) -> dict[str, Any]:
    """Return a minimal part of a refused point: it is refused, and accepted without any one of its parameters."""
    least = dict(point)
    for path in reversed(ordered(space)):
        rest = {other: value for other, value in least.items() if other != path}
        is_part = path in least and all(counts(space[other], rest) for other in rest)
        if is_part and refused(configure, rest):
            least = rest
    return least
