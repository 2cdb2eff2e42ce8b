"""benchmarks/measure.py on the CPU with the tiny network: every row has its numbers, and it ends in time."""

import os
import subprocess
import sys

import pytest

from helpers.paths import BENCHMARKS

NUM_ROWS = {"setting": 8, "inference, batch 1": 3, "further": 4, "trial": 1}


def run(tmp_path, *arguments: str) -> list[str]:
    """Return what the script prints with the tiny network."""
    command = [sys.executable, str(BENCHMARKS / "measure.py"), "--device", "cpu", "--tiny", "--steps", "1", *arguments]
    environment = {**os.environ, "OMNI_MSA_CACHE": str(tmp_path), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


@pytest.mark.slow
def test_every_row_has_its_numbers(tmp_path):
    lines = run(tmp_path)
    rows = {}
    for line in lines:
        if line.startswith("| ") and line.split(" | ")[0][2:] in NUM_ROWS:
            heading = line.split(" | ")[0][2:]
        elif line.startswith("| ") and line.endswith(" s |") and "drawn" not in line:
            rows[heading] = rows.get(heading, 0) + 1
    assert rows == NUM_ROWS
    assert [line for line in lines if "Error" in line or "no time left" in line] == []


@pytest.mark.slow
def test_no_row_is_begun_after_its_time(tmp_path):
    lines = run(tmp_path, "--seconds", "0")
    assert sum(line.endswith("| no time left |") for line in lines) == 1 + sum(NUM_ROWS.values())
