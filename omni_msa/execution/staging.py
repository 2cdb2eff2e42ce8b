"""Prepares what trials share (weights, clips, inputs) on this machine, once and before any of them starts."""

from collections.abc import Sequence

from omni_msa.backbones._base import BACKBONES
from omni_msa.config import plugins
from omni_msa.config.lookups import root_of, uses
from omni_msa.config.sections import DatasetOptions
from omni_msa.config.trial import MediaConfig, TrialConfig
from omni_msa.data.clip import Clip
from omni_msa.data.faults import Fault
from omni_msa.data.inputs.preprocess import prepare
from omni_msa.datasets._base import DATASETS
from omni_msa.errors import InputError, Problem
from omni_msa.planning import bad_clips
from omni_msa.planning.plan import Plan
from omni_msa.system.downloads import ReportProgress

_REPAIR = "fetch or write the file again, or leave the clip out of every trial with on_bad_clip=drop"


def make_ready(plan: Plan, progress: ReportProgress) -> bool:
    """Fetch weights, fetch or generate clips, and prepare audio and video for the missing trials.

    With `on_bad_clip: drop` the first run prepares the inputs of all cells of the sweep, so that all trials leave out
    the same clips.

    Args:
        plan: the plan whose missing trials will be run.
        progress: called with (what, done, total).

    Returns:
        whether a list of bad clips was stored; then the trials have other ids, and the plan must be made again.

    Raises:
        InputError: a file cannot be fetched (says where to put it), or clips cannot be used (lists all).
    """
    configs = [trial.config for trial in plan.missing()]
    for backbone in dict.fromkeys(config.backbone for config in configs if uses(config, "backbone")):
        plugins.load(BACKBONES, backbone.name).fetch(backbone, progress)
    problems: list[Problem] = []
    is_changed = False
    for dataset in dict.fromkeys(config.dataset for config in configs):
        clips = plugins.load(DATASETS, dataset.name).load(root_of(dataset), dataset, progress)
        dataset_problems, is_new = _prepare(plan, dataset, clips, progress)
        problems += dataset_problems
        is_changed |= is_new
    if problems:
        raise InputError(*dict.fromkeys(problems))
    return is_changed


def _prepare(
    plan: Plan, dataset: DatasetOptions, clips: Sequence[Clip], progress: ReportProgress
) -> tuple[list[Problem], bool]:
    """Prepare the clips of a dataset; return the problems, and whether clips are left out from now on."""
    store = plan.stores.get(dataset)
    if store is None or store.found is not None:
        configs = [trial.config for trial in plan.missing() if trial.config.dataset == dataset]
        dropped = store.found.clips if store and store.found else {}
        faults = _faults(configs, [clip for clip in clips if clip.id not in dropped], progress)
        step = f"fetch or write the file again, or remove {store.path} to check all clips again" if store else _REPAIR
        return [fault.problem(step) for fault in faults], False
    configs = [cell.config for cell in plan.sweep.cells if cell.config.dataset == dataset]
    faults = _faults(configs, clips, progress)
    modalities = dict.fromkeys(modality for modality, _ in bad_clips.checks(configs))
    bad = bad_clips.collect(dataset.name, list(modalities), clips, faults)
    if problems := bad_clips.check_left(clips, bad):
        return problems, False
    bad_clips.write(store.path, bad)
    return [], bool(bad.clips)


def _faults(configs: Sequence[TrialConfig], clips: Sequence[Clip], progress: ReportProgress) -> list[Fault]:
    """Prepare the inputs of these trials from a dataset; return the faults of clips that cannot be used."""
    needed: dict[MediaConfig, dict[str, None]] = {}
    for config in configs:
        if uses(config, "media"):
            needed.setdefault(config.media, {}).update(dict.fromkeys(config.modalities))
    seconds_max = configs[0].runtime.clip_seconds_max
    done = (prepare(clips, list(names), media, progress, None, seconds_max) for media, names in needed.items())
    return [fault for inputs in done for fault in inputs.faults]
