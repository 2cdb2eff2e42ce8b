"""Printing to the terminal."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def console() -> "Console":
    """Return a console for tables; if the output is no terminal, it is 160 characters wide."""
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=160)


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, "" if it has none."""
    return next(iter(str(error).splitlines()), "")
