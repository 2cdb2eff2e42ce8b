"""Where fetched, generated and computed files are kept between runs."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the cache folder: `$OMNI_MSA_CACHE`, else `$XDG_CACHE_HOME/omni_msa`, else `~/.cache/omni_msa`."""
    if own := os.environ.get("OMNI_MSA_CACHE"):
        return Path(os.path.expanduser(own)).absolute()  # unlike pathlib it leaves an unknown ~user as it is
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expanduser(base)).absolute() / "omni_msa"
