"""Whether every point of a space is a configuration: each value alone, pairs of values, and points drawn at random.

Pairs are tried where one of the two is a name or a mapping: such a value decides which others there may be.
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
"""Makes a configuration from parameters; raises InputError, each `where` a dotted path into the configuration."""

NUM_POINTS = 100
"""Points that are drawn at random, of all cells together."""

Space = Mapping[str, Parameter]


@dataclass
class _Found:
    """What was found so far, each cause once.

    Args:
        problems: what is to be said.
        causes: sets of paths that are at fault together.
        bad: sets of values that are refused, whatever is beside them, each value as (path, text).
    """

    problems: list[Problem] = field(default_factory=list)
    causes: list[frozenset[str]] = field(default_factory=list)
    bad: set[frozenset[tuple[str, str]]] = field(default_factory=set)


def check_points(space: Space, cells: Sequence[Configure]) -> list[Problem]:
    """Return which points of a space the configuration refuses, one problem for each cause.

    Args:
        space: dotted path to parameter; conditions name parameters of the space alone and do not go round in a circle.
        cells: for each cell of the axes, what makes a configuration of it; one that is refused without any parameter is
            passed over: that is said elsewhere.
    """
    found, sound = _Found(), [configure for configure in cells if not refused(configure, {})]
    kinds: dict[Any, Configure] = {}
    for configure in sound:
        _check_values(space, configure, found)
        kinds.setdefault(getattr(getattr(configure({}), "readout", None), "name", None), configure)
    for configure in kinds.values():
        for one, other in itertools.combinations(ordered(space), 2):
            if _is_named(space[one]) or _is_named(space[other]):
                _check_pair(space, one, other, configure, found)
    for configure, point in zip(itertools.cycle(sound), drawn(space), strict=False):
        _check_point(space, point, configure, found)
    return list(dict.fromkeys(found.problems))


def refused(configure: Configure, point: Parameters) -> tuple[Problem, ...]:
    """Return why a point is no configuration; none if it is one."""
    names_first = sorted(point, key=lambda path: not path.endswith(".name"))  # another plug-in has other options
    try:
        configure({path: point[path] for path in names_first})
    except InputError as error:
        return error.problems
    return ()


def at_ends(space: Space) -> list[tuple[str, dict[str, Any]]]:
    """Return (path, point) for all values of each choice and both ends of each range, with what it counts under."""
    return [
        (path, {**given, path: value})
        for path in space
        for value, given in itertools.product(space[path].ends(), _ways(space, path))
    ]


def drawn(space: Space, num: int = NUM_POINTS) -> list[dict[str, Any]]:
    """Return points drawn at random, the same ones each time."""
    random = Random(0)
    return [_draw(space, random) for _ in range(num)]


def of_parameter(problem: Problem, path: str) -> Problem:
    """Return a problem of the configuration as one of the parameter that makes it."""
    inside = problem.where if f"{problem.where}.".startswith(f"{path}.") else path
    return Problem(problem.what, f"search.space.{inside}", problem.got, problem.allowed, problem.next_step)


def at_fault(problem: Problem, paths: Sequence[str]) -> str:
    """Return which of some parameters a problem is about: the nearest one, else the last."""
    inside = [path for path in paths if f"{problem.where}.".startswith(f"{path}.")]
    return max(inside, key=len, default=paths[-1])


def _is_named(parameter: Parameter) -> bool:
    return any(isinstance(value, str | dict) for value in parameter.choice or ())


def _ways(space: Space, path: str) -> list[dict[str, Any]]:
    """Return the settings of other parameters at which one counts."""
    ways: list[dict[str, Any]] = [{}]
    for other, values in space[path].when.items():
        above = _ways(space, other)
        ways = [{**way, **up, other: value} for way in ways for up in above for value in wanted(values)]
    return ways


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


def _check_values(space: Space, configure: Configure, found: _Found) -> None:
    """Put all values of each choice and both ends of each range into the configuration.

    A value that is well under one condition and not under another is left to the pairs.
    """
    said: dict[tuple[str, ...], Problem] = {}
    tried = [(path, point, refused(configure, point)) for path, point in at_ends(space)]
    well = {(path, text(point[path])) for path, point, problems in tried if not problems}
    for path, point, problems in tried:
        if (path, text(point[path])) in well:
            continue
        for problem in (of_parameter(problem, path) for problem in problems):
            each = (problem.got,) if space[path].choice else ()  # both ends of a range: once is enough
            said.setdefault((path, problem.what, problem.where, *each), problem)
            found.bad.add(_values({path: point[path]}))
            found.causes.append(frozenset({path}))
    found.problems += said.values()


def _check_pair(space: Space, one: str, other: str, configure: Configure, found: _Found) -> None:
    """Put each pair of values into the configuration that can stand beside each other and are well alone."""
    wrong: list[tuple[dict[str, Any], Problem]] = []
    right: list[dict[str, Any]] = []
    before = set(found.bad)  # its conditions may be refused beside one of the two, and that is said already
    for point in _pairs(space, one, other):
        if not any(bad <= _values(point) for bad in before):
            problems = refused(configure, point)
            wrong += [(point, problem) for problem in problems[:1]]
            right += [] if problems else [point]
    found.bad |= {_values({one: point[one], other: point[other]}) for point, _ in wrong}
    if wrong and frozenset({one, other}) not in found.causes:
        found.causes.append(frozenset({one, other}))
        found.problems.append(_of_pair(space, (one, other), wrong, right))


def _values(point: Parameters) -> frozenset[tuple[str, str]]:
    return frozenset((path, text(value)) for path, value in point.items())


def _pairs(space: Space, one: str, other: str) -> Iterator[dict[str, Any]]:
    """Yield the points at which both count, with what they count under."""
    ways = list(itertools.product(_ways(space, one), _ways(space, other)))
    for first, second in itertools.product(space[one].ends(), space[other].ends()):
        for above, beside in ways:
            point = {**above, **beside, one: first, other: second}
            if all(counts(space[path], point) for path in point):
                yield point


def _of_pair(
    space: Space, pair: tuple[str, str], wrong: list[tuple[dict[str, Any], Problem]], right: list[dict[str, Any]]
) -> Problem:
    """Say of two parameters that they do not go together, and with which condition they do."""
    point, problem = wrong[0]
    path = at_fault(problem, pair)
    other = next(each for each in pair if each != path)
    refuse = {text(point[other]) for point, _ in wrong}
    good = list({text(point[other]): point[other] for point in right if text(point[other]) not in refuse}.values())
    step = f"leave one of them out, or give one of them a `when`: {problem.next_step}".removesuffix(": ")
    if good and space[other].choice is not None and path not in _above(space, other):
        values = [label({"": value}).removeprefix("=") for value in good]
        several = values[0] if len(values) == 1 else f"[{', '.join(values)}]"
        step = f"give {path} `when: {{{other}: {several}}}`"
    got = f"{label({each: point[each] for each in (other, path)})}: {problem.what}"
    return Problem("two parameters do not go together", f"search.space.{path}", cut(got), "", step)


def _above(space: Space, path: str) -> set[str]:
    """Return the parameters that the conditions of one depend on."""
    return {path for way in _ways(space, path) for path in way}


def _check_point(space: Space, point: dict[str, Any], configure: Configure, found: _Found) -> None:
    """Put a whole point into the configuration; of one that is refused find the parameters that do it."""
    for problem in refused(configure, point)[:1]:
        least = _least(space, point, configure)
        if any(cause <= set(least) for cause in found.causes):
            return
        own = [path for path in least if not any(path in _above(space, other) for other in least)] or [*least]
        found.causes.append(frozenset(own))
        problem = next(iter(refused(configure, least)), problem)
        if len(own) == 1:
            found.problems.append(of_parameter(problem, own[0]))
        elif len(own) == 2:
            found.problems.append(_of_pair(space, (own[0], own[1]), [(least, problem)], []))
        else:
            got = cut(f"{label({path: least[path] for path in own})}: {problem.what}")
            where = f"search.space.{at_fault(problem, own)}"
            step = "leave one of them out, or give one of them a `when`"
            found.problems.append(Problem("these parameters do not go together", where, got, "", step))


def _least(space: Space, point: dict[str, Any], configure: Configure) -> dict[str, Any]:
    """Return a part of a point that is refused while no smaller part of it is."""
    least = dict(point)
    for path in reversed(ordered(space)):
        rest = {other: value for other, value in least.items() if other != path}
        is_part = path in least and all(counts(space[other], rest) for other in rest)
        if is_part and refused(configure, rest):
            least = rest
    return least
