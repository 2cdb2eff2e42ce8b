"""The `search` section of a sweep file: the space that proposals are drawn from, and how it is searched."""

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from omni_msa.config.sections import Section
from omni_msa.config.trial import AnyMetric
from omni_msa.stats.metrics import METRICS

SECTIONS = ("adapter", "readout", "training")
"""The sections that a search may change; data, media and backbone are compared on axes instead."""

KINDS = ("choice", "int", "log_int", "uniform", "log_uniform")
Parameters = Mapping[str, Any]
"""Dotted path to value, such as `adapter.rank: 8`. Parameters that are not active are absent."""

Whole = int
GRID_MAX = 10_000
_EXACT_MAX = 2**53  # above it, not every whole number can be a float


class Parameter(Section):
    """One parameter of a space: exactly one kind of range, and the conditions under which it is active."""

    choice: tuple[Any, ...] | None = Field(None, min_length=1, strict=False, description="one of these values")
    int: tuple[Whole, Whole] | None = Field(None, strict=False, description="a whole number from low to high")
    log_int: tuple[Whole, Whole] | None = Field(None, strict=False, description="a whole number, log-uniform")
    uniform: tuple[float, float] | None = Field(None, strict=False, description="a number from low to high")
    log_uniform: tuple[float, float] | None = Field(None, strict=False, description="a number, log-uniform")
    when: dict[str, Any] = Field({}, description="other parameter: the value or values at which this one is active")

    @field_validator(*KINDS[1:], mode="before")
    @classmethod
    def _two_ends(cls, value: Any) -> Any:
        if isinstance(value, list | tuple) and len(value) != 2:
            raise ValueError(f"a range is two numbers, the lowest and the highest, not {len(value)}")
        return value

    @model_validator(mode="after")
    def _one_range(self) -> "Parameter":
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of {', '.join(KINDS)} is needed, not {' and '.join(given) or 'none'}")
        written = [text(value) for value in self.choice or ()]
        if repeated := sorted(value for value, count in Counter(written).items() if count > 1):
            raise ValueError(f"values are listed twice: {', '.join(repeated)}")
        if self.choice is None:
            low, high = self.bounds
            if not low < high:
                raise ValueError(f"the range is empty: {low} is not below {high}")
            if self.is_log and low <= 0:
                raise ValueError(f"{low} has no logarithm: the range must lie above 0")
        return self

    @property
    def kind(self) -> str:
        """The kind of range, one of `KINDS`."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def is_log(self) -> bool:
        """Whether it is drawn uniformly in its logarithm."""
        return self.kind.startswith("log_")

    @property
    def is_whole(self) -> bool:
        """Whether it is a range of whole numbers."""
        return self.kind.endswith("int")

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest value; only of a range, not of a choice."""
        bounds: tuple[float, float] = getattr(self, self.kind)
        return bounds

    def ends(self) -> tuple[Any, ...]:
        """Return the values that are checked before a search: all of a choice, the lowest and highest of a range."""
        return self.bounds if self.choice is None else self.choice

    def has(self, value: Any) -> bool:
        """Return whether a value is one of the choice, or in the range."""
        if self.choice is not None:
            return text(value) in map(text, self.choice)
        is_number = type(value) is int if self.is_whole else type(value) in (int, float)
        return is_number and self.bounds[0] <= value <= self.bounds[1]

    def own(self, value: Any) -> Any:
        """Return an equal value as the sweep file writes it: 8.0 in a configuration may be 8 in the file."""
        if self.choice is not None:
            return next((option for option in self.choice if text(option) == text(value)), value)
        return Whole(value) if self.is_whole and isinstance(value, float) and value.is_integer() else value

    def values(self) -> tuple[Any, ...] | None:
        """Return all values, or None if there are infinitely or too many."""
        if self.choice is not None:
            return self.choice
        low, high = self.bounds
        return tuple(range(int(low), int(high) + 1)) if self.is_whole and high - low < GRID_MAX else None


class Budget(Section):
    """When proposing ends: at the first of these limits. Confirming the best proposals comes on top."""

    proposals: int | None = Field(None, ge=1, le=10_000, description="number of proposals for each cell of the axes")
    hours: float | None = Field(None, gt=0, description="hours, time between runs not counted")
    gpu_hours: float | None = Field(None, gt=0, description="GPU-hours of all trials together; on the CPU core-hours")

    @model_validator(mode="after")
    def _something(self) -> "Budget":
        if self.proposals is None and self.hours is None and self.gpu_hours is None:
            raise ValueError("proposals, hours or gpu_hours is needed")
        return self


class Halving(Section):
    """Successive halving: at each rung a share of the proposals is promoted; then seeds are added one by one."""

    epochs: tuple[int, ...] = Field((), strict=False, description="the rungs: numbers of epochs of the first seed")
    keep: float = Field(0.5, gt=0, lt=1, description="share of the proposals that is promoted")
    p: float = Field(0.25, ge=0, lt=1, description="level of the paired test by which seeds stop a proposal")

    @field_validator("epochs")
    @classmethod
    def _rising(cls, epochs: tuple[int, ...]) -> tuple[int, ...]:
        if list(epochs) != sorted(set(epochs)) or min(epochs, default=1) < 1:
            raise ValueError("epochs must be strictly increasing and at least 1")
        return epochs


class Pruning(Section):
    """How proposals are stopped before they are complete."""

    halving: Halving


class Confirm(Section):
    """The best proposals are run again with fresh seeds, with the default configuration beside them."""

    best: int = Field(3, ge=1, le=100)
    seeds: tuple[int, ...] = Field(min_length=1, strict=False)


class Search(Section):
    """A search for the best point of a space, one for each cell of the axes."""

    space: dict[str, Parameter] = Field(min_length=1)
    sampler: Literal["tpe", "gp", "cmaes", "random", "grid"] = "tpe"
    seed: int = Field(0, ge=0, lt=2**31, description="fixes what is proposed, as long as one trial runs at a time")
    budget: Budget
    objectives: tuple[AnyMetric, ...] = Field(
        (), max_length=2, strict=False, description="default: select.metric; two give a Pareto front"
    )
    pruning: Pruning | None = Field(None, description="none, or halving")
    confirm: Confirm
    transfer: bool = Field(False, description="start from finished trials of the ledger that lie in the space")

    @field_validator("space", mode="before")
    @classmethod
    def _whole_parameters(cls, value: Any) -> Any:
        for key, inner in value.items() if isinstance(value, dict) else ():
            path, _, last = str(key).rpartition(".")
            if path and last in (*KINDS, "when") and not isinstance(inner, dict):
                example = f"search.space.{path}={{{last}: {label({'': inner}).removeprefix('=')}}}"
                raise ValueError(f"a parameter is set as a whole, for example {example}")
        return value

    @field_validator("objectives", mode="before")
    @classmethod
    def _two_at_most(cls, value: Any) -> Any:
        if isinstance(value, list | tuple) and len(value) > 2:
            raise ValueError(f"a search has one objective or two, not {len(value)}")
        return value

    @field_validator("pruning", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        return None if value == "none" else value

    @property
    def directions(self) -> tuple[str, ...]:
        """For each objective which values are better, "lower" or "higher"."""
        return tuple(METRICS[name].better for name in self.objectives)


def read_space(written: Any) -> dict[str, Parameter]:
    """Return the well-formed parameters of a `search` section, whatever is wrong with the rest of it.

    Args:
        written: the section as read from YAML, of any type.
    """
    space = written.get("space") if isinstance(written, dict) else None
    parameters = {}
    for path, value in (space if isinstance(space, dict) else {}).items():
        with suppress(ValidationError):
            parameters[path] = Parameter.model_validate(value)
    return parameters


def ordered(space: Mapping[str, Parameter]) -> list[str]:
    """Return the paths of a space in the order of the file, but each after those that its conditions name.

    Raises:
        ValueError: the conditions depend on each other in a circle; the message lists the paths.
    """
    done: list[str] = []
    remaining = list(space)
    while remaining:
        ready = [path for path in remaining if not any(other in remaining for other in space[path].when)]
        if not ready:
            raise ValueError(", ".join(remaining))
        done.append(ready[0])
        remaining.remove(ready[0])
    return done


def counts(parameter: Parameter, others: Parameters) -> bool:
    """Return whether a parameter is active: whether the other parameters have the values of its conditions."""
    return all(
        other in others and text(others[other]) in map(text, wanted(values)) for other, values in parameter.when.items()
    )


def is_in(space: Mapping[str, Parameter], parameters: Parameters) -> bool:
    """Return whether parameters are a point of a space: exactly the active ones, each in its range."""
    active = {path for path in space if counts(space[path], parameters)}
    return active == set(parameters) and all(space[path].has(value) for path, value in parameters.items())


def grid(space: Mapping[str, Parameter], num_max: int = GRID_MAX) -> list[dict[str, Any]]:
    """Return all points of a space of finitely many values, the last parameter changing fastest.

    Args:
        space: dotted path to parameter.
        num_max: at most this many points; the grid sampler refuses a space of more than `GRID_MAX`.
    """
    points: list[dict[str, Any]] = [{}]
    for path in ordered(space):
        values = space[path].values() or ()
        points = [
            {**point, **extension}
            for point in points
            for extension in ([{path: value} for value in values] if counts(space[path], point) else [{}])
        ][:num_max]
    return points


def label(parameters: Parameters) -> str:
    """Return parameters as text for people: `adapter.rank=8, readout.loss=l1`."""
    return ", ".join(f"{path}={_short(value)}" for path, value in parameters.items())


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else value if isinstance(value, str) else text(value)


def wanted(values: Any) -> list[Any]:
    """Return the values that a condition allows, as a list, whether it names one or several."""
    return list(values) if isinstance(values, list | tuple) else [values]


def text(value: Any) -> str:
    """Return a value as JSON text; two values are equal if their texts are.

    8 and 8.0 have the same text, since a configuration may turn one into the other; true and 1 differ.
    """
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_MAX
    return int(value) if is_whole else value
