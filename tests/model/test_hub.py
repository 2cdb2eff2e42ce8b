"""Checkpoints of Qwen2.5-Omni: only the Thinker is read, in its own types; what cannot be used is said before a run."""

from pathlib import Path

import pytest
import torch

from helpers import tiny_trials
from helpers.made_checkpoint import TINY_OMNI, media_inputs, options, write_checkpoint
from omni_msa.config import plugins
from omni_msa.config.trial import AdapterConfig
from omni_msa.errors import InputError
from omni_msa.model import thinker
from omni_msa.model.adapter import attached
from omni_msa.model.forward import Forward


def peak_memory_gb() -> float:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024 / 1e9


def test_only_the_thinker_of_a_checkpoint_is_read(tmp_path):
    state = write_checkpoint(tmp_path, talker_gb=3)
    chosen = options(tmp_path, quantization="none")
    assert TINY_OMNI.check(chosen) == []
    Path("/proc/self/clear_refs").write_text("5")  # peak memory starts again from what is used now
    peak_before = peak_memory_gb()
    backbone = TINY_OMNI.build(chosen, "cpu")
    assert peak_memory_gb() - peak_before < 0.5
    loaded = backbone.model.state_dict()
    assert not any("talker" in name for name in loaded)
    for key, tensor in state.items():
        assert torch.equal(loaded[key], tensor.to(torch.bfloat16)), key
    ids = thinker.special_ids(backbone.tokenizer)
    assert backbone.model.config.vision_start_token_id == ids["<|vision_bos|>"]
    assert backbone.model.model(**media_inputs(backbone)).last_hidden_state.isfinite().all()


def test_what_is_not_in_four_bits_keeps_its_type_also_under_an_adapter(tmp_path):
    write_checkpoint(tmp_path)
    backbone = TINY_OMNI.build(options(tmp_path), "cpu")
    layer = backbone.model.model.language_model.layers[1].self_attn.q_proj
    assert layer.weight.dtype == torch.uint8
    assert layer.compute_dtype == torch.bfloat16
    assert layer.weight.quant_state.nested
    before = {name: parameter.dtype for name, parameter in backbone.model.named_parameters()}
    assert set(before.values()) == {torch.uint8, torch.bfloat16}
    kept = ("embed_tokens", "lm_head", "norm", "ln_post", "ln_q", "conv", "patch_embed", "audio_bos_eos_token", "bias")
    for name, dtype in before.items():  # what is not the matrix of a tower's linear layer
        assert (dtype == torch.bfloat16) == any(part in name for part in kept), name
    with attached(backbone, AdapterConfig(rank=2), seed=1) as adapter:
        ours = {id(parameter) for parameter in adapter.parameters()}
        Forward(backbone).states(tiny_trials.make_prompts(backbone)).float().sum().backward()
        during = {
            name.replace(".base_layer", ""): parameter.dtype
            for name, parameter in backbone.model.named_parameters()
            if id(parameter) not in ours
        }
    assert during == before


def cut(path: Path, num_bytes: int) -> None:
    path.write_bytes(path.read_bytes()[:-num_bytes])


def replaced(folder: Path, names: str, old: bytes, new: bytes) -> None:
    files = {path: path.read_bytes() for path in folder.glob(names)}
    assert any(old in content for content in files.values())
    for path, content in files.items():
        path.write_bytes(content.replace(old, new))


HARM = {
    "a missing part": (lambda folder: (folder / "part-2.safetensors").unlink(), ["lacks part-2.safetensors"]),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), ["lacks tokenizer.json"]),
    "no configuration": (lambda folder: (folder / "config.json").unlink(), ["lacks config.json"]),
    "a torn part": (lambda folder: cut(folder / "part-1.safetensors", 100), ["part-1.safetensors", "was cut off"]),
    "two torn parts": (
        lambda folder: [cut(folder / f"part-{number}.safetensors", 9) for number in (1, 2)],
        ["part-1.safetensors", "part-2.safetensors"],
    ),
    "a part of noise": (lambda folder: (folder / "part-1.safetensors").write_bytes(bytes(64)), ["part-1.safetensors"]),
    "a torn index": (lambda folder: cut(folder / "model.safetensors.index.json", 9), ["index.json cannot be read"]),
    "a torn tokenizer": (lambda folder: cut(folder / "tokenizer.json", 9), ["tokenizer.json is not JSON"]),
    "a torn configuration": (lambda folder: cut(folder / "config.json", 9), ["config.json cannot be read"]),
    "another model": (
        lambda folder: replaced(folder, "config.json", b'_type": "qwen2_5_omni",', b'_type": "qwen2",'),
        ["another model", "'qwen2'"],
    ),
    "a layer without its tensor": (
        lambda folder: replaced(folder, "part-*", b"layers.3.mlp.up_proj", b"layers.3.mlp.xx_proj"),
        ["1 of the Thinker's", "model.language_model.layers.3.mlp.up_proj.weight"],
    ),
}


@pytest.mark.parametrize("harm", HARM)
def test_a_checkpoint_that_cannot_be_used_is_refused_without_reading_tensors(harm, tmp_path, monkeypatch):
    write_checkpoint(tmp_path)
    HARM[harm][0](tmp_path)
    monkeypatch.setattr("safetensors.safe_open", None)
    [problem] = TINY_OMNI.check(options(tmp_path))
    assert problem.where == "backbone.weights"
    assert str(tmp_path) in problem.got
    for words in HARM[harm][1]:
        assert words in problem.got
    assert "hf download Qwen/Tiny-Omni" in problem.next_step
    with pytest.raises(InputError) as caught:
        TINY_OMNI.build(options(tmp_path), "cpu")
    assert caught.value.problems == (problem,)


@pytest.mark.parametrize("name", ["qwen2_5_omni_3b", "qwen2_5_omni_7b"])
def test_weights_of_another_size_are_refused(name, tmp_path):
    write_checkpoint(tmp_path)
    plugin = plugins.load("backbones", name)
    [problem] = plugin.check(plugin.Options(weights=str(tmp_path)))
    assert "tensors differ in shape" in problem.got and "matrices are missing" in problem.got


def test_more_layers_than_the_backbone_has_are_refused(tmp_path):
    write_checkpoint(tmp_path)
    smaller = type(TINY_OMNI)(
        TINY_OMNI.repository,
        type(TINY_OMNI.text)(**{**vars(TINY_OMNI.text), "num_layers": 3}),
        TINY_OMNI.audio,
        TINY_OMNI.vision,
    )
    [problem] = smaller.check(options(tmp_path))
    assert "7 matrices that this backbone does not have" in problem.got


def test_a_tokenizer_of_another_model_is_refused_while_building(tmp_path):
    write_checkpoint(tmp_path)
    tokenizer = tiny_trials.tiny_backbone().tokenizer.backend_tokenizer
    for file in tmp_path.glob("*token*"):
        file.unlink()
    text = tokenizer.to_str().replace("<|AUDIO|>", "<|SOUND|>")
    (tmp_path / "tokenizer.json").write_text(text)
    assert TINY_OMNI.check(options(tmp_path)) == []
    with pytest.raises(InputError, match=r"lacks <\|AUDIO\|>"):
        TINY_OMNI.build(options(tmp_path), "cpu")


def test_a_tensor_that_headers_do_not_show_is_missed_while_building(tmp_path):
    write_checkpoint(tmp_path)
    replaced(tmp_path, "part-*", b"thinker.model.norm.weight", b"thinker.model.morn.weight")
    with pytest.raises(InputError, match=r"1 tensors of the Thinker are missing, such as model.language_model.norm"):
        TINY_OMNI.build(options(tmp_path), "cpu")


def test_without_a_checkpoint_the_problem_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    plugin = plugins.load("backbones", "qwen2_5_omni_3b")
    [problem] = plugin.check(plugin.Options())
    assert "backbone.weights=FOLDER" in problem.next_step
    assert "hf download Qwen/Qwen2.5-Omni-3B" in problem.next_step
    with pytest.raises(InputError):
        plugin.fetch(plugin.Options())
