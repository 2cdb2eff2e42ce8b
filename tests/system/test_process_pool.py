"""Jobs in spawned processes: errors, dying processes, dying parents."""

import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from helpers.paths import ROOT, TESTS
from helpers.processes import is_running
from omni_msa.system import process_pool
from omni_msa.system.process_pool import JobPool, Limits, ProcessDied, run_jobs

NEEDS_PROC = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")


class Stubborn(Exception):
    """Cannot be made again from what pickle keeps of it."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def hang_deaf() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)


def fill_memory() -> None:
    hoard = []
    while True:
        hoard.append(b"x" * 10_000_000)


def bring_down(number: int) -> None:
    raise Stubborn("stubborn", str(number))


def raise_value_error() -> None:
    raise ValueError("as it is")


HARM: dict[str, Callable[[], Any]] = {
    "exit": lambda: os._exit(3),
    "abort": os.abort,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "hang": lambda: time.sleep(600),
    "hang deaf": hang_deaf,
    "fill memory": fill_memory,
    "one large block": lambda: bytearray(10**12),
    "large map": lambda: mmap.mmap(-1, 10**10, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS),
    "stubborn": lambda: bring_down(1),
    "raise": raise_value_error,
}


def write_or_harm(path: Path, how: str) -> None:
    if how in HARM:
        HARM[how]()
    path.write_text(f"{os.getpid()} {os.environ.get('OMP_NUM_THREADS')}")


def jobs_of(folder: Path, *hows: str) -> list[tuple[Path, str]]:
    return [(folder / str(number), how) for number, how in enumerate(hows)]


@pytest.mark.parametrize("num_workers", [1, 2])
def test_errors_come_back_in_the_order_of_jobs(num_workers, tmp_path):
    done = []
    jobs = jobs_of(tmp_path, "write", "raise", "write")
    errors = run_jobs(write_or_harm, jobs, num_workers, lambda: done.append(1))
    assert [type(error) for error in errors] == [type(None), ValueError, type(None)]
    assert errors[1].args == ("as it is",) and len(done) == 3
    assert (tmp_path / "2").read_text().split()[0] != str(os.getpid())


def test_no_jobs_start_no_process(tmp_path):
    assert run_jobs(write_or_harm, [], 2, lambda: None) == []


def test_processes_are_renewed(tmp_path):
    jobs = jobs_of(tmp_path, *["write"] * 5)
    assert run_jobs(write_or_harm, jobs, 1, lambda: None, Limits(jobs_per_process=2)) == [None] * 5
    processes = [path.read_text().split()[0] for path, _ in jobs]
    assert max(processes.count(process) for process in processes) == 2 and len(set(processes)) == 3


def test_workers_use_one_thread(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    run_jobs(write_or_harm, jobs_of(tmp_path, "write"), 1, lambda: None)
    assert (tmp_path / "0").read_text().split()[1] == "1"


@pytest.mark.parametrize("num_workers", [1, 3])
def test_a_job_that_kills_its_process_costs_only_itself(tmp_path, num_workers):
    done = []
    hows = ["write", "exit", "write", "abort", "raise", "kill", "write"]
    errors = run_jobs(write_or_harm, jobs_of(tmp_path, *hows), num_workers, lambda: done.append(1))
    expected = {"write": "None", "raise": "ValueError('as it is')"}
    expected |= {"exit": "ProcessDied('exit code 3')", "abort": "ProcessDied('SIGABRT')"}
    expected |= {"kill": "ProcessDied('SIGKILL')"}
    assert [repr(error) for error in errors] == [expected[how] for how in hows]
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["0", "2", "6"] and len(done) == 7


def test_a_job_that_hangs_costs_only_itself(tmp_path):
    hows = ["write", "hang", "hang deaf", "write"]
    errors = run_jobs(write_or_harm, jobs_of(tmp_path, *hows), 2, lambda: None, Limits(seconds=0.5))
    assert [type(error) for error in errors] == [type(None), TimeoutError, TimeoutError, type(None)]


@NEEDS_PROC
def test_a_job_that_takes_too_much_memory_costs_only_itself(tmp_path):
    hows = ["fill memory", "write", "one large block", "large map", "write"]
    errors = run_jobs(write_or_harm, jobs_of(tmp_path, *hows), 1, lambda: None, Limits(memory_gb=0.2))
    assert [isinstance(error, MemoryError | OSError) for error in errors] == [how != "write" for how in hows]
    assert isinstance(errors[0], MemoryError) and isinstance(errors[2], MemoryError)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["1", "4"]


def test_an_exception_that_cannot_travel_is_told_in_words(tmp_path):
    errors = run_jobs(write_or_harm, jobs_of(tmp_path, "stubborn", "write"), 1, lambda: None)
    assert [repr(error) for error in errors] == ["RuntimeError('Stubborn: stubborn 1')", "None"]


def fail_once(note: Path) -> None:
    if not note.exists():
        note.touch()
        os.abort()


def test_what_died_is_tried_once_more_alone(tmp_path):
    assert run_jobs(fail_once, [(tmp_path / "0",), (tmp_path / "1",)], 2, lambda: None) == [None, None]


@NEEDS_PROC
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_a_parent_that_is_killed_or_interrupted(number, tmp_path):
    note = tmp_path / "pid"
    script = tmp_path / "parent.py"
    script.write_text(
        f"import sys; sys.path[:0] = [{str(TESTS)!r}, {str(ROOT)!r}]\n"
        "from pathlib import Path\nfrom omni_msa.system.process_pool import run_jobs\n"
        "from helpers.slow_jobs import sleep_long\n"
        f"if __name__ == '__main__': run_jobs(sleep_long, [(Path({str(note)!r}),)] * 1000, 1, lambda: None)\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)])
    deadline = time.monotonic() + 120
    while not (note.exists() and note.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    worker = int(note.read_text())
    assert is_running(worker)
    parent.send_signal(number)
    parent.wait(timeout=60)
    deadline = time.monotonic() + 30
    while is_running(worker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(worker)


def pid_or_harm(how: str) -> int:
    if how in HARM:
        HARM[how]()
    return os.getpid()


@pytest.fixture
def workers():
    made = JobPool(2, Limits(seconds=1.0, memory_gb=0.5))
    yield made
    made.close()


def test_results_come_with_the_numbers_of_their_jobs():
    found = {}
    errors = run_jobs(pid_or_harm, [("",), ("raise",), ("",)], 1, lambda: None, on_result=found.__setitem__)
    assert list(found) == [0, 2] and found[0] == found[2] != os.getpid()
    assert [type(error) for error in errors] == [type(None), ValueError, type(None)]


def test_workers_stay_and_serve_any_thread(workers):
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: workers.call(pid_or_harm, ("",)), range(12)))
    assert os.getpid() not in found and 1 <= len(set(found)) <= 2


def test_workers_tell_what_went_wrong_and_go_on(workers):
    for how, kind in [("raise", ValueError), ("exit", ProcessDied), ("hang", TimeoutError), ("kill", ProcessDied)]:
        with pytest.raises(kind):
            workers.call(pid_or_harm, (how,))
        assert workers.call(pid_or_harm, ("",)) > 0


@NEEDS_PROC
def test_workers_limit_memory(workers):
    with pytest.raises(MemoryError):
        workers.call(pid_or_harm, ("one large block",))


def test_a_job_of_workers_that_died_once_is_tried_again(workers, tmp_path):
    workers.call(fail_once, (tmp_path / "note",))
    assert (tmp_path / "note").exists()


@pytest.mark.slow
@NEEDS_PROC
def test_idle_workers_that_were_killed_are_replaced(workers, monkeypatch):
    first = workers.call(pid_or_harm, ("",))
    for child in psutil.Process().children():
        if "resource_tracker" not in " ".join(child.cmdline()):
            child.kill()
            child.wait(10)
    monkeypatch.setattr(process_pool, "_START_S", 12.0)
    assert workers.call(pid_or_harm, ("",)) not in (first, os.getpid())


def test_closed_workers_end_at_once_and_take_nothing(workers):
    slow = JobPool(1, Limits(seconds=600.0))
    with ThreadPoolExecutor(1) as threads:
        pid = slow.call(pid_or_harm, ("",))
        waiting = threads.submit(slow.call, pid_or_harm, ("hang",))
        time.sleep(0.5)
        slow.close()
        with pytest.raises(CancelledError):
            waiting.result(30)
    assert not psutil.pid_exists(pid)
    with pytest.raises(CancelledError):
        slow.call(pid_or_harm, ("",))
    slow.close()
