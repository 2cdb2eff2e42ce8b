"""GPUs as NVML reports them: memory, processes and load; and how many trials fit on one. The only user of pynvml."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Process:
    """A compute process on a GPU; `used_gb` is None if the driver does not report it."""

    pid: int
    used_gb: float | None = None


@dataclass(frozen=True)
class Gpu:
    """One GPU (or MIG slice) at one moment.

    Args:
        index: as counted by `nvidia-smi`.
        uuid: as accepted by `CUDA_VISIBLE_DEVICES`.
        name: of the model.
        total_gb, free_gb: memory in GB (1e9 bytes).
        processes: compute processes on it; empty if the driver or a container hides them.
    """

    index: int
    uuid: str
    name: str
    total_gb: float
    free_gb: float
    processes: tuple[Process, ...] = ()

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the compute processes."""
        return tuple(process.pid for process in self.processes)

    def __str__(self) -> str:
        return f"GPU {self.index} ({self.name})"


def list_gpus() -> list[Gpu]:
    """Return the GPUs this process may use, in the order of `CUDA_VISIBLE_DEVICES`; none without NVML or a driver.

    A GPU that does not report its memory is left out. Indices are those of `nvidia-smi`, which CUDA uses too if
    `CUDA_DEVICE_ORDER=PCI_BUS_ID`.
    """
    with _nvml() as nvml:
        if nvml is None:
            return []
        visible = [_gpu(nvml, handle) for handle in _visible(nvml) if handle is not None]
        return [gpu for gpu in visible if gpu is not None]


@contextmanager
def _nvml() -> Iterator[Any]:
    """Open the library; yields None if there is no driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()


def _visible(nvml: Any) -> list[Any]:
    """Return the handles that `CUDA_VISIBLE_DEVICES` names; like CUDA, stop at the first name without a GPU."""
    all_handles = [_handle(nvml, index) for index in range(nvml.nvmlDeviceGetCount())]
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return all_handles
    handles = []
    for name in (part.strip() for part in named.split(",")):
        handle = _named(nvml, name, all_handles)
        if handle is None:
            break
        handles.append(handle)
    return handles


def _handle(nvml: Any, index: int) -> Any:
    """Return the handle of a GPU, None if it is lost or not permitted."""
    try:
        return nvml.nvmlDeviceGetHandleByIndex(index)
    except nvml.NVMLError:
        return None


def _named(nvml: Any, name: str, handles: list[Any]) -> Any:
    if name.isdecimal():
        return handles[int(name)] if int(name) < len(handles) else None
    if name.startswith("MIG-"):
        try:
            return nvml.nvmlDeviceGetHandleByUUID(name)
        except nvml.NVMLError:
            return None
    matches = [handle for handle in handles if handle and name and nvml.nvmlDeviceGetUUID(handle).startswith(name)]
    return matches[0] if len(matches) == 1 else None  # CUDA accepts an unambiguous prefix


def _gpu(nvml: Any, handle: Any) -> Gpu | None:
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        about = nvml.nvmlDeviceGetIndex(handle), nvml.nvmlDeviceGetUUID(handle), nvml.nvmlDeviceGetName(handle)
    except nvml.NVMLError:
        return None
    return Gpu(*about, memory.total / 1e9, memory.free / 1e9, _processes(nvml, handle))


def _processes(nvml: Any, handle: Any) -> tuple[Process, ...]:
    try:
        running = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except nvml.NVMLError:  # not supported on this GPU or slice
        return ()
    used = ((process.pid, process.usedGpuMemory) for process in running)
    return tuple(Process(pid, None if size is None else size / 1e9) for pid, size in used)


@contextmanager
def first_gpu() -> Iterator[Callable[[], dict[str, float]]]:
    """Keep NVML open; yields a function that returns the current use of the first GPU this process may use.

    It returns `gpu_percent` (share of recent time in which it was busy) and `gpu_memory_gb` (1e9 bytes, all processes).
    Values that are not available are left out: both without a driver or a GPU, `gpu_percent` for a MIG slice.
    """
    with _nvml() as nvml:
        handles = [] if nvml is None else _visible(nvml)[:1]
        yield lambda: _use(nvml, handles[0]) if handles and handles[0] is not None else {}


def _use(nvml: Any, handle: Any) -> dict[str, float]:
    readings: dict[str, Callable[[], float]] = {
        "gpu_percent": lambda: float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu),
        "gpu_memory_gb": lambda: float(nvml.nvmlDeviceGetMemoryInfo(handle).used) / 1e9,
    }
    values = {}
    for name, read in readings.items():
        with suppress(nvml.NVMLError):
            values[name] = read()
    return values


def packing(total_gb: float, peak_gb: float) -> int:
    """Return how many trials fit on one GPU.

    Args:
        total_gb: memory of the GPU.
        peak_gb: measured peak memory of one trial, above 0; the margin of `with_margin` is added.
    """
    return int(total_gb // with_margin(peak_gb))


def with_margin(peak_gb: float) -> float:
    """Return a measured peak plus 10 %, at least 1 GB: torch does not count the CUDA context and fragmentation."""
    return peak_gb + max(1.0, 0.1 * peak_gb)


def free_for(gpu: Gpu, ours: Collection[int] = ()) -> float:
    """Return the GB available to a process of ours: free memory, and memory that processes of ours hold.

    Args:
        gpu: its present state.
        ours: ids of processes of ours.
    """
    held = [process.used_gb for process in gpu.processes if process.pid in ours]
    if None in held:  # the driver does not report how much a process of ours holds
        return gpu.total_gb
    return gpu.free_gb + sum(size for size in held if size is not None)


def holders(gpu: Gpu, ours: Collection[int] = ()) -> str:
    """Return the other processes that hold memory on a GPU, as text for a message."""
    others = [process for process in gpu.processes if process.pid not in ours]
    named = [f"pid {other.pid}" + ("" if other.used_gb is None else f" ({other.used_gb:.1f} GB)") for other in others]
    return ", ".join(named) or "processes that are not visible from here"


def visible_devices(chosen: Iterable[Gpu]) -> str:
    """Return the value of `CUDA_VISIBLE_DEVICES` for these GPUs."""
    return ",".join(gpu.uuid for gpu in chosen)
