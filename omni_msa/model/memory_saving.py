"""What saves a card's memory: encoders that compute anew in the backward pass, an output layer that waits outside."""

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
    """Let the blocks of both encoders keep only their inputs and compute the rest anew in the backward pass.

    Args:
        model: left as it was at the end; the backward pass may come later.
        is_on: False to change nothing.
    """
    blocks: list[Any] = [*model.model.audio_tower.layers, *model.model.visual.blocks] if is_on else []
    for block in blocks:  # transformers looks at the block's own flag, which nothing else in the block does
        block.training = block.gradient_checkpointing = True
        block._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)
    try:
        yield
    finally:
        for block in blocks:
            block.training = False
            del block.gradient_checkpointing, block._gradient_checkpointing_func


def offload_output_layer(backbone: Backbone) -> None:
    """Move `lm_head` to the host's memory until a readout writes text: at 7B it has 545 million weights, 1.09 GB.

    It stays loaded, so that all readouts have the same frozen weights by the same digest, and trials of both kinds can
    follow each other in one process.

    Args:
        backbone: where `lm_head` is the table of embeddings (tied), it stays where it is.
    """
    if not backbone.model.config.text_config.tie_word_embeddings:
        backbone.model.lm_head.to("cpu")


def output_layer(backbone: Backbone) -> nn.Module:
    """Return `lm_head`, on the backbone's device from now on."""
    return backbone.model.lm_head.to(backbone.device)
