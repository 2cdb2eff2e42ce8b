"""What a trial takes of its machine, as its rows tell it."""

import threading
import time

import numpy as np
import pytest

from helpers import tiny_trials
from helpers.fake_nvml import FakeGpu
from omni_msa.system.nvml import first_gpu
from omni_msa.training import system_metrics
from omni_msa.training.system_metrics import watched

HOST = {"system_cpu_percent", "system_memory_gb"}


def test_a_busy_process_and_an_idle_one():
    with watched("cpu") as usage:
        usage()
        began, cpu = time.monotonic(), time.process_time()
        while time.process_time() - cpu < 0.3:
            pass
        expected = 100 * (time.process_time() - cpu) / (time.monotonic() - began)
        busy = usage()
        time.sleep(0.5)
        idle = usage()
    assert set(busy) == HOST
    # The kernel counts in hundredths of a second.
    assert busy["system_cpu_percent"] == pytest.approx(expected, rel=0.2, abs=8)
    assert idle["system_cpu_percent"] < 0.5 * busy["system_cpu_percent"]


def test_memory_is_what_the_process_holds():
    with watched("cpu") as usage:
        before = usage()["system_memory_gb"]
        block = np.ones(40_000_000)
        during = usage()["system_memory_gb"]
    assert during - before == pytest.approx(block.nbytes / 1e9, abs=0.08)


def test_of_a_gpu_the_mean_since_the_last_row(nvml, monkeypatch):
    monkeypatch.setattr(system_metrics, "_SAMPLE_S", 0.005)
    gpu = FakeGpu(24.0, free=18.0, busy=100)
    library = nvml(gpu)
    with watched("cuda") as usage:
        time.sleep(0.5)
        gpu.busy = 0
        time.sleep(0.5)
        first = usage()
        gpu.free = 17.5
        time.sleep(0.05)
        second = usage()
        assert library.num_open == 1
    assert set(first) == {*HOST, "system_gpu_percent", "system_gpu_memory_gb"}
    assert 0 < first["system_gpu_percent"] < 100
    assert second["system_gpu_percent"] == 0  # nothing of the time before
    assert (first["system_gpu_memory_gb"], second["system_gpu_memory_gb"]) == (6.0, 6.5)
    assert library.num_open == 0
    assert not [thread for thread in threading.enumerate() if thread.name == "gpu usage"]


@pytest.mark.parametrize(
    ("gpus", "known"),
    [
        ([FakeGpu(24.0)], {"system_gpu_memory_gb"}),  # such as a MIG slice
        ([FakeGpu(24.0, busy=5, without=("memory",))], {"system_gpu_percent"}),
        ([FakeGpu(24.0, busy=5, without=("handle",))], set()),
        ([], set()),
    ],
)
def test_what_a_gpu_does_not_tell_is_left_out(nvml, gpus, known):
    nvml(*gpus)
    with watched("cuda") as usage:
        assert set(usage()) == HOST | known


def test_without_a_driver_only_the_host_is_seen(nvml):
    nvml(FakeGpu(), has_driver=False)
    with watched("cuda") as usage:
        assert set(usage()) == HOST


def test_the_gpu_is_the_first_that_may_be_used(nvml, monkeypatch):
    nvml(FakeGpu(busy=1), FakeGpu(24.0, busy=2, free=20.0))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    with first_gpu() as use:
        assert use() == {"gpu_percent": 2.0, "gpu_memory_gb": pytest.approx(4.0)}


def test_every_row_of_a_trial_has_them(text_clips, tmp_path):
    folder = tiny_trials.run(tmp_path, tiny_trials.config())
    rows = folder.metrics()
    assert rows and all(set(row) > HOST for row in rows)
    assert all(0.05 < row["system_memory_gb"] < 100 and row["system_cpu_percent"] >= 0 for row in rows)
