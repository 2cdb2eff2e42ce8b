"""Checkpoints as the hub has them, at the tiny backbone's size, and inputs for a Thinker."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from helpers.tiny_trials import tiny_backbone
from omni_msa.backbones._qwen_omni import QwenOmni, QwenOmniOptions
from omni_msa.config import plugins

_TINY = plugins.load("backbones", "tiny")
_SHAPE = _TINY.dimensions(_TINY.Options())
TINY_OMNI = QwenOmni("Qwen/Tiny-Omni", _SHAPE.text, _SHAPE.audio, _SHAPE.vision)
"""The family's code at the tiny backbone's size."""


def options(folder: Path, **fields: str) -> QwenOmniOptions:
    """Return options that name a folder."""
    return QwenOmniOptions(name="tiny_omni", weights=str(folder), **fields)


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


def write_checkpoint(folder: Path, talker_gb: float = 0.001) -> dict[str, torch.Tensor]:
    """Write a checkpoint as the hub has it: nested configuration, `thinker.` names, a Talker beside it.

    Args:
        folder: to write into.
        talker_gb: size of the Talker; no disk is used.

    Returns:
        the Thinker's tensors by their names in the network.
    """
    tiny = tiny_backbone()
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
    names = sorted(old)
    halves = [names[::2], names[1::2]]
    parts = {}
    for number, half in enumerate(halves, 1):
        tensors = {name: old[name] for name in half} | {f"talker.model.{number}": torch.zeros(8)}
        save_file(tensors, folder / f"part-{number}.safetensors", metadata={"format": "pt"})
        parts |= dict.fromkeys(tensors, f"part-{number}.safetensors")
    num_bytes = int(talker_gb * 1e9) // 4 * 4
    entry = {"talker.model.weight": {"dtype": "F32", "shape": [num_bytes // 4], "data_offsets": [0, num_bytes]}}
    header = json.dumps(entry | {"__metadata__": {"format": "pt"}}).encode()
    header += b" " * (-len(header) % 8)
    with (folder / "part-3.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(file.tell() + num_bytes)  # a hole
    parts |= {"talker.model.weight": "part-3.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": parts}))
    return state
