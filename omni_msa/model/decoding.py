"""What can follow a prompt: greedy decoding of a batch, if wished only along a tree of answers; the shape of trees."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from omni_msa.model.kv_cache import PrefilledPrompts

if TYPE_CHECKING:
    from omni_msa.model.forward import Forward
    from omni_msa.model.prefix_cache import Answers

Followers = list[dict[int, int]]
"""What may come next in each place of a tree of answers; see `AnswerTree.followers`."""


@torch.no_grad()
def greedy(
    forward: "Forward", opened: PrefilledPrompts, num_tokens_max: int, stop: int, followers: Followers | None = None
) -> "Answers":
    """Return the most probable next tokens after each prompt, one by one, the stop token left out.

    Args:
        forward: passes over the backbone.
        opened: B prompts that have been read; they are as before afterwards.
        num_tokens_max: decoding ends here at the latest.
        stop: id of the end-of-turn token.
        followers: only these answers can be written; None for anything.
    """
    state = opened.last_state  # (B, D)
    track = None if followers is None else _Track(followers, len(state))
    chosen: list[Tensor] = []
    running = torch.ones(len(state), dtype=torch.bool, device=state.device)
    for step in range(num_tokens_max):
        scores = forward.logits(state)  # (B, V)
        best = (scores if track is None else track.allowed(scores)).argmax(-1).masked_fill(~running, stop)
        chosen.append(best)
        running &= best != stop
        if track is not None:
            running &= track.follow(best)
        if not running.any() or step + 1 == num_tokens_max:
            break
        sees = torch.ones(1, step + 1, dtype=torch.bool)
        state = forward.extend(opened, best[:, None], torch.tensor([step]), sees)[:, 0]
    opened.rewind()
    rows = torch.stack(chosen, dim=1).tolist()
    return [tuple(row[: row.index(stop)] if stop in row else row) for row in rows]


class _Track:
    """Where in the tree each answer of a batch stands; -1 once it is whole."""

    def __init__(self, followers: Followers, num: int) -> None:
        self.followers = followers
        self.places = [0] * num

    def allowed(self, scores: Tensor) -> Tensor:
        """Return the scores (B, V) with minus infinity for every token that leads to no answer."""
        kept = torch.full_like(scores, -torch.inf)
        for row, place in enumerate(self.places):
            tokens = list(self.followers[place]) if place >= 0 else []
            kept[row, tokens] = scores[row, tokens]
        return kept

    def follow(self, best: Tensor) -> Tensor:
        """Take one step with each chosen token (B,); return which answers go on, (B,)."""
        steps = zip(self.places, best.tolist(), strict=True)
        self.places = [self.followers[place][token] if place >= 0 else -1 for place, token in steps]
        return torch.tensor([place >= 0 for place in self.places], device=best.device)
