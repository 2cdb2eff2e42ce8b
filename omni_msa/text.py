"""Numbers and nested values as text for messages, tables and experiment trackers."""

import json
from collections.abc import Mapping
from typing import Any


def count(num: int, what: str) -> str:
    """Return a number with its noun, in the plural where needed: `1 clip`, `2 clips`."""
    return f"{num} {what}{'' if num == 1 else 's'}"


def are(num: int) -> str:
    """Return "is" for 1 and "are" for any other number."""
    return "is" if num == 1 else "are"


def duration(seconds: float) -> str:
    """Return a duration in a readable unit: `45 s`, `12 min`, `3 h 05 min`."""
    whole = max(0, round(seconds))
    if whole < 90:
        return f"{whole} s"
    minutes = round(whole / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


_TEXT_LENGTH_MAX = 5000  # MLflow refuses parameters over 6000 characters


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested values as a flat mapping from dotted path to text.

    Args:
        config: nested plain values.
        prefix: text before each path.
    """
    flat: dict[str, str] = {}
    for name, value in config.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: as_text(value)}
    return flat


def as_text(value: Any) -> str:
    """Return a value as text (JSON, unless it is a string), cut to the length that MLflow accepts."""
    return (value if isinstance(value, str) else json.dumps(value, default=str))[:_TEXT_LENGTH_MAX]
