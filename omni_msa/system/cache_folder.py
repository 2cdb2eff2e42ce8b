"""Where fetched, generated and computed files are kept between runs, and how much room prepared inputs may take."""

import math
import os
from pathlib import Path

from omni_msa.errors import InputError, Problem

LIMIT = "OMNI_MSA_CACHE_GB"


def cache_folder() -> Path:
    """Return the cache folder: `$OMNI_MSA_CACHE`, else `$XDG_CACHE_HOME/omni_msa`, else `~/.cache/omni_msa`."""
    if own := os.environ.get("OMNI_MSA_CACHE"):
        return Path(os.path.expanduser(own)).absolute()  # unlike pathlib it leaves an unknown ~user as it is
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(base)).absolute() / "omni_msa"


def limit_gb() -> float:
    """Return what prepared inputs may take of this machine's disk, in GB: `$OMNI_MSA_CACHE_GB`, else no limit (inf).

    Raises:
        InputError: that is no number, or a negative one.
    """
    text = os.environ.get(LIMIT) or "inf"
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not number >= 0:
        allowed = "a number of GB, 0 or more; not set: no limit"
        raise InputError(Problem("the limit on prepared inputs is no size", LIMIT, repr(text), allowed))
    return number
