"""What would stop a run is found before it starts, all of it at once."""

from pathlib import Path

import pytest

from helpers.searched import Searched
from helpers.stand_ins import config
from omni_msa.planning import disk, hardware
from omni_msa.planning.preflight import check, check_disk
from omni_msa.search.study_folder import Proposal

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
    gb = disk.best_gb(wide)
    many = 10**12  # trials at once

    def allowed(num_fits: int, num_slots: int, **runtime) -> str:
        configs = [config(adapter={"rank": 1024}, runtime=runtime)]
        (problem,) = check(configs, tmp_path, fits=[wide] * num_fits, num_slots=num_slots)
        return problem.allowed

    fixed = 1.0 + disk.inputs_gb([wide])
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


def test_a_layer_that_the_backbone_does_not_have_is_refused_with_the_nearest(tmp_path):
    def found(**adapter) -> list[tuple[str, str, str]]:
        problems = check([config(adapter={"rank": 4, **adapter})], tmp_path)
        return [(problem.where, problem.got, problem.next_step) for problem in problems]

    assert found(targets=["q_projj", "v_proj"]) == [("adapter.targets", "'q_projj'", 'did you mean "q_proj"?')]
    assert [got for _, got, _ in found(targets=["foo", "lm_head"])] == ["'foo'", "'lm_head'"]
    assert found(targets=["mlp.up_proj", "fc1", "proj"]) == []  # a suffix; of the towers for audio and video
    assert found(towers=["audio"]) == []  # some of the usual ones are there
    ((where, got, _),) = found(towers=["audio"], targets=["gate_proj"])
    assert (where, got) == ("adapter.targets", "['gate_proj']")


SPACE = {
    "adapter.text_layers": {"choice": ["last_2", "last_98", "last_99"]},
    "adapter.targets": {"choice": [["q_proj"], ["q_projj"]]},
    "readout.layer": {"int": [0, 9], "when": {"readout.name": "frozen_probe"}},
    "readout.pooling": {"choice": ["last", "video"], "when": {"readout.name": "frozen_probe"}},
    "readout.name": {"choice": ["discriminative", "frozen_probe"]},
}


def test_what_stops_a_point_of_a_space_is_found_before_it_is_proposed(tmp_path):
    place = Searched(tmp_path, space=SPACE)
    refusals = {(one.where, one.got) for one in place.plan().refusals}
    assert {(where, got) for where, got in refusals if not where.endswith("readout.layer")} == {
        ("search.space.adapter.text_layers", "last_98"),
        ("search.space.adapter.text_layers", "last_99"),
        ("search.space.adapter.targets", "'q_projj'"),
        ("search.space.readout.pooling", "video"),
    }
    assert [where for where, _ in refusals].count("search.space.readout.layer") == 1
    place.set(space={"adapter.rank": {"choice": [2, 4]}})
    assert place.plan().refusals == ()


def test_what_stops_the_default_is_said_of_it_and_not_of_each_point(tmp_path):
    place = Searched(tmp_path, space={"adapter.rank": {"choice": [2, 4]}})
    file = tmp_path / "surface.yaml"
    file.write_text(file.read_text() + "adapter: {text_layers: last_99}\n")
    assert [one.where for one in place.plan().refusals] == ["adapter.text_layers"]


def test_a_proposal_that_cannot_run_stops_no_other(tmp_path, monkeypatch):
    space = {"adapter.text_layers": {"choice": ["last_2", "last_99"]}}
    place = Searched(tmp_path, space=space)
    place.study().write(Proposal(0, {"adapter.text_layers": "last_99"}))
    monkeypatch.setattr(
        "omni_msa.planning.preflight.check_space", lambda *others: []
    )  # as if the space had not shown it
    plan = place.plan()
    assert "last_99" in {trial.config.adapter.text_layers for trial in plan.missing()} and plan.refusals == ()
