"""The KV cache of prompts that have been run once, and the attention of answer trees after them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import DynamicCache


@dataclass
class PrefilledPrompts:
    """Prompts that have been run once; their keys and values are kept, so that any number of answers can follow.

    Args:
        cache: keys and values of every layer.
        visible: (B, P) True for tokens of the prompt, False for padding.
        next_position: (B,) rope position of the first answer token.
        last_state: (B, D) hidden state of the last prompt token, after the final norm.
    """

    cache: "DynamicCache"
    visible: Tensor
    next_position: Tensor
    last_state: Tensor

    def rewind(self) -> None:
        """Remove all tokens after the prompts from the cache."""
        self.cache.crop(-(self.cache.get_seq_length() - self.visible.shape[1]))


def tree_shape(parents: list[int]) -> tuple[Tensor, Tensor]:
    """Return the depth of each node of a tree, (S,) from 0, and the mask of its ancestors and itself, (S, S).

    Args:
        parents: for each node the index of its parent, -1 for none; parents before children.
    """
    depth: list[int] = []
    attends = torch.eye(len(parents), dtype=torch.bool)
    for node, parent in enumerate(parents):
        depth.append(0 if parent < 0 else depth[parent] + 1)
        if parent >= 0:
            attends[node] |= attends[parent]
    return torch.tensor(depth), attends
