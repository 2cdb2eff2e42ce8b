"""Another value than the default for any option of a plug-in, found by trying: a new option is tested by itself."""

from typing import Any, get_args

from pydantic import ValidationError

from omni_msa.config.sections import Section


def other_value(model: type[Section], name: str, field: str) -> Any:
    """Return a value that an option takes and that is not its default.

    Args:
        model: the plug-in's `Options`.
        name: of the plug-in.
        field: of the option; where nothing here fits, it is declared with an example: `Field(examples=[...])`.
    """
    info = model.model_fields[field]
    for value in (*(info.examples or ()), *_candidates(info.default), *_literals(info.annotation)):
        try:
            changed = getattr(model.model_validate({"name": name, field: value}), field)
        except ValidationError:
            continue
        if changed != info.default:
            return value
    raise AssertionError(f"no other value of {field} is known: declare it with Field(examples=[...])")


def _candidates(default: Any) -> list[Any]:
    if isinstance(default, bool):
        return [not default]
    if isinstance(default, int | float):
        return [default + 1, default / 2, default - 1]
    return [default[:-1]] if isinstance(default, tuple) else []


def _literals(annotation: Any) -> list[Any]:
    """Return the values that a type lists, also those of its parts."""
    return [value for part in get_args(annotation) for value in (_literals(part) or [part])]
