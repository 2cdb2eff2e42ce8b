"""Files attached to MLflow runs in a local folder: linked instead of copied, and removed when outdated."""

import os
from contextlib import suppress
from pathlib import Path


def link(source: Path, target: Path) -> bool:
    """Link a file to another path without copying it: a hard link, or on another disk a symbolic link.

    MLflow lists a symbolic link, but its page does not follow one out of its folder.

    Args:
        source: an existing file; if it is replaced later, a hard link keeps the old content.
        target: path of the link; an existing file is replaced, a missing folder is created.

    Returns:
        whether the link exists: some file systems support no links.
    """
    with suppress(OSError):
        if target.samefile(source):
            return True
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    for make in (os.link, os.symlink):
        with suppress(OSError):
            make(source.absolute(), target)
            return True
    return False


def prune(folder: Path, like: Path) -> None:
    """Remove files that a second folder does not have, and folders that are empty then.

    Args:
        folder: to remove files from; may be missing.
        like: the second folder, which was copied into the first.
    """
    for path in sorted(folder.rglob("*"), reverse=True):  # deeper paths first
        if path.is_dir() and not path.is_symlink():
            with suppress(OSError):  # not empty
                path.rmdir()
        elif not (like / path.relative_to(folder)).is_file():
            path.unlink()
