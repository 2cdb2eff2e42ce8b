"""What trials take, by plain arithmetic and before they start: clips, weights, disk. No torch in here."""

from collections.abc import Sequence
from functools import lru_cache

from omni_msa.backbones._base import BACKBONES
from omni_msa.config import plugins
from omni_msa.config.lookups import num_clips, uses
from omni_msa.config.sections import BackboneOptions
from omni_msa.config.trial import AdapterConfig, MediaConfig, TrialConfig
from omni_msa.errors import InputError
from omni_msa.model.dimensions import Dimensions, num_lora_parameters
from omni_msa.system.cache_folder import limit_gb

_CLIP_GB = 2e-3  # the clip's own file, and the kept states of its prompt at the pocket's size
_AUDIO_GB_PER_S = 100 * 128 * 4 / 1e9  # log-mel frames of 10 ms
_SPARE_GB = 0.5


def dimensions(config: TrialConfig) -> Dimensions:
    """Return the shape of the trial's backbone."""
    return plugins.load(BACKBONES, config.backbone.name).dimensions(config.backbone)


def inputs_gb(configs: Sequence[TrialConfig]) -> float:
    """Return roughly how much disk the trials' data may take in the cache, in GB: clips and prepared inputs.

    Args:
        configs: of the trials that are to run.
    """
    wanted = {(config.dataset, config.media if uses(config, "media") else None) for config in configs}
    prepared = sum(num_clips(dataset) * _prepared_gb(media) for dataset, media in wanted if media is not None)
    files = sum(num_clips(dataset) for dataset in {dataset for dataset, _ in wanted}) * _CLIP_GB
    return files + min(prepared, limit_gb())


def _prepared_gb(media: MediaConfig) -> float:
    frames = media.num_frames_max * media.frame_pixels_max * 3 / 1e9  # a byte a colour
    return frames + 10 * _AUDIO_GB_PER_S  # a clip of ten seconds


def num_trained(config: TrialConfig) -> int:
    """Return how many weights a trial trains, the readout's own (some thousand) left out; 0 if it trains none.

    An adapter that names layers the backbone does not have counts nothing: the pre-flight refuses it.
    """
    return _num_adapter(config.backbone, config.adapter) if uses(config, "adapter") else 0


@lru_cache(maxsize=256)
def _num_adapter(backbone: BackboneOptions, adapter: AdapterConfig) -> int:
    layers = adapter.targets, adapter.towers, adapter.text_layers
    try:
        return num_lora_parameters(plugins.load(BACKBONES, backbone.name).dimensions(backbone), adapter.rank, *layers)
    except InputError:
        return 0


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
