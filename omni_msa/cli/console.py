"""Printing: a console with room, and short names of files."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def console() -> "Console":
    """Return what prints tables; where nobody reads at a terminal, there is room."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=160)


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, "" if it says nothing."""
    return next(iter(str(error).splitlines()), "")


def short_path(path: Path) -> Path:
    """Return a path as seen from the present folder, if it lies below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def short_uri(uri: str) -> str:
    """Return the address of a database, its path as seen from the present folder."""
    kind, colon, path = uri.partition("sqlite:///")
    return f"{kind}{colon}{short_path(Path(path))}" if colon and not kind else uri
