"""Printing: a console with room."""

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
