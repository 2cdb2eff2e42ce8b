"""Plug-ins: files of `readouts/`, `datasets/`, `backbones/` and `tracking/`, and modules that installed packages name.

The folder and the entry points `omni_msa.<kind>` are the list. What a plug-in must have is written in `_base.py` of its
kind's folder, as `CONTRACT`; members with the mark `optional`, or with a value, may be left out. A plug-in file imports
nothing heavy at its top level, so that every option can be checked without torch.
"""

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MethodType, ModuleType
from typing import Any, Generic, TypeVar

from omni_msa.config.validation import shorten
from omni_msa.errors import InputError, Problem, did_you_mean

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
F = TypeVar("F", bound=Callable[..., Any])
_NAME_LENGTH_MAX = 100
OBJECT = "PLUGIN"
"""A plug-in's functions may also be the methods of one object of this name."""


class Kind(str, Generic[T_co]):
    """A kind of plug-in: the name of its folder and, for the type checker, what its plug-ins are."""


def optional(function: F) -> F:
    """Mark a function of a contract that a plug-in may leave out; what stands in the contract then counts."""
    function.__dict__["is_optional"] = True
    return function


def names(kind: str) -> list[str]:
    """Return the names of all plug-ins of a kind, sorted, importing none of them."""
    return sorted({*_own(kind), *_foreign(kind)})


def load(kind: Kind[T], name: str, where: str = "") -> T:
    """Import one plug-in and hold it to the contract of its kind.

    Args:
        kind: the folder's name.
        name: the plug-in's file name without its ending, or the name of its entry point.
        where: where the name was written, for the message.

    Raises:
        InputError: there is no such plug-in (says the nearest name, what exists and which file to create), it cannot be
            imported, or it does not hold the contract.
    """
    if (kind, name) not in _loaded:  # asking each time would cost a large search its seconds
        _loaded[kind, name] = _bind(kind, name, _import(kind, name, where))
    found: T = _loaded[kind, name]
    return found


_loaded: dict[tuple[str, str], Any] = {}


def load_each(kind: Kind[T]) -> dict[str, T | InputError]:
    """Return all plug-ins of a kind by name; of one that cannot be used, what is wrong with it."""
    found: dict[str, T | InputError] = {}
    for name in names(kind):
        try:
            found[name] = load(kind, name)
        except InputError as error:
            found[name] = error
    return found


def package(kind: str, name: str) -> tuple[str, str] | None:
    """Return name and version of the installed package that a plug-in is from; None for those of this package."""
    found = _foreign(kind).get(name)
    distribution = found[0].dist if found else None
    return (distribution.name, distribution.version) if distribution else None


def packages() -> list[tuple[str, str]]:
    """Return name and version of every installed package that has plug-ins, sorted."""
    groups = (group for group in entry_points().groups if group.startswith("omni_msa."))
    found = (point.dist for group in groups for point in entry_points(group=group))
    return sorted({(distribution.name, distribution.version) for distribution in found if distribution})


def _own(kind: str) -> list[str]:
    spec = importlib.util.find_spec(f"omni_msa.{kind}")
    assert spec is not None and spec.submodule_search_locations is not None
    folders = map(Path, spec.submodule_search_locations)
    return [file.stem for folder in folders for file in folder.glob("*.py") if not file.stem.startswith("_")]


@lru_cache(maxsize=8)
def _foreign(kind: str) -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=f"omni_msa.{kind}"):
        found.setdefault(point.name, []).append(point)
    return found


def _import(kind: str, name: str, where: str) -> ModuleType:
    own, foreign = _own(kind), _foreign(kind).get(name, [])
    if name not in own and not foreign:
        raise InputError(_unknown(kind, name, where))
    if len(foreign) + (name in own) > 1:
        holders = [*(["this package"] if name in own else []), *map(_origin, foreign)]
        step = "rename the entry point, or uninstall all but one of these packages"
        raise InputError(Problem(f"several {kind} have this name", where, f"{name}: {', '.join(holders)}", "", step))
    try:
        return importlib.import_module(foreign[0].module if foreign else f"omni_msa.{kind}.{name}")
    except Exception as error:
        if not foreign:
            raise
        what, got = f"the plug-in {name} of {_origin(foreign[0])} cannot be imported", shorten(f"{error}")
        step = "mend or uninstall that package; sweeps without this plug-in run all the same"
        raise InputError(Problem(what, where, f"{type(error).__name__}: {got}", "", step)) from error


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version} ({point.value})" if point.dist else point.value


def _unknown(kind: str, name: str, where: str) -> Problem:
    existing = names(kind)
    is_file_name = name.isidentifier() and not name.startswith("_") and len(name) < _NAME_LENGTH_MAX
    create = f"to add it, create omni_msa/{kind}/{name}.py" if is_file_name else ""
    step = f"{did_you_mean(name, existing)} {create}".strip()
    noun = _contract(kind).__name__.removesuffix("Plugin").lower()
    return Problem(f"unknown {noun}", where, shorten(name), ", ".join(existing), step)


def _bind(kind: str, name: str, module: ModuleType) -> Any:
    """Return the plug-in as an object of its contract: what the module leaves out is the contract's own."""
    contract = _contract(kind)
    values = {key: value for key in _members(contract) if (value := _member(module, key)) is not None}
    problems = list(_problems(kind, contract, module, values))
    if problems:
        raise InputError(*problems)
    plugin = type(contract.__name__, (contract,), {"__doc__": module.__doc__, "__module__": module.__name__})()
    vars(plugin).update(values, name=name)
    return plugin


def _contract(kind: str) -> type:
    contract: type = importlib.import_module(f"omni_msa.{kind}._base").CONTRACT
    return contract


def _member(module: ModuleType, name: str) -> Any:
    return getattr(module, name, getattr(getattr(module, OBJECT, None), name, None))


@lru_cache(maxsize=8)
def _members(contract: type) -> dict[str, bool]:
    """Return the names of a contract's members, and whether each may be left out."""
    found: dict[str, bool] = {}
    for base in (base for base in contract.__mro__ if getattr(base, "_is_protocol", False)):
        for name in (*vars(base).get("__annotations__", {}), *vars(base)):
            value = vars(base).get(name)
            if name.startswith("_") or isinstance(value, property) or name == "name":
                continue
            found.setdefault(name, getattr(value, "is_optional", name in vars(base) and not inspect.isfunction(value)))
    return found


def _problems(kind: str, contract: type, module: ModuleType, values: dict[str, Any]) -> Iterator[Problem]:
    members, file = _members(contract), module.__file__ or module.__name__
    see = f"the contract is {contract.__name__} in omni_msa/{kind}/_base.py"
    missing = [name for name, may_be_left_out in members.items() if name not in values and not may_be_left_out]
    if missing:
        yield Problem(f"a plug-in of {kind} lacks what it must have", file, f"no {', '.join(missing)}", next_step=see)
    for name in (name for name in _public(module) if name not in members):
        hint = did_you_mean(name, members)
        step = f"{hint} {see}; begin the names of helpers with an underscore".strip()
        yield Problem(f"a plug-in of {kind} has a name that nothing asks for", file, name, ", ".join(members), step)
    for name, value in values.items():
        asked = getattr(contract, name, None)
        if inspect.isfunction(asked) and not _takes(value, asked):
            wanted = ", ".join(list(inspect.signature(asked).parameters)[1:])
            got = f"{name}{inspect.signature(value)}" if callable(value) else f"{name} = {shorten(value)}"
            yield Problem("a function of a plug-in takes other arguments", file, got, f"{name}({wanted})", see)


def _public(module: ModuleType) -> Iterator[str]:
    """Yield what a plug-in defines under public names, neither constants in capitals nor classes nor imports."""
    for name, value in vars(module).items():
        is_here = isinstance(value, MethodType) or getattr(value, "__module__", module.__name__) == module.__name__
        if name[0] != "_" and name.islower() and is_here and not isinstance(value, (type, ModuleType)):
            yield name
    of_object = type(getattr(module, OBJECT, None))
    if of_object.__module__ == module.__name__:
        yield from (name for name in vars(of_object) if name[0] != "_")


def _takes(function: Any, asked: Any) -> bool:
    """Return whether a function can be called as the contract's is, with and without arguments that have defaults."""
    parameters = list(inspect.signature(asked).parameters.values())[1:]
    least = [None for parameter in parameters if parameter.default is parameter.empty]
    try:
        for arguments in (least, [None] * len(parameters)):
            inspect.signature(function).bind(*arguments)
    except (TypeError, ValueError):
        return False
    return True
