"""Plug-ins: files of `readouts/`, `datasets/`, `backbones/` and `tracking/`, and modules that installed packages name.

There is no registry: plug-ins are found by listing the folder and the entry points `omni_msa.<kind>`. The members that
a plug-in needs are declared by `CONTRACT` in `_base.py` of the kind's folder; those marked `optional` or with a value
may be left out. A plug-in imports nothing heavy at its top level, so that its options can be checked without torch.
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
"""Instead of functions, a plug-in may define one object of this name with the same methods."""


class Kind(str, Generic[T_co]):
    """A kind of plug-in: the name of its folder and, for the type checker, the type of its plug-ins."""


def optional(function: F) -> F:
    """Mark a function of a contract as optional: a plug-in that leaves it out inherits the contract's version."""
    function.__dict__["is_optional"] = True
    return function


def names(kind: str) -> list[str]:
    """Return the names of all plug-ins of a kind, sorted, without importing them."""
    return sorted({*_own(kind), *_foreign(kind)})


def load(kind: Kind[T], name: str, where: str = "") -> T:
    """Import one plug-in and check it against the contract of its kind.

    Args:
        kind: the folder's name.
        name: file name of the plug-in without extension, or the name of its entry point.
        where: where the name was written, for messages.

    Raises:
        InputError: there is no such plug-in (the message has the closest name, all names and the file to create), it
            cannot be imported, or it does not meet the contract.
    """
    if (kind, name) not in _loaded:  # checked once: a large search loads plug-ins thousands of times
        _loaded[kind, name] = _bind(kind, name, _import(kind, name, where))
    plugin: T = _loaded[kind, name]
    return plugin


_loaded: dict[tuple[str, str], Any] = {}


def load_each(kind: Kind[T]) -> dict[str, T | InputError]:
    """Return all plug-ins of a kind by name; for one that cannot be used, the error instead."""
    loaded: dict[str, T | InputError] = {}
    for name in names(kind):
        try:
            loaded[name] = load(kind, name)
        except InputError as error:
            loaded[name] = error
    return loaded


def package(kind: str, name: str) -> tuple[str, str] | None:
    """Return name and version of the package that provides a plug-in; None for plug-ins of this package."""
    points = _foreign(kind).get(name)
    distribution = points[0].dist if points else None
    return (distribution.name, distribution.version) if distribution else None


def packages() -> list[tuple[str, str]]:
    """Return name and version of every installed package that provides plug-ins, sorted."""
    groups = (group for group in entry_points().groups if group.startswith("omni_msa."))
    providers = (point.dist for group in groups for point in entry_points(group=group))
    return sorted({(distribution.name, distribution.version) for distribution in providers if distribution})


def _own(kind: str) -> list[str]:
    spec = importlib.util.find_spec(f"omni_msa.{kind}")
    assert spec is not None and spec.submodule_search_locations is not None
    folders = map(Path, spec.submodule_search_locations)
    return [file.stem for folder in folders for file in folder.glob("*.py") if not file.stem.startswith("_")]


@lru_cache(maxsize=8)
def _foreign(kind: str) -> dict[str, list[EntryPoint]]:
    points: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=f"omni_msa.{kind}"):
        points.setdefault(point.name, []).append(point)
    return points


def _import(kind: str, name: str, where: str) -> ModuleType:
    own, points = _own(kind), _foreign(kind).get(name, [])
    if name not in own and not points:
        raise InputError(_unknown(kind, name, where))
    if len(points) + (name in own) > 1:
        providers = [*(["this package"] if name in own else []), *map(_origin, points)]
        step = "rename the entry point, or uninstall all but one of these packages"
        raise InputError(Problem(f"several {kind} have this name", where, f"{name}: {', '.join(providers)}", "", step))
    try:
        return importlib.import_module(points[0].module if points else f"omni_msa.{kind}.{name}")
    except Exception as error:
        if not points:
            raise
        what, got = f"the plug-in {name} of {_origin(points[0])} cannot be imported", shorten(f"{error}")
        step = "repair or uninstall that package; sweeps that do not use this plug-in are not affected"
        raise InputError(Problem(what, where, f"{type(error).__name__}: {got}", "", step)) from error


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version} ({point.value})" if point.dist else point.value


def _unknown(kind: str, name: str, where: str) -> Problem:
    existing = names(kind)
    is_file_name = name.isidentifier() and not name.startswith("_") and len(name) < _NAME_LENGTH_MAX
    create = f"to add {name}, create omni_msa/{kind}/{name}.py" if is_file_name else ""
    step = f"{did_you_mean(name, existing)} {create}".strip()
    noun = _contract(kind).__name__.removesuffix("Plugin").lower()
    return Problem(f"unknown {noun}", where, shorten(name), ", ".join(existing), step)


def _bind(kind: str, name: str, module: ModuleType) -> Any:
    """Return the plug-in as an instance of its contract; members that the module leaves out are inherited."""
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
    flags: dict[str, bool] = {}
    for base in (base for base in contract.__mro__ if getattr(base, "_is_protocol", False)):
        for name in (*vars(base).get("__annotations__", {}), *vars(base)):
            value = vars(base).get(name)
            if name.startswith("_") or isinstance(value, property) or name == "name":
                continue
            flags.setdefault(name, getattr(value, "is_optional", name in vars(base) and not inspect.isfunction(value)))
    return flags


def _problems(kind: str, contract: type, module: ModuleType, values: dict[str, Any]) -> Iterator[Problem]:
    members, file = _members(contract), module.__file__ or module.__name__
    see = f"see the contract {contract.__name__} in omni_msa/{kind}/_base.py"
    missing = [name for name, may_be_left_out in members.items() if name not in values and not may_be_left_out]
    if missing:
        yield Problem(f"a plug-in of {kind} lacks required members", file, f"no {', '.join(missing)}", next_step=see)
    for name in (name for name in _public(module) if name not in members):
        hint = did_you_mean(name, members)
        step = f"{hint} {see}; start the names of helpers with an underscore".strip()
        yield Problem(f"a plug-in of {kind} has an unknown public name", file, name, ", ".join(members), step)
    for name, value in values.items():
        required = getattr(contract, name, None)
        if inspect.isfunction(required) and not _accepts_arguments(value, required):
            arguments = ", ".join(list(inspect.signature(required).parameters)[1:])
            got = f"{name}{inspect.signature(value)}" if callable(value) else f"{name} = {shorten(value)}"
            yield Problem("a function of a plug-in takes other arguments", file, got, f"{name}({arguments})", see)


def _public(module: ModuleType) -> Iterator[str]:
    """Yield the public names a plug-in defines, without constants in capitals, classes and imports."""
    for name, value in vars(module).items():
        is_here = isinstance(value, MethodType) or getattr(value, "__module__", module.__name__) == module.__name__
        if name[0] != "_" and name.islower() and is_here and not isinstance(value, (type, ModuleType)):
            yield name
    of_object = type(getattr(module, OBJECT, None))
    if of_object.__module__ == module.__name__:
        yield from (name for name in vars(of_object) if name[0] != "_")


def _accepts_arguments(function: Any, required: Any) -> bool:
    """Return whether a function can be called like the contract's, with and without its optional arguments."""
    parameters = list(inspect.signature(required).parameters.values())[1:]
    required_only = [None for parameter in parameters if parameter.default is parameter.empty]
    try:
        for arguments in (required_only, [None] * len(parameters)):
            inspect.signature(function).bind(*arguments)
    except (TypeError, ValueError):
        return False
    return True
