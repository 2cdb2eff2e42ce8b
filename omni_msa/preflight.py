"""What would stop a run, found before anything starts: data, weights, GPU, disk. No torch in here."""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from omni_msa import hardware, plugins
from omni_msa.cache import cache_folder
from omni_msa.clip import SPLITS
from omni_msa.config import MediaConfig, TrialConfig
from omni_msa.errors import InputError, Problem
from omni_msa.options import DatasetOptions
from omni_msa.sizes import Dimensions, first_adapted_layer, num_base_parameters

SPARE_GB = 1.0
CPU_PARAMETERS_MAX = 1_000_000_000  # beyond this one step on a CPU takes minutes
_CLIP_GB = 2e-3  # the clip's own file, and the kept states of its prompt at the pocket's size
_AUDIO_GB_PER_S = 100 * 128 * 4 / 1e9  # log-mel frames of 10 ms


def check(configs: Sequence[TrialConfig], ledger_root: Path, elsewhere: bool = False) -> list[Problem]:
    """Return all that would stop these trials, each problem once.

    Args:
        configs: of the trials that are to run; none, and nothing is checked.
        ledger_root: the ledger's folder, which need not exist.
        elsewhere: trials run on other machines, whose GPUs cannot be seen from here.
    """
    problems = [*_check_plugins(configs), *([] if elsewhere else _check_gpu(configs))]
    if configs:
        problems += check_disk(needed_gb(configs), ledger_root)
    return list(dict.fromkeys(problems))


def _check_plugins(configs: Sequence[TrialConfig]) -> Iterable[Problem]:
    for dataset in _distinct(config.dataset for config in configs):
        yield from _found("datasets", dataset, root_of(dataset))
    for backbone in _distinct(config.backbone for config in configs if uses(config, "backbone")):
        yield from _found("backbones", backbone)
    for config in _distinct(config for config in configs if uses(config, "adapter")):
        yield from _check_adapter(config)


def root_of(dataset: DatasetOptions) -> Path | None:
    """Return the folder of a corpus, if the settings name one."""
    return Path(dataset.root) if dataset.root else None


def _found(kind: str, options: Any, *root: Path | None) -> list[Problem]:
    try:
        found: list[Problem] = plugins.load(kind, options.name).check(*root, options)
    except InputError as error:
        return list(error.problems)
    return found


def _check_adapter(config: TrialConfig) -> list[Problem]:
    try:
        first_adapted_layer(dimensions(config).text.num_layers, config.adapter.text_layers)
    except InputError as error:
        return list(error.problems)
    return []


def _check_gpu(configs: Sequence[TrialConfig]) -> Iterable[Problem]:
    obstacle = hardware.gpu_obstacle()
    if not obstacle:
        return
    step = "take a smaller scale with profile=pocket, or run it on a machine with a CUDA GPU and a CUDA build of torch"
    for config in configs:
        runtime, backbone = config.runtime, config.backbone
        if runtime.device == "cuda":
            yield Problem("these settings need a GPU", "runtime.device", f"cuda, but {obstacle}", "auto, cpu", step)
        elif runtime.device == "auto" and uses(config, "backbone"):
            size = num_base_parameters(dimensions(config))
            if size > CPU_PARAMETERS_MAX:
                got = f"{backbone.name} with {size / 1e9:.1f} billion weights, but {obstacle}"
                yield Problem("this backbone needs a GPU", "backbone.name", got, next_step=step)


def check_disk(needed: float, ledger_root: Path) -> list[Problem]:
    """Return a problem if the cache or the ledger lies on a disk with too little room.

    Args:
        needed: GB that files of this run may take, a rough estimate.
        ledger_root: the ledger's folder, which need not exist.
    """
    free = {folder: shutil.disk_usage(_existing(folder)).free / 1e9 for folder in (cache_folder(), ledger_root)}
    cache, ledger = free
    problems = []
    if free[cache] < needed + SPARE_GB:
        allowed = f"about {needed + SPARE_GB:.1f} GB"
        step = "make room, or set OMNI_MSA_CACHE to a folder on a larger disk"
        problems.append(
            Problem("too little disk for the cache", str(cache), f"{free[cache]:.1f} GB free", allowed, step)
        )
    if free[ledger] < SPARE_GB:
        step = "make room, or set OMNI_MSA_LEDGER to a folder on a larger disk"
        got, allowed = f"{free[ledger]:.1f} GB free", f"about {SPARE_GB:.1f} GB"
        problems.append(Problem("too little disk for the ledger", str(ledger), got, allowed, step))
    return problems


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def needed_gb(configs: Sequence[TrialConfig]) -> float:
    """Return roughly how much disk the trials' data may take, in GB: clips and prepared inputs.

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


def num_clips(dataset: DatasetOptions, *splits: str) -> int:
    """Return how many clips a dataset has, in these splits or in all; 0 if neither options nor plug-in say."""
    published = getattr(getattr(plugins.load("datasets", dataset.name), "CORPUS", None), "num_clips", {})
    return sum(getattr(dataset, f"num_{split}", published.get(split, 0)) for split in splits or SPLITS)


def uses(config: TrialConfig, section: str) -> bool:
    """Return whether the trial's readout depends on a section of the configuration."""
    return section in plugins.load("readouts", config.readout.name).uses


def dimensions(config: TrialConfig) -> Dimensions:
    """Return the shape of the trial's backbone."""
    shape: Dimensions = plugins.load("backbones", config.backbone.name).dimensions(config.backbone)
    return shape


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))
