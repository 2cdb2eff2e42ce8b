"""What the cards are doing, through NVML: memory and processes; how many trials fit on one. Only here is pynvml."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Process:
    """A compute process on a card; `used_gb` is None where the driver does not say."""

    pid: int
    used_gb: float | None = None


@dataclass(frozen=True)
class Card:
    """One card (or MIG slice), at one moment.

    Args:
        index: as `nvidia-smi` counts.
        uuid: as `CUDA_VISIBLE_DEVICES` takes it.
        name: of the model.
        total_gb, free_gb: memory in GB (1e9 bytes).
        processes: that compute on it; none where the driver or a container hides them.
    """

    index: int
    uuid: str
    name: str
    total_gb: float
    free_gb: float
    processes: tuple[Process, ...] = ()

    @property
    def pids(self) -> tuple[int, ...]:
        """The ids of its processes."""
        return tuple(process.pid for process in self.processes)

    def __str__(self) -> str:
        return f"card {self.index} ({self.name})"


def cards() -> list[Card]:
    """Return the cards this process may use, in the order of `CUDA_VISIBLE_DEVICES`; none without NVML or a driver.

    A card that does not tell its memory is left out. Indices are meant as `nvidia-smi` counts, which is how CUDA counts
    with `CUDA_DEVICE_ORDER=PCI_BUS_ID`.
    """
    with _nvml() as nvml:
        if nvml is None:
            return []
        found = [_card(nvml, handle) for handle in _visible(nvml) if handle is not None]
        return [card for card in found if card is not None]


@contextmanager
def _nvml() -> Iterator[Any]:
    """Open the library; yields None where there is no driver."""
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
    """Return the handles that `CUDA_VISIBLE_DEVICES` names; like CUDA, stop at the first name that fits no card."""
    every = [_handle(nvml, place) for place in range(nvml.nvmlDeviceGetCount())]
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return every
    handles = []
    for name in (part.strip() for part in named.split(",")):
        handle = _named(nvml, name, every)
        if handle is None:
            break
        handles.append(handle)
    return handles


def _handle(nvml: Any, place: int) -> Any:
    """Return the handle of a card, None if it is lost or forbidden."""
    try:
        return nvml.nvmlDeviceGetHandleByIndex(place)
    except nvml.NVMLError:
        return None


def _named(nvml: Any, name: str, every: list[Any]) -> Any:
    if name.isdecimal():
        return every[int(name)] if int(name) < len(every) else None
    if name.startswith("MIG-"):
        try:
            return nvml.nvmlDeviceGetHandleByUUID(name)
        except nvml.NVMLError:
            return None
    matching = [each for each in every if each and name and nvml.nvmlDeviceGetUUID(each).startswith(name)]
    return matching[0] if len(matching) == 1 else None  # CUDA takes an abbreviation that fits one card


def _card(nvml: Any, handle: Any) -> Card | None:
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        about = nvml.nvmlDeviceGetIndex(handle), nvml.nvmlDeviceGetUUID(handle), nvml.nvmlDeviceGetName(handle)
    except nvml.NVMLError:
        return None
    return Card(*about, memory.total / 1e9, memory.free / 1e9, _processes(nvml, handle))


def _processes(nvml: Any, handle: Any) -> tuple[Process, ...]:
    try:
        found = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except nvml.NVMLError:  # not supported on this card or slice
        return ()
    used = ((each.pid, each.usedGpuMemory) for each in found)
    return tuple(Process(pid, None if size is None else size / 1e9) for pid, size in used)


@contextmanager
def first_card() -> Iterator[Callable[[], dict[str, float]]]:
    """Keep NVML open; yields a function that says how the first card this process may use is used now.

    It returns `gpu_percent` (of the time it was busy of late) and `gpu_memory_gb` (1e9 bytes, of all processes), less
    what the card does not tell: nothing without a driver or a card, no `gpu_percent` of a MIG slice.
    """
    with _nvml() as nvml:
        handles = [] if nvml is None else _visible(nvml)[:1]
        yield lambda: _use(nvml, handles[0]) if handles and handles[0] is not None else {}


def _use(nvml: Any, handle: Any) -> dict[str, float]:
    readings: dict[str, Callable[[], float]] = {
        "gpu_percent": lambda: float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu),
        "gpu_memory_gb": lambda: float(nvml.nvmlDeviceGetMemoryInfo(handle).used) / 1e9,
    }
    found = {}
    for name, read in readings.items():
        with suppress(nvml.NVMLError):
            found[name] = read()
    return found


def packing(total_gb: float, peak_gb: float) -> int:
    """Return how many trials fit on one card.

    Args:
        total_gb: memory of the card.
        peak_gb: what one trial was measured to take, above 0; its margin is that of `with_margin`.
    """
    return int(total_gb // with_margin(peak_gb))


def with_margin(peak_gb: float) -> float:
    """Return a measured peak with 10 % or 1 GB more: torch's figure leaves out the CUDA context and fragments."""
    return peak_gb + max(1.0, 0.1 * peak_gb)


def free_for(card: Card, ours: Collection[int] = ()) -> float:
    """Return the GB a process of ours can get: what is free, and what processes of ours hold now.

    Args:
        card: as it is now.
        ours: ids of processes of ours.
    """
    held = [process.used_gb for process in card.processes if process.pid in ours]
    if None in held:  # one of ours holds it, and the driver does not say how much
        return card.total_gb
    return card.free_gb + sum(size for size in held if size is not None)


def holders(card: Card, ours: Collection[int] = ()) -> str:
    """Return who else holds memory on a card, for a message."""
    others = [process for process in card.processes if process.pid not in ours]
    named = [f"pid {it.pid}" + ("" if it.used_gb is None else f" ({it.used_gb:.1f} GB)") for it in others]
    return ", ".join(named) or "processes that cannot be seen from here"


def visible_devices(chosen: Iterable[Card]) -> str:
    """Return the value of `CUDA_VISIBLE_DEVICES` that shows these cards alone."""
    return ",".join(card.uuid for card in chosen)
