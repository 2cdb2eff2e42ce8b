"""Checks of a checkpoint folder from its configuration, index and file headers, without reading tensors."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omni_msa.model.dimensions import Dimensions, linear_layers

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
MODEL_TYPES = ("qwen2_5_omni", "qwen2_5_omni_thinker")
_HEADER_BYTES_MAX = 100_000_000  # limit of the format
_OTHERS = ("talker.", "token2wav.")

Shapes = dict[str, tuple[int, ...]]


def missing_files(folder: Path) -> list[str]:
    """Return the names of the files that a checkpoint folder lacks, including the parts that its index lists.

    Raises:
        ValueError: the index cannot be read.
    """
    wanted = ["config.json", "tokenizer.json", *_parts(folder)]
    return [name for name in dict.fromkeys(wanted) if not (folder / name).is_file()]


def faults(folder: Path, dimensions: Dimensions) -> list[str]:
    """Return a message for each fault of a checkpoint with all its files.

    Args:
        folder: of the checkpoint.
        dimensions: of the Thinker that is to be built from it.
    """
    messages = [*_config_faults(folder), *_tokenizer_faults(folder)]
    shapes: Shapes = {}
    for name in _parts(folder):
        try:
            shapes |= header(folder / name)
        except ValueError as error:
            messages.append(str(error))
    return messages or _shape_faults(shapes, dimensions)


def header(path: Path) -> Shapes:
    """Return the shape of each tensor of a safetensors file, from its header.

    Args:
        path: of the file: 8 bytes with the length of the header (little-endian), the header in JSON with the first and
            the last offset of each tensor, then the bytes of the tensors.

    Raises:
        ValueError: the file is not a safetensors file, or is cut off.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(size - 8, _HEADER_BYTES_MAX):
                raise ValueError("not a safetensors file, or cut off in its header")
            entries: dict[str, Any] = json.loads(file.read(length))
        entries.pop("__metadata__", None)
        ends = [int(entry["data_offsets"][1]) for entry in entries.values()]
        shapes = {name: tuple(entry["shape"]) for name, entry in entries.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path.name}: {error}") from error
    if (whole := 8 + length + max(ends, default=0)) != size:
        raise ValueError(f"{path.name}: {size:,} bytes, but its header says {whole:,}: the download was cut off")
    return shapes


def canonical(name: str) -> str:
    """Return the name of a tensor in the Thinker of this transformers version; hub checkpoints have older names."""
    name = name.removeprefix("thinker.")
    if name.startswith(("audio_tower.", "visual.")):
        return f"model.{name}"
    if name.startswith(("model.layers.", "model.norm.", "model.embed_tokens.")):
        return name.replace("model.", "model.language_model.", 1)
    return name


def _parts(folder: Path) -> list[str]:
    """Return the files that the index lists, including those with only the Talker: transformers opens them all."""
    index = folder / INDEX
    if not index.is_file():
        return [SINGLE]
    try:
        file_of: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return sorted(set(file_of.values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{INDEX} cannot be read: {type(error).__name__}: {error}") from error


def _config_faults(folder: Path) -> Iterator[str]:
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield f"config.json cannot be read: {type(error).__name__}: {error}"
        return
    if kind not in MODEL_TYPES:
        yield f"config.json belongs to another model: model_type {kind!r}, not {' or '.join(map(repr, MODEL_TYPES))}"


def _tokenizer_faults(folder: Path) -> Iterator[str]:
    try:
        text = (folder / "tokenizer.json").read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        yield f"tokenizer.json cannot be read: {error}"
        return
    if not (text.startswith("{") and text.endswith("}")):  # parsing all of it would slow every plan
        yield "tokenizer.json is not JSON, or cut off"


def _shape_faults(shapes: Shapes, dimensions: Dimensions) -> list[str]:
    """Compare the shapes of linear layers and embeddings with those of the Thinker."""
    given = {canonical(name): shape for name, shape in shapes.items() if not name.startswith(_OTHERS)}
    text = dimensions.text
    wanted = {f"{layer.name}.weight": (layer.num_outputs, layer.num_inputs) for layer in linear_layers(dimensions)}
    wanted["model.language_model.embed_tokens.weight"] = (text.vocabulary_size, text.hidden_size)
    if not text.tied_embeddings:
        wanted["lm_head.weight"] = (text.vocabulary_size, text.hidden_size)
    others = [name for name, shape in wanted.items() if name in given and given[name] != shape]
    absent = [name for name in wanted if name not in given]
    further = sorted(
        name for name in given if ".layers." in name and name.endswith("_proj.weight") and name not in wanted
    )
    problems = []
    if others:
        first = others[0]
        problems.append(f"{len(others)} tensors differ in shape, such as {first}: {given[first]}, not {wanted[first]}")
    if absent:
        problems.append(f"{len(absent)} of the Thinker's {len(wanted)} matrices are missing, such as {absent[0]}")
    if further:
        problems.append(f"there are {len(further)} matrices that this backbone does not have, such as {further[0]}")
    return problems
