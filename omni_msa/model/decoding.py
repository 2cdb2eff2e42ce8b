"""Greedy decoding of a batch of prompts, optionally constrained to a tree of answers."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from omni_msa.model.kv_cache import PrefilledPrompts

if TYPE_CHECKING:
    from omni_msa.model.forward import Forward
    from omni_msa.model.prefix_cache import Answers

Followers = list[dict[int, int]]
"""The tokens allowed next at each node of a tree of answers; see `AnswerTree.followers`."""


@torch.no_grad()
def greedy(
    forward: "Forward", prefilled: PrefilledPrompts, num_tokens_max: int, stop: int, followers: Followers | None = None
) -> "Answers":
    """Return the greedily decoded tokens after each prompt, without the stop token.

    Args:
        forward: passes over the backbone.
        prefilled: B prompts that have been read; unchanged afterwards.
        num_tokens_max: longest answer in tokens.
        stop: id of the end-of-turn token.
        followers: tree of the allowed answers; None allows any text.
    """
    state = prefilled.last_state  # (B, D)
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
        attends = torch.ones(1, step + 1, dtype=torch.bool)
        state = forward.extend(prefilled, best[:, None], torch.tensor([step]), attends)[:, 0]
    prefilled.rewind()
    rows = torch.stack(chosen, dim=1).tolist()
    return [tuple(row[: row.index(stop)] if stop in row else row) for row in rows]


class _Track:
    """The current node of each answer of a batch in the tree; -1 once the answer is complete."""

    def __init__(self, followers: Followers, num: int) -> None:
        self.followers = followers
        self.nodes = [0] * num

    def allowed(self, scores: Tensor) -> Tensor:
        """Return the scores (B, V) with minus infinity for every token that is not allowed."""
        masked = torch.full_like(scores, -torch.inf)
        for row, node in enumerate(self.nodes):
            tokens = list(self.followers[node]) if node >= 0 else []
            masked[row, tokens] = scores[row, tokens]
        return masked

    def follow(self, best: Tensor) -> Tensor:
        """Advance each answer by its chosen token (B,); return which answers are not complete, (B,)."""
        steps = zip(self.nodes, best.tolist(), strict=True)
        self.nodes = [self.followers[node][token] if node >= 0 else -1 for node, token in steps]
        return torch.tensor([node >= 0 for node in self.nodes], device=best.device)
