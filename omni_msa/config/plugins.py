"""Plug-ins are found by listing a folder: `datasets/`, `backbones/`, `readouts/`.

A plug-in file imports nothing heavy at its top level, so that every option can be checked without torch.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from omni_msa.config.validation import shorten
from omni_msa.errors import InputError, Problem, did_you_mean

_NAME_LENGTH_MAX = 100
KINDS = ("datasets", "backbones", "readouts")


def names(kind: str) -> list[str]:
    """Return the names of all plug-ins of a kind (one of `KINDS`), sorted, importing none of them."""
    spec = importlib.util.find_spec(f"omni_msa.{kind}")
    assert spec is not None and spec.submodule_search_locations is not None
    folders = map(Path, spec.submodule_search_locations)
    return sorted(file.stem for folder in folders for file in folder.glob("*.py") if not file.stem.startswith("_"))


def load(kind: str, name: str, where: str = "") -> ModuleType:
    """Import one plug-in.

    Args:
        kind: one of `KINDS`.
        name: the plug-in's file name without its ending.
        where: where the name was written, for the message.

    Raises:
        InputError: there is no such plug-in; says the nearest name, what exists and which file to create.
    """
    path = f"omni_msa.{kind}.{name}"
    if path in sys.modules:  # listing the folder each time would cost a large search its seconds
        return sys.modules[path]
    existing = names(kind)
    if name not in existing:
        hint = did_you_mean(name, existing)
        is_file_name = name.isidentifier() and not name.startswith("_") and len(name) < _NAME_LENGTH_MAX
        create = f"to add it, create omni_msa/{kind}/{name}.py" if is_file_name else ""
        raise InputError(
            Problem(
                what=f"unknown {kind.removesuffix('s')}",
                where=where,
                got=shorten(name),
                allowed=", ".join(existing),
                next_step=f"{hint} {create}".strip(),
            )
        )
    return importlib.import_module(path)
