"""What pydantic says about a configuration, in words that tell a person what to mend."""

import re
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import ValidationError

from omni_msa.config.sections import Section
from omni_msa.errors import Problem, did_you_mean

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def explain(
    error: ValidationError, model: type[Section], where: str = "", options: dict[str, Any] | None = None
) -> list[Problem]:
    """Turn pydantic's errors into problems a person can mend.

    Args:
        error: raised while checking a `model`.
        model: the model that was checked.
        where: file the values come from.
        options: for each plug-in section, the model its values were checked against.
    """
    items = error.errors()
    inner = {item["loc"][:-1] for item in items}  # a list that is too short only because its items were refused
    kept = (item for item in items if item["type"] != "too_short" or item["loc"] not in inner)
    return [_problem(item, model, where, options or {}) for item in kept]


def _problem(item: "ErrorDetails", model: type[Section], where: str, options: dict[str, Any]) -> Problem:
    path = [cut(str(part)) for part in item["loc"]]
    place = f"{where} {'.'.join(path)}".strip()
    got, context = shorten(item["input"]), item.get("ctx", {})
    if item["type"] == "extra_forbidden":
        known = _fields_at(model, path[:-1], options)
        return Problem("unknown key", place, repr(path[-1]), ", ".join(known), did_you_mean(path[-1], known))
    if item["type"] == "missing":
        return Problem("a key is missing", place, next_step=f"add {path[-1]}")
    if item["type"] == "unknown_name":
        return Problem(
            item["msg"], place, got, context["allowed"], did_you_mean(item["input"], context["allowed"].split(", "))
        )
    if item["type"] in ("model_type", "dict_type"):
        return Problem("wrong value", place, got, "a mapping of names to values")
    if item["type"] in ("tuple_type", "list_type"):
        return Problem("wrong value", place, got, "a list in square brackets")
    if item["type"] == "too_short":
        return Problem("wrong value", place, got, f"at least {context['min_length']} of them")
    if not item["msg"].startswith("Input should be "):
        return Problem(item["msg"].removeprefix("Value error, "), place, got)
    names = re.findall(r"'([^']*)'", str(context.get("expected", "")))
    hint = did_you_mean(item["input"], names) if isinstance(item["input"], str) else ""
    return Problem("wrong value", place, got, item["msg"].removeprefix("Input should be "), hint)


def shorten(value: Any) -> str:
    """Return how a value is written in a message, at most 200 characters."""
    return cut(repr(value))


def cut(text: str) -> str:
    """Return a text that stands in a message, at most 200 characters of it."""
    return text if len(text) <= 200 else f"{text[:197]}..."


def _fields_at(model: Any, path: list[str], options: dict[str, Any]) -> list[str]:
    """Return the keys allowed at a path; none where no section stands there."""
    is_key = False  # of a mapping of names to sections: any name may stand there
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
