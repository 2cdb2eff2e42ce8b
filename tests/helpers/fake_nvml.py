"""A stand-in for the NVML library: the functions of `pynvml` that are used, over cards made up by a test."""

from types import SimpleNamespace

GB = 10**9


class NVMLError(Exception):
    """Of the real library's name and place."""


class FakeGpu:
    """A card: its total and free memory in GB, and the memory of each process on it (None: not told).

    `busy`: per cent of the time (None: not told).

    `without` names what it does not support: "processes", "memory" or "handle".
    """

    def __init__(self, total=24.0, free=None, processes=None, uuid="", without=(), busy=None):
        self.total, self.processes = total, dict(processes or {})
        used = sum(size or 0 for size in self.processes.values())
        self.free = total - used if free is None else free
        self.uuid, self.without, self.busy = uuid, without, busy


class FakeNvml:
    """The library. `gpus` may be changed while it is in use; `has_driver` False makes it fail to start."""

    NVMLError = NVMLError

    def __init__(self, *gpus: FakeGpu, slices=None, has_driver=True):
        self.gpus, self.slices, self.has_driver, self.num_open = list(gpus), slices or {}, has_driver, 0

    def nvmlInit(self):
        if not self.has_driver:
            raise NVMLError("Driver Not Loaded")
        self.num_open += 1

    def nvmlShutdown(self):
        self.num_open -= 1

    def nvmlDeviceGetCount(self):
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index):
        if "handle" in self.gpus[index].without:
            raise NVMLError("GPU is lost")
        return self.gpus[index]

    def nvmlDeviceGetHandleByUUID(self, uuid):
        if uuid not in self.slices:
            raise NVMLError("Not Found")
        return self.slices[uuid]

    def nvmlDeviceGetIndex(self, handle):
        return self.gpus.index(handle) if handle in self.gpus else 0

    def nvmlDeviceGetUUID(self, handle):
        return handle.uuid or f"GPU-{self.gpus.index(handle)}a"

    def nvmlDeviceGetName(self, handle):
        return "Card of a test"

    def nvmlDeviceGetMemoryInfo(self, handle):
        if "memory" in handle.without:
            raise NVMLError("Not Supported")
        total, free = int(handle.total * GB), int(handle.free * GB)
        return SimpleNamespace(total=total, free=free, used=total - free)

    def nvmlDeviceGetUtilizationRates(self, handle):
        if handle.busy is None:
            raise NVMLError("Not Supported")
        return SimpleNamespace(gpu=handle.busy)

    def nvmlDeviceGetComputeRunningProcesses(self, handle):
        if "processes" in handle.without:
            raise NVMLError("Not Supported")
        sizes = {pid: None if size is None else int(size * GB) for pid, size in handle.processes.items()}
        return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in sizes.items()]
