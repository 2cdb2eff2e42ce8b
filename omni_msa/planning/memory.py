"""Estimates of a trial's peak memory on the GPU or the host, by parts. Plain arithmetic, no torch in here."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

from omni_msa.config import plugins
from omni_msa.config.lookups import uses
from omni_msa.config.trial import TrialConfig
from omni_msa.errors import InputError
from omni_msa.model.dimensions import (
    BYTES,
    MERGE,
    Dimensions,
    adapted_layers,
    first_adapted_layer,
    linear_layers,
    num_lora_parameters,
    weights_gb,
)
from omni_msa.planning import hardware
from omni_msa.planning.disk import dimensions, num_trained
from omni_msa.readouts._base import READOUTS

SHORT_CLIP_S = 4.0
"""Roughly the mean length of the clips of CMU-MOSI, in seconds."""
_LIBRARIES_GB, _LIBRARIES_LEAST_GB = 0.6, 0.4  # of host memory, for the interpreter with torch and transformers
_CUDA_GB = 0.5  # of GPU memory, for the CUDA context and its kernels
_NUM_PROMPT_TOKENS, _TEXT_TOKENS_PER_S = 45, 4
_PIXELS_PER_PATCH = 14 * 14
_TOWERS = {"text": "text", "audio": "audio", "video": "vision"}


@dataclass(frozen=True)
class Memory:
    """The peak memory of a trial by parts, in GB (1e9 bytes).

    Args:
        weights: of the backbone, as quantised; without `lm_head` if the readout writes no text.
        adapter: low-rank weights, their gradients and AdamW's two moments in float32: 16 bytes per weight.
        text_states, tower_states: activations saved for the backward pass in the language model, in both encoders.
        logits: at the answer's positions, over the vocabulary.
        working: what one layer needs while it runs: its dequantised matrix, its widest activations in float32, and
            with gradient checkpointing its recomputed activations.
        libraries: the CUDA context on a GPU, the interpreter with its libraries on the host.
    """

    weights: float = 0.0
    adapter: float = 0.0
    text_states: float = 0.0
    tower_states: float = 0.0
    logits: float = 0.0
    working: float = 0.0
    libraries: float = 0.0

    @property
    def total(self) -> float:
        """The sum of the parts."""
        return sum(getattr(self, part.name) for part in fields(self))

    def __str__(self) -> str:
        shown = ((each.name.replace("_", " "), getattr(self, each.name)) for each in fields(self))
        return f"{self.total:.1f} GB = " + " + ".join(f"{name} {part:.1f}" for name, part in shown if part >= 0.05)


@dataclass(frozen=True)
class LargestTrial:
    """The trial of a sweep that needs the most memory.

    Args:
        cell: name of its cell.
        memory: its peak memory by parts.
        on_gpu: whether that is GPU memory; else it is host memory.
        clip_s: length of the clips that is assumed, in seconds.
        how: number of clips per pass, and whether gradient checkpointing is on, as text.
    """

    cell: str
    memory: Memory
    on_gpu: bool
    clip_s: float
    how: str


@dataclass(frozen=True)
class Lengths:
    """The length of a clip in tokens of the prompt, mel frames after the convolutions, and patches of video."""

    tokens: float
    audio: float
    video: float


def memory_gb(config: TrialConfig) -> float:
    """Return a lower bound of the memory that a trial needs, in GB; 0 without a backbone.

    It is the estimate of `plan_memory` for clips of four seconds without the parts `working` and `libraries`: a trial
    may need more, but not less.
    """
    estimate = plan_memory(config, SHORT_CLIP_S)
    return estimate.total - estimate.working - estimate.libraries


def host_memory_gb(config: TrialConfig) -> float:
    """Return a lower bound of the host memory that a trial on the CPU needs, in GB."""
    return _LIBRARIES_LEAST_GB + memory_gb(config)


def plan_memory(
    config: TrialConfig, clip_s: float | None = None, on_gpu: bool = True, shape: Dimensions | None = None
) -> Memory:
    """Estimate a trial's peak memory in training, or in testing if nothing is trained.

    Args:
        config: the trial's configuration.
        clip_s: length of all clips of a pass, in seconds; None means `media.audio_seconds_max`, where clips are cut.
        on_gpu: whether the trial runs on a GPU, where a dropout mask takes one byte per value instead of four.
        shape: dimensions of the backbone; None means those of its plug-in.
    """
    if not uses(config, "backbone"):
        return Memory()
    shape, backbone, runtime = shape or dimensions(config), config.backbone, config.runtime
    lengths = clip_lengths(config, config.media.audio_seconds_max if clip_s is None else clip_s)
    num_weights = _num_trained(config, shape)
    is_trained = num_weights > 0
    num_clips = min(runtime.micro_batch, config.training.batch_size) if is_trained else runtime.eval_batch
    width = _width(config)
    head = 0.0 if _writes(config) or shape.text.tied_embeddings else shape.text.vocabulary_size * shape.text.hidden_size
    text, towers, block = _states_bytes(config, shape, lengths, on_gpu) if is_trained else (0.0, 0.0, 0.0)
    largest = max(layer.num_inputs * layer.num_outputs for layer in linear_layers(shape))
    widest = max(
        lengths.tokens * shape.text.intermediate_size,
        lengths.audio * shape.audio.intermediate_size,
        lengths.video * shape.vision.intermediate_size,
    )
    dequantised = largest * width if backbone.quantization == "nf4" else 0.0
    return Memory(
        weights=weights_gb(shape, backbone.quantization, backbone.dtype) - head * width / 1e9,
        adapter=16 * num_weights / 1e9,
        text_states=num_clips * text / 1e9,
        tower_states=num_clips * towers / 1e9,
        logits=num_clips * _logits_bytes(config, shape) / 1e9,
        working=(dequantised + num_clips * (3 * 4 * widest + block)) / 1e9,
        libraries=_CUDA_GB if on_gpu else _LIBRARIES_GB,
    )


def largest(cells: Iterable[tuple[str, TrialConfig]]) -> LargestTrial | None:
    """Return the trial that needs the most memory with the longest clips allowed; None if none has a backbone.

    Args:
        cells: name and configuration of each cell; one whose adapter names unknown layers is skipped.
    """
    result: LargestTrial | None = None
    for label, config in cells:
        runtime, on_gpu, clip_s = config.runtime, hardware.uses_gpu(config.runtime), config.media.audio_seconds_max
        try:
            memory = plan_memory(config, clip_s, on_gpu)
        except InputError:  # reported by the pre-flight
            continue
        how = f"eval_batch {runtime.eval_batch}"
        if uses(config, "adapter"):
            how = f"micro_batch {min(runtime.micro_batch, config.training.batch_size)}"
            how += ", gradient checkpointing" * runtime.gradient_checkpointing
        if memory.total > (result.memory.total if result else 0.0):
            result = LargestTrial(label, memory, on_gpu, clip_s, how)
    return result


def clip_lengths(config: TrialConfig, clip_s: float) -> Lengths:
    """Return the length of a clip of `clip_s` seconds for each tower, with frames of the largest area allowed."""
    media, tokens, audio, patches = config.media, _NUM_PROMPT_TOKENS + _TEXT_TOKENS_PER_S * clip_s, 0.0, 0.0
    if "audio" in config.modalities:  # 2 mel frames make one after the convolutions, 4 a token
        audio = min(clip_s, media.audio_seconds_max) * 1000 / media.mel_hop_ms / 2
        tokens += audio / 2
    if "video" in config.modalities:  # two frames make a patch (Qwen2.5-VL), four patches a token
        num_frames = min(media.num_frames_max, clip_s * media.frame_rate_hz)
        patches = num_frames / 2 * media.frame_pixels_max / _PIXELS_PER_PATCH
        tokens += patches / MERGE
    return Lengths(tokens, audio, patches)


def _num_trained(config: TrialConfig, shape: Dimensions) -> int:
    adapter = config.adapter
    layers = adapter.targets, adapter.towers, adapter.text_layers
    return num_lora_parameters(shape, adapter.rank, *layers) if num_trained(config) else 0


def _writes(config: TrialConfig) -> bool:
    """Return whether the trial's readout writes text, and so needs `lm_head`."""
    return plugins.load(READOUTS, config.readout.name).needs_output_layer


def _logits_bytes(config: TrialConfig, shape: Dimensions) -> float:
    """Return the bytes of a clip's logits: in the backbone's dtype, in float32, the softmax, and its gradient."""
    if not _writes(config):
        return 0.0
    num_tokens = plugins.load(READOUTS, config.readout.name).num_logits(config.readout)
    copies = _width(config) + 4 * (3 if num_trained(config) else 2)
    return num_tokens * shape.text.vocabulary_size * copies


def _states_bytes(config: TrialConfig, shape: Dimensions, lengths: Lengths, on_gpu: bool) -> tuple[float, float, float]:
    """Return the bytes of one clip's saved activations: in the language model, in both encoders, and temporarily.

    Without gradient checkpointing every layer that a gradient passes saves all its activations; with it (arXiv
    1604.06174) only its input, and one layer at a time has all of them, while its backward pass runs.
    """
    saved, inputs, largest = [0.0, 0.0], [0.0, 0.0], 0.0
    sizes, width = {"text": lengths.tokens, "audio": lengths.audio, "vision": lengths.video}, _width(config)
    for tower, adapted in _blocks_with_gradient(config, shape, lengths):
        block_bytes, index = sizes[tower] * _block_bytes(config, shape, tower, adapted, on_gpu), int(tower != "text")
        saved[index] += block_bytes
        inputs[index] += sizes[tower] * getattr(shape, tower).hidden_size * width
        largest = max(largest, block_bytes)
    return (inputs[0], inputs[1], largest) if config.runtime.gradient_checkpointing else (saved[0], saved[1], 0.0)


def _width(config: TrialConfig) -> float:
    return BYTES[config.backbone.dtype]


def _blocks_with_gradient(config: TrialConfig, shape: Dimensions, lengths: Lengths) -> Iterator[tuple[str, list[int]]]:
    """Yield for each block that a gradient passes its tower and the input widths of its adapted layers."""
    adapter = config.adapter
    used = {"text": lengths.tokens, "audio": lengths.audio, "video": lengths.video}
    towers = [tower for tower in adapter.towers if used[tower]]
    inputs: dict[tuple[str, int | None], list[int]] = {}
    for layer in adapted_layers(shape, adapter.targets, towers, adapter.text_layers):
        inputs.setdefault((layer.tower, layer.layer), []).append(layer.num_inputs)
    for tower, name in _TOWERS.items():
        first = 0
        if tower == "text" and towers == ["text"]:  # gradients to another tower pass through every layer
            first = first_adapted_layer(shape.text.num_layers, adapter.text_layers)
        if tower == "text" or tower in towers:
            for number in range(first, getattr(shape, name).num_layers):
                yield name, inputs.get((tower, number), [])


def _block_bytes(config: TrialConfig, shape: Dimensions, tower: str, adapted: list[int], on_gpu: bool) -> float:
    """Return the bytes per token that one block saves for the backward pass.

    Counted from the operations of transformers' Thinker and peft's LoRA layers; tests compare it with the tensors that
    torch saves. Frozen matrices save nothing of their input. At the width of the hidden states a block saves the inputs
    of both norms (RMSNorm computes in float32), queries, keys, values (repeated for each query head) and the output of
    attention; at the inner width the inputs of the activation function and, in a gated MLP, of the product. An adapted
    layer (arXiv 2106.09685) saves its input in float32, its dropout mask, and the low-rank product.
    """
    adapter, width, sizes = config.adapter, _width(config), getattr(shape, tower)
    norms = 2 * width if tower == "audio" else 8
    states = (norms + 4 * width) * sizes.hidden_size
    inner = (1 if tower == "audio" else 3) * width * sizes.intermediate_size
    mask = (1 if on_gpu else 4) if adapter.dropout else 0
    return states + inner + sum((4 + mask) * num_inputs + 4 * adapter.rank for num_inputs in adapted)
