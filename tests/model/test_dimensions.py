"""Counts by plain arithmetic: hand-worked, published, and those of the network itself on the meta device."""

import json

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import Qwen2_5OmniThinkerForConditionalGeneration

from helpers.paths import FIXTURES
from omni_msa.config import plugins
from omni_msa.config.trial import LINEAR_LAYERS
from omni_msa.errors import InputError
from omni_msa.model.dimensions import (
    NF4_BYTES,
    Dimensions,
    adapted_layers,
    linear_layers,
    num_base_parameters,
    num_lora_parameters,
    weights_gb,
)
from omni_msa.model.thinker import thinker_config

ALL_TOWERS = ("text", "audio", "video")
KNOWN = json.loads((FIXTURES / "lora_counts.json").read_text())


def shape(name: str) -> Dimensions:
    plugin = plugins.load("backbones", name)
    return plugin.dimensions(plugin.Options())


def on_meta(name: str) -> Qwen2_5OmniThinkerForConditionalGeneration:
    with torch.device("meta"):
        return Qwen2_5OmniThinkerForConditionalGeneration(thinker_config(shape(name)))


def test_counts_of_the_paper_s_backbone_are_the_known_ones():
    dimensions = shape("qwen2_5_omni_7b")
    assert num_base_parameters(dimensions) == KNOWN["base_parameters"]
    for rank, count in KNOWN["all_towers"].items():
        assert num_lora_parameters(dimensions, int(rank), LINEAR_LAYERS, ALL_TOWERS) == count
    for rank, count in KNOWN["text_tower_only"].items():
        assert num_lora_parameters(dimensions, int(rank), LINEAR_LAYERS, ("text",)) == count


def test_share_of_trainable_weights_is_the_published_one():
    dimensions, paper = shape("qwen2_5_omni_7b"), KNOWN["paper"]
    trainable = num_lora_parameters(dimensions, paper["rank"], LINEAR_LAYERS, ALL_TOWERS)
    total = trainable + num_base_parameters(dimensions)
    assert (trainable, total) == (paper["trainable"], paper["total"])
    assert round(100 * trainable / total, 4) == paper["percent"]


@pytest.mark.parametrize("name", plugins.names("backbones"))
def test_layers_and_counts_agree_with_the_network_and_with_peft(name):
    dimensions, model = shape(name), on_meta(name)
    found = {
        path: (module.in_features, module.out_features, module.bias is not None)
        for path, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and path != "lm_head"
    }
    assert {item.name: (item.num_inputs, item.num_outputs, item.bias) for item in linear_layers(dimensions)} == found
    assert num_base_parameters(dimensions) == sum(parameter.numel() for parameter in model.parameters())
    adapted = get_peft_model(model, LoraConfig(r=32, target_modules=list(LINEAR_LAYERS)))
    trainable = sum(parameter.numel() for parameter in adapted.parameters() if parameter.requires_grad)
    assert num_lora_parameters(dimensions, 32, LINEAR_LAYERS, ALL_TOWERS) == trainable


def test_one_layer_by_hand():
    # Text tower of `tiny`: 32 -> 32 queries, 32 -> 16 keys (2 of 4 heads of 8), 64 wide; rank 2.
    tiny = shape("tiny")
    assert num_lora_parameters(tiny, 2, ["q_proj"], ["text"], "last_1") == 2 * (32 + 32)
    assert num_lora_parameters(tiny, 2, ["k_proj"], ["text"], "last_1") == 2 * (32 + 16)
    assert num_lora_parameters(tiny, 2, ["mlp.down_proj"], ["text"], "last_3") == 3 * 2 * (64 + 32)


def test_last_layers_restrict_the_text_tower_only():
    tiny = shape("tiny")
    layers = adapted_layers(tiny, ["q_proj", "up_proj"], ALL_TOWERS, "last_1")
    assert {(item.tower, item.layer) for item in layers} == {
        ("text", 3),
        ("audio", 0),
        ("audio", 1),
        ("video", 0),
        ("video", 1),
    }
    assert num_lora_parameters(tiny, 8, LINEAR_LAYERS, ["text"], "last_4") == num_lora_parameters(
        tiny, 8, LINEAR_LAYERS, ["text"]
    )


def test_a_target_is_a_whole_name():
    names = [item.name for item in adapted_layers(shape("tiny"), ["proj"], ALL_TOWERS)]
    assert names == ["model.visual.blocks.0.attn.proj", "model.visual.blocks.1.attn.proj"]


def test_more_layers_than_there_are_is_refused():
    with pytest.raises(InputError) as caught:
        num_lora_parameters(shape("tiny"), 2, ["q_proj"], ["text"], "last_5")
    assert caught.value.problems[0].got == "last_5"
    assert "last_4" in caught.value.problems[0].allowed


def test_memory_of_weights():
    dimensions = shape("qwen2_5_omni_7b")
    assert weights_gb(dimensions, "none", "float32") == pytest.approx(4 * KNOWN["base_parameters"] / 1e9)
    assert weights_gb(dimensions, "none", "bfloat16") == pytest.approx(2 * KNOWN["base_parameters"] / 1e9)
    linear = sum(item.num_inputs * item.num_outputs for item in linear_layers(dimensions))
    rest = KNOWN["base_parameters"] - linear
    assert rest > 2 * 152_064 * 3_584  # both tables of the vocabulary stay in bfloat16
    assert weights_gb(dimensions, "nf4", "bfloat16") == pytest.approx((linear * NF4_BYTES + 2 * rest) / 1e9)
    assert pytest.approx(4.127 / 8, abs=1e-4) == NF4_BYTES  # 0.127 bits of scales a weight, arXiv 2305.14314
