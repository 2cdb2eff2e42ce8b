"""Prompts that have been read once, and how a tree of answers follows them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import DynamicCache


@dataclass
class PrefilledPrompts:
    """Prompts that have been read, once: keys and values are kept, any number of answers can follow.

    Args:
        cache: keys and values of every layer.
        visible: (B, P) True where a token is a prompt's and not padding.
        next_position: (B,) the rope position of the first answer token.
        last_state: (B, D) normed state of the last prompt token.
    """

    cache: "DynamicCache"
    visible: Tensor
    next_position: Tensor
    last_state: Tensor

    def rewind(self) -> None:
        """Forget what has followed the prompts."""
        self.cache.crop(-(self.cache.get_seq_length() - self.visible.shape[1]))


def tree_shape(parents: list[int]) -> tuple[Tensor, Tensor]:
    """Return how deep each node of a tree stands, (S,) from 0, and which nodes it comes after, itself included, (S, S).

    Args:
        parents: for each node the index of the one before it, -1 for none; parents before children.
    """
    depth: list[int] = []
    sees = torch.eye(len(parents), dtype=torch.bool)
    for node, parent in enumerate(parents):
        depth.append(0 if parent < 0 else depth[parent] + 1)
        if parent >= 0:
            sees[node] |= sees[parent]
    return torch.tensor(depth), sees
