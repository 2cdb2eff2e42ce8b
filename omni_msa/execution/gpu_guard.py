"""Checks of GPU memory before a trial (is enough free?) and after it (was it released?), in the trial's process."""

import gc
import os
import sys
import time
from collections.abc import Callable, Collection

from omni_msa.system.nvml import Gpu, holders, list_gpus

PATIENCE_S = 5.0
"""How long to wait for memory to be released, in seconds: a process's memory is freed shortly after its end."""
_POLL_S = 0.25
_NEXT = "wait, stop that process, or choose other GPUs with CUDA_VISIBLE_DEVICES"


class GpuBusy(Exception):
    """A GPU has too little free memory for a trial, or a trial did not release its memory.

    Args:
        message: the problem and what to do, in one line.
        uuid: of the GPU.
    """

    def __init__(self, message: str, uuid: str = "") -> None:
        super().__init__(message, uuid)
        self.uuid = uuid

    def __str__(self) -> str:
        return str(self.args[0])


def left_behind(pids: Collection[int], patience_s: float = PATIENCE_S) -> list[tuple[Gpu, tuple[int, ...]]]:
    """Return the GPUs that still hold processes which should have ended, with the ids of these.

    Args:
        pids: ids of processes that have ended, or should have.
        patience_s: how long to wait for them to end, in seconds.
    """

    def still_held() -> list[tuple[Gpu, tuple[int, ...]]]:
        held = ((gpu, tuple(pid for pid in gpu.pids if pid in pids)) for gpu in list_gpus())
        return [(gpu, ours) for gpu, ours in held if ours]

    _wait_for(lambda: not still_held(), patience_s)
    return still_held()


class Guard:
    """Checks the memory of a process's GPU before and after each of its trials. Without NVML it does nothing.

    Args:
        index: of the GPU among those that the process may use.
        tolerance_gb: growth over the baseline that is allowed, as CUDA kernels are loaded when they are first needed.
        patience_s: how long to wait for memory to be released, in seconds.
    """

    def __init__(self, index: int = 0, tolerance_gb: float = 0.256, patience_s: float = PATIENCE_S) -> None:
        self._index, self._tolerance_gb, self._patience_s = index, tolerance_gb, patience_s
        self._kept, self._baseline_gb = "", float("inf")

    def before(self, needed_gb: float) -> None:
        """Check that enough memory is free for a trial; memory of this process counts as free.

        Args:
            needed_gb: memory of the whole trial with its backbone, in GB.

        Raises:
            GpuBusy: too little is free; names the GPU and the processes that hold its memory.
        """

        def available() -> float:
            gpu = self._gpu()
            return float("inf") if gpu is None else gpu.free_gb + _own_gb(gpu)

        if _wait_for(lambda: available() >= needed_gb, self._patience_s) or (gpu := self._gpu()) is None:
            return
        memory = f"{available():.1f} of {gpu.total_gb:.1f} GB free, {needed_gb:.1f} GB needed"
        raise GpuBusy(f"{gpu} is busy: {memory}; held by {holders(gpu, (os.getpid(),))}; {_NEXT}", gpu.uuid)

    def after(self, kept: str = "") -> None:
        """Check that a trial released its memory; the baseline is set by the first trial with the same `kept`.

        Args:
            kept: identifies what stays in the process on purpose, such as the digest of its backbone's weights.

        Raises:
            GpuBusy: this process holds more memory than the baseline.
        """
        release_memory()
        gpu = self._gpu()
        if gpu is None:
            return
        if kept != self._kept or self._baseline_gb == float("inf"):
            self._kept, self._baseline_gb = kept, _own_gb(gpu)
        allowed = self._baseline_gb + self._tolerance_gb
        if not _wait_for(lambda: self._own_gb() <= allowed, self._patience_s):
            held = f"this process holds {self._own_gb():.1f} GB, after its first trial {self._baseline_gb:.1f} GB"
            raise GpuBusy(f"{gpu}: a trial did not release its memory: {held}; run the same command again", gpu.uuid)
        self._baseline_gb = min(self._baseline_gb, self._own_gb())

    def _gpu(self) -> Gpu | None:
        gpus = list_gpus()
        return gpus[self._index] if self._index < len(gpus) else None

    def _own_gb(self) -> float:
        gpu = self._gpu()
        return 0.0 if gpu is None else _own_gb(gpu)


def _own_gb(gpu: Gpu) -> float:
    """Return the GPU memory of this process, in GB, from NVML, or from torch where NVML hides it (container, MIG)."""
    own_use = [process.used_gb for process in gpu.processes if process.pid == os.getpid()]
    if own_use and own_use[0] is not None:
        return own_use[0]
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return 0.0
    return float(torch.cuda.memory_reserved()) / 1e9


def release_memory() -> None:
    """Release unused memory: collect reference cycles, and empty torch's cache of GPU memory."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _wait_for(is_so: Callable[[], bool], patience_s: float) -> bool:
    """Wait until a condition holds; return whether it did in time."""
    end = time.monotonic() + patience_s
    while not is_so():
        if time.monotonic() >= end:
            return False
        time.sleep(min(_POLL_S, patience_s))
    return True
