"""The folder of downloaded, generated and computed files, and the size limit of prepared inputs in it."""

import math
import os
from pathlib import Path

from omni_msa.errors import InputError, Problem

LIMIT = "OMNI_MSA_CACHE_GB"


def cache_folder() -> Path:
    """Return the cache folder: `$OMNI_MSA_CACHE`, else `$XDG_CACHE_HOME/omni_msa`, else `~/.cache/omni_msa`."""
    if own := os.environ.get("OMNI_MSA_CACHE"):
        return Path(os.path.expanduser(own)).absolute()  # unlike pathlib, it keeps an unknown ~user unchanged
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(base)).absolute() / "omni_msa"


def limit_gb() -> float:
    """Return the size limit of prepared inputs on disk in GB: `$OMNI_MSA_CACHE_GB` if set, else infinite.

    Raises:
        InputError: the variable is not a number, or negative.
    """
    text = os.environ.get(LIMIT) or "inf"
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not number >= 0:
        allowed = "a number of GB, 0 or more; not set: no limit"
        raise InputError(Problem("the size limit of prepared inputs is not a number", LIMIT, repr(text), allowed))
    return number
