"""Cards before and after trials, with a stand-in for the NVML library."""

import os
import pickle
import sys
import time
from types import SimpleNamespace

import pytest

from helpers.fake_nvml import FakeGpu
from omni_msa.execution.gpu_guard import GpuBusy, Guard, left_behind

ME = os.getpid()


@pytest.fixture
def torch(monkeypatch):
    """A torch that has reserved 5 GB of the card; says how often it was asked to give back what it keeps."""
    cuda = SimpleNamespace(reserved=5 * 10**9, num_emptied=0, is_initialized=lambda: True)
    cuda.memory_reserved = lambda: cuda.reserved
    cuda.empty_cache = lambda: setattr(cuda, "num_emptied", cuda.num_emptied + 1)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    return cuda


@pytest.fixture
def meanwhile(monkeypatch):
    """Return a function that says what happens while something is waited for."""

    def use(action) -> None:
        clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda seconds: action())
        monkeypatch.setattr("omni_msa.execution.gpu_guard.time", clock)

    return use


def guard() -> Guard:
    return Guard(patience_s=0.0)


def test_without_a_driver_nothing_is_checked(nvml):
    nvml(FakeGpu(), has_driver=False)
    guard().before(1e6)
    guard().after()
    assert left_behind([7], 0.0) == []


def test_a_trial_starts_where_its_memory_is_free(nvml):
    nvml(FakeGpu(24.0, processes={7: 8.0, ME: 6.0}))  # 10 GB are free, 6 more are the backbone kept here
    guard().before(16.0)
    with pytest.raises(GpuBusy) as caught:
        guard().before(16.1)
    message = str(caught.value)
    assert "GPU 0 (Card of a test) is busy: 16.0 of 24.0 GB free, 16.1 GB needed" in message
    assert "pid 7 (8.0 GB)" in message and str(ME) not in message and "CUDA_VISIBLE_DEVICES" in message
    assert caught.value.uuid == "GPU-0a"


def test_a_busy_gpu_is_waited_for(nvml, meanwhile):
    gpu = FakeGpu(24.0, processes={7: 20.0})
    nvml(gpu)
    meanwhile(lambda: setattr(gpu, "free", 24.0))
    Guard(patience_s=60.0).before(12.0)


def test_a_gpu_busy_survives_the_way_between_processes():
    copy = pickle.loads(pickle.dumps(GpuBusy("card 0 is busy", "GPU-0a")))
    assert str(copy) == "card 0 is busy" and copy.uuid == "GPU-0a"


def test_after_a_trial_memory_is_back_at_the_baseline(nvml, torch):
    gpu = FakeGpu(24.0, processes={ME: 6.0})
    nvml(gpu)
    watched = guard()
    watched.after("backbone a")
    gpu.processes[ME] = 6.2  # kernels loaded since
    watched.after("backbone a")
    gpu.processes[ME] = 6.3
    with pytest.raises(GpuBusy, match=r"did not release its memory: this process holds 6\.3 GB, after .* 6\.0 GB"):
        watched.after("backbone a")
    assert torch.num_emptied == 3  # what torch only keeps for later is no fault of the trial


def test_another_backbone_has_another_baseline(nvml):
    gpu = FakeGpu(24.0, processes={ME: 6.0})
    nvml(gpu)
    watched = guard()
    watched.after("backbone a")
    gpu.processes[ME] = 17.0
    watched.after("backbone b")
    with pytest.raises(GpuBusy):
        gpu.processes[ME] = 18.0
        watched.after("backbone b")


def test_a_slow_creep_is_seen_against_the_lowest_baseline(nvml):
    gpu = FakeGpu(24.0, processes={ME: 6.0})
    nvml(gpu)
    watched = guard()
    watched.after()
    gpu.processes[ME] = 5.0
    watched.after()
    gpu.processes[ME] = 5.2
    watched.after()
    gpu.processes[ME] = 5.4
    with pytest.raises(GpuBusy):
        watched.after()


@pytest.mark.parametrize("processes", [{}, {7: 3.0}, {ME: None}])
def test_where_the_driver_does_not_tell_torch_does(nvml, torch, processes):
    nvml(FakeGpu(24.0, free=2.0, processes=processes))
    watched = guard()
    watched.before(7.0)  # 2 GB are free, 5 GB are ours
    with pytest.raises(GpuBusy):
        watched.before(7.1)
    watched.after()
    torch.reserved += 10**9
    with pytest.raises(GpuBusy):
        watched.after()


def test_what_ended_processes_left_on_gpus(nvml, meanwhile):
    first, second = FakeGpu(processes={7: 1.0, 8: 1.0}), FakeGpu(processes={9: 1.0})
    nvml(first, second)
    ((gpu, pids),) = left_behind([8, 10], 0.0)
    assert (gpu.index, pids) == (0, (8,))
    assert left_behind([10], 0.0) == []
    meanwhile(lambda: first.processes.pop(8))
    assert left_behind([8], 60.0) == []
