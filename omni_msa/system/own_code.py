"""The files of this package: to recognise its lines in tracebacks, and to check that machines run the same code."""

import hashlib
import os
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
"""The folder of `omni_msa`, wherever it is installed."""


def is_own(file: str) -> bool:
    """Return whether a file named in a traceback belongs to this package."""
    return file.startswith(f"{PACKAGE}{os.sep}")


def digest(package: Path = PACKAGE) -> str:
    """Return 12 hex digits that change with the name or content of any Python file of a package.

    Args:
        package: its folder; all folders below it count.
    """
    total = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        content = file.read_bytes()
        total.update(f"{file.relative_to(package).as_posix()}:{len(content)}:".encode() + content)
    return total.hexdigest()[:12]
