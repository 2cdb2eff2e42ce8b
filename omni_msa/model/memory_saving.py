"""Saving GPU memory: activation checkpointing of the encoders, and offloading of the output layer."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import Qwen2_5OmniThinkerForConditionalGeneration

from omni_msa.model.thinker import Backbone


@contextmanager
def activation_checkpointing(model: Qwen2_5OmniThinkerForConditionalGeneration, is_on: bool) -> Iterator[None]:
    """Keep only the inputs of the blocks of both encoders, and recompute activations in the backward pass.

    Args:
        model: unchanged at the end of the block; the backward pass may come later.
        is_on: False: do nothing.
    """
    blocks: list[Any] = [*model.model.audio_tower.layers, *model.model.visual.blocks] if is_on else []
    for block in blocks:  # transformers checks this flag of the block; nothing else in the block uses it
        block.training = block.gradient_checkpointing = True
        block._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)
    try:
        yield
    finally:
        for block in blocks:
            block.training = False
            del block.gradient_checkpointing, block._gradient_checkpointing_func


def offload_output_layer(backbone: Backbone) -> None:
    """Move `lm_head` to CPU memory until a readout generates text: at 7B it has 545 million weights, 1.09 GB.

    It stays loaded, so that all readouts have frozen weights of the same digest, and trials of both kinds can follow
    each other in one process.

    Args:
        backbone: if `lm_head` is tied to the embeddings, nothing is moved.
    """
    if not backbone.model.config.text_config.tie_word_embeddings:
        backbone.model.lm_head.to("cpu")


def output_layer(backbone: Backbone) -> nn.Module:
    """Move `lm_head` to the device of the backbone, and return it."""
    return backbone.model.lm_head.to(backbone.device)
