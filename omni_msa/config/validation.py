"""Errors of pydantic turned into problems that say what to change in the configuration."""

import re
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import ValidationError

from omni_msa.config.sections import Section
from omni_msa.errors import Problem, did_you_mean
from omni_msa.text import count

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_MAPPINGS = dict.fromkeys(("model_type", "dict_type"), "a mapping of names to values")
_LISTS = dict.fromkeys(("tuple_type", "list_type"), "a list in square brackets")
_ALLOWED = {**_MAPPINGS, **_LISTS, "string_type": "text"}


def explain(
    error: ValidationError, model: type[Section], where: str = "", options: dict[str, Any] | None = None
) -> list[Problem]:
    """Turn the errors of pydantic into problems.

    Args:
        error: raised while validating a `model`.
        model: the class that was validated.
        where: file that the values come from.
        options: for each plug-in section, the class its values were validated against.
    """
    items = error.errors()
    # A list whose items were refused is also reported as too short: only the items matter.
    parents = {item["loc"][:-1] for item in items}
    relevant = (item for item in items if item["type"] != "too_short" or item["loc"] not in parents)
    return [_problem(item, model, where, options or {}) for item in relevant]


def _problem(item: "ErrorDetails", model: type[Section], where: str, options: dict[str, Any]) -> Problem:
    path = [cut(str(part)) for part in item["loc"]]
    key = f"{where} {'.'.join(path)}".strip()
    got, context = shorten(item["input"]), item.get("ctx", {})
    if item["type"] == "extra_forbidden":
        known = _fields_at(model, path[:-1], options)
        return Problem("unknown key", key, repr(path[-1]), ", ".join(known), did_you_mean(path[-1], known))
    if item["type"] == "missing":
        return Problem("a key is missing", key, next_step=f"add {path[-1]}")
    if item["type"] == "unknown_name":
        return Problem(
            item["msg"], key, got, context["allowed"], did_you_mean(item["input"], context["allowed"].split(", "))
        )
    if item["type"] in _ALLOWED:
        return Problem("wrong value", key, got, _ALLOWED[item["type"]])
    if item["type"] == "too_short":
        return Problem("wrong value", key, got, f"at least {count(context['min_length'], 'item')}")
    if item["type"] == "string_pattern_mismatch":
        return Problem("wrong value", key, got, f"text that matches the pattern {context['pattern']}")
    if not item["msg"].startswith("Input should be "):
        return Problem(item["msg"].removeprefix("Value error, "), key, got)
    names = re.findall(r"'([^']*)'", str(context.get("expected", "")))
    hint = did_you_mean(item["input"], names) if isinstance(item["input"], str) else ""
    return Problem("wrong value", key, got, item["msg"].removeprefix("Input should be "), hint)


def shorten(value: Any) -> str:
    """Return the `repr` of a value for a message, cut to 200 characters."""
    return cut(repr(value))


def cut(text: str) -> str:
    """Return a text for a message, cut to 200 characters."""
    return text if len(text) <= 200 else f"{text[:197]}..."


def _fields_at(model: Any, path: list[str], options: dict[str, Any]) -> list[str]:
    """Return the keys allowed at a path; none if there is no section at that path."""
    is_key = False  # whether the next part is a key of a mapping, where any name is allowed
    for part in path:
        fields = getattr(model, "model_fields", {})
        if is_key:
            is_key = False
            continue
        if part not in fields:
            return []
        is_key = get_origin(fields[part].annotation) is dict
        kinds = [options.get(part, fields[part].annotation), *get_args(fields[part].annotation)]
        model = next((kind for kind in kinds if hasattr(kind, "model_fields")), None)
        options = {}
    return list(getattr(model, "model_fields", {}))
