"""Axis values as text: in the name of a cell (`rank 8`), and in a column headed by the axis (`8`)."""

from collections.abc import Mapping
from typing import Any


def value_label(axis: str, value: Any) -> str:
    """Return an axis value as part of a cell's name: `text+audio`, `rank 8`, `generative(decimals=2)`."""
    if isinstance(value, list):
        return "+".join(map(str, value))
    if isinstance(value, dict):
        options = ", ".join(f"{key}={item}" for key, item in value.items() if key != "name")
        return f"{value.get('name')}({options})" if options else str(value.get("name"))
    return str(value) if isinstance(value, str) else f"{axis.rpartition('.')[2]} {value}"


def axis_text(value: Any) -> str:
    """Return an axis value for a column headed by the axis: `text+audio`, `generative(decimals=2)`, `8`."""
    if isinstance(value, list | tuple):
        return "+".join(map(axis_text, value))
    if isinstance(value, Mapping):
        options = ", ".join(f"{key}={axis_text(item)}" for key, item in value.items() if key != "name")
        return str(value.get("name", "")) + (f"({options})" if options else "")
    return str(value)
