"""A small sweep file, and what writes variations of it (see the fixture `write_sweep`)."""

from collections.abc import Callable
from pathlib import Path

PROFILE = """
dataset: {name: vader_av, num_train: 16, num_valid: 8, num_test: 8}
backbone: {name: tiny}
adapter: {rank: 4, alpha: 4.0, towers: [text], text_layers: last_2}
readout: {name: discriminative}
training: {epochs: 2, batch_size: 4}
"""
KEYS = {
    "question": "Does it work?",
    "profile": "small",
    "axes": "{readout: [discriminative, constant]}",
    "seeds": "[1, 2]",
}
WriteSweep = Callable[..., Path]
