"""Where trials run: by hand, with made-up cards and made-up measurements."""

import importlib.metadata
import re
import sys
from pathlib import Path

import pytest

from helpers.fake_nvml import FakeGpu, FakeNvml
from helpers.stand_ins import config
from omni_msa.planning import hardware
from omni_msa.planning.slots import choose, measured_peak_gb, needed_on_gpu_gb, usable_gpus
from omni_msa.planning.timing import MeasuredCost, batches, key
from omni_msa.system.nvml import Gpu, Process

ME = 5


def gpu(index: int, total_gb: float = 24.0, free_gb: float | None = None, *pids: int) -> Gpu:
    processes = tuple(Process(pid, 2.0) for pid in pids)
    return Gpu(index, f"GPU-{index}", "RTX", total_gb, total_gb if free_gb is None else free_gb, processes)


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Return a function that gives this machine cards, and a torch that can use them."""
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.13.0")
    monkeypatch.setattr(hardware, "_DEVICES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def use(*gpus: FakeGpu) -> None:
        monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(*gpus))
        for index in range(len(gpus)):
            (tmp_path / f"nvidia{index}").touch()

    return use


@pytest.fixture
def gigabyte(monkeypatch, tmp_path) -> None:
    """A container that leaves one GB of memory."""
    for name, text in (("max", "5000000000"), ("current", "4500000000"), ("stat", "file 9\ninactive_file 500000000\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    monkeypatch.setattr(hardware, "_CGROUP_MEMORY", Path(tmp_path))


def slots(*configs, known=None, elsewhere=False, **runtime):
    return choose(configs, config(runtime={"device": "cuda", **runtime}).runtime, 0.0, known or {}, (), elsewhere)


def known(peak_memory_gb: float, **sections) -> dict[str, MeasuredCost]:
    return {key(config(**sections), True): MeasuredCost(1.0, 1.0, peaks(peak_memory_gb))}


def peaks(peak_memory_gb: float) -> dict:
    return {batches(vars(config().runtime)): peak_memory_gb} if peak_memory_gb else {}


def test_one_trial_a_gpu_by_default(machine):
    machine(FakeGpu(), FakeGpu())
    chosen = slots(config())
    assert (chosen.num, chosen.num_gpus, chosen.visible_devices, chosen.notes) == (2, 2, None, ())
    assert slots(config(), known=known(1.0)).num == 2  # also where more would fit


def test_several_on_a_gpu_only_once_one_has_been_measured(machine):
    machine(FakeGpu(), FakeGpu())
    before = slots(config(), trials_at_once=6)
    assert before.num == 2 and before.notes == ("one trial per GPU until a trial of each kind has been measured",)
    assert slots(config(), trials_at_once=6, known=known(5.0)).num == 6  # 4 x 6 GB fit on each
    after = slots(config(), trials_at_once=6, known=known(11.0))  # 12.1 GB: one on each
    assert after.num == 2 and after.notes == ("by the measured peak, at most 1 fit on a GPU",)
    assert slots(config(), trials_at_once=6, known=known(0.0)).num == 2  # no peak was recorded


def test_every_kind_must_have_been_measured_and_the_largest_counts(machine):
    machine(FakeGpu())
    deeper = {"adapter": {"rank": 64, "text_layers": "last_2"}}
    both = config(seed=1), config(seed=2), config(**deeper), config(readout={"name": "constant"})
    assert slots(*both, trials_at_once=4, known=known(5.0)).num == 1
    measured = known(5.0) | known(7.0, **deeper)
    assert slots(*both, trials_at_once=4, known=measured).num == 3  # 24 / (7 + 1)


def test_what_was_measured_on_a_cpu_says_nothing(machine):
    machine(FakeGpu())
    on_cpu = {key(config(), False): MeasuredCost(1.0, 1.0, peaks(2.0))}
    assert measured_peak_gb(config(), on_cpu) is None and measured_peak_gb(config(), known(2.0)) == 2.0
    assert slots(config(), trials_at_once=2, known=on_cpu).num == 1


def test_a_peak_of_smaller_batches_says_nothing(machine):
    machine(FakeGpu())
    larger = config(runtime={"device": "cuda", "micro_batch": 64})
    assert measured_peak_gb(larger, known(2.0)) is None
    assert slots(larger, trials_at_once=2, known=known(2.0)).num == 1


def test_needed_is_the_measured_peak_else_the_estimate():
    assert needed_on_gpu_gb(config(), known(3.0)) == 3.0
    assert 0 < needed_on_gpu_gb(config(), {}) < 0.1


def test_the_longest_clips_may_need_more_than_there_is(machine):
    machine(FakeGpu(0.5))
    assert slots(config(), known=known(0.1)).notes == ()  # measured: no guess is needed
    (note,) = slots(config()).notes
    assert re.fullmatch(r"the longest clips may take 0\.\d GB, and the smallest GPU has 0\.5 GB", note)


def test_busy_and_small_gpus_are_left_out_with_a_note():
    found = [gpu(0, 24.0, 3.0, 77), gpu(1), gpu(2, 8.0)]
    usable, notes, problems = usable_gpus(found, 12.0)
    assert usable == [found[1]] and problems == []
    assert notes == [
        "GPU 2 (RTX) is not used: it has 8.0 GB, a trial needs about 12.0 GB",
        "GPU 0 (RTX) is not used: in use by pid 77 (2.0 GB), a trial needs about 12.0 GB",
    ]


def test_the_gpus_that_are_left_are_shown_to_trials(machine):
    machine(FakeGpu(24.0, 3.0, {77: 2.0}), FakeGpu(), FakeGpu())
    chosen = slots(config(), known=known(12.0))
    assert (chosen.num, chosen.num_gpus, chosen.visible_devices) == (2, 2, "GPU-1a,GPU-2a")
    assert len(chosen.notes) == 1 and chosen.problems == ()


def test_all_gpus_busy_is_a_problem_naming_each(machine):
    machine(FakeGpu(24.0, 3.0, {77: 2.0}), FakeGpu(24.0, 2.0, {78: 2.0}))
    first, second = slots(config(), known=known(12.0)).problems
    assert "busy" in first.what and first.where == "GPU 0 (Card of a test)" and "pid 77" in first.got
    assert "pid 78" in second.got and "CUDA_VISIBLE_DEVICES" in second.next_step


def test_memory_of_our_own_trials_will_be_free():
    mine = gpu(0, 24.0, 11.0, ME)
    assert usable_gpus([mine], 13.0, {ME})[0] == [mine] and usable_gpus([mine], 13.0)[0] == []


def test_no_gpu_is_large_enough(machine):
    machine(FakeGpu(8.0), FakeGpu(10.0))
    (problem,) = slots(config(), known=known(12.0)).problems
    assert "no GPU has enough memory" in problem.what and problem.allowed == "at least 12.0 GB"
    assert "GPU 1 (Card of a test): 10.0 GB" in problem.got


def test_gpus_that_cannot_be_asked_get_one_trial_each(machine):
    machine(FakeGpu(8.0), FakeGpu(8.0))
    assert slots(config(), known=known(12.0), elsewhere=True).problems == ()
    assert slots().num == 2  # nothing is to run
    elsewhere = slots(config(), trials_at_once=4, known=known(1.0), elsewhere=True)
    assert elsewhere.num == 2 and "one trial per GPU" in elsewhere.notes[0]


def test_on_the_cpu_the_hosts_memory_counts(gigabyte):
    cpu = config(runtime={"device": "cpu", "trials_at_once": 3})
    (problem,) = choose([cpu] * 5, cpu.runtime, 0.0, {}).problems  # 3 x 0.4 GB and a little
    assert "too little memory" in problem.what and problem.got == "1.0 GB free"
    assert "3 trials at once" in problem.allowed and "trials_at_once" in problem.next_step
    assert choose([cpu] * 2, cpu.runtime, 0.0, {}).problems == ()  # two need less
    assert choose([cpu] * 5, cpu.runtime, 0.0, {}, elsewhere=True).problems == ()
    assert choose([cpu] * 5, cpu.runtime, 0.0, {}).num_gpus == 0
