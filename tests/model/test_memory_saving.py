"""What saves memory: it does, in all three towers, and leaves the network as it was."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from helpers import tiny_trials
from helpers.made_checkpoint import TINY_OMNI, options, write_checkpoint
from helpers.saved_tensors import saved_bytes
from omni_msa.config.trial import AdapterConfig
from omni_msa.model.adapter import attached
from omni_msa.model.forward import Forward
from omni_msa.model.memory_saving import activation_checkpointing, offload_output_layer, output_layer
from omni_msa.model.thinker import parameter_hash


@pytest.mark.parametrize("tower", ["audio", "video"])
def test_an_encoder_keeps_less(tower):
    backbone = tiny_trials.tiny_backbone()
    prompts = tiny_trials.make_prompts(backbone)

    def embed(is_on: bool) -> torch.Tensor:
        with activation_checkpointing(backbone.model, is_on):
            return torch.cat(Forward(backbone).embed(prompts, [()] * 3)[0])

    with attached(backbone, AdapterConfig(rank=2, towers=(tower,)), seed=1):
        plain, saving = (saved_bytes(backbone.model, partial(embed, is_on)) for is_on in (False, True))
    assert saving < 0.5 * plain


def test_the_network_is_left_as_it_was():
    backbone = tiny_trials.tiny_backbone()
    blocks = [*backbone.model.model.audio_tower.layers, *backbone.model.model.visual.blocks]
    before = [sorted(vars(block)) for block in blocks]
    with activation_checkpointing(backbone.model, True):
        assert all(block.gradient_checkpointing for block in blocks)
        inner = [module for block in blocks for module in block.modules() if module is not block]
        assert not any(module.training for module in inner)
    assert [sorted(vars(block)) for block in blocks] == before
    assert not any(module.training or getattr(module, "gradient_checkpointing", False) for module in blocks)


def test_the_output_layer_follows_its_use(tmp_path):
    write_checkpoint(tmp_path)
    untied = TINY_OMNI.build(options(tmp_path, quantization="none"), "cpu")
    untied.model.config.text_config.tie_word_embeddings = False
    untied.model.lm_head.weight = torch.nn.Parameter(untied.model.lm_head.weight.clone(), requires_grad=False)
    before = parameter_hash(untied.model)
    offload_output_layer(untied)
    assert parameter_hash(untied.model) == before
    elsewhere = replace(untied, device="meta")  # as a card: another device than the host
    assert output_layer(elsewhere).weight.is_meta
    assert not any(tensor.is_meta for name, tensor in untied.model.named_parameters() if name != "lm_head.weight")


def test_a_tied_output_layer_stays():
    backbone = tiny_trials.tiny_backbone()
    table = backbone.model.get_input_embeddings().weight
    offload_output_layer(backbone)
    assert output_layer(backbone).weight is table
