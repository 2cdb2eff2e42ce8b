"""A lock that a living owner keeps, a dead one loses, and only one process gets."""

import os
import subprocess
import sys
import threading
import time

import pytest

from omni_msa.system.files import read_json, write_json
from omni_msa.system.lease import Lease, LeaseLost, Taken, is_held, newest
from omni_msa.system.process import this_process

ELSEWHERE = {"host": "elsewhere", "pid": 77, "pid_started": 5, "place": "another machine", "since": "long ago"}
HOLD = """
import sys
from pathlib import Path
from omni_msa.system.lease import Lease
with Lease(Path(sys.argv[1]), facts={"scratch": "here"}):
    print("has it", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "lease"


@pytest.fixture
def other(folder):
    """Another process that has the lease."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "has it\n"
        yield process
        process.kill()


def test_it_can_be_had_again_and_again(folder):
    for _ in range(3):
        with Lease(folder) as lease:
            lease.check()
            assert is_held(folder)
        assert not is_held(folder)
    assert [file.name for file in folder.iterdir()] == ["00000003.json"]


def test_looking_at_none_makes_none(folder):
    assert not is_held(folder) and newest(folder) == (0, {})
    assert not folder.exists()


def test_a_living_owner_is_named_and_keeps_it(folder, other):
    with pytest.raises(Taken) as refusal, Lease(folder):
        pass
    assert refusal.value.owner.pid == other.pid
    assert f"process {other.pid} on {this_process().host}, since 20" in str(refusal.value)


def test_a_dead_owner_loses_it_at_once_and_what_it_wrote_is_told(folder, other):
    other.kill()
    other.wait()
    with Lease(folder) as lease:
        assert lease.before["scratch"] == "here"
    with Lease(folder) as lease:
        assert lease.before == {}


def test_waiting_ends_when_the_owner_gives_it_back(folder, other):
    waits = []

    def wait():
        waits.append(1)
        if len(waits) == 3:
            other.stdin.close()

    with Lease(folder, wait):
        assert len(waits) >= 3


def test_waiting_can_be_given_up(folder, other):
    def wait():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Lease(folder, wait):
        pass
    assert newest(folder)[1]["pid"] == other.pid


def test_an_owner_on_another_machine_is_taken_at_its_word_while_its_file_changes(folder):
    write_json(folder / "00000001.json", {**ELSEWHERE, "renewed_s": time.time()})
    assert is_held(folder)
    with pytest.raises(Taken, match="process 77 on elsewhere, since long ago"), Lease(folder):
        pass
    began = time.monotonic()

    def wait():  # it shows life each time; its clock is wrong by hours
        if time.monotonic() - began > 2:  # much longer than the lease lasts
            raise TimeoutError
        write_json(folder / "00000001.json", {**ELSEWHERE, "renewed_s": time.time() - 9999 + time.monotonic() - began})

    with pytest.raises(TimeoutError), Lease(folder, wait, lasts_s=0.5):
        pass


def test_an_owner_on_another_machine_that_shows_no_life_loses_it(folder):
    write_json(folder / "00000001.json", {**ELSEWHERE, "renewed_s": time.time() - 9999})
    assert not is_held(folder)
    began = time.monotonic()
    with Lease(folder, lasts_s=0.5) as lease:
        assert time.monotonic() - began > 0.5
        assert lease.before["pid"] == 77


def test_an_owner_that_was_taken_for_dead_notices(folder):
    with Lease(folder) as lease:
        write_json(folder / "00000002.json", {**ELSEWHERE, "renewed_s": time.time()})
        assert lease.is_lost
        with pytest.raises(LeaseLost):
            lease.check()
    assert read_json(folder / "00000002.json")["pid"] == 77  # and leaves the new owner's file alone


def test_it_shows_life(folder):
    with Lease(folder, lasts_s=0.3):
        first, deadline = _renewals(folder), time.monotonic() + 10
        while _renewals(folder) == first and time.monotonic() < deadline:
            time.sleep(0.02)
        assert _renewals(folder) > first


def _renewals(folder) -> int:
    return newest(folder)[1].get("renewals", 0)


@pytest.mark.parametrize("content", ["", "[", "{}", '{"pid": "x"}', "null"])
def test_a_damaged_file_is_taken_over(folder, content):
    folder.mkdir()
    (folder / "00000004.json").write_text(content)
    with Lease(folder) as lease:
        lease.check()
    assert newest(folder)[0] == 5


def test_of_many_only_one_has_it_at_a_time(folder):
    inside, most = [], []

    def work():
        for _ in range(5):
            with Lease(folder, lambda: None):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.01)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 20


def test_a_zombie_has_nothing(folder):
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"has it\n"
    os.kill(child.pid, 9)
    deadline = time.monotonic() + 60
    while is_held(folder) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_held(folder)
    child.communicate()
