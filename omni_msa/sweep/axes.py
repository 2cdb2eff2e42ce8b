"""The axes of a sweep file: which can be expanded, and what is wrong with the others."""

import json
import math
from collections import Counter
from dataclasses import replace
from typing import Any

from omni_msa.config.trial import TrialConfig
from omni_msa.config.validation import cut, shorten
from omni_msa.errors import Problem, did_you_mean

_NO_AXES = ("seed", "runtime", "dropped_clips", "opens_test", "stops_after_epoch")
_AXES = tuple(name for name in TrialConfig.model_fields if name not in _NO_AXES)
_CELLS_MAX = 10_000


def usable_axes(written: Any) -> tuple[dict[str, list[Any]], list[Problem]]:
    """Return the axes that can be expanded and what is wrong with the others.

    Args:
        written: the `axes` of a sweep file, whatever was written there.
    """
    axes: dict[str, list[Any]] = {}
    problems: list[Problem] = []
    named = written.items() if isinstance(written, dict) else ()
    lists = {axis: values for axis, values in named if isinstance(values, list)}
    for axis, values in lists.items():
        found = _check_axis(axis, values) or _check_overlap(axis, lists)
        problems += found
        if not found:
            axes[axis] = values
    if (num_cells := math.prod(map(len, axes.values()))) > _CELLS_MAX:
        return {}, [*problems, Problem("too many cells", "axes", str(num_cells), f"at most {_CELLS_MAX}")]
    return axes, problems


def _check_axis(axis: str, values: list[Any]) -> list[Problem]:
    place, first = f"axes.{cut(axis)}", axis.partition(".")[0]
    if first not in _AXES or not all(axis.split(".")):
        allowed = f"{', '.join(_AXES)}, or a path into them as adapter.rank"
        step = "seeds have their own key" if first in ("seed", "seeds") else did_you_mean(first, _AXES)
        return [Problem("unknown axis", place, shorten(axis), allowed, step)]
    if not values:
        return [Problem("the axis is empty", place, "[]", "at least one value", "add a value or remove the axis")]
    written = [json.dumps(value, sort_keys=True) for value in values]
    twice = sorted(value for value, count in Counter(written).items() if count > 1)
    return [Problem("a value stands twice on the axis", place, cut(value), "each value once") for value in twice]


def _check_overlap(axis: str, axes: dict[str, list[Any]]) -> list[Problem]:
    """An axis inside another one may only set keys that the other's values leave open."""
    for outer in (other for other in axes if axis.startswith(f"{other}.")):
        key = axis.removeprefix(f"{outer}.").partition(".")[0]
        if key == "name" or any(isinstance(value, dict) and key in value for value in axes[outer]):
            return [Problem("two axes set the same key", f"axes.{axis}", f"{outer} and {axis}", "one of them")]
    return []


def name_axis(problem: Problem, point: dict[str, Any]) -> Problem:
    """Return a problem that says `axes.<axis>` where the value at fault came from an axis.

    Args:
        problem: its `where` is a dotted path into the configuration.
        point: axis to value.
    """
    for axis in sorted(point, key=len, reverse=True):
        if f"{problem.where}.".startswith(f"{axis}."):
            is_whole = not isinstance(point[axis], dict)
            return replace(problem, where=f"axes.{axis if is_whole else problem.where}")
        if axis.startswith(f"{problem.where}."):  # the axis made keys where none can be
            return replace(problem, where=f"axes.{axis}")
    return problem
