"""Clips that cannot be used, and the clips that remain without them."""

from collections.abc import Sequence
from dataclasses import dataclass

from omni_msa.data.clip import Clip
from omni_msa.errors import InputError, Problem


@dataclass(frozen=True)
class Fault:
    """Why a clip cannot be used.

    Args:
        clip_id, split: of the clip.
        modality: audio or video.
        reason: what is wrong, for messages.
        file: path of the source file, "" if the clip has none.
    """

    clip_id: str
    split: str
    modality: str
    reason: str
    file: str

    def problem(self, next_step: str) -> Problem:
        """Return the fault as a problem to report."""
        return Problem(
            f"the {self.modality} of clip {self.clip_id} cannot be used", self.file, self.reason, "", next_step
        )


def left_after(clips: Sequence[Clip], dropped: Sequence[str]) -> list[Clip]:
    """Return all clips except the dropped ones.

    Args:
        clips: of the dataset, all splits.
        dropped: ids of clips to leave out.

    Raises:
        InputError: the dataset has no clip with one of these ids.
    """
    left_out = set(dropped)
    if unknown := sorted(left_out - {clip.id for clip in clips}):
        raise InputError(Problem("dropped clips are not in the dataset", "dropped_clips", ", ".join(unknown)))
    return [clip for clip in clips if clip.id not in left_out]
