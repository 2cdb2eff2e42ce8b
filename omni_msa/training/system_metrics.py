"""What a trial takes of its machine, for the rows of `metrics.jsonl`: CPU, memory, and the card where there is one."""

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
    """Watch this process and its card; yields a function that returns what was seen since it was last called.

    `system_cpu_percent`: of this process with all its threads, the mean; 100 is one core. `system_memory_gb`: its
    resident set (1e9 bytes). With a card `system_gpu_percent`: of the time the card was busy, whoever kept it so, the
    mean of samples, one a second; `system_gpu_memory_gb`: what all processes hold of it. What a card does not tell is
    left out.

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
        found = {"cpu_percent": 100 * share, "memory_gb": process.memory_info().rss / 1e9, **card()}
        return {PREFIX + name: round(value, 3) for name, value in found.items()}

    with _card_watched() if device == "cuda" else nullcontext(dict) as card:
        yield usage


def _cpu_s(process: "psutil.Process") -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def _card_watched() -> Iterator[Usage]:
    """Sample the card in a thread that sleeps between samples; ended and joined with the block."""
    percents: deque[float] = deque()
    done = threading.Event()
    with nvml.first_card() as use:

        def sample() -> dict[str, float]:
            found = use()
            if "gpu_percent" in found:
                percents.append(found["gpu_percent"])
            return found

        def watch() -> None:
            while not done.wait(_SAMPLE_S):
                sample()

        def usage() -> dict[str, float]:
            found = sample()
            seen = [percents.popleft() for _ in range(len(percents))]
            return {**found, "gpu_percent": fmean(seen)} if seen else found

        watcher = threading.Thread(target=watch, name="card usage", daemon=True)
        watcher.start()
        try:
            yield usage
        finally:
            done.set()
            watcher.join()
