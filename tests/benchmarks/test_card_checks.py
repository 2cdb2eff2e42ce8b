"""benchmarks/card_checks.py on the CPU: every check ends, and one that fails is said and ends none."""

import os
import subprocess
import sys

import pytest

from helpers.paths import BENCHMARKS


@pytest.mark.slow
def test_every_check_passes_without_a_gpu(tmp_path):
    command = [sys.executable, str(BENCHMARKS / "card_checks.py"), "--device", "cpu"]
    environment = {**os.environ, "OMNI_MSA_CACHE": str(tmp_path), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    lines = ran.stdout.splitlines()
    assert [line for line in lines[:-1] if not line.startswith("ok ")] == []
    assert (len(lines), lines[-1], ran.returncode) == (14, "all ok", 0)


def test_a_check_that_fails_is_one_line(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import card_checks

    def fail(device: str) -> str:
        raise ValueError(f"no {device}\nand more")

    monkeypatch.setitem(card_checks.CHECKS, "a thing", fail)
    assert not card_checks.is_passed("a thing", "cpu")
    assert capsys.readouterr().out.endswith("a thing: ValueError: no cpu\n")
