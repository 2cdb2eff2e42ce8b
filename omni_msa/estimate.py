"""What trials take, by plain arithmetic and before they start: clips, disk, memory. No torch in here."""

from collections.abc import Sequence
from functools import lru_cache

from omni_msa import plugins
from omni_msa.clip import SPLITS
from omni_msa.config import AdapterConfig, MediaConfig, TrialConfig
from omni_msa.errors import InputError
from omni_msa.options import BackboneOptions, DatasetOptions
from omni_msa.sizes import BYTES, Dimensions, first_adapted_layer, num_lora_parameters, weights_gb

_CLIP_GB = 2e-3  # the clip's own file, and the kept states of its prompt at the pocket's size
_AUDIO_GB_PER_S = 100 * 128 * 4 / 1e9  # log-mel frames of 10 ms
_NUM_TEXT_TOKENS = 45
_CLIP_S = 4.0
_PIXELS_PER_TOKEN = 28 * 28  # of a pair of frames (Qwen2.5-VL)
_LIBRARIES_GB = 0.4  # of host memory, for the interpreter with torch and transformers
_SPARE_GB = 0.5


def uses(config: TrialConfig, section: str) -> bool:
    """Return whether the trial's readout depends on a section of the configuration."""
    return section in plugins.load("readouts", config.readout.name).uses


def dimensions(config: TrialConfig) -> Dimensions:
    """Return the shape of the trial's backbone."""
    shape: Dimensions = plugins.load("backbones", config.backbone.name).dimensions(config.backbone)
    return shape


def num_clips(dataset: DatasetOptions, *splits: str) -> int:
    """Return how many clips a dataset has, in these splits or in all; 0 if neither options nor plug-in say."""
    published = getattr(getattr(plugins.load("datasets", dataset.name), "CORPUS", None), "num_clips", {})
    return sum(getattr(dataset, f"num_{split}", published.get(split, 0)) for split in splits or SPLITS)


def inputs_gb(configs: Sequence[TrialConfig]) -> float:
    """Return roughly how much disk the trials' data may take in the cache, in GB: clips and prepared inputs.

    Args:
        configs: of the trials that are to run.
    """
    wanted = {(config.dataset, config.media if uses(config, "media") else None) for config in configs}
    return sum(num_clips(dataset) * _clip_gb(media) for dataset, media in wanted)


def _clip_gb(media: MediaConfig | None) -> float:
    if media is None:
        return _CLIP_GB
    frames = media.num_frames_max * media.frame_pixels_max * 3 / 1e9  # a byte a colour
    return _CLIP_GB + frames + 10 * _AUDIO_GB_PER_S  # a clip of ten seconds


def num_trained(config: TrialConfig) -> int:
    """Return how many weights a trial trains, the readout's own (some thousand) left out; 0 if it trains none.

    An adapter that names layers the backbone does not have counts nothing: the pre-flight refuses it.
    """
    return _num_adapter(config.backbone, config.adapter) if uses(config, "adapter") else 0


@lru_cache(maxsize=256)
def _num_adapter(backbone: BackboneOptions, adapter: AdapterConfig) -> int:
    layers = adapter.targets, adapter.towers, adapter.text_layers
    try:
        return num_lora_parameters(plugins.load("backbones", backbone.name).dimensions(backbone), adapter.rank, *layers)
    except InputError:
        return 0


def memory_gb(config: TrialConfig) -> float:
    """Return a lower bound on what a trial takes of its card, in GB; 0 for one without a backbone.

    The backbone's weights at their quantisation; the adapter in float32 with its gradient and AdamW's two moments, 16
    bytes a weight; and what the backward pass keeps of the states of a few short clips. Left out are torch's CUDA
    context, fragments, long clips, and the towers' states, so a trial that fits by this count may still not fit.
    """
    if not uses(config, "backbone"):
        return 0.0
    shape, backbone = dimensions(config), config.backbone
    weights = weights_gb(shape, backbone.quantization, backbone.dtype)
    return weights + 16 * num_trained(config) / 1e9 + _states_gb(config, shape)


def host_memory_gb(config: TrialConfig) -> float:
    """Return a lower bound on what a trial on the CPU takes of the host's memory, in GB."""
    return _LIBRARIES_GB + memory_gb(config)


def _states_gb(config: TrialConfig, shape: Dimensions) -> float:
    """Return the states that training keeps of the text tower, from the first adapted layer up.

    A layer keeps six states of the hidden size (what goes into and out of attention and MLP) and three of the MLP's
    inner size; with gradient checkpointing only what goes into it, and one layer's all at a time.
    """
    if not num_trained(config):
        return 0.0
    text, runtime = shape.text, config.runtime
    num_layers = text.num_layers
    if config.adapter.towers == ("text",):  # gradients to another tower pass through every layer
        num_layers -= first_adapted_layer(num_layers, config.adapter.text_layers)
    whole = 6 * text.hidden_size + 3 * text.intermediate_size
    kept = num_layers * text.hidden_size + whole if runtime.gradient_checkpointing else num_layers * whole
    num_clips_at_once = min(runtime.micro_batch, config.training.batch_size)
    return num_clips_at_once * _num_tokens(config) * kept * BYTES[config.backbone.dtype] / 1e9


def _num_tokens(config: TrialConfig) -> float:
    """Return the tokens of a clip of a few seconds, with frames of the largest area allowed."""
    media, tokens = config.media, float(_NUM_TEXT_TOKENS)
    if "audio" in config.modalities:  # four mel frames a token
        tokens += _CLIP_S * 1000 / media.mel_hop_ms / 4
    if "video" in config.modalities:
        num_frames = min(media.num_frames_max, _CLIP_S * media.frame_rate_hz)
        tokens += num_frames / 2 * media.frame_pixels_max / _PIXELS_PER_TOKEN
    return tokens


def state_gb(config: TrialConfig) -> float:
    """Return the disk that a fit's training state takes, in GB: weights and two moments in float32."""
    return 3 * best_gb(config)


def best_gb(config: TrialConfig) -> float:
    """Return the disk that the weights of a fit's best epoch take, in GB."""
    return 4 * num_trained(config) / 1e9


def reserve_gb(configs: Sequence[TrialConfig], num_slots: int) -> float:
    """Return the free disk, in GB, below which no further trial may start: room for what is running.

    Each running trial may write its checkpoints anew while the old ones are still there: twice the largest, and half a
    GB for the rest. `runtime.disk_reserve_gb` says otherwise.

    Args:
        configs: of the trials that are to run.
        num_slots: trials at once.
    """
    asked = [config.runtime.disk_reserve_gb for config in configs if config.runtime.disk_reserve_gb is not None]
    if asked:
        return max(asked)
    largest = max((state_gb(config) + best_gb(config) for config in configs), default=0.0)
    return 2 * num_slots * largest + _SPARE_GB
