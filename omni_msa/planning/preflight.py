"""The pre-flight: what would stop a run, checked before it starts (data, weights, GPU, disk). No torch in here."""

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from itertools import cycle
from pathlib import Path
from typing import Any

from omni_msa.backbones._base import BACKBONES
from omni_msa.config import plugins
from omni_msa.config.lookups import root_of, uses
from omni_msa.config.sections import MODALITIES
from omni_msa.config.trial import TrialConfig
from omni_msa.config.validation import shorten
from omni_msa.datasets._base import DATASETS
from omni_msa.errors import InputError, Problem, did_you_mean
from omni_msa.model.dimensions import (
    Dimensions,
    adapted_layers,
    first_adapted_layer,
    linear_layers,
    num_base_parameters,
)
from omni_msa.planning import disk, hardware
from omni_msa.planning.disk import dimensions
from omni_msa.readouts._base import READOUTS
from omni_msa.sweep.search_points import at_ends, at_fault, drawn, of_parameter
from omni_msa.sweep.search_space import Parameters
from omni_msa.sweep.sweep import Cell, Sweep, proposed
from omni_msa.system.cache_folder import cache_folder

SPARE_GB = 1.0
CPU_PARAMETERS_MAX = 1_000_000_000  # above it, one step on a CPU takes minutes
_CACHE, _LEDGER = "OMNI_MSA_CACHE", "OMNI_MSA_LEDGER"


def check(
    configs: Sequence[TrialConfig],
    ledger_root: Path,
    elsewhere: bool = False,
    fits: Sequence[TrialConfig] | None = None,
    num_slots: int = 1,
    proposals: Sequence[TrialConfig] = (),
) -> list[Problem]:
    """Return every problem that would stop these trials, once; memory is checked by `omni_msa.planning.slots`.

    Args:
        configs: configurations of the trials that are to run; if there are none, nothing is checked.
        ledger_root: the ledger's folder, which need not exist.
        elsewhere: whether trials run on other machines, whose GPUs are not known here.
        fits: one configuration for each fit that is to be trained; None means that each trial has its own fit.
        num_slots: how many trials run at once.
        proposals: those of `configs` that a search proposed; a wrong adapter or readout fails only that proposal.
    """
    problems = [*_check_plugins(configs, proposals), *([] if elsewhere else _check_gpu(configs))]
    if configs:
        problems += [*_check_folder("cache", cache_folder(), _CACHE), *_check_folder("ledger", ledger_root, _LEDGER)]
        checkpoints_gb = sum(map(disk.best_gb, configs if fits is None else fits))
        checkpoints_gb += disk.reserve_gb(configs, num_slots)
        problems += check_disk(disk.inputs_gb(configs), checkpoints_gb, ledger_root)
    return list(dict.fromkeys(problems))


def check_space(sweep: Sweep, cells: Sequence[Cell]) -> list[Problem]:
    """Return the problems of proposals: with each value of a choice, both ends of a range, and random points.

    Problems of a cell's own configuration are left out.

    Args:
        sweep: a sweep with a search, as it was loaded.
        cells: the cells of the axes for which there will be proposals.
    """
    assert sweep.file.search is not None
    space, problems = sweep.file.search.space, dict[tuple[str, ...], Problem]()
    tried = [(cell, point) for cell in cells for _, point in at_ends(space)]
    for cell, point in [*tried, *(zip(cycle(cells), drawn(space), strict=False))]:
        for problem in _check_proposal(sweep, cell, point):
            path = at_fault(problem, list(point))
            values = (problem.got,) if space[path].choice else ()  # of a range, one report for both ends
            problems.setdefault((problem.what, problem.where, *values), of_parameter(problem, path))
    return list(problems.values())


def _check_proposal(sweep: Sweep, cell: Cell, point: Parameters) -> list[Problem]:
    try:
        problems = _check_model(proposed(sweep, cell, point).config)
    except InputError:
        return []  # such a proposal is refused by the configuration itself, and fails
    return [problem for problem in problems if problem not in _check_model(cell.config)]


def _check_model(config: TrialConfig) -> list[Problem]:
    adapter = _check_adapter(config) if uses(config, "adapter") else []
    return [*adapter, *(_check_readout(config) if uses(config, "backbone") else [])]


def _check_plugins(configs: Sequence[TrialConfig], proposals: Sequence[TrialConfig]) -> Iterable[Problem]:
    for dataset in _distinct(config.dataset for config in configs):
        yield from _problems_of(partial(plugins.load(DATASETS, dataset.name).check, root_of(dataset), dataset))
    for backbone in _distinct(config.backbone for config in configs if uses(config, "backbone")):
        yield from _problems_of(partial(plugins.load(BACKBONES, backbone.name).check, backbone))
    own = [config for config in _distinct(configs) if config not in {*proposals}]
    for config in (config for config in own if uses(config, "adapter")):
        yield from _check_adapter(config)
    for config in (config for config in own if uses(config, "backbone")):
        yield from _check_readout(config)


def _problems_of(check: Callable[[], list[Problem]]) -> list[Problem]:
    try:
        return check()
    except InputError as error:
        return list(error.problems)


def _check_adapter(config: TrialConfig) -> list[Problem]:
    adapter, shape = config.adapter, dimensions(config)
    problems: list[Problem] = []
    try:
        first_adapted_layer(shape.text.num_layers, adapter.text_layers)
    except InputError as error:
        problems += error.problems
    matched = {tower: [name for name in adapter.targets if _has(shape, tower, name)] for tower in MODALITIES}
    allowed = ", ".join(dict.fromkeys(name for tower in MODALITIES for name in _layer_names(shape, tower)))
    for name in (name for name in adapter.targets if not any(name in names for names in matched.values())):
        step = did_you_mean(name, allowed.split(", "))
        problems.append(Problem("the backbone has no such layer", "adapter.targets", shorten(name), allowed, step))
    if not problems and not any(matched[tower] for tower in adapter.towers):
        what, got = "the adapter matches no layer of its towers", shorten(list(adapter.targets))
        available = "; ".join(f"{tower}: {', '.join(_layer_names(shape, tower))}" for tower in adapter.towers)
        problems.append(Problem(what, "adapter.targets", got, available))
    return problems


@lru_cache(maxsize=4096)
def _has(shape: Dimensions, tower: str, name: str) -> bool:
    return bool(adapted_layers(shape, (name,), (tower,)))


@lru_cache(maxsize=64)
def _layer_names(shape: Dimensions, tower: str) -> tuple[str, ...]:
    numbered = (layer for layer in linear_layers(shape) if layer.tower == tower and layer.layer is not None)
    return tuple(dict.fromkeys(layer.name.rpartition(".")[2] for layer in numbered))


def _check_readout(config: TrialConfig) -> list[Problem]:
    return plugins.load(READOUTS, config.readout.name).check(config, dimensions(config).text.num_layers)


def _check_gpu(configs: Sequence[TrialConfig]) -> Iterable[Problem]:
    obstacle = hardware.gpu_obstacle()
    if not obstacle:
        return
    step = "use a smaller scale with profile=pocket, or a machine with a CUDA GPU and a CUDA build of torch"
    for config in configs:
        runtime, backbone = config.runtime, config.backbone
        if runtime.device == "cuda":
            yield Problem("these settings need a GPU", "runtime.device", f"cuda, but {obstacle}", "auto, cpu", step)
        elif runtime.device == "auto" and uses(config, "backbone"):
            size = num_base_parameters(dimensions(config))
            if size > CPU_PARAMETERS_MAX:
                got = f"{backbone.name} with {size / 1e9:.1f} billion weights, but {obstacle}"
                yield Problem("this backbone needs a GPU", "backbone.name", got, next_step=step)


def _check_folder(what: str, folder: Path, variable: str) -> Iterable[Problem]:
    existing = _existing(folder)
    if not (existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)):
        got = f"{existing} is {'not writable' if existing.is_dir() else 'not a folder'}"
        step = f"set {variable} to another folder"
        yield Problem(f"the folder of the {what} cannot be used", str(folder), got, next_step=step)


def check_disk(inputs_gb: float, checkpoints_gb: float, ledger_root: Path) -> list[Problem]:
    """Return a problem for the cache and for the ledger if its disk has too little free space.

    Args:
        inputs_gb: space that clips and prepared inputs may need in the cache, in GB, a rough estimate.
        checkpoints_gb: space that the ledger may need, in GB, with the reserve.
        ledger_root: the ledger's folder, which need not exist.
    """
    cache, ledger = cache_folder(), ledger_root
    inputs_gb += SPARE_GB
    needed = [("cache", cache, inputs_gb, _CACHE), ("ledger", ledger, checkpoints_gb, _LEDGER)]
    if _existing(cache).stat().st_dev == _existing(ledger).stat().st_dev:  # one disk for both
        needed = [("cache and the ledger", cache, inputs_gb + checkpoints_gb, f"{_CACHE} or {_LEDGER}")]
    problems = []
    for what, folder, gb, variable in needed:
        if (free := shutil.disk_usage(_existing(folder)).free / 1e9) < gb:
            got, step = f"{free:.1f} GB free", f"free some space, or set {variable} to a folder on a larger disk"
            problems.append(Problem(f"too little disk for the {what}", str(folder), got, f"about {gb:.1f} GB", step))
    return problems


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))
