"""How many trials run at once, on which GPUs, and whether memory suffices: by measured peaks, else by estimates."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from omni_msa.config import lookups
from omni_msa.config.trial import RuntimeConfig, TrialConfig
from omni_msa.errors import Problem
from omni_msa.planning import hardware, memory
from omni_msa.planning.timing import MeasuredCost, batches, key
from omni_msa.system import nvml
from omni_msa.system.nvml import Gpu


@dataclass(frozen=True)
class Slots:
    """How many trials run at once, and where.

    Args:
        num: how many trials run at once.
        num_gpus: number of GPUs they use; 0 on the CPU.
        visible_devices: value of `CUDA_VISIBLE_DEVICES` that selects these GPUs; None leaves it as it is.
        notes: remarks for the user.
        problems: why no trial can run.
    """

    num: int
    num_gpus: int = 0
    visible_devices: str | None = None
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def choose(
    configs: Sequence[TrialConfig],
    runtime: RuntimeConfig,
    weights_gb: float,
    known: Mapping[str, MeasuredCost],
    ours: Collection[int] = (),
    elsewhere: bool = False,
) -> Slots:
    """Choose how many trials run at once and on which GPUs.

    Args:
        configs: configurations of the trials that are to run; if there are none, memory is not checked.
        runtime: settings of the sweep.
        weights_gb: memory of its largest backbone, in GB.
        known: measured costs of complete trials, by `timing.key`.
        ours: ids of this sweep's processes, whose memory counts as free.
        elsewhere: whether trials run on other machines, whose memory is not known here.
    """
    if not hardware.uses_gpu(runtime):
        slots = Slots(hardware.num_slots(runtime, weights_gb))
        return slots if elsewhere or not configs else replace(slots, problems=_host_problems(configs, slots.num))
    num_gpus = max(1, hardware.num_gpus())
    gpus = [] if elsewhere or hardware.gpu_obstacle() else nvml.list_gpus()
    if not gpus or not configs:
        num, note = hardware.num_slots_on_gpus(runtime.trials_at_once, num_gpus, None if configs else 1)
        return Slots(num, num_gpus, notes=_noted(note))
    return _on_gpus(gpus, configs, runtime, known, ours)


def _on_gpus(
    gpus: Sequence[Gpu],
    configs: Sequence[TrialConfig],
    runtime: RuntimeConfig,
    known: Mapping[str, MeasuredCost],
    ours: Collection[int],
) -> Slots:
    kinds = _kinds(configs)
    needed_gb = max(needed_on_gpu_gb(config, known) for config in kinds)
    usable, notes, problems = usable_gpus(gpus, needed_gb, ours)
    if problems:
        return Slots(1, len(gpus), problems=tuple(problems))
    peaks = [measured_peak_gb(config, known) for config in kinds if lookups.uses(config, "backbone")]
    peak_gb = max((peak for peak in peaks if peak), default=0.0)
    is_known = peak_gb > 0 and None not in peaks
    num_per_gpu = nvml.packing(min(gpu.total_gb for gpu in usable), peak_gb) if is_known else None
    num, note = hardware.num_slots_on_gpus(runtime.trials_at_once, len(usable), num_per_gpu)
    visible = nvml.visible_devices(usable) if len(usable) < len(gpus) else None
    tight = "" if is_known else _tight(min(gpu.total_gb for gpu in usable), kinds)
    return Slots(num, len(usable), visible, (*notes, *_noted(tight), *_noted(note)))


def _tight(gpu_gb: float, configs: Sequence[TrialConfig]) -> str:
    """Return a warning if the smallest GPU may be too small for the longest clips, which is no reason to refuse."""
    most_gb = max(memory.plan_memory(config).total for config in configs)
    if most_gb <= gpu_gb:
        return ""
    return f"the longest clips may take {most_gb:.1f} GB, and the smallest GPU has {gpu_gb:.1f} GB"


def _kinds(configs: Sequence[TrialConfig]) -> list[TrialConfig]:
    """Return the configurations that differ in more than the seed, each once."""
    return list(dict.fromkeys(config.model_copy(update={"seed": None}) for config in configs))


def _noted(note: str) -> tuple[str, ...]:
    return (note,) if note else ()


def measured_peak_gb(config: TrialConfig, known: Mapping[str, MeasuredCost]) -> float | None:
    """Return the highest peak of GPU memory, in GB, of complete trials of the same kind, None if there are none."""
    cost = known.get(key(config, True))
    return None if cost is None else cost.peaks_gb.get(batches(vars(config.runtime)))


def needed_on_gpu_gb(config: TrialConfig, known: Mapping[str, MeasuredCost]) -> float:
    """Return the GPU memory that a trial needs, in GB: the measured peak, else the estimated lower bound."""
    peak = measured_peak_gb(config, known)
    return memory.memory_gb(config) if peak is None else peak


def usable_gpus(
    gpus: Sequence[Gpu], needed_gb: float, ours: Collection[int] = ()
) -> tuple[list[Gpu], list[str], list[Problem]]:
    """Leave out GPUs that are too small or busy; if none remains, that is a problem, else a note.

    Args:
        gpus: the GPUs that this process may use, at least one.
        needed_gb: memory that the largest trial needs, in GB.
        ours: ids of processes whose memory counts as free.

    Returns:
        the GPUs to use, notes on those left out, and problems if none is left.
    """
    large = [gpu for gpu in gpus if gpu.total_gb >= needed_gb]
    usable = [gpu for gpu in large if nvml.free_for(gpu, ours) >= needed_gb]
    if not large:
        return [], [], [_too_small(gpus, needed_gb)]
    if not usable:
        return [], [], [_busy(gpu, needed_gb, ours) for gpu in large]
    small = [f"{gpu} is not used: it has {gpu.total_gb:.1f} GB" for gpu in gpus if gpu not in large]
    busy = [f"{gpu} is not used: in use by {nvml.holders(gpu, ours)}" for gpu in large if gpu not in usable]
    return usable, [f"{note}, a trial needs about {needed_gb:.1f} GB" for note in (*small, *busy)], []


def _too_small(gpus: Sequence[Gpu], needed_gb: float) -> Problem:
    got = ", ".join(f"{gpu}: {gpu.total_gb:.1f} GB" for gpu in gpus)
    step = "use a larger GPU, runtime.micro_batch=1, runtime.gradient_checkpointing=true or backbone.quantization=nf4"
    return Problem("no GPU has enough memory for a trial", "GPUs", got, f"at least {needed_gb:.1f} GB", step)


def _busy(gpu: Gpu, needed_gb: float, ours: Collection[int]) -> Problem:
    got = f"{nvml.free_for(gpu, ours):.1f} of {gpu.total_gb:.1f} GB free; held by {nvml.holders(gpu, ours)}"
    step = "wait, stop that process, or choose other GPUs with CUDA_VISIBLE_DEVICES=..."
    return Problem("a GPU is busy", str(gpu), got, f"at least {needed_gb:.1f} GB free", step)


def _host_problems(configs: Sequence[TrialConfig], num_slots: int) -> tuple[Problem, ...]:
    """Return a problem if the free host memory, which all trials on the CPU share, does not suffice."""
    num = min(num_slots, len(configs))
    needed = num * max(memory.host_memory_gb(config) for config in _kinds(configs))
    free = hardware.available_memory_gb()
    if free >= needed:
        return ()
    which = "one trial" if num == 1 else f"{num} trials at once"
    step = "stop other programs, or set a smaller runtime.trials_at_once, runtime.micro_batch or backbone"
    return (Problem("too little memory", "host memory", f"{free:.1f} GB free", f"{needed:.1f} GB for {which}", step),)
