"""A checkpoint of Qwen2.5-Omni's Thinker with random weights, to test loading without the download."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import Qwen2_5OmniThinkerForConditionalGeneration

from omni_msa.backbones._qwen_omni import QwenOmni
from omni_msa.config import plugins
from omni_msa.config.sections import BackboneOptions
from omni_msa.model.dimensions import Dimensions
from omni_msa.model.hub_checkpoint import INDEX
from omni_msa.model.thinker import special_ids, thinker_config

PART_BYTES = 2 * 10**9
VOCABULARY_SIZE = 151_936
_TINY = plugins.load("backbones", "tiny")


def member(name: str, num_layers: int | None) -> QwenOmni:
    """Return the backbone plug-in of one model size.

    Args:
        name: of a backbone plug-in; "tiny" gets a vocabulary as large as the large ones', in tables of its own.
        num_layers: of the language model, to make it smaller; None for all.
    """
    plugin = plugins.load("backbones", name)
    shape: Dimensions = plugin.dimensions(plugin.Options())
    text = replace(shape.text, num_layers=num_layers or shape.text.num_layers, tied_embeddings=False)
    text = replace(text, vocabulary_size=max(text.vocabulary_size, VOCABULARY_SIZE))
    return QwenOmni(f"random/{name}-{text.num_layers}", text, shape.audio, shape.vision)


def write(folder: Path, backbone: QwenOmni, device: str) -> None:
    """Write the checkpoint unless it exists.

    Args:
        folder: to write into; 18 GB at the 7B's size.
        backbone: its shape.
        device: draws the random numbers.
    """
    if (folder / INDEX).is_file() and not backbone.check(BackboneOptions(name="random", weights=str(folder))):
        return
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _TINY.build(_TINY.Options(), "cpu").tokenizer
    tokenizer.save_pretrained(folder)
    shape = backbone.dimensions(BackboneOptions(name="random"))
    half = shape.text.hidden_size // shape.text.num_heads // 2
    side = 3 * half // 8
    config = thinker_config(shape, special_ids(tokenizer), mrope_section=(half - 2 * side, side, side))
    whole = {"model_type": "qwen2_5_omni", "thinker_config": config.to_dict(), "talker_config": {}}
    (folder / "config.json").write_text(json.dumps(whole | {"token2wav_config": {}}))
    with torch.device("meta"):
        model = Qwen2_5OmniThinkerForConditionalGeneration(config)
    places: dict[str, str] = {}
    for number, part in enumerate(_parts(model.state_dict())):
        name = f"model-{number:05}.safetensors"
        tensors = {_hub_name(key): _draw(key, tensor.shape, device) for key, tensor in part.items()}
        save_file(tensors, folder / name, metadata={"format": "pt"})
        places |= dict.fromkeys(tensors, name)
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))


def _parts(tensors: dict[str, torch.Tensor]) -> Iterator[dict[str, torch.Tensor]]:
    part: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        if part and 2 * sum(each.numel() for each in [*part.values(), tensor]) > PART_BYTES:
            yield part
            part = {}
        part[name] = tensor
    yield part


def _draw(name: str, shape: torch.Size, device: str) -> torch.Tensor:
    """Return ones for norms, else small random values, so that signals neither vanish nor overflow."""
    if "norm" in name or ".ln_" in name:
        return (torch.ones if name.endswith("weight") else torch.zeros)(shape, dtype=torch.bfloat16)
    return torch.empty(shape, dtype=torch.bfloat16, device=device).normal_(std=0.02).cpu()


def _hub_name(name: str) -> str:
    return f"thinker.{name.removeprefix('model.').replace('language_model.', 'model.', 1)}"
