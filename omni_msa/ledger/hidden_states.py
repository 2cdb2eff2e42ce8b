"""Hidden states of test clips on disk, for figures of the learned space."""

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class States:
    """Hidden states of clips: those of the last token of each prompt, after the final norm.

    Args:
        clip_ids: str (N,), unique.
        labels: float32 (N,).
        states: float16 (N, D), finite.
    """

    clip_ids: NDArray[np.str_]
    labels: NDArray[np.float32]
    states: NDArray[np.float16]

    def write(self, path: Path) -> None:
        """Write an `.npz` file; equal hidden states give equal bytes."""
        np.savez(path, clip_ids=self.clip_ids, labels=self.labels, states=self.states)


def read_states(path: Path) -> States | None:
    """Return the hidden states in a file, or None if it is missing, damaged or of another kind."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            states = States(*(arrays[name] for name in ("clip_ids", "labels", "states")))
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
        return None
    return states if _is_whole(states) else None


def _is_whole(stored: States) -> bool:
    ids, labels, states = stored.clip_ids, stored.labels, stored.states
    if (ids.dtype.kind, labels.dtype.str, states.dtype.str) != ("U", "<f4", "<f2"):
        return False
    if (ids.ndim, labels.ndim, states.ndim) != (1, 1, 2):
        return False
    is_consistent = len(ids) == len(labels) == len(states) == len(set(ids.tolist())) > 0
    return is_consistent and bool(np.isfinite(labels).all() and np.isfinite(states).all())
