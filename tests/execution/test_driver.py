"""One driver at a time, and a way to stop it."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from omni_msa.errors import InputError
from omni_msa.execution.driver import StopRequest, repeatedly, sole_driver, wait_for_orphans
from omni_msa.ledger.ledger import Ledger
from omni_msa.system.files import write_json
from omni_msa.system.lease import is_held, newest


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "mlruns")


def test_a_second_driver_is_told_who_has_the_ledger(ledger):
    code = """
import sys, time
from pathlib import Path
from omni_msa.execution.driver import sole_driver
from omni_msa.ledger.ledger import Ledger
with sole_driver(Ledger(Path(sys.argv[1]))):
    print("here", flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", code, str(ledger.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "here\n"
        with pytest.raises(InputError) as refusal, sole_driver(ledger):
            pass
        assert f"kill {first.pid}" in str(refusal.value)
        scratch = newest(ledger.driver)[1]["scratch"]
        first.kill()
    assert os.path.isdir(scratch)
    with sole_driver(ledger):  # the lock died with its process; what it left is removed
        assert not os.path.isdir(scratch)


def test_the_scratch_folder_is_gone_afterwards(ledger):
    with sole_driver(ledger) as seat:
        (seat.scratch / "file").touch()
        assert len(str(seat.scratch)) < 30
    assert not seat.scratch.exists() and not is_held(ledger.driver)


def test_a_torn_note_of_the_last_driver_removes_nothing(ledger, tmp_path):
    precious = tmp_path / "omni_msa_precious"
    precious.mkdir()
    write_json(ledger.driver / "00000003.json", {"scratch": str(precious)})
    with sole_driver(ledger):
        assert precious.exists()


def test_a_signal_asks_trials_to_stop_and_a_second_one_is_urgent(ledger):
    before = signal.getsignal(signal.SIGINT)
    ledger.root.mkdir(parents=True)
    ledger.stop_file.touch()  # of a driver that was killed
    with StopRequest(ledger) as stop:
        assert not stop.is_requested() and not ledger.stop_file.exists()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.is_requested() and ledger.stop_file.exists() and not stop.is_overdue()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.is_overdue()
    assert not ledger.stop_file.exists()
    assert signal.getsignal(signal.SIGINT) is before


def test_grace_ends(ledger):
    with StopRequest(ledger, grace_s=0.05) as stop:
        assert not stop.is_overdue()
        stop.request("for a reason")
        time.sleep(0.1)
        assert stop.is_overdue() and stop.reason == "for a reason"


def test_trials_in_this_thread_are_interrupted_by_the_second_signal(ledger):
    with StopRequest(ledger, is_local=True) as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.is_requested()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_orphans_are_waited_for_and_then_named():
    left = [[7, 8], [8], []]
    wait_for_orphans(lambda: left.pop(0))
    assert left == []
    with pytest.raises(InputError, match="kill 7 8"):
        wait_for_orphans(lambda: [8, 7], patience_s=0.1)


def test_looks_again_and_again_and_once_more_at_the_end():
    looks, at_end = [], threading.Event()
    with repeatedly(lambda: looks.append(at_end.is_set()), every_s=0.01):
        wait_for(lambda: len(looks) > 3)
        at_end.set()
    assert len(looks) > 3 and looks[0] is False and looks[-1] is True


def wait_for(is_so) -> None:
    deadline = time.monotonic() + 10
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_an_error_while_looking_ends_nothing_unless_it_lasts():
    looks = []

    def look():
        looks.append(1)
        if len(looks) == 1:
            raise OSError("for a moment")

    with repeatedly(look, every_s=0.01):
        wait_for(lambda: len(looks) > 2)
    assert len(looks) > 2

    def broken():
        raise OSError("for good")

    with pytest.raises(OSError, match="for good"), repeatedly(broken, every_s=0.01):
        time.sleep(0.03)
