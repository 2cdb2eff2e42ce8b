"""What a driver started ends with it, and nothing else does."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from omni_msa.execution.reaper import SCRATCH_VARIABLE, reaper, started_by

DRIVER = """
import os, subprocess, sys
from pathlib import Path
from omni_msa.execution.reaper import SCRATCH_VARIABLE, reaper
os.environ[SCRATCH_VARIABLE] = sys.argv[1]
sleep = [sys.executable, "-c", "import time; time.sleep(100)"]
with reaper(Path(sys.argv[1])):
    child = subprocess.Popen(sleep, start_new_session=True)
    print(child.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def scratch(tmp_path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    (folder / "file").touch()
    return folder


def gone_within(seconds: float, *pids: int) -> bool:
    deadline = time.monotonic() + seconds
    while any(psutil.pid_exists(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_killed_driver_takes_its_children_with_it(scratch):
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    command = [sys.executable, "-c", DRIVER, str(scratch)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
        child = int(driver.stdout.readline())
        assert [process.pid for process in started_by(str(scratch))] == [child]
        driver.kill()
    assert gone_within(10, child)
    deadline = time.monotonic() + 10
    while scratch.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not scratch.exists()
    assert stranger.poll() is None
    stranger.communicate(b"\n")


def test_after_a_farewell_what_ends_by_itself_has_time_to(scratch, monkeypatch):
    monkeypatch.setenv(SCRATCH_VARIABLE, str(scratch))
    told = scratch.parent / "told"
    code = f"import pathlib, time; print(flush=True); time.sleep(0.5); pathlib.Path({str(told)!r}).touch()"
    with reaper(scratch):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        child.stdout.readline()  # it is up
    assert told.exists() and not scratch.exists()
    child.communicate()


def test_it_does_not_count_itself_or_the_driver(scratch, monkeypatch):
    monkeypatch.setenv(SCRATCH_VARIABLE, str(scratch))
    with reaper(scratch):
        assert os.getpid() not in [process.pid for process in started_by(str(scratch))]
        assert started_by(str(scratch)) == []
