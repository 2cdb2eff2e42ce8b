"""Disk space that trials need, and counts of weights, by plain arithmetic before they start. No torch in here."""

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

_CLIP_GB = 2e-3  # the clip's own file, and the cached states of its prompt with the pocket backbone
_AUDIO_GB_PER_S = 100 * 128 * 4 / 1e9  # log-mel frames of 10 ms
_SPARE_GB = 0.5


def dimensions(config: TrialConfig) -> Dimensions:
    """Return the dimensions of the trial's backbone (layers, widths, vocabulary)."""
    return plugins.load(BACKBONES, config.backbone.name).dimensions(config.backbone)


def inputs_gb(configs: Sequence[TrialConfig]) -> float:
    """Return a rough estimate of the disk, in GB, that clips and prepared inputs may take in the cache.

    Args:
        configs: configurations of the trials that are to run.
    """
    wanted = {(config.dataset, config.media if uses(config, "media") else None) for config in configs}
    prepared = sum(num_clips(dataset) * _prepared_gb(media) for dataset, media in wanted if media is not None)
    files = sum(num_clips(dataset) for dataset in {dataset for dataset, _ in wanted}) * _CLIP_GB
    return files + min(prepared, limit_gb())


def _prepared_gb(media: MediaConfig) -> float:
    frames = media.num_frames_max * media.frame_pixels_max * 3 / 1e9  # one byte per colour
    return frames + 10 * _AUDIO_GB_PER_S  # a clip of ten seconds


def num_trained(config: TrialConfig) -> int:
    """Return how many adapter weights a trial trains (a readout adds some thousand); 0 if it has no adapter.

    The count is 0, too, if the adapter names layers that the backbone does not have, which the pre-flight refuses.
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
    """Return the size of a fit's training state on disk, in GB: weights and AdamW's two moments in float32."""
    return 3 * best_gb(config)


def best_gb(config: TrialConfig) -> float:
    """Return the size of the weights of a fit's best epoch on disk, in GB."""
    return 4 * num_trained(config) / 1e9


def reserve_gb(configs: Sequence[TrialConfig], num_slots: int) -> float:
    """Return the free disk, in GB, that must remain so that running trials can still write their checkpoints.

    A trial writes a new checkpoint before it removes the old one: twice the largest for each trial, and half a GB for
    the rest. `runtime.disk_reserve_gb` overrides this.

    Args:
        configs: configurations of the trials that are to run.
        num_slots: how many trials run at once.
    """
    reserves = [config.runtime.disk_reserve_gb for config in configs if config.runtime.disk_reserve_gb is not None]
    if reserves:
        return max(reserves)
    largest = max((state_gb(config) + best_gb(config) for config in configs), default=0.0)
    return 2 * num_slots * largest + _SPARE_GB
