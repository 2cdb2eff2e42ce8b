"""Rows of different lengths as one batch, and which of its tokens see which."""

import torch
from torch import Tensor


def align(rows: list[Tensor], lengths: list[int]) -> tuple[Tensor, Tensor]:
    """Pad (T_i, ...) rows so that all prompts, of `lengths` tokens, end in one column: (B, T, ...) and (B, T)."""
    longest = max(lengths)
    tail = max(len(row) - length for row, length in zip(rows, lengths, strict=True))
    padded = rows[0].new_zeros((len(rows), longest + tail, *rows[0].shape[1:]))
    visible = torch.zeros(padded.shape[:2], dtype=torch.bool, device=padded.device)
    for place, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        start = longest - length
        padded[place, start : start + len(row)] = row
        visible[place, start : start + len(row)] = True
    return padded, visible


def causal(visible: Tensor) -> Tensor:
    """Return (B, 1, T, T): each token sees real tokens up to itself; padding sees itself, so that no row is empty."""
    length = visible.shape[1]
    earlier = torch.ones(length, length, dtype=torch.bool, device=visible.device).tril()
    itself = torch.eye(length, dtype=torch.bool, device=visible.device)
    return ((visible[:, None, :] & earlier) | itself)[:, None]
