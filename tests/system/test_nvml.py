"""What the cards are doing, with a stand-in for the NVML library."""

import os

import pytest

from helpers.fake_nvml import FakeGpu
from omni_msa.system.nvml import Gpu, Process, free_for, holders, list_gpus, packing, visible_devices, with_margin

ME = os.getpid()
CARD = Gpu(0, "GPU-0a", "Card of a test", 24.0, 10.0, (Process(7, 8.0), Process(ME, 6.0)))


def test_without_a_driver_there_are_no_gpus_and_nothing_is_checked(nvml):
    nvml(FakeGpu(), has_driver=False)
    assert list_gpus() == []


def test_the_real_library_answers_with_gpus_or_none():
    assert all(gpu.total_gb >= gpu.free_gb >= 0 for gpu in list_gpus())


def test_a_gpu_tells_memory_and_processes(nvml):
    library = nvml(FakeGpu(24.0, processes={7: 8.0, 9: None}))
    (gpu,) = list_gpus()
    assert gpu == Gpu(0, "GPU-0a", "Card of a test", 24.0, 16.0, (Process(7, 8.0), Process(9, None)))
    assert gpu.pids == (7, 9) and str(gpu) == "GPU 0 (Card of a test)"
    assert library.num_open == 0


def test_gpus_that_do_not_tell(nvml):
    nvml(FakeGpu(without=("memory",)), FakeGpu(without=("processes",), free=3.0))
    (gpu,) = list_gpus()  # one without memory cannot be judged
    assert (gpu.index, gpu.processes, gpu.free_gb) == (1, (), 3.0)


@pytest.mark.parametrize(
    ("value", "indices"),
    [
        ("", []),
        ("1", [1]),
        ("2,0", [2, 0]),
        ("GPU-1a", [1]),
        ("GPU-1", [1]),  # an abbreviation that fits one card
        ("GPU-", []),  # one that fits several
        ("0,7,1", [0]),  # CUDA stops at the first that it does not find
        ("-1,0", []),
        ("NoDevFiles", []),
        (" 1 , 2 ", [1, 2]),
    ],
)
def test_only_visible_gpus_in_their_order(nvml, monkeypatch, value, indices):
    nvml(FakeGpu(), FakeGpu(), FakeGpu())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert [gpu.index for gpu in list_gpus()] == indices


def test_a_gpu_that_is_lost_hides_no_other(nvml, monkeypatch):
    nvml(FakeGpu(without=("handle",)), FakeGpu())
    assert [gpu.index for gpu in list_gpus()] == [1]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1a,0")
    assert [gpu.index for gpu in list_gpus()] == [1]


def test_a_slice_is_a_gpu_of_its_own(nvml, monkeypatch):
    piece = FakeGpu(10.0, uuid="MIG-1", without=("processes",))
    nvml(FakeGpu(80.0), slices={"MIG-1": piece})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-1,MIG-2")
    (gpu,) = list_gpus()
    assert (gpu.uuid, gpu.total_gb, gpu.pids) == ("MIG-1", 10.0, ())


def test_visible_devices_shows_the_same_gpus_again(nvml, monkeypatch):
    nvml(FakeGpu(), FakeGpu(), FakeGpu())
    chosen = list_gpus()[1:]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible_devices(chosen))
    assert list_gpus() == chosen


def test_a_margin_of_a_tenth_or_a_gigabyte():
    assert with_margin(4.0) == pytest.approx(5.0) and with_margin(20.0) == pytest.approx(22.0)
    assert packing(24.0, 20.0) == 1 and packing(24.0, 11.0) == 1  # 2 x 12.1 is more than 24
    assert packing(24.0, 10.9) == 2  # 2 x 11.99
    assert packing(24.0, 5.0) == 4 and packing(24.0, 24.0) == 0


def test_what_is_ours_counts_as_free():
    assert free_for(CARD) == pytest.approx(10.0) and free_for(CARD, {ME}) == pytest.approx(16.0)
    unknown = Gpu(0, "", "", 24.0, 1.0, (Process(ME),))
    assert free_for(unknown, {ME}) == 24.0 and free_for(unknown) == 1.0


def test_others_are_named():
    assert holders(CARD, {ME}) == "pid 7 (8.0 GB)"
    assert holders(Gpu(0, "", "", 24.0, 1.0, (Process(7),))) == "pid 7"
    assert holders(Gpu(0, "", "", 24.0, 1.0)) == "processes that are not visible from here"
