"""What a cluster's nodes must have; the tests that kill nodes are in `test_kills.py`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.paths import ROOT
from helpers.place import Place
from omni_msa.execution.ray_cluster import Workers, judge, look


@pytest.fixture
def token(tmp_path) -> Path:
    (tmp_path / "driver").mkdir()
    path = tmp_path / "driver" / "abc.hello"
    path.write_text(path.name)
    return path


def test_a_node_that_sees_the_ledger_and_runs_this_code_is_fine(token, tmp_path):
    assert judge(look(str(token)), "node a", tmp_path) == []


def test_a_node_that_does_not_see_the_ledger_is_named(token, tmp_path):
    for damage in (lambda: token.write_text("another folder of that name"), token.unlink):
        damage()
        (problem,) = judge(look(str(token)), "node a (10.0.0.2)", tmp_path)
        assert problem.where == "node a (10.0.0.2)" and str(tmp_path) in problem.allowed
        assert "at the same path on all nodes" in problem.next_step


def test_a_node_with_other_code_is_named(token, tmp_path):
    seen = {**look(str(token)), "versions": "Python 3.9.1, torch 1.0, omni_msa 000000000000"}
    (problem,) = judge(seen, "node a", tmp_path)
    assert problem.got == seen["versions"] and "torch 2." in problem.allowed


def test_a_node_that_cannot_answer_is_named_with_its_last_line(tmp_path):
    error = RuntimeError("Traceback ...\nModuleNotFoundError: No module named 'omni_msa'")
    (problem,) = judge(error, "node a", tmp_path)
    assert problem.got == "ModuleNotFoundError: No module named 'omni_msa'" and "install" in problem.next_step


def test_everything_wrong_with_a_node_is_said_at_once(token, tmp_path):
    assert len(judge({"has_ledger": False, "versions": "?"}, "node a", tmp_path)) == 2


def test_a_cluster_that_is_not_there_is_bad_input(text_clips, tmp_path, write_sweep):
    environment = {**os.environ, "OMNI_MSA_LEDGER": str(tmp_path / "mlruns")}
    sweep = write_sweep(axes="{readout: [constant]}", seeds="[1]", dataset="{num_train: 8, num_valid: 4, num_test: 4}")
    command = [sys.executable, str(ROOT / "orchestrate.py"), str(sweep), "--address", "127.0.0.1:1"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 2, ran.stderr
    assert "the Ray cluster cannot be joined" in ran.stderr and "Traceback" not in ran.stderr


@pytest.mark.slow
def test_ray_ends_no_trial_because_other_programs_fill_the_memory(tmp_path):
    place = Place(tmp_path)
    place.environment["RAY_memory_usage_threshold"] = "0.01"  # as if all but a hundredth was taken
    ran = place.run("axes.readout=[discriminative,constant]", "seeds=[1]")
    assert ran.returncode == 0, ran.stderr
    assert "2 of 2 trials complete, 0 failed" in ran.stdout


@pytest.mark.parametrize(
    ("workers", "resources"),
    [
        (Workers(2), {"CPU": 1}),
        (Workers(4, 4), {"CPU": 1, "GPU": 1.0}),
        (Workers(4, 2), {"CPU": 1, "GPU": 0.5}),
        (Workers(1, 4), {"CPU": 1, "GPU": 1.0}),
    ],
)
def test_a_trial_reserves_a_core_and_at_most_one_gpu(workers, resources):
    assert workers.resources == resources
