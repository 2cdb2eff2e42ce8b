"""What would stop a run is found before it starts, all of it at once."""

from pathlib import Path

import pytest
from stand_ins import config

from omni_msa import hardware
from omni_msa.preflight import check, check_disk, needed_gb, num_clips, uses

NO_GPU = pytest.mark.skipif(hardware.num_gpus() > 0, reason="the machine has a GPU that can be used")
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
    assert check_disk(0.0, tmp_path) == []
    (problem,) = check_disk(1e9, tmp_path)  # nobody has an exabyte
    assert problem.where == str(own_cache)
    assert "about 1000000001.0 GB" in problem.allowed and "OMNI_MSA_CACHE" in problem.next_step


def test_needed_disk_grows_with_clips_and_frames():
    one = {"name": "vader_av", "num_train": 1, "num_valid": 1, "num_test": 1}
    small = config(dataset=one, media={"num_frames_max": 2})
    large = config(dataset={**one, "num_train": 4}, media={"num_frames_max": 2})
    assert needed_gb([large]) == pytest.approx(2 * needed_gb([small]))
    assert needed_gb([small, small]) == needed_gb([small])
    longer = config(dataset=one, media={"num_frames_max": 16})
    # 14 frames of 100,352 pixels of three bytes more, for each of three clips.
    assert needed_gb([longer]) - needed_gb([small]) == pytest.approx(3 * 14 * 100_352 * 3 / 1e9)


def test_clips_are_counted_from_the_options_or_the_corpus():
    assert num_clips(config().dataset) == 18 and num_clips(config().dataset, "train") == 10
    assert num_clips(config(dataset={"name": "mosi"}).dataset, "train") == 1284


def test_a_readout_says_what_it_uses():
    assert uses(config(), "adapter") and not uses(config(readout={"name": "constant"}), "backbone")
