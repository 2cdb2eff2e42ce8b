"""Trainable heads of readouts."""

from typing import Literal

import torch
from torch import nn

Norm = Literal["before", "inner", "after", "none"]


class RegressionHead(nn.Module):
    """Map a hidden state to one or several numbers: Linear, ReLU, Dropout, Linear, with an optional LayerNorm.

    Args:
        hidden_size: width of the hidden state.
        width: of the inner layer; 0 makes the head linear.
        dropout: probability in [0, 1).
        norm: LayerNorm on the hidden state ("before"), on the inner layer before its ReLU ("inner") or after it
            ("after"), or none ("none"); a linear head has no inner layer.
        num_outputs: numbers per hidden state.
    """

    def __init__(self, hidden_size: int, width: int, dropout: float, norm: Norm, num_outputs: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.LayerNorm(hidden_size)] if norm == "before" else []
        if width:
            layers.append(nn.Linear(hidden_size, width))
            layers += [nn.LayerNorm(width)] if norm == "inner" else []
            layers.append(nn.ReLU())
            layers += [nn.LayerNorm(width)] if norm == "after" else []
            layers.append(nn.Dropout(dropout))
        self.layers = nn.Sequential(*layers, nn.Linear(width or hidden_size, num_outputs))

    def forward(self, state: torch.Tensor) -> torch.Tensor:
        """Return the outputs of hidden states: (B, D) to (B,), or to (B, num_outputs) if there are several."""
        return self.layers(state.float()).squeeze(-1)
