"""Building the Thinker of Qwen2.5-Omni, the network class of every backbone: frozen, in eval mode.

torch and transformers are imported inside functions: plug-ins import this file under `--plan`.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omni_msa.config.sections import BackboneOptions
from omni_msa.model.dimensions import Dimensions

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from transformers import (
        PreTrainedTokenizerFast,
        Qwen2_5OmniThinkerConfig,
        Qwen2_5OmniThinkerForConditionalGeneration,
    )

SPECIAL_TOKENS = (
    "<|im_start|>",
    "<|im_end|>",
    "<|AUDIO|>",
    "<|audio_bos|>",
    "<|audio_eos|>",
    "<|VIDEO|>",
    "<|vision_bos|>",
    "<|vision_eos|>",
    "<|IMAGE|>",
)
CONFIG_IDS = {
    "audio_token_index": "<|AUDIO|>",
    "image_token_index": "<|IMAGE|>",
    "video_token_index": "<|VIDEO|>",
    "audio_start_token_id": "<|audio_bos|>",
    "audio_end_token_id": "<|audio_eos|>",
    "vision_start_token_id": "<|vision_bos|>",
    "vision_end_token_id": "<|vision_eos|>",
}


@dataclass
class Backbone:
    """A frozen Thinker, ready for an adapter.

    Args:
        model: every parameter has `requires_grad` False; in eval mode.
        tokenizer: knows all `SPECIAL_TOKENS`.
        device: "cpu" or "cuda".
        quantization: "none" or "nf4".
    """

    model: "Qwen2_5OmniThinkerForConditionalGeneration"
    tokenizer: "PreTrainedTokenizerFast"
    device: str
    quantization: str

    @property
    def hidden_size(self) -> int:
        """Width of the hidden states of the text tower."""
        return self.model.config.text_config.hidden_size

    @property
    def num_text_layers(self) -> int:
        """Number of blocks of the text tower."""
        return self.model.config.text_config.num_hidden_layers


def wrap_tokenizer(tokenizer: "Tokenizer") -> "PreTrainedTokenizerFast":
    """Return a tokenizer with all `SPECIAL_TOKENS`; missing ones are appended to its vocabulary."""
    from transformers import PreTrainedTokenizerFast

    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|im_end|>", clean_up_tokenization_spaces=False
    )


def special_ids(tokenizer: "PreTrainedTokenizerFast") -> dict[str, int]:
    """Return the id of each of `SPECIAL_TOKENS`.

    Raises:
        ValueError: the tokenizer lacks one of them.
    """
    vocabulary = tokenizer.get_vocab()
    missing = [token for token in SPECIAL_TOKENS if token not in vocabulary]
    if missing:
        raise ValueError(f"the tokenizer lacks {', '.join(missing)}")
    return {token: vocabulary[token] for token in SPECIAL_TOKENS}


def thinker_config(
    dimensions: Dimensions,
    ids: Mapping[str, int] | None = None,
    *,
    rope_theta: float = 1e6,
    mrope_section: Sequence[int] = (16, 24, 24),
    rms_norm_eps: float = 1e-6,
    initializer_range: float = 0.02,
) -> "Qwen2_5OmniThinkerConfig":
    """Return the configuration of a Thinker of the given shape.

    Args:
        dimensions: shape of the three towers.
        ids: id of each special token; None: those of Qwen2.5-Omni.
        rope_theta: base of the rotary positions.
        mrope_section: channels (of half a head) for time, height and width.
        rms_norm_eps: of the text tower.
        initializer_range: standard deviation of random weights.
    """
    from transformers import Qwen2_5OmniThinkerConfig

    text = dimensions.text
    tokens = {} if ids is None else {field: ids[token] for field, token in CONFIG_IDS.items()}
    rotary = {"rope_type": "default", "rope_theta": rope_theta, "mrope_section": list(mrope_section)}
    return Qwen2_5OmniThinkerConfig(
        text_config={
            "hidden_size": text.hidden_size,
            "num_hidden_layers": text.num_layers,
            "num_attention_heads": text.num_heads,
            "num_key_value_heads": text.num_kv_heads,
            "intermediate_size": text.intermediate_size,
            "vocab_size": text.vocabulary_size,
            "tie_word_embeddings": text.tied_embeddings,
            "rms_norm_eps": rms_norm_eps,
            "rope_parameters": rotary,
            "initializer_range": initializer_range,
        },
        audio_config=_audio_fields(dimensions) | {"initializer_range": initializer_range},
        vision_config=_vision_fields(dimensions) | {"initializer_range": initializer_range},
        tie_word_embeddings=text.tied_embeddings,
        initializer_range=initializer_range,
        # get_rope_index reads the two vision ids, which the configuration class does not have by default.
        **({"vision_start_token_id": 151652, "vision_end_token_id": 151653} | tokens),
    )


def random_thinker(config: "Qwen2_5OmniThinkerConfig", seed: int) -> dict[str, "torch.Tensor"]:
    """Return the state of a Thinker with random float32 weights that depend on `seed` only.

    The global random state is not changed.
    """
    import torch
    from transformers import Qwen2_5OmniThinkerForConditionalGeneration

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2_5OmniThinkerForConditionalGeneration._from_config(config, dtype=torch.float32)
    return model.state_dict()


def load_thinker(
    options: BackboneOptions,
    device: str,
    folder: str | None = None,
    config: "Qwen2_5OmniThinkerConfig | None" = None,
    state: "dict[str, torch.Tensor] | None" = None,
) -> "Qwen2_5OmniThinkerForConditionalGeneration":
    """Load weights into a frozen Thinker in eval mode.

    Args:
        options: `quantization` ("none" or "nf4"), `dtype` and `attention` are used.
        device: "cpu" or "cuda".
        folder: checkpoint folder; only tensors that belong to the Thinker are read from it.
        config: with `state`, instead of a folder.
        state: tensors by name.

    Raises:
        ValueError: tensors are missing, or have another shape.
    """
    import torch
    from transformers import Qwen2_5OmniThinkerForConditionalGeneration

    arguments: dict[str, Any] = {} if folder else {"config": config, "state_dict": state}
    if options.quantization == "nf4":
        arguments["quantization_config"] = _nf4(options.dtype)
    with no_progress_bar():
        model, report = Qwen2_5OmniThinkerForConditionalGeneration.from_pretrained(
            folder,
            dtype=getattr(torch, options.dtype),
            attn_implementation=options.attention,
            device_map={"": device},
            output_loading_info=True,
            **arguments,
        )
    if absent := sorted(report["missing_keys"]):  # transformers would continue with random weights instead
        raise ValueError(f"{len(absent)} tensors of the Thinker are missing, such as {absent[0]}")
    _keep_four_bit_layout(model)
    return model.requires_grad_(False).eval()


def parameter_hash(model: "torch.nn.Module") -> str:
    """Return 16 hex digits that change with any bit of any parameter or buffer of a model.

    Args:
        model: of any dtype, quantised or not; tensors on a GPU are copied to the CPU one at a time.
    """
    import torch

    digest = hashlib.sha256()
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    for name, tensor in sorted(tensors.items()):
        scales = getattr(tensor, "quant_state", None)
        parts = {"": tensor} | (scales.as_dict(packed=True) if scales is not None else {})
        for part, values in parts.items():
            flat = values.detach().cpu().contiguous().reshape(-1)
            digest.update(f"{name} {part} {flat.dtype} {tuple(values.shape)} ".encode())
            digest.update(flat.view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def _keep_four_bit_layout(model: "torch.nn.Module") -> None:
    """Stop bitsandbytes from repacking weights at the first forward pass on a CPU with AVX512-BF16.

    The packed layout passes no gradient and rounds differently, so results would depend on what ran before.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False  # type: ignore[assignment]


@contextmanager
def no_progress_bar() -> Iterator[None]:
    """Disable the progress bar of transformers, which would disturb our own progress display."""
    from transformers.utils import logging

    was_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            logging.enable_progress_bar()


def _nf4(dtype: str) -> Any:
    """Return 4-bit weights with double quantisation (QLoRA, arXiv 2305.14314) and products in `dtype`."""
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, dtype),
    )


def _audio_fields(dimensions: Dimensions) -> dict[str, Any]:
    audio = dimensions.audio
    return {
        "d_model": audio.hidden_size,
        "encoder_layers": audio.num_layers,
        "encoder_attention_heads": audio.num_heads,
        "encoder_ffn_dim": audio.intermediate_size,
        "num_mel_bins": audio.num_mel_bins,
        "output_dim": dimensions.text.hidden_size,
    }


def _vision_fields(dimensions: Dimensions) -> dict[str, Any]:
    vision = dimensions.vision
    return {
        "hidden_size": vision.hidden_size,
        "depth": vision.num_layers,
        "num_heads": vision.num_heads,
        "intermediate_size": vision.intermediate_size,
        "fullatt_block_indexes": list(vision.full_attention_layers),
        "out_hidden_size": dimensions.text.hidden_size,
    }
