"""Hidden states of test clips, noted while a trial predicts them: what pictures of the learned space are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from omni_msa.clip import Clip

if TYPE_CHECKING:
    from torch import Tensor

    from omni_msa.prompt import Prompt

NUM_CLIPS_MAX = 1000
"""So many clips' states are noted at most: a few megabytes a trial."""


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


def chosen(clips: Sequence[Clip]) -> list[Clip]:
    """Return the clips whose states are noted: all, or of more than `NUM_CLIPS_MAX` that many, evenly spaced.

    They depend on the clips alone, so trials of all cells and seeds can be compared clip by clip.
    """
    num = min(len(clips), NUM_CLIPS_MAX)
    return [clips[place * len(clips) // num] for place in range(num)]


class Collector:
    """Notes the states that pass by while clips are predicted.

    Args:
        clips: of one split; those that `chosen` names are noted.
    """

    def __init__(self, clips: Sequence[Clip]) -> None:
        self._clips = chosen(clips)
        self._wanted = {clip.id for clip in self._clips}
        self._found: dict[str, NDArray[np.float16]] = {}

    def __call__(self, prompts: Sequence["Prompt"], states: "Tensor") -> None:
        """Take the states of B prompts, (B, D), each prompt's last token after the final norm."""
        rows = [row for row, prompt in enumerate(prompts) if prompt.clip_id in self._wanted]
        if rows:
            values = states.detach()[rows].half().cpu().numpy()
            self._found |= {prompts[row].clip_id: value for row, value in zip(rows, values, strict=True)}

    def states(self) -> States | None:
        """Return what was noted, in the order of the clips; None unless all of them passed by, with finite states."""
        if len(self._found) < len(self._clips):
            return None
        ids = np.array([clip.id for clip in self._clips], dtype=np.str_)
        labels = np.array([clip.label for clip in self._clips], dtype=np.float32)
        found = States(ids, labels, np.stack([self._found[clip.id] for clip in self._clips]))
        return found if _is_whole(found) else None
