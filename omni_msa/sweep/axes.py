"""Checks of the axes of a sweep file, before they are expanded into cells."""

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
    """Return the axes that can be expanded, and the problems of the others.

    Args:
        written: the value of `axes` as read from the sweep file, of any type.

    Returns:
        axis to list of values, and the problems; no axes at all if they would make more than 10,000 cells.
    """
    axes: dict[str, list[Any]] = {}
    problems: list[Problem] = []
    named = written.items() if isinstance(written, dict) else ()
    lists = {axis: values for axis, values in named if isinstance(values, list)}
    for axis, values in lists.items():
        axis_problems = _check_axis(axis, values) or _check_overlap(axis, lists)
        problems += axis_problems
        if not axis_problems:
            axes[axis] = values
    if (num_cells := math.prod(map(len, axes.values()))) > _CELLS_MAX:
        return {}, [*problems, Problem("too many cells", "axes", str(num_cells), f"at most {_CELLS_MAX}")]
    return axes, problems


def _check_axis(axis: str, values: list[Any]) -> list[Problem]:
    where, first = f"axes.{cut(axis)}", axis.partition(".")[0]
    if first not in _AXES or not all(axis.split(".")):
        allowed = f"{', '.join(_AXES)}, or a path into one of them, such as adapter.rank"
        step = "list the seeds under the key seeds" if first in ("seed", "seeds") else did_you_mean(first, _AXES)
        return [Problem("unknown axis", where, shorten(axis), allowed, step)]
    if not values:
        return [Problem("the axis is empty", where, "[]", "at least one value", "add a value or remove the axis")]
    written = [json.dumps(value, sort_keys=True) for value in values]
    repeated = sorted(value for value, count in Counter(written).items() if count > 1)
    return [Problem("a value is listed twice on the axis", where, cut(value), "each value once") for value in repeated]


def _check_overlap(axis: str, axes: dict[str, list[Any]]) -> list[Problem]:
    """Refuse an axis such as `readout.decimals` if a value of the outer axis (`readout`) sets the same key."""
    for outer in (other for other in axes if axis.startswith(f"{other}.")):
        key = axis.removeprefix(f"{outer}.").partition(".")[0]
        if key == "name" or any(isinstance(value, dict) and key in value for value in axes[outer]):
            return [Problem("two axes set the same key", f"axes.{axis}", f"{outer} and {axis}", "only one of them")]
    return []


def name_axis(problem: Problem, point: dict[str, Any]) -> Problem:
    """Return the problem with `axes.<axis>` in its `where` if the wrong value comes from an axis, else unchanged.

    Args:
        problem: its `where` is a dotted path into the configuration.
        point: axis to value, for the cell that was refused.
    """
    for axis in sorted(point, key=len, reverse=True):
        if f"{problem.where}.".startswith(f"{axis}."):
            is_whole = not isinstance(point[axis], dict)
            return replace(problem, where=f"axes.{axis if is_whole else problem.where}")
        if axis.startswith(f"{problem.where}."):  # the axis sets keys below a plain value
            return replace(problem, where=f"axes.{axis}")
    return problem
