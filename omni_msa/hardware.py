"""What this machine has, found without torch, so that a plan can say what would refuse."""

import importlib.metadata
import os
import platform
from pathlib import Path

from omni_msa.config import RuntimeConfig
from omni_msa.pool import num_cores

_CGROUP_CPU = Path("/sys/fs/cgroup/cpu.max")
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
    found = [str(path) for path in sorted(Path("/dev").glob("nvidia[0-9]*"))]
    if not found and Path("/dev/dxg").exists():  # a GPU lent to Linux by Windows
        found = ["/dev/dxg"]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return found
    named = [name for name in visible.split(",") if name.strip() not in ("", "-1", "NoDevFiles")]
    return found[: len(named)]


def uses_gpu(runtime: RuntimeConfig) -> bool:
    """Return whether trials with these settings run on a GPU here."""
    return runtime.device == "cuda" or (runtime.device == "auto" and num_gpus() > 0)


def num_slots(runtime: RuntimeConfig, weights_gb: float) -> int:
    """Return how many trials run at once: as asked for, else one per GPU, else one per core that memory allows.

    Args:
        runtime: of the trials.
        weights_gb: memory of one backbone, in GB.
    """
    if runtime.trials_at_once is not None:
        return runtime.trials_at_once
    if uses_gpu(runtime):
        return max(1, num_gpus())
    fitting = int(available_memory_gb() / (MEMORY_PER_TRIAL_GB + 2 * weights_gb))  # twice while being loaded
    return max(1, min(num_usable_cores(), fitting))


def num_usable_cores() -> int:
    """Return how many cores this process may keep busy: a container may allow fewer than it shows."""
    try:
        quota, period = _CGROUP_CPU.read_text().split()
    except (OSError, ValueError):
        return num_cores()
    allowed = num_cores() if quota == "max" else max(1, int(quota) // int(period))
    return min(num_cores(), allowed)


def available_memory_gb() -> float:
    """Return the memory that programs can still get, in GB."""
    import psutil

    return float(psutil.virtual_memory().available) / 1e9


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
