"""What every backbone plug-in must do, run over the folder: a new file there is tested without a change here."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from transformers import Qwen2_5OmniThinkerForConditionalGeneration

from helpers.made_checkpoint import media_inputs
from omni_msa.config import plugins
from omni_msa.config.sections import BackboneOptions
from omni_msa.errors import InputError
from omni_msa.model import thinker
from omni_msa.model.dimensions import Dimensions

NAMES = plugins.names("backbones")
TO_BUILD = [pytest.param(name, marks=pytest.mark.network) if name == "pocket" else name for name in NAMES]
TEXT = "A “plain” naïve film, 3.5 of 5 — 好!\n\tGreat 😀 <b>fun</b>"


def plugin_options(name, **fields):
    return plugins.load("backbones", name).Options(**fields)


def build(name, **fields):
    """Build a plug-in's backbone, or skip the test if its weights are not here and too large to be fetched."""
    plugin, options = plugins.load("backbones", name), plugin_options(name, **fields)
    if problems := plugin.check(options):
        pytest.skip(problems[0].what)
    return plugin.build(options, "cpu")


@pytest.mark.parametrize("name", NAMES)
def test_options_name_the_plug_in_and_are_strict(name):
    options = plugin_options(name)
    assert isinstance(options, BackboneOptions)
    assert options.name == name
    with pytest.raises(ValueError, match="no_such_key"):
        plugin_options(name, no_such_key=1)
    with pytest.raises(ValueError, match="quantization"):
        plugin_options(name, quantization="int3")


@pytest.mark.parametrize("name", NAMES)
def test_dimensions_are_consistent(name):
    plugin = plugins.load("backbones", name)
    dimensions = plugin.dimensions(plugin.Options())
    assert isinstance(dimensions, Dimensions)
    for tower in (dimensions.text, dimensions.audio, dimensions.vision):
        assert tower.hidden_size % tower.num_heads == 0
    assert dimensions.text.num_heads % dimensions.text.num_kv_heads == 0
    assert set(dimensions.vision.full_attention_layers) <= set(range(dimensions.vision.num_layers))


def test_plug_ins_and_their_checks_need_no_heavy_library():
    code = f"""
import sys
from omni_msa.config import plugins
for name in {NAMES}:
    plugin = plugins.load("backbones", name)
    options = plugin.Options()
    plugin.dimensions(options), plugin.check(options)
heavy = {{"torch", "transformers", "peft", "tokenizers", "safetensors", "pandas", "scipy"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_weights_folder_is_a_problem(name, tmp_path):
    if name == "tiny":
        assert plugins.load("backbones", name).check(plugin_options(name)) == []
        return
    plugin = plugins.load("backbones", name)
    options = plugin_options(name, weights=str(tmp_path))
    [problem] = plugin.check(options)
    assert problem.where == "backbone.weights"
    assert str(tmp_path) in problem.got
    with pytest.raises(InputError) as caught:
        plugin.build(options, "cpu")
    assert caught.value.problems == (problem,)


@pytest.mark.parametrize("name", TO_BUILD)
def test_backbone_is_frozen_and_leaves_the_random_state_alone(name):
    before = torch.get_rng_state()
    backbone = build(name)
    assert torch.equal(before, torch.get_rng_state())
    assert isinstance(backbone.model, Qwen2_5OmniThinkerForConditionalGeneration)
    assert not any(parameter.requires_grad for parameter in backbone.model.parameters())
    assert not any(module.training for module in backbone.model.modules())
    assert not any(tensor.is_meta for tensor in [*backbone.model.parameters(), *backbone.model.buffers()])
    dimensions = plugins.load("backbones", name).dimensions(plugin_options(name))
    assert (backbone.hidden_size, backbone.num_text_layers) == (dimensions.text.hidden_size, dimensions.text.num_layers)
    table = backbone.model.get_input_embeddings().weight
    assert table.shape == (dimensions.text.vocabulary_size, dimensions.text.hidden_size)
    assert (backbone.model.lm_head.weight is table) == dimensions.text.tied_embeddings


@pytest.mark.parametrize("name", TO_BUILD)
def test_any_text_round_trips_and_special_tokens_are_one_token(name):
    backbone = build(name)
    ids = backbone.tokenizer.encode(TEXT, add_special_tokens=False)
    assert backbone.tokenizer.decode(ids, clean_up_tokenization_spaces=False) == TEXT
    for token in thinker.SPECIAL_TOKENS:
        [number] = backbone.tokenizer.encode(token, add_special_tokens=False)
        assert number < backbone.model.config.text_config.vocab_size
        as_characters = backbone.tokenizer.encode(token, add_special_tokens=False, split_special_tokens=True)
        assert number not in as_characters
    for field, token in thinker.CONFIG_IDS.items():
        assert getattr(backbone.model.config, field) == backbone.tokenizer.convert_tokens_to_ids(token)


@pytest.mark.parametrize("name", TO_BUILD)
def test_every_modality_reaches_the_last_state(name):
    backbone = build(name)
    inputs = media_inputs(backbone)
    with torch.no_grad():
        state = backbone.model.model(**inputs).last_hidden_state[:, -1]
        assert torch.equal(backbone.model.model(**inputs).last_hidden_state[:, -1], state)
        for field in ("input_features", "pixel_values_videos"):
            other = backbone.model.model(**{**inputs, field: -inputs[field]}).last_hidden_state[:, -1]
            assert (other - state).norm() > 1e-3 * state.norm()


@pytest.mark.parametrize("name", TO_BUILD)
def test_gradients_reach_all_towers(name):
    backbone = build(name)
    try:
        for parameter in backbone.model.parameters():
            parameter.requires_grad_(True)
        backbone.model.model(**media_inputs(backbone)).last_hidden_state[:, -1].square().sum().backward()
        inner = backbone.model.model
        for tower in (inner.language_model.layers, inner.visual.blocks, inner.audio_tower.layers):
            assert any(
                parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in tower.parameters()
            )
    finally:
        backbone.model.requires_grad_(False)


@pytest.mark.parametrize("name", TO_BUILD)
def test_two_builds_are_the_same_and_a_forward_pass_changes_nothing(name):
    first, second = build(name), build(name)
    before = thinker.parameter_hash(first.model)
    assert thinker.parameter_hash(second.model) == before
    with torch.no_grad():
        first.model(**media_inputs(first))
    assert thinker.parameter_hash(first.model) == before


def test_the_seed_of_the_tiny_backbone_draws_its_weights():
    assert thinker.parameter_hash(build("tiny", weights_seed=1).model) != thinker.parameter_hash(build("tiny").model)


@pytest.mark.parametrize("field", ["parameter", "buffer", "name"])
def test_parameter_hash_sees_every_single_bit(field):
    model = nn.BatchNorm1d(3)
    before = thinker.parameter_hash(model)
    if field == "parameter":
        model.weight.data[1] = torch.nextafter(model.weight.data[1], torch.tensor(2.0))
    elif field == "buffer":
        model.num_batches_tracked += 1
    else:
        model.weight, model.bias = nn.Parameter(model.bias.data), nn.Parameter(model.weight.data)
    assert thinker.parameter_hash(model) != before


def test_four_bits_on_the_cpu_run_train_and_stay_as_they_are():
    backbone = build("tiny", quantization="nf4")
    full = build("tiny")
    layer = backbone.model.model.language_model.layers[0].mlp.gate_proj
    assert layer.weight.dtype == torch.uint8
    assert layer.weight.quant_state.quant_type == "nf4"
    assert layer.weight.quant_state.nested  # double quantisation
    assert backbone.model.lm_head.weight.dtype == torch.float32
    before = thinker.parameter_hash(backbone.model)
    inputs = media_inputs(backbone)
    with torch.no_grad():
        states = backbone.model.model(**inputs).last_hidden_state
        exact = full.model.model(**inputs).last_hidden_state
    embeddings = backbone.model.get_input_embeddings()(inputs["input_ids"]).requires_grad_(True)
    backbone.model.model.language_model(inputs_embeds=embeddings).last_hidden_state.sum().backward()
    assert embeddings.grad.abs().max() > 0
    assert thinker.parameter_hash(backbone.model) == before
    agreement = torch.nn.functional.cosine_similarity(states, exact, dim=-1).mean()
    assert 0.8 < agreement < 0.99999  # close to the exact network, and not the exact network


def test_parameter_hash_sees_the_scales_of_four_bit_weights():
    model = build("tiny", quantization="nf4").model
    before = thinker.parameter_hash(model)
    model.model.visual.blocks[0].mlp.up_proj.weight.quant_state.offset += 1e-6
    assert thinker.parameter_hash(model) != before
