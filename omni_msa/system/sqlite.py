"""Checking SQLite database files; a damaged one is renamed, so that a new one can be created."""

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path


def put_damaged_aside(path: Path) -> Path | None:
    """Rename whatever is at a path if it is not an intact database; nothing is deleted.

    Args:
        path: of the database; it need not exist.

    Returns:
        the new name, None if the database is intact or missing.
    """
    if not os.path.lexists(path) or _is_whole(path):
        return None
    aside = path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
    os.rename(path, aside)
    return aside


def _is_whole(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        with closing(sqlite3.connect(path.absolute().as_uri() + "?mode=ro", uri=True)) as base:
            return base.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.OperationalError as error:  # locked or not readable is not damaged
        return "malformed" not in str(error)
    except sqlite3.DatabaseError:
        return False
