"""benchmarks/gpu.py on the CPU: every table has its rows, and a row that does not fit does not end it."""

import os
import subprocess
import sys

import pytest
import torch

from helpers.paths import BENCHMARKS


@pytest.mark.slow
def test_the_whole_script_runs_without_a_gpu(tmp_path):
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--device", "cpu", "--tiny", "--steps", "1"]
    environment = {**os.environ, "OMNI_MSA_CACHE": str(tmp_path), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    assert ran.returncode == 0, ran.stderr
    tables = [part.splitlines() for part in ran.stdout.split("### ")[1:]]
    assert [sum(line.startswith("| ") for line in table) - 1 for table in tables] == [4, 4, 8, 1, 1]
    for table in tables:
        width = table[2].count("|")
        assert all(line.count("|") == width and "does not fit" not in line for line in table[2:] if line)
    assert "| generative | 0." in ran.stdout


def test_what_does_not_fit_is_one_row(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu

    def raises(error: Exception):
        def row() -> tuple[str, ...]:
            raise error

        return row

    assert gpu.attempt(lambda: ("1", "2"), 2) == ("1", "2")
    for error in (torch.OutOfMemoryError("no"), RuntimeError("CUDA error: out of memory")):
        assert gpu.attempt(raises(error), 3) == ("does not fit", "", "")
    with pytest.raises(RuntimeError, match="another"):
        gpu.attempt(raises(RuntimeError("another")), 2)


def test_without_a_gpu_it_says_how_to_run_it(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a card")
    ran = subprocess.run([sys.executable, str(BENCHMARKS / "gpu.py")], capture_output=True, text=True, timeout=100)
    assert ran.returncode == 2 and "--device cpu --tiny" in ran.stderr
