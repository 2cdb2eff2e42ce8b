"""Files attached to MLflow's runs where these lie in a folder of this machine: linked, not copied, and tidied up."""

import os
from contextlib import suppress
from pathlib import Path


def link(source: Path, target: Path) -> bool:
    """Make a file appear at another place without a copy: a hard link, or on another disk a symbolic one.

    MLflow lists a symbolic link, but does not let its page follow one out of its folder.

    Args:
        source: an existing file; what is there may be replaced later, the link then shows what was linked.
        target: another file there is replaced; its folder is made if missing.

    Returns:
        whether it is there: some file systems know no links at all.
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
    """Remove the files of a folder that another one does not have, and folders that are empty then.

    Args:
        folder: may be missing.
        like: what was copied into it.
    """
    for path in sorted(folder.rglob("*"), reverse=True):  # what lies deeper comes first
        if path.is_dir() and not path.is_symlink():
            with suppress(OSError):  # it is not empty
                path.rmdir()
        elif not (like / path.relative_to(folder)).is_file():
            path.unlink()
