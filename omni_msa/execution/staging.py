"""Everything that trials share, brought to this machine once and before any of them starts: weights, clips, inputs."""

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

_MEND = "fetch or write the file again, or leave the clip out of every trial: on_bad_clip=drop"


def make_ready(plan: Plan, progress: ReportProgress) -> bool:
    """Fetch weights, fetch or generate clips, and prepare sound and picture for the trials that are to run.

    With `on_bad_clip: drop` the first time prepares what any cell of the sweep needs, whatever is to run: all trials
    leave out the same clips.

    Args:
        plan: its missing trials are to run.
        progress: called with (what, done, total).

    Returns:
        whether a list of bad clips was stored that leaves clips out: then the trials have other ids, plan again.

    Raises:
        InputError: something cannot be had (says which file to put where), or clips cannot be used (names all).
    """
    configs = [trial.config for trial in plan.missing()]
    for backbone in dict.fromkeys(config.backbone for config in configs if uses(config, "backbone")):
        plugins.load(BACKBONES, backbone.name).fetch(backbone, progress)
    problems: list[Problem] = []
    is_changed = False
    for dataset in dict.fromkeys(config.dataset for config in configs):
        clips = plugins.load(DATASETS, dataset.name).load(root_of(dataset), dataset, progress)
        found, is_new = _prepare(plan, dataset, clips, progress)
        problems += found
        is_changed |= is_new
    if problems:
        raise InputError(*dict.fromkeys(problems))
    return is_changed


def _prepare(
    plan: Plan, dataset: DatasetOptions, clips: Sequence[Clip], progress: ReportProgress
) -> tuple[list[Problem], bool]:
    """Prepare the clips of a dataset; return what stops the run, and whether clips are left out from now on."""
    store = plan.stores.get(dataset)
    if store is None or store.found is not None:
        configs = [trial.config for trial in plan.missing() if trial.config.dataset == dataset]
        dropped = store.found.clips if store and store.found else {}
        faults = _faults(configs, [clip for clip in clips if clip.id not in dropped], progress)
        step = f"fetch or write the file again, or remove {store.path}: then all are checked again" if store else _MEND
        return [fault.problem(step) for fault in faults], False
    configs = [cell.config for cell in plan.sweep.cells if cell.config.dataset == dataset]
    faults = _faults(configs, clips, progress)
    modalities = dict.fromkeys(modality for modality, _ in bad_clips.checks(configs))
    found = bad_clips.collect(dataset.name, list(modalities), clips, faults)
    if problems := bad_clips.check_left(clips, found):
        return problems, False
    bad_clips.write(store.path, found)
    return [], bool(found.clips)


def _faults(configs: Sequence[TrialConfig], clips: Sequence[Clip], progress: ReportProgress) -> list[Fault]:
    """Prepare what these trials need of a dataset; return what cannot be used."""
    needed: dict[MediaConfig, dict[str, None]] = {}
    for config in configs:
        if uses(config, "media"):
            needed.setdefault(config.media, {}).update(dict.fromkeys(config.modalities))
    seconds_max = configs[0].runtime.clip_seconds_max
    done = (prepare(clips, list(names), media, progress, None, seconds_max) for media, names in needed.items())
    return [fault for inputs in done for fault in inputs.faults]
