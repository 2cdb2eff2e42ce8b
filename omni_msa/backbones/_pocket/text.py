"""A Llama language model as the text tower of a Thinker: the same computation with other parameter names."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from omni_msa.errors import InputError, Problem
from omni_msa.model.dimensions import TextDimensions

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

EMBEDDINGS = "model.embed_tokens.weight"


def text_tower(folder: Path, text: TextDimensions) -> tuple[dict[str, "torch.Tensor"], "PreTrainedTokenizerFast"]:
    """Return the weights of the text tower, named as in the Thinker, and the tokenizer with the special tokens.

    A Llama layer is a Thinker layer whose query, key and value biases are zero: rotary positions agree if text
    tokens have equal time, height and width. New tokens start at the mean of all embeddings.

    Args:
        folder: `config.json`, `model.safetensors` and `tokenizer.json` of a Llama with tied embeddings.
        text: the expected shape; its vocabulary includes the new tokens.

    Raises:
        InputError: the folder has a model of another shape.
    """
    import torch
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    from omni_msa.model.thinker import wrap_tokenizer

    tokenizer = wrap_tokenizer(Tokenizer.from_file(str(folder / "tokenizer.json")))
    _check_shape(folder, text)
    llama = load_file(folder / "model.safetensors")
    table = llama.pop(EMBEDDINGS)  # (V, D)
    num_new = text.vocabulary_size - len(table)
    mean = table.float().mean(dim=0, keepdim=True).to(table.dtype)
    state = {_renamed(EMBEDDINGS): torch.cat([table, mean.expand(num_new, -1)])}
    for name, tensor in llama.items():
        state[_renamed(name)] = tensor
        if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight")):
            state[_renamed(name).replace(".weight", ".bias")] = tensor.new_zeros(len(tensor))
    return state, tokenizer


def word_embeddings(folder: Path, words: list[str]) -> "torch.Tensor":
    """Return the input embedding of words that are one token each, float32 (number of words, hidden size).

    Args:
        folder: as for `text_tower`.
        words: each with a leading space, which the tokenizer treats as part of the word.

    Raises:
        ValueError: a word is not one token.
    """
    from safetensors import safe_open
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    encoded = [tokenizer.encode(word).ids for word in words]
    if any(len(ids) != 1 for ids in encoded):
        raise ValueError(f"not one token each: {words}")
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        table = file.get_tensor(EMBEDDINGS)
    return table[[ids[0] for ids in encoded]].float()


def _renamed(name: str) -> str:
    return name.replace("model.", "model.language_model.", 1)


def _check_shape(folder: Path, text: TextDimensions) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    wanted = {
        "hidden_size": text.hidden_size,
        "num_hidden_layers": text.num_layers,
        "num_attention_heads": text.num_heads,
        "num_key_value_heads": text.num_kv_heads,
        "intermediate_size": text.intermediate_size,
        "tie_word_embeddings": True,
    }
    actual = {name: config.get(name) for name in wanted}
    if actual != wanted:
        raise InputError(Problem("the language model has another shape", str(folder), str(actual), str(wanted)))
