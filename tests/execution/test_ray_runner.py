"""Ray Tune as the dispatcher: one start of Ray for most of these tests, another for what must be killed."""

import json
import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from helpers.stand_ins import make_job
from omni_msa.execution import ray_runner
from omni_msa.execution.driver import sole_driver
from omni_msa.execution.job_queue import JobQueue
from omni_msa.execution.ray_cluster import Workers
from omni_msa.ledger.ledger import Ledger

PAIRS = (("a", "shared"), ("b", "shared"), ("c", "fc"), ("bad", "fbad"), ("once", "fonce"), ("often", "foften"))
RAY = ("raylet", "gcs_server", "ray::")


def stand_in():
    """Return a training function that crosses to Ray's processes by value, as nothing of the tests is importable there.

    What it sees goes into the trial's folder; `bad` raises, `once` and `often` kill their process so many times.
    """

    def train(config, folder, fit, resident, should_stop):
        print("this must not reach the terminal")
        resident.append(folder.trial_id)
        began = time.time()
        time.sleep(0.3)
        if folder.trial_id == "bad":
            raise FloatingPointError("the loss is nan")
        if folder.status().attempt <= {"once": 1, "often": 4}.get(folder.trial_id, 0):
            os._exit(9)
        seen = {"pid": os.getpid(), "cwd": os.getcwd(), "threads": os.environ.get("OMP_NUM_THREADS"), "fit": str(fit)}
        seen |= {"resident": list(resident), "began": began, "ended": time.time()}
        (folder.path / "seen.json").write_text(json.dumps(seen))
        complete_trial(folder)

    def complete_trial(folder):
        folder.write_test_metrics({"mae": 1.0})
        folder.complete({"valid": {"mae": 1.0}, "cost": {"train_s": 1.0}})

    return train


def ray_processes() -> list[str]:
    lines = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # a zombie is one: it has ended
            lines.append(" ".join(process.cmdline()))
    return [line for line in lines if any(name in line for name in RAY)]


def listening_addresses() -> set[str]:
    found = set()
    for process in psutil.Process().children(recursive=True):
        try:
            found |= {each.laddr.ip for each in process.net_connections("inet") if each.status == psutil.CONN_LISTEN}
        except psutil.Error:
            continue
    return found


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Run all pairs in two slots; return their folders, what was printed, and where Ray's processes listened."""
    root = tmp_path_factory.mktemp("mlruns")
    jobs = [make_job(root, *pair) for pair in PAIRS]
    addresses: set[str] = set()
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(0.5):
            addresses.update(listening_addresses())

    looking = threading.Thread(target=look)
    looking.start()
    environment = {name: value for name, value in os.environ.items() if "THREADS" in name}
    try:
        with sole_driver(Ledger(root)) as seat:
            queue = JobQueue(jobs, lambda: False)
            ray_runner.run(queue, Workers(2), seat.scratch, root, lambda: False, list, stand_in())
    finally:
        is_over.set()
        looking.join()
    assert {name: value for name, value in os.environ.items() if "THREADS" in name} == environment
    return {job.trial_id: job.folder() for job in jobs}, addresses


def seen(folder) -> dict:
    return json.loads((folder.path / "seen.json").read_text())


def test_every_trial_is_run_and_its_end_recorded(ran):
    folders, _ = ran
    assert {name: folder.status().state for name, folder in folders.items()} == {
        **dict.fromkeys(("a", "b", "c", "once"), "complete"),
        **dict.fromkeys(("bad", "often"), "failed"),
    }
    assert folders["bad"].status().failure["kind"] == "not finite"


def test_a_lost_process_costs_its_trial_a_retry_three_times(ran):
    folders, _ = ran
    assert folders["once"].status().attempt == 2
    often = folders["often"]
    assert often.status().failure["kind"] == "lost process" and often.status().attempt == 4
    assert "actor" in (often.path / "error.txt").read_text()  # what Ray knows of it


def test_trials_that_share_a_fit_are_never_at_work_together(ran):
    folders, _ = ran
    first, second = seen(folders["a"]), seen(folders["b"])
    assert first["fit"] == second["fit"]
    assert first["ended"] <= second["began"] or second["ended"] <= first["began"]


def test_a_process_serves_many_trials_and_keeps_what_is_resident(ran):
    folders, _ = ran
    looks = [seen(folder) for folder in folders.values() if (folder.path / "seen.json").exists()]
    assert len({look["pid"] for look in looks}) < len(looks)
    assert max(len(look["resident"]) for look in looks) > 1


def test_trials_keep_the_working_directory_and_one_thread(ran):
    folders, _ = ran
    look = seen(folders["a"])
    assert Path(look["cwd"]) == Path.cwd() and look["threads"] == "1"


def test_ray_listens_on_this_machine_only(ran):
    _, addresses = ran
    assert addresses and addresses <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_nothing_of_ray_is_left(ran):
    assert ray_processes() == []


def test_what_does_not_stop_in_time_is_killed(tmp_path, capfd):
    def sleep(config, folder, fit, resident, should_stop):
        folder.heartbeat(1, 1)
        time.sleep(600)

    job = make_job(tmp_path)
    heard = job.folder().path / "status.json"
    with sole_driver(Ledger(tmp_path)) as seat:
        queue = JobQueue([job], lambda: False)
        is_overdue = lambda: '"step": 1' in _text(heard)  # noqa: E731
        ray_runner.run(queue, Workers(1), seat.scratch, tmp_path, is_overdue, list, sleep)
    deadline = time.monotonic() + 20
    while job.folder().status().state != "pending" and time.monotonic() < deadline:
        time.sleep(0.2)
    status = job.folder().status()
    assert (status.state, status.step) == ("pending", 1) and ray_processes() == []
    assert capfd.readouterr() == ("", "")


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
