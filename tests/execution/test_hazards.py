"""What is noticed around running trials: a full disk, a lost ledger, a frozen process."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from helpers.paths import TESTS
from helpers.stand_ins import config, make_job
from omni_msa.execution.attempt import record_loss
from omni_msa.execution.hazards import Hazards
from omni_msa.ledger.ledger import Ledger
from omni_msa.ledger.trial_folder import Status
from omni_msa.ledger.trials import PlannedTrial
from omni_msa.system.files import write_json
from omni_msa.system.lease import Lease

TRIAL = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from helpers.stand_ins import make_job, train_that
from omni_msa.execution.attempt import run_attempt
def work(folder):
    print("works", flush=True)
    time.sleep(100)
run_attempt(make_job(Path(sys.argv[1])), None, train_that(work))
"""


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path)


def planned(hang_s: float = 900.0) -> PlannedTrial:
    return PlannedTrial("t1", "f1", ("cell",), config(runtime={"hang_s": hang_s}), Status())


def look(ledger, reserve_gb=0.0, trials=(), lease=None) -> list[str]:
    """Look once and return the reasons given for a stop."""
    reasons: list[str] = []
    with Lease(ledger.driver) as own:
        Hazards(trials, ledger, lease or own, reserve_gb, (ledger.root,), reasons.append).look()
    return reasons


def test_all_is_well(ledger):
    assert look(ledger, trials=[planned()]) == []


def test_a_disk_that_is_nearly_full_stops_the_trials_while_their_checkpoints_still_fit(ledger):
    free_gb = shutil.disk_usage(ledger.root).free / 1e9
    (reason,) = look(ledger, reserve_gb=free_gb + 1)
    assert f"the disk of {ledger.root} is nearly full" in reason
    assert look(ledger, reserve_gb=free_gb / 2) == []


def test_a_ledger_that_another_run_has_taken_over_is_left_to_it(ledger):
    with Lease(ledger.root / "other") as lease:
        write_json(ledger.root / "other" / "00000002.json", {"pid": 1})
        (reason,) = look(ledger, lease=lease)
    assert "another run has taken over" in reason


def test_a_frozen_process_is_killed_and_its_trial_tried_again(ledger):
    command = [sys.executable, "-c", TRIAL, str(ledger.root), str(TESTS)]
    with Lease(ledger.driver) as lease, subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "works\n"
        process.send_signal(signal.SIGSTOP)
        trial = planned(hang_s=0.4)
        hazards = Hazards([trial], ledger, lease, 0.0, (), lambda reason: None)
        hazards.end_frozen()
        assert process.poll() is None
        time.sleep(0.7)
        hazards.end_frozen()
        assert process.wait(timeout=10) == -signal.SIGKILL
    job = make_job(ledger.root)
    record_loss(job, "exit code -9")
    status = job.folder().status()
    assert status.state == "pending" and status.history[-1]["kind"] == "hang"


def test_a_process_that_shows_life_is_left_alone(ledger):
    folder = ledger.trial("t1")
    folder.begin(config(), {})
    with Lease(ledger.driver) as lease:
        hazards = Hazards([planned(hang_s=0.2)], ledger, lease, 0.0, (), lambda reason: None)
        for second in range(4):
            os.utime(folder.path / "status.json", (second, second))
            hazards.end_frozen()
            time.sleep(0.2)
    assert json.loads((folder.path / "status.json").read_text())["pid"] == os.getpid()  # which is alive
