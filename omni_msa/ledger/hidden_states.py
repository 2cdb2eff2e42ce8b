"""Hidden states of test clips on disk: what pictures of the learned space are made of."""

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class States:
    """States of clips: of each its prompt's last token, after the final norm.

    Args:
        clip_ids: str (N,), each once.
        labels: float32 (N,).
        states: float16 (N, D), finite.
    """

    clip_ids: NDArray[np.str_]
    labels: NDArray[np.float32]
    states: NDArray[np.float16]

    def write(self, path: Path) -> None:
        """Write an `.npz` file; the same states give the same bytes."""
        np.savez(path, clip_ids=self.clip_ids, labels=self.labels, states=self.states)


def read_states(path: Path) -> States | None:
    """Return what a file holds, or None if it is missing, torn or foreign."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = States(*(arrays[name] for name in ("clip_ids", "labels", "states")))
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
        return None
    return found if _is_whole(found) else None


def _is_whole(found: States) -> bool:
    ids, labels, states = found.clip_ids, found.labels, found.states
    if (ids.dtype.kind, labels.dtype.str, states.dtype.str) != ("U", "<f4", "<f2"):
        return False
    if (ids.ndim, labels.ndim, states.ndim) != (1, 1, 2):
        return False
    is_even = len(ids) == len(labels) == len(states) == len(set(ids.tolist())) > 0
    return is_even and bool(np.isfinite(labels).all() and np.isfinite(states).all())
