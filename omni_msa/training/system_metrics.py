"""CPU, memory and GPU use of a trial, for the rows of `metrics.jsonl`."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from statistics import fmean
from typing import TYPE_CHECKING

from omni_msa.system import nvml

if TYPE_CHECKING:
    import psutil

PREFIX = "system_"
_SAMPLE_S = 1.0
Usage = Callable[[], dict[str, float]]


@contextmanager
def watched(device: str) -> Iterator[Usage]:
    """Measure this process and its GPU; yields a function that returns the use since it was last called.

    `system_cpu_percent`: mean over all threads of this process; 100 is one core. `system_memory_gb`: its resident set
    (1e9 bytes). On a GPU also `system_gpu_percent`: share of time in which the GPU was busy with any process, the mean
    of one sample per second; `system_gpu_memory_gb`: memory used by all processes. Values that the driver does not
    report are left out.

    Args:
        device: of the trial, "cpu" or "cuda".
    """
    import psutil

    process = psutil.Process()
    last = [time.monotonic(), _cpu_s(process)]

    def usage() -> dict[str, float]:
        moment, cpu_s = time.monotonic(), _cpu_s(process)
        share = (cpu_s - last[1]) / max(moment - last[0], 1e-3)
        last[:] = moment, cpu_s
        values = {"cpu_percent": 100 * share, "memory_gb": process.memory_info().rss / 1e9, **gpu_usage()}
        return {PREFIX + name: round(value, 3) for name, value in values.items()}

    with _gpu_watched() if device == "cuda" else nullcontext(dict) as gpu_usage:
        yield usage


def _cpu_s(process: "psutil.Process") -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def _gpu_watched() -> Iterator[Usage]:
    """Sample the GPU in a thread, which ends with the block."""
    percents: deque[float] = deque()
    done = threading.Event()
    with nvml.first_gpu() as read:

        def sample() -> dict[str, float]:
            values = read()
            if "gpu_percent" in values:
                percents.append(values["gpu_percent"])
            return values

        def watch() -> None:
            while not done.wait(_SAMPLE_S):
                sample()

        def usage() -> dict[str, float]:
            latest = sample()
            samples = [percents.popleft() for _ in range(len(percents))]
            return {**latest, "gpu_percent": fmean(samples)} if samples else latest

        watcher = threading.Thread(target=watch, name="gpu usage", daemon=True)
        watcher.start()
        try:
            yield usage
        finally:
            done.set()
            watcher.join()
