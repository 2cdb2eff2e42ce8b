"""The provenance of a result: code, versions, machine. It is recorded with each attempt and is not part of any id."""

import importlib.metadata
import os
import socket
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

from omni_msa.config.lookups import plugin_packages
from omni_msa.config.trial import TrialConfig
from omni_msa.data.media.denoise import described
from omni_msa.planning import hardware

PACKAGES = (
    *("omni_msa", "torch", "transformers", "peft", "bitsandbytes", "accelerate", "tokenizers", "safetensors"),
    *("numpy", "scipy", "pandas", "ray", "mlflow", "optuna", "decord", "av", "librosa", "pydantic"),
)


def provenance(config: TrialConfig) -> dict[str, Any]:
    """Return commit, package versions, machine, host and process of this attempt as JSON values.

    Args:
        config: the trial's configuration; versions of packages that provide its plug-ins are under `plugins`.
    """
    plugins = {"plugins": packages} if (packages := plugin_packages(config)) else {}
    return {**_of_machine(), **plugins, **described(config), "host": socket.gethostname(), "pid": os.getpid()}


@lru_cache(maxsize=1)
def _of_machine() -> dict[str, Any]:
    """Return the part that does not change while the process lives, as its code was imported once."""
    return {**_commit(Path(__file__).parent), "packages": _versions(), **hardware.describe()}


def _commit(folder: Path) -> dict[str, Any]:
    """Return the commit and whether tracked files differ from it, None for both outside a checkout of this package."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None or _git(folder, "ls-files", "--error-unmatch", Path(__file__).name) is None:
        return {"commit": None, "dirty": None}  # installed inside another project's checkout, or in none
    return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))}


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _versions() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
