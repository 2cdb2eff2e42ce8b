"""Batches: cutting lists into them, padding rows of different lengths, and the causal attention mask."""

from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def in_batches(items: list[T], size: int) -> list[list[T]]:
    """Return consecutive parts of a list, each of `size` items; the last one may be shorter."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def align(rows: list[Tensor], lengths: list[int]) -> tuple[Tensor, Tensor]:
    """Pad rows (T_i, ...) so that all prompts end in the same column.

    Args:
        rows: B prompts, each followed by its answer.
        lengths: tokens of each prompt alone.

    Returns:
        the padded rows (B, T, ...), and the mask of real tokens (B, T).
    """
    longest = max(lengths)
    tail = max(len(row) - length for row, length in zip(rows, lengths, strict=True))
    padded = rows[0].new_zeros((len(rows), longest + tail, *rows[0].shape[1:]))
    visible = torch.zeros(padded.shape[:2], dtype=torch.bool, device=padded.device)
    for index, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        start = longest - length
        padded[index, start : start + len(row)] = row
        visible[index, start : start + len(row)] = True
    return padded, visible


def causal(visible: Tensor) -> Tensor:
    """Return the mask (B, 1, T, T): a token attends to real tokens up to itself; padding attends to itself only."""
    length = visible.shape[1]
    earlier = torch.ones(length, length, dtype=torch.bool, device=visible.device).tril()
    itself = torch.eye(length, dtype=torch.bool, device=visible.device)
    return ((visible[:, None, :] & earlier) | itself)[:, None]
