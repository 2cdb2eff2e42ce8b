"""What this machine has, found without torch, so that a plan can say what would refuse."""

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from omni_msa.config.trial import RuntimeConfig
from omni_msa.system.process_pool import num_cores

_CGROUP_CPU = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_MEMORY = Path("/sys/fs/cgroup")
_OOM_COUNTERS = tuple(
    map(Path, ("/proc/vmstat", "/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"))
)
_DEVICES = Path("/dev")
_DRIVER = Path("/proc/driver/nvidia/gpus")
MEMORY_PER_TRIAL_GB = 1.5  # what a trial's process takes beside the backbone's weights


def gpu_obstacle() -> str:
    """Return why no CUDA GPU can be used, or an empty string if one can."""
    if not _gpu_devices():
        return "the machine shows no CUDA device"
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return "torch is not installed"
    return f"torch {version} is a build without CUDA" if version.endswith("+cpu") else ""


def num_gpus() -> int:
    """Return how many CUDA GPUs trials may use; `CUDA_VISIBLE_DEVICES` is honoured."""
    return 0 if gpu_obstacle() else len(_gpu_devices())


def _gpu_devices() -> list[str]:
    found = [str(path) for path in sorted(_DEVICES.glob("nvidia[0-9]*"))]
    if not found and (_DEVICES / "dxg").exists():  # a GPU lent to Linux by Windows
        found = [str(_DEVICES / "dxg")]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return found
    named = [name for name in visible.split(",") if name.strip() not in ("", "-1", "NoDevFiles")]
    return found[: len(named)]


def uses_gpu(runtime: RuntimeConfig) -> bool:
    """Return whether trials with these settings run on a GPU here."""
    return runtime.device == "cuda" or (runtime.device == "auto" and num_gpus() > 0)


def num_slots(runtime: RuntimeConfig, weights_gb: float) -> int:
    """Return how many trials run at once on the CPU: as asked for, else one per core that memory allows.

    Args:
        runtime: of the trials.
        weights_gb: memory of one backbone, in GB.
    """
    if runtime.trials_at_once is not None:
        return runtime.trials_at_once
    fitting = int(available_memory_gb() / (MEMORY_PER_TRIAL_GB + 2 * weights_gb))  # twice while being loaded
    return max(1, min(num_usable_cores(), fitting))


def num_slots_on_cards(asked: int | None, num_cards: int, num_per_card: int | None) -> tuple[int, str]:
    """Return how many trials run at once on cards, and why not as many as were asked for ("" if they do).

    Args:
        asked: `runtime.trials_at_once`; None means one a card.
        num_cards: cards that trials may use, at least 1.
        num_per_card: trials that fit on the smallest of them by measured peaks; None if a peak is not known.
    """
    if asked is None or asked <= num_cards:
        return asked or num_cards, ""
    if num_per_card is None:
        return num_cards, "one trial a card until one of each kind has been measured"
    fitting = num_cards * max(1, num_per_card)
    if asked <= fitting:
        return asked, ""
    return fitting, f"by the measured peak {max(1, num_per_card)} at most fit on a card"


def ran_on_gpu(result: Mapping[str, Any], config: Mapping[str, Any], attempt: Mapping[str, Any]) -> bool:
    """Return whether a trial that is done ran on a GPU.

    Args:
        result: its `result.json`.
        config: its `config.json`.
        attempt: its `provenance.json`.
    """
    runtime, packages = config.get("runtime"), attempt.get("packages")
    asked = runtime.get("device") if isinstance(runtime, dict) else "auto"
    device = result.get("device", asked)
    if device != "auto":
        return bool(device == "cuda")
    torch = str(packages.get("torch", "")) if isinstance(packages, dict) else ""
    return bool(attempt.get("gpu")) and not torch.endswith("+cpu")


def num_usable_cores() -> int:
    """Return how many cores this process may keep busy: a container may allow fewer than it shows."""
    try:
        quota, period = _CGROUP_CPU.read_text().split()
    except (OSError, ValueError):
        return num_cores()
    allowed = num_cores() if quota == "max" else max(1, int(quota) // int(period))
    return min(num_cores(), allowed)


def available_memory_gb() -> float:
    """Return the memory that programs can still get, in GB: the machine's, or less where a container has a limit."""
    import psutil

    return min(float(psutil.virtual_memory().available), _left_in_cgroup()) / 1e9


def _left_in_cgroup() -> float:
    """Return the bytes that the container's limit leaves; what it holds of files can be given up."""
    try:
        limit, used = (float((_CGROUP_MEMORY / name).read_text()) for name in ("memory.max", "memory.current"))
        lines = (_CGROUP_MEMORY / "memory.stat").read_text().splitlines()
    except (OSError, ValueError):  # no container, another kind, or "max"
        return float("inf")
    files = [float(line.split()[1]) for line in lines if line.startswith("inactive_file ")]
    return max(0.0, limit - used + sum(files))


def num_oom_kills() -> int:
    """Return how many processes the kernel has killed for want of memory, on this machine and in this control group."""
    total = 0
    for file in _OOM_COUNTERS:
        with suppress(OSError, ValueError):
            counts = dict(line.split()[:2] for line in file.read_text().splitlines() if " " in line)
            total += int(counts.get("oom_kill", 0))
    return total


def describe() -> dict[str, str | int]:
    """Return what a trial's provenance says of the machine: system, processor, cores, GPUs."""
    return {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpu": _cpu_name(),
        "num_cores": num_usable_cores(),
        "gpu": ", ".join(_gpu_names()),
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _gpu_names() -> list[str]:
    found = []
    for file in sorted(_DRIVER.glob("*/information")):
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        found += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    return found
