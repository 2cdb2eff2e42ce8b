"""What every backbone plug-in must do, run over the folder: a new file there is tested without a change here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import Qwen2_5OmniThinkerForConditionalGeneration

from omni_msa import plugins, thinker
from omni_msa.errors import InputError
from omni_msa.options import BackboneOptions
from omni_msa.sizes import Dimensions

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


def media_inputs(backbone):
    """A prompt with 4 video tokens, 6 audio tokens and a word, and random media, whatever the backbone."""
    prompt = "<|im_start|>user\n<|vision_bos|>" + "<|VIDEO|>" * 4 + "<|vision_eos|><|audio_bos|>" + "<|AUDIO|>" * 6
    ids = torch.tensor([backbone.tokenizer.encode(f"{prompt}<|audio_eos|>hello<|im_end|>\n", add_special_tokens=False)])
    generator = torch.Generator().manual_seed(0)
    bins = backbone.model.config.audio_config.num_mel_bins
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "input_features": torch.randn(1, bins, 24, generator=generator),
        "feature_attention_mask": torch.ones(1, 24, dtype=torch.long),
        "pixel_values_videos": torch.randn(16, 1176, generator=generator),
        "video_grid_thw": torch.tensor([[1, 4, 4]]),
        "video_second_per_grid": torch.tensor([1.0]),
    }


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
from omni_msa import plugins
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


def peak_memory_gb() -> float:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024 / 1e9


def write_checkpoint(folder: Path, talker_gb: float) -> dict[str, torch.Tensor]:
    """Write a checkpoint as the hub has it: nested configuration, `thinker.` names, a Talker in a part of its own."""
    tiny = build("tiny")
    state = {name: tensor.clone() for name, tensor in tiny.model.state_dict().items() if name != "lm_head.weight"}
    old = {
        f"thinker.{name.removeprefix('model.').replace('language_model.', 'model.', 1)}": tensor
        for name, tensor in state.items()
    }
    config = tiny.model.config.to_dict()
    for key in ("vision_start_token_id", "vision_end_token_id"):
        del config[key]
    whole = {"model_type": "qwen2_5_omni", "thinker_config": config, "talker_config": {}, "token2wav_config": {}}
    (folder / "config.json").write_text(json.dumps(whole))
    tiny.tokenizer.save_pretrained(folder)
    save_file(old, folder / "part-1.safetensors", metadata={"format": "pt"})
    num_bytes = int(talker_gb * 1e9) // 4 * 4
    entry = {"talker.model.weight": {"dtype": "F32", "shape": [num_bytes // 4], "data_offsets": [0, num_bytes]}}
    header = json.dumps(entry | {"__metadata__": {"format": "pt"}}).encode()
    header += b" " * (-len(header) % 8)
    with (folder / "part-2.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(file.tell() + num_bytes)  # a hole: no disk is used
    parts = dict.fromkeys(old, "part-1.safetensors") | {"talker.model.weight": "part-2.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": parts}))
    return state


@pytest.mark.parametrize("name", ["qwen2_5_omni_3b", "qwen2_5_omni_7b"])
def test_only_the_thinker_of_a_checkpoint_is_read(name, tmp_path):
    state = write_checkpoint(tmp_path, talker_gb=3)
    options = plugin_options(name, weights=str(tmp_path), quantization="none")
    plugin = plugins.load("backbones", name)
    assert plugin.check(options) == []
    Path("/proc/self/clear_refs").write_text("5")  # peak memory starts again from what is used now
    peak_before = peak_memory_gb()
    backbone = plugin.build(options, "cpu")
    assert peak_memory_gb() - peak_before < 0.5
    loaded = backbone.model.state_dict()
    for key, tensor in state.items():
        assert torch.equal(loaded[key], tensor.to(torch.bfloat16)), key
    ids = thinker.special_ids(backbone.tokenizer)
    assert backbone.model.config.vision_start_token_id == ids["<|vision_bos|>"]
    assert backbone.model.model(**media_inputs(backbone)).last_hidden_state.isfinite().all()


def test_a_checkpoint_is_loaded_in_its_dtype_and_in_four_bits(tmp_path):
    write_checkpoint(tmp_path, talker_gb=0.001)
    plugin = plugins.load("backbones", "qwen2_5_omni_7b")
    model = plugin.build(plugin.Options(weights=str(tmp_path)), "cpu").model
    layer = model.model.language_model.layers[1].self_attn.q_proj
    assert layer.weight.dtype == torch.uint8
    assert layer.compute_dtype == torch.bfloat16
    assert layer.weight.quant_state.nested
    assert {parameter.dtype for parameter in model.parameters()} == {torch.uint8, torch.bfloat16}


def test_a_checkpoint_that_lacks_a_part_is_named(tmp_path):
    write_checkpoint(tmp_path, talker_gb=0.001)
    (tmp_path / "part-1.safetensors").unlink()
    plugin = plugins.load("backbones", "qwen2_5_omni_7b")
    [problem] = plugin.check(plugin.Options(weights=str(tmp_path)))
    assert "part-1.safetensors" in problem.got
    assert "hf download Qwen/Qwen2.5-Omni-7B" in problem.next_step


def test_without_a_checkpoint_the_problem_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    plugin = plugins.load("backbones", "qwen2_5_omni_3b")
    [problem] = plugin.check(plugin.Options())
    assert "backbone.weights=FOLDER" in problem.next_step
    assert "hf download Qwen/Qwen2.5-Omni-3B" in problem.next_step
    with pytest.raises(InputError):
        plugin.fetch(plugin.Options())
