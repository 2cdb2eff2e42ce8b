"""What this machine offers (GPUs, cores, memory), found without torch, so that `--plan` stays fast."""

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
MEMORY_PER_TRIAL_GB = 1.5  # memory of a trial's process besides the backbone's weights


def gpu_obstacle() -> str:
    """Return why no CUDA GPU can be used, "" if one can."""
    if not _gpu_devices():
        return "the machine shows no CUDA device"
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return "torch is not installed"
    return f"torch {version} is a build without CUDA" if version.endswith("+cpu") else ""


def num_gpus() -> int:
    """Return how many CUDA GPUs trials may use, according to `CUDA_VISIBLE_DEVICES`."""
    return 0 if gpu_obstacle() else len(_gpu_devices())


def _gpu_devices() -> list[str]:
    devices = [str(path) for path in sorted(_DEVICES.glob("nvidia[0-9]*"))]
    if not devices and (_DEVICES / "dxg").exists():  # the GPU of the Windows host, in WSL
        devices = [str(_DEVICES / "dxg")]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return devices
    named = [name for name in visible.split(",") if name.strip() not in ("", "-1", "NoDevFiles")]
    return devices[: len(named)]


def uses_gpu(runtime: RuntimeConfig) -> bool:
    """Return whether trials with these settings run on a GPU on this machine."""
    return runtime.device == "cuda" or (runtime.device == "auto" and num_gpus() > 0)


def num_slots(runtime: RuntimeConfig, weights_gb: float) -> int:
    """Return how many trials run at once on the CPU: as the settings say, else one per core as far as memory allows.

    Args:
        runtime: settings of the trials.
        weights_gb: memory of one copy of the backbone, in GB.
    """
    if runtime.trials_at_once is not None:
        return runtime.trials_at_once
    fitting = int(available_memory_gb() / (MEMORY_PER_TRIAL_GB + 2 * weights_gb))  # loading needs twice the memory
    return max(1, min(num_usable_cores(), fitting))


def num_slots_on_gpus(asked: int | None, num_gpus: int, num_per_gpu: int | None) -> tuple[int, str]:
    """Return how many trials run at once on the GPUs, and why fewer than requested ("" if not fewer).

    Args:
        asked: `runtime.trials_at_once`; None means one per GPU.
        num_gpus: GPUs that trials may use, at least 1.
        num_per_gpu: trials that fit on the smallest GPU by measured peaks of memory; None if a peak is not known.
    """
    if asked is None or asked <= num_gpus:
        return asked or num_gpus, ""
    if num_per_gpu is None:
        return num_gpus, "one trial per GPU until a trial of each kind has been measured"
    fitting = num_gpus * max(1, num_per_gpu)
    if asked <= fitting:
        return asked, ""
    return fitting, f"by the measured peak, at most {max(1, num_per_gpu)} fit on a GPU"


def ran_on_gpu(result: Mapping[str, Any], config: Mapping[str, Any], attempt: Mapping[str, Any]) -> bool:
    """Return whether a complete trial ran on a GPU.

    Args:
        result: its `result.json`.
        config: its `config.json`.
        attempt: its `provenance.json`.
    """
    runtime, packages = config.get("runtime"), attempt.get("packages")
    setting = runtime.get("device") if isinstance(runtime, dict) else "auto"
    device = result.get("device", setting)
    if device != "auto":
        return bool(device == "cuda")
    torch = str(packages.get("torch", "")) if isinstance(packages, dict) else ""
    return bool(attempt.get("gpu")) and not torch.endswith("+cpu")


def num_usable_cores() -> int:
    """Return how many cores this process may use; a container may allow fewer than it shows."""
    try:
        quota, period = _CGROUP_CPU.read_text().split()
    except (OSError, ValueError):
        return num_cores()
    allowed = num_cores() if quota == "max" else max(1, int(quota) // int(period))
    return min(num_cores(), allowed)


def available_memory_gb() -> float:
    """Return the available memory in GB: that of the machine, or less if a container limits it."""
    import psutil

    return min(float(psutil.virtual_memory().available), _left_in_cgroup()) / 1e9


def _left_in_cgroup() -> float:
    """Return the bytes that the container's limit leaves, infinity without a limit; cached files count as free."""
    try:
        limit, used = (float((_CGROUP_MEMORY / name).read_text()) for name in ("memory.max", "memory.current"))
        lines = (_CGROUP_MEMORY / "memory.stat").read_text().splitlines()
    except (OSError, ValueError):  # no container, another kind of limit, or "max"
        return float("inf")
    files = [float(line.split()[1]) for line in lines if line.startswith("inactive_file ")]
    return max(0.0, limit - used + sum(files))


def num_oom_kills() -> int:
    """Return how many processes the kernel has killed as memory ran out, on this machine and in this control group."""
    total = 0
    for file in _OOM_COUNTERS:
        with suppress(OSError, ValueError):
            counts = dict(line.split()[:2] for line in file.read_text().splitlines() if " " in line)
            total += int(counts.get("oom_kill", 0))
    return total


def describe() -> dict[str, str | int]:
    """Return the machine's facts for a trial's provenance: system, Python, processor, cores, GPUs."""
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
    names = []
    for file in sorted(_DRIVER.glob("*/information")):
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        names += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    return names
