"""What the machine has, without torch."""

import sys

import pytest

from omni_msa.config.trial import RuntimeConfig
from omni_msa.planning import hardware


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


@pytest.mark.parametrize(
    ("asked", "num_gpus", "num_per_gpu", "slots"),
    [
        (None, 2, None, 2),
        (None, 2, 8, 2),  # one a card unless more are asked for
        (1, 2, None, 1),
        (2, 2, None, 2),
        (3, 2, None, 2),
        (3, 2, 1, 2),
        (3, 2, 0, 2),  # one is tried
        (3, 2, 2, 3),
        (9, 2, 3, 6),
    ],
)
def test_trials_share_a_gpu_only_as_far_as_measured(asked, num_gpus, num_per_gpu, slots):
    num, why = hardware.num_slots_on_gpus(asked, num_gpus, num_per_gpu)
    assert num == slots
    assert bool(why) == (asked is not None and slots < asked)


@pytest.mark.parametrize(
    ("result", "asked", "attempt", "is_gpu"),
    [
        ({"device": "cuda"}, "auto", {}, True),
        ({"device": "cpu"}, "auto", {"gpu": "RTX 4090"}, False),
        ({}, "cuda", {}, True),
        ({}, "cpu", {"gpu": "RTX 4090"}, False),
        ({}, "auto", {"gpu": "RTX 4090", "packages": {"torch": "2.13.0+cu130"}}, True),
        ({}, "auto", {"gpu": "RTX 4090", "packages": {"torch": "2.13.0+cpu"}}, False),
        ({}, "auto", {"gpu": ""}, False),
        ({}, "auto", {"gpu": "RTX 4090", "packages": []}, True),  # a torn file
    ],
)
def test_where_a_trial_ran(result, asked, attempt, is_gpu):
    assert hardware.ran_on_gpu(result, {"runtime": {"device": asked}}, attempt) is is_gpu


def test_a_configuration_without_a_runtime_ran_where_the_result_says():
    assert hardware.ran_on_gpu({"device": "cuda"}, {"runtime": 3}, {})
    assert not hardware.ran_on_gpu({}, {}, {})


def test_a_container_may_allow_less_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(hardware, "_CGROUP_MEMORY", tmp_path)
    everything = hardware.available_memory_gb()
    assert everything > 0.01
    (tmp_path / "memory.max").write_text("5000000000\n")
    (tmp_path / "memory.current").write_text("4995000000\n")
    assert hardware.available_memory_gb() > 0.01  # a file is missing: not understood, so no limit
    (tmp_path / "memory.stat").write_text("anon 4990000000\ninactive_file 2000000\n")
    assert hardware.available_memory_gb() == pytest.approx(0.007)
    (tmp_path / "memory.current").write_text("5009000000\n")
    assert hardware.available_memory_gb() == 0.0
    (tmp_path / "memory.max").write_text("max\n")
    assert hardware.available_memory_gb() > 0.01
