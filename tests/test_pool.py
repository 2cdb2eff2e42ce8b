"""Jobs in spawned processes: errors, dying processes, dying parents."""

import os
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from omni_msa.pool import run_jobs


def write_or_fail(path: Path, how: str) -> None:
    if how == "die":
        os._exit(3)
    if how == "raise":
        raise ValueError(path.name)
    path.write_text(f"{os.getpid()} {os.environ.get('OMP_NUM_THREADS')}")


def sleep_long(path: Path) -> None:
    path.write_text(str(os.getpid()))
    time.sleep(60)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_errors_come_back_in_the_order_of_jobs(num_workers, tmp_path):
    done = []
    jobs = [(tmp_path / "0", "write"), (tmp_path / "1", "raise"), (tmp_path / "2", "write")]
    errors = run_jobs(write_or_fail, jobs, num_workers, lambda: done.append(1))
    assert [type(error) for error in errors] == [type(None), ValueError, type(None)]
    assert errors[1].args == ("1",) and len(done) == 3
    in_this_process = (tmp_path / "2").read_text().split()[0] == str(os.getpid())
    assert in_this_process == (num_workers == 0)


def test_processes_are_renewed(tmp_path):
    jobs = [(tmp_path / str(number), "write") for number in range(5)]
    assert run_jobs(write_or_fail, jobs, 1, lambda: None, jobs_per_process=2) == [None] * 5
    processes = [path.read_text().split()[0] for path, _ in jobs]
    assert [processes.count(process) for process in processes] == [2, 2, 2, 2, 1]


def test_workers_use_one_thread(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    run_jobs(write_or_fail, [(tmp_path / "0", "write")], 1, lambda: None)
    assert (tmp_path / "0").read_text().split()[1] == "1"


def test_a_job_that_kills_its_process_costs_only_itself(tmp_path):
    done = []
    hows = ["write", "die", "write", "die", "raise", "write"]
    jobs = [(tmp_path / str(number), how) for number, how in enumerate(hows)]
    errors = run_jobs(write_or_fail, jobs, 1, lambda: done.append(1))
    expected = {"write": type(None), "die": BrokenProcessPool, "raise": ValueError}
    assert [type(error) for error in errors] == [expected[how] for how in hows]
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["0", "2", "5"] and len(done) == 6


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_workers_end_with_a_killed_parent(tmp_path):
    note = tmp_path / "pid"
    script = tmp_path / "parent.py"
    script.write_text(
        f"import sys; sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[1])!r}]\n"
        "from pathlib import Path\nfrom omni_msa.pool import run_jobs\nfrom test_pool import sleep_long\n"
        f"if __name__ == '__main__': run_jobs(sleep_long, [(Path({str(note)!r}),)], 1, lambda: None)\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)])
    deadline = time.monotonic() + 30
    while not (note.exists() and note.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    worker = int(note.read_text())
    assert is_running(worker)
    parent.kill()
    parent.wait()
    while is_running(worker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(worker)
