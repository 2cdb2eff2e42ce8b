"""Collecting hidden states of test clips while a trial predicts them, for figures of the learned space."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from omni_msa.data.clip import Clip
from omni_msa.ledger.hidden_states import States, _is_whole

if TYPE_CHECKING:
    from torch import Tensor

    from omni_msa.model.prompt import Prompt

NUM_CLIPS_MAX = 1000
"""Largest number of clips whose hidden states are kept: a few megabytes per trial."""


def chosen(clips: Sequence[Clip]) -> list[Clip]:
    """Return the clips whose hidden states are kept: all, or `NUM_CLIPS_MAX` evenly spaced ones.

    The choice depends on the clips alone, so trials of all cells and seeds can be compared clip by clip.
    """
    num = min(len(clips), NUM_CLIPS_MAX)
    return [clips[index * len(clips) // num] for index in range(num)]


class Collector:
    """Collects hidden states while clips are predicted; to be set as `Forward.on_states`.

    Args:
        clips: of one split; those returned by `chosen` are kept.
    """

    def __init__(self, clips: Sequence[Clip]) -> None:
        self._clips = chosen(clips)
        self._wanted = {clip.id for clip in self._clips}
        self._states: dict[str, NDArray[np.float16]] = {}

    def __call__(self, prompts: Sequence["Prompt"], states: "Tensor") -> None:
        """Keep the hidden states (B, D) of the last tokens of B prompts, after the final norm."""
        rows = [row for row, prompt in enumerate(prompts) if prompt.clip_id in self._wanted]
        if rows:
            values = states.detach()[rows].half().cpu().numpy()
            self._states |= {prompts[row].clip_id: value for row, value in zip(rows, values, strict=True)}

    def states(self) -> States | None:
        """Return the hidden states in the order of the clips; None if one is missing or not finite."""
        if len(self._states) < len(self._clips):
            return None
        ids = np.array([clip.id for clip in self._clips], dtype=np.str_)
        labels = np.array([clip.label for clip in self._clips], dtype=np.float32)
        states = States(ids, labels, np.stack([self._states[clip.id] for clip in self._clips]))
        return states if _is_whole(states) else None
