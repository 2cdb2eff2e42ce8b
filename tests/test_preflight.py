"""What would stop a run is found before it starts, all of it at once."""

from pathlib import Path

import pytest
from stand_ins import config

from omni_msa import estimate, hardware
from omni_msa.preflight import check, check_disk

NO_GPU = pytest.mark.skipif(hardware.num_gpus() > 0, reason="the machine has a GPU that can be used")
OTHER_DISK = Path("/dev/shm")
LARGE = {"name": "qwen2_5_omni_7b", "weights": "/nowhere"}


def whats(*configs, root: Path = Path("/tmp"), elsewhere: bool = False) -> list[str]:
    return [problem.what for problem in check(configs, root, elsewhere)]


@pytest.fixture(autouse=True)
def own(own_cache):
    """No test looks into the user's cache."""


def test_the_tiny_backbone_needs_nothing(tmp_path):
    assert whats(config(), root=tmp_path / "not" / "there" / "yet") == []
    assert whats() == []


@NO_GPU
def test_a_gpu_profile_without_a_gpu(tmp_path):
    (problem,) = check([config(runtime={"device": "cuda"})], tmp_path)
    assert "need a GPU" in problem.what and "profile=pocket" in problem.next_step
    assert hardware.gpu_obstacle() in problem.got
    assert check([config(runtime={"device": "cuda"})], tmp_path, elsewhere=True) == []


@NO_GPU
def test_a_large_backbone_needs_a_gpu_unless_the_cpu_is_asked_for():
    found = whats(config(backbone=LARGE))
    assert "this backbone needs a GPU" in found
    assert "this backbone needs a GPU" not in whats(config(backbone=LARGE, runtime={"device": "cpu"}))
    without = config(backbone=LARGE, readout={"name": "constant"})  # needs no backbone at all
    assert whats(without) == []


def test_problems_of_several_parts_come_together_and_once(tmp_path):
    lost = {"name": "vader_av", "root": str(tmp_path / "nowhere")}
    deep = {"rank": 4, "text_layers": "last_9"}
    configs = [config(dataset=lost, adapter=deep, seed=seed) for seed in (1, 2)]
    problems = check(configs, tmp_path)
    assert len(problems) == 2
    assert "nowhere" in str(problems[0]) and "last_9" in str(problems[1])


def test_an_adapter_that_is_not_used_is_not_checked():
    deep = {"rank": 4, "text_layers": "last_9"}
    assert whats(config(adapter=deep, readout={"name": "frozen_probe"})) == []


def test_too_little_disk_says_how_much_and_where_else(tmp_path, own_cache):
    assert check_disk(0.0, 0.0, tmp_path) == []
    (problem,) = check_disk(1e9, 0.5, tmp_path)  # nobody has an exabyte; one disk holds both
    assert problem.where == str(own_cache)
    assert "about 1000000001.5 GB" in problem.allowed and "OMNI_MSA_CACHE" in problem.next_step


@pytest.mark.skipif(not OTHER_DISK.is_dir(), reason="the machine shows no second file system")
def test_cache_and_ledger_on_two_disks_are_counted_apart(own_cache):
    (problem,) = check_disk(0.0, 1e9, OTHER_DISK / "not" / "there")
    assert "ledger" in problem.what and problem.where.startswith(str(OTHER_DISK))
    assert "about 1000000000.0 GB" in problem.allowed and "OMNI_MSA_LEDGER" in problem.next_step
    (problem,) = check_disk(1e9, 0.0, OTHER_DISK)
    assert "cache" in problem.what and "about 1000000001.0 GB" in problem.allowed


def test_room_for_checkpoints_counts_fits_and_what_runs_at_once(tmp_path):
    wide = config(adapter={"rank": 1024})
    gb = estimate.best_gb(wide)
    many = 10**12  # trials at once

    def allowed(num_fits: int, num_slots: int, **runtime) -> str:
        configs = [config(adapter={"rank": 1024}, runtime=runtime)]
        (problem,) = check(configs, tmp_path, fits=[wide] * num_fits, num_slots=num_slots)
        return problem.allowed

    fixed = 1.0 + estimate.inputs_gb([wide])
    assert allowed(3, many) == f"about {3 * gb + 2 * many * 4 * gb + 0.5 + fixed:.1f} GB"
    assert allowed(3, 1, disk_reserve_gb=1e9) == f"about {3 * gb + 1e9 + fixed:.1f} GB"


def test_layers_and_modalities_that_a_readout_asks_for_are_looked_up(tmp_path):
    probe = {"name": "frozen_probe", "layer": 9, "pooling": "video"}
    problems = check([config(readout=probe, modalities=["text"])], tmp_path)
    assert [(problem.where, problem.got) for problem in problems] == [
        ("readout.layer", "9"),
        ("readout.pooling", "video"),
    ]
    assert "0 to 4" in problems[0].allowed
