"""Hidden states of test clips, noted while a trial predicts them: what pictures of the learned space are made of."""

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
"""So many clips' states are noted at most: a few megabytes a trial."""


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
