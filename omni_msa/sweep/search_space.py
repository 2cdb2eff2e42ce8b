"""The `search:` section of a sweep file: the space that proposals are drawn from, and how it is searched."""

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
"""What a search may change: with other data or another backbone it would compare what axes are for."""

KINDS = ("choice", "int", "log_int", "uniform", "log_uniform")
Parameters = Mapping[str, Any]
"""Dotted path to value, as `adapter.rank: 8`: a proposal. Parameters that do not count in it are absent."""

Whole = int
GRID_MAX = 10_000
_EXACT_MAX = 2**53  # above it not every whole number is a float


class Parameter(Section):
    """One parameter of a space: exactly one kind of range, and when it counts."""

    choice: tuple[Any, ...] | None = Field(None, min_length=1, strict=False, description="any of these values")
    int: tuple[Whole, Whole] | None = Field(None, strict=False, description="a whole number from low to high")
    log_int: tuple[Whole, Whole] | None = Field(None, strict=False, description="likewise, uniform in its logarithm")
    uniform: tuple[float, float] | None = Field(None, strict=False, description="a number from low to high")
    log_uniform: tuple[float, float] | None = Field(None, strict=False, description="likewise, in its logarithm")
    when: dict[str, Any] = Field({}, description="other parameter: the value, or list of values, at which this counts")

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
        if twice := sorted(value for value, count in Counter(written).items() if count > 1):
            raise ValueError(f"values are written twice: {', '.join(twice)}")
        if self.choice is None:
            low, high = self.bounds
            if not low < high:
                raise ValueError(f"the range is empty: {low} is not below {high}")
            if self.is_log and low <= 0:
                raise ValueError(f"{low} has no logarithm: the range must lie above 0")
        return self

    @property
    def kind(self) -> str:
        """Which of `KINDS` it is."""
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def is_log(self) -> bool:
        """Whether its logarithm is drawn uniformly."""
        return self.kind.startswith("log_")

    @property
    def is_whole(self) -> bool:
        """Whether its values are whole numbers between bounds."""
        return self.kind.endswith("int")

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value; not of a choice."""
        found: tuple[float, float] = getattr(self, self.kind)
        return found

    def ends(self) -> tuple[Any, ...]:
        """Return the values that are checked before a search: all of a choice, lowest and highest of a range."""
        return self.bounds if self.choice is None else self.choice

    def has(self, value: Any) -> bool:
        """Return whether a value lies in the range."""
        if self.choice is not None:
            return text(value) in map(text, self.choice)
        is_number = type(value) is int if self.is_whole else type(value) in (int, float)
        return is_number and self.bounds[0] <= value <= self.bounds[1]

    def own(self, value: Any) -> Any:
        """Return a value as the range writes it: what is 8.0 in a configuration may be chosen as 8."""
        if self.choice is not None:
            return next((each for each in self.choice if text(each) == text(value)), value)
        return Whole(value) if self.is_whole and isinstance(value, float) and value.is_integer() else value

    def values(self) -> tuple[Any, ...] | None:
        """Return all values, None if there are too many."""
        if self.choice is not None:
            return self.choice
        low, high = self.bounds
        return tuple(range(int(low), int(high) + 1)) if self.is_whole and high - low < GRID_MAX else None


class Budget(Section):
    """When proposing ends: at the first of these. Confirming the best comes on top."""

    proposals: int | None = Field(None, ge=1, le=10_000, description="for each cell of the axes")
    hours: float | None = Field(None, gt=0, description="from the first trial on, as long as a run goes on")
    gpu_hours: float | None = Field(None, gt=0, description="of all trials together; without cards, core-hours")

    @model_validator(mode="after")
    def _something(self) -> "Budget":
        if self.proposals is None and self.hours is None and self.gpu_hours is None:
            raise ValueError("proposals, hours or gpu_hours is needed")
        return self


class Halving(Section):
    """Successive halving: a share of the proposals goes on at each rung; then seeds are added one by one."""

    epochs: tuple[int, ...] = Field((), strict=False, description="after so many epochs of the first seed")
    keep: float = Field(0.5, gt=0, lt=1, description="share that goes on")
    p: float = Field(0.25, ge=0, lt=1, description="a proposal whose paired seeds are worse at this level is cut")

    @field_validator("epochs")
    @classmethod
    def _rising(cls, epochs: tuple[int, ...]) -> tuple[int, ...]:
        if list(epochs) != sorted(set(epochs)) or min(epochs, default=1) < 1:
            raise ValueError("epochs must rise, from 1 on")
        return epochs


class Pruning(Section):
    """How proposals are cut before they are complete."""

    halving: Halving


class Confirm(Section):
    """The best proposals are run again with fresh seeds, with the default configuration beside them."""

    best: int = Field(3, ge=1, le=100)
    seeds: tuple[int, ...] = Field(min_length=1, strict=False)


class Search(Section):
    """A search for the best point of a space, one for each cell of the axes."""

    space: dict[str, Parameter] = Field(min_length=1)
    sampler: Literal["tpe", "gp", "cmaes", "random", "grid"] = "tpe"
    seed: int = Field(0, ge=0, lt=2**31, description="fixes what is proposed, if one trial runs at a time")
    budget: Budget
    objectives: tuple[AnyMetric, ...] = Field(
        (), max_length=2, strict=False, description="default: select.metric; a second one makes a Pareto front"
    )
    pruning: Pruning | None = Field(None, description="none, or halving")
    confirm: Confirm
    transfer: bool = Field(False, description="begin with what finished trials of the ledger tell")

    @field_validator("space", mode="before")
    @classmethod
    def _whole_parameters(cls, value: Any) -> Any:
        for key, inner in value.items() if isinstance(value, dict) else ():
            path, _, last = str(key).rpartition(".")
            if path and last in (*KINDS, "when") and not isinstance(inner, dict):
                example = f"search.space.{path}={{{last}: {label({'': inner}).removeprefix('=')}}}"
                raise ValueError(f"a parameter is set as a whole, as {example}")
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
        """For each objective, which is better: "lower" or "higher"."""
        return tuple(METRICS[name].better for name in self.objectives)


def read_space(written: Any) -> dict[str, Parameter]:
    """Return the parameters of a `search:` section as YAML gave it that are well-formed, whatever the rest is."""
    named = written.get("space") if isinstance(written, dict) else None
    found = {}
    for path, value in (named if isinstance(named, dict) else {}).items():
        with suppress(ValidationError):
            found[path] = Parameter.model_validate(value)
    return found


def ordered(space: Mapping[str, Parameter]) -> list[str]:
    """Return the paths of a space, each behind those that its condition names, else as they are written.

    Raises:
        ValueError: conditions go round in a circle; names the paths.
    """
    found: list[str] = []
    left = list(space)
    while left:
        free = [path for path in left if not any(other in left for other in space[path].when)]
        if not free:
            raise ValueError(", ".join(left))
        found.append(free[0])
        left.remove(free[0])
    return found


def counts(parameter: Parameter, others: Parameters) -> bool:
    """Return whether a parameter counts beside the values of the others."""
    return all(
        other in others and text(others[other]) in map(text, wanted(values)) for other, values in parameter.when.items()
    )


def is_in(space: Mapping[str, Parameter], parameters: Parameters) -> bool:
    """Return whether parameters are a point of a space: those that count, and each in its range."""
    counting = {path for path in space if counts(space[path], parameters)}
    return counting == set(parameters) and all(space[path].has(value) for path, value in parameters.items())


def grid(space: Mapping[str, Parameter], num_max: int = GRID_MAX) -> list[dict[str, Any]]:
    """Return all points of a space whose values can be counted, the last parameter changing fastest.

    Args:
        space: dotted path to parameter.
        num_max: no more points than this; a sampler is refused a space that has more than `GRID_MAX`.
    """
    points: list[dict[str, Any]] = [{}]
    for path in ordered(space):
        values = space[path].values() or ()
        points = [
            {**point, **more}
            for point in points
            for more in ([{path: value} for value in values] if counts(space[path], point) else [{}])
        ][:num_max]
    return points


def label(parameters: Parameters) -> str:
    """Return how a proposal is written for people: `adapter.rank=8, readout.loss=l1`."""
    return ", ".join(f"{path}={_short(value)}" for path, value in parameters.items())


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else value if isinstance(value, str) else text(value)


def wanted(values: Any) -> list[Any]:
    """Return the values of another parameter that a condition names: one, or those of a list."""
    return list(values) if isinstance(values, list | tuple) else [values]


def text(value: Any) -> str:
    """Return a value as one text: equal texts, equal values.

    8 and 8.0 are equal, as a configuration makes one of the other; true is not 1.
    """
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < _EXACT_MAX
    return int(value) if is_whole else value
