"""Parameter and memory counts as plain arithmetic, so that a plan needs no torch.

Layer names and shapes are those of `Qwen2_5OmniThinkerForConditionalGeneration`; tests compare them with the model
itself on the meta device.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from omni_msa.errors import InputError, Problem

BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0}
# NF4 with double quantisation (arXiv 2305.14314): 4 bits, one 8-bit scale per 64 weights, one 32-bit per 256 scales.
NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
PATCH_VALUES = 3 * 2 * 14 * 14  # colours x frames x height x width of one vision patch
MERGE = 4  # patches merged into one video token


@dataclass(frozen=True)
class TextDimensions:
    """Shape of the language model."""

    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    intermediate_size: int
    vocabulary_size: int
    tied_embeddings: bool


@dataclass(frozen=True)
class AudioDimensions:
    """Shape of the Whisper-like audio tower."""

    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    num_mel_bins: int = 128


@dataclass(frozen=True)
class VisionDimensions:
    """Shape of the Qwen2.5-VL-like vision tower; `full_attention_layers` attend to whole frames, others to windows."""

    hidden_size: int
    num_layers: int
    num_heads: int
    intermediate_size: int
    full_attention_layers: tuple[int, ...]


@dataclass(frozen=True)
class Dimensions:
    """Shape of a whole Thinker; the outputs of the audio and vision towers have the hidden size of the text tower."""

    text: TextDimensions
    audio: AudioDimensions
    vision: VisionDimensions


@dataclass(frozen=True)
class LinearLayer:
    """One linear layer: full name in the model, tower ("text", "audio", "video"), block number if it is in one."""

    name: str
    tower: str
    layer: int | None
    num_inputs: int
    num_outputs: int
    bias: bool


def linear_layers(dimensions: Dimensions) -> Iterator[LinearLayer]:
    """Yield every linear layer of the three towers (`lm_head` belongs to none)."""
    yield from _text_layers(dimensions.text)
    yield from _audio_layers(dimensions.audio, dimensions.text.hidden_size)
    yield from _vision_layers(dimensions.vision, dimensions.text.hidden_size)


def adapted_layers(
    dimensions: Dimensions, targets: Sequence[str], towers: Sequence[str], text_layers: str = "all"
) -> list[LinearLayer]:
    """Return the linear layers that get an adapter: those inside the numbered blocks of the towers.

    Args:
        dimensions: shape of the backbone.
        targets: layer names, matched as whole dotted suffixes ("q_proj", "mlp.up_proj").
        towers: any of "text", "audio", "video".
        text_layers: "all" or "last_N"; the other towers are not affected.

    Raises:
        InputError: `text_layers` names more layers than there are.
    """
    first = first_adapted_layer(dimensions.text.num_layers, text_layers)
    return [
        linear
        for linear in linear_layers(dimensions)
        if linear.tower in towers
        and linear.layer is not None
        and any(linear.name.endswith(f".{target}") for target in targets)
        and (linear.tower != "text" or linear.layer >= first)
    ]


def num_lora_parameters(
    dimensions: Dimensions, rank: int, targets: Sequence[str], towers: Sequence[str], text_layers: str = "all"
) -> int:
    """Return the number of weights LoRA trains: rank x (inputs + outputs) per layer (arXiv 2106.09685, section 4.1).

    Args and raises as in `adapted_layers`; `rank` is at least 1.
    """
    layers = adapted_layers(dimensions, targets, towers, text_layers)
    return sum(rank * (linear.num_inputs + linear.num_outputs) for linear in layers)


def num_base_parameters(dimensions: Dimensions) -> int:
    """Return the number of weights of the backbone; a tied `lm_head` counts once."""
    linear = sum(layer.num_inputs * layer.num_outputs for layer in linear_layers(dimensions))
    return linear + _num_other_parameters(dimensions)


def weights_gb(dimensions: Dimensions, quantization: str, dtype: str) -> float:
    """Return the memory of the backbone's weights in GB (10^9 bytes).

    Args:
        dimensions: shape of the backbone.
        quantization: "none", or "nf4": 4 bits for the linear layers of the towers, `dtype` for the rest.
        dtype: "float32", "bfloat16" or "float16".
    """
    width = NF4_BYTES if quantization == "nf4" else BYTES[dtype]
    linear = sum(layer.num_inputs * layer.num_outputs for layer in linear_layers(dimensions))
    return (linear * width + _num_other_parameters(dimensions) * BYTES[dtype]) / 1e9


def first_adapted_layer(num_text_layers: int, text_layers: str) -> int:
    """Return the index of the lowest adapted text layer.

    Args:
        num_text_layers: of the backbone.
        text_layers: "all" or "last_N".

    Raises:
        InputError: `text_layers` names more layers than there are.
    """
    if text_layers == "all":
        return 0
    wanted = int(text_layers.removeprefix("last_"))
    if wanted > num_text_layers:
        allowed = f"all, or last_1 to last_{num_text_layers}"
        raise InputError(Problem("the backbone has fewer layers", "adapter.text_layers", text_layers, allowed))
    return num_text_layers - wanted


def _text_layers(text: TextDimensions) -> Iterator[LinearLayer]:
    hidden, wide = text.hidden_size, text.intermediate_size
    key_value = hidden // text.num_heads * text.num_kv_heads
    shapes = {
        "self_attn.q_proj": (hidden, hidden, True),
        "self_attn.k_proj": (hidden, key_value, True),
        "self_attn.v_proj": (hidden, key_value, True),
        "self_attn.o_proj": (hidden, hidden, False),
        "mlp.gate_proj": (hidden, wide, False),
        "mlp.up_proj": (hidden, wide, False),
        "mlp.down_proj": (wide, hidden, False),
    }
    for number in range(text.num_layers):
        for name, shape in shapes.items():
            yield LinearLayer(f"model.language_model.layers.{number}.{name}", "text", number, *shape)


def _audio_layers(audio: AudioDimensions, output_size: int) -> Iterator[LinearLayer]:
    hidden, wide = audio.hidden_size, audio.intermediate_size
    shapes = {
        "self_attn.q_proj": (hidden, hidden, True),
        "self_attn.k_proj": (hidden, hidden, False),
        "self_attn.v_proj": (hidden, hidden, True),
        "self_attn.out_proj": (hidden, hidden, True),
        "fc1": (hidden, wide, True),
        "fc2": (wide, hidden, True),
    }
    for number in range(audio.num_layers):
        for name, shape in shapes.items():
            yield LinearLayer(f"model.audio_tower.layers.{number}.{name}", "audio", number, *shape)
    yield LinearLayer("model.audio_tower.proj", "audio", None, hidden, output_size, True)


def _vision_layers(vision: VisionDimensions, output_size: int) -> Iterator[LinearLayer]:
    hidden, wide = vision.hidden_size, vision.intermediate_size
    shapes = {f"attn.{name}": (hidden, hidden) for name in ("q", "k", "v", "proj")}
    shapes |= {"mlp.gate_proj": (hidden, wide), "mlp.up_proj": (hidden, wide), "mlp.down_proj": (wide, hidden)}
    for number in range(vision.num_layers):
        for name, shape in shapes.items():
            yield LinearLayer(f"model.visual.blocks.{number}.{name}", "video", number, *shape, True)
    merged = hidden * MERGE
    yield LinearLayer("model.visual.merger.mlp.0", "video", None, merged, merged, True)
    yield LinearLayer("model.visual.merger.mlp.2", "video", None, merged, output_size, True)


def _num_other_parameters(dimensions: Dimensions) -> int:
    """Count all parameters except weights of linear layers: biases, norms, convolutions, embeddings, `lm_head`."""
    text, audio, vision = dimensions.text, dimensions.audio, dimensions.vision
    biases = sum(layer.num_outputs for layer in linear_layers(dimensions) if layer.bias)
    tables = text.vocabulary_size * text.hidden_size * (1 if text.tied_embeddings else 2)
    text_norms = text.hidden_size * (2 * text.num_layers + 1)
    # Two convolutions of width 3 with bias, scale and shift of each norm, and two boundary tokens.
    convolutions = 3 * audio.hidden_size * (audio.num_mel_bins + audio.hidden_size) + 2 * audio.hidden_size
    audio_norms = 2 * audio.hidden_size * (2 * audio.num_layers + 1)
    boundaries = 2 * text.hidden_size
    vision_rest = vision.hidden_size * (PATCH_VALUES + 2 * vision.num_layers + 1)
    return biases + tables + text_norms + convolutions + audio_norms + boundaries + vision_rest
