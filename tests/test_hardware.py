"""What the machine has, without torch."""

import sys

import pytest

from omni_msa import hardware
from omni_msa.config import RuntimeConfig


def test_agrees_with_torch():
    torch = pytest.importorskip("torch")
    assert hardware.num_gpus() == torch.cuda.device_count()
    assert bool(hardware.gpu_obstacle()) != torch.cuda.is_available()


def test_hidden_gpus_are_not_counted(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert hardware.num_gpus() == 0 and hardware.gpu_obstacle() == "the machine shows no CUDA device"


def test_slots_are_as_asked_or_bounded_by_cores_and_memory():
    cores = hardware.num_usable_cores()
    assert hardware.num_slots(RuntimeConfig(device="cpu", trials_at_once=7), 1e6) == 7
    assert 1 <= hardware.num_slots(RuntimeConfig(device="cpu"), 0.0) <= cores
    assert hardware.num_slots(RuntimeConfig(device="cpu"), 1e6) == 1  # a million GB fit nowhere, one trial is tried


def test_a_container_may_allow_fewer_cores(tmp_path, monkeypatch):
    limit = tmp_path / "cpu.max"
    monkeypatch.setattr(hardware, "_CGROUP_CPU", limit)
    everything = hardware.num_usable_cores()
    for text, cores in (("max 100000", everything), ("100000 100000", 1), ("50000 100000", 1), ("torn", everything)):
        limit.write_text(text)
        assert hardware.num_usable_cores() == cores


def test_only_cuda_or_auto_with_a_gpu_runs_on_it():
    assert hardware.uses_gpu(RuntimeConfig(device="cuda"))
    assert not hardware.uses_gpu(RuntimeConfig(device="cpu"))
    assert hardware.uses_gpu(RuntimeConfig(device="auto")) == (hardware.num_gpus() > 0)


def test_the_description_names_the_machine():
    about = hardware.describe()
    assert about["python"] == ".".join(map(str, sys.version_info[:3]))
    assert about["cpu"] and about["platform"] and isinstance(about["num_cores"], int)
