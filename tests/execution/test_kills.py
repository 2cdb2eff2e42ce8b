"""Sweeps whose processes are killed, at exact and at random moments: nothing is lost, repeated or changed."""

import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.kill_checks import check
from helpers.kill_harness import (
    DRIVER,
    INTERRUPTED,
    KILLED,
    STEPS_PER_EPOCH,
    KillPlace,
    Moment,
    disturb,
    new_random,
    shim,
)
from helpers.paths import TESTS

pytestmark = pytest.mark.slow

PACE_S = 0.1


def moments(kind: str, *places: tuple) -> list[Moment]:
    """Return moments of one kind; each place: pattern, number, "before" or "after"."""
    return [Moment(kind, pattern, number, when == "after") for pattern, number, when in places]


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> KillPlace:
    """The sweep run once, through Ray, never disturbed."""
    place = KillPlace(tmp_path_factory.mktemp("reference"), PACE_S)
    began = time.monotonic()
    ran = place.go_on()
    assert ran.returncode == 0, ran.stdout + ran.stderr
    place.duration_s = time.monotonic() - began
    assert len(place.written()) == 7 + 4 and set(place.written().values()) == {1}  # the shim is in all processes
    check(place, place)
    return place


@pytest.fixture
def place(tmp_path) -> KillPlace:
    return KillPlace(tmp_path, PACE_S)


LOCAL = {
    "training": moments(
        "rename",
        ("prefix/.*index.json$", 2, "before"),
        ("state.safetensors$", 2, "before"),
        ("state.safetensors$", 2, "after"),
        ("best.*safetensors$", 1, "after"),
        ("fit.json$", 1, "before"),
        ("fit.json$", 1, "after"),
        ("metrics.jsonl$", 3, "after"),
    ),
    "results": [
        *moments("rename", ("trials/.*predictions.test.parquet$", 1, "before"), ("test.json$", 1, "after")),
        *moments("rename", ("result.json$", 1, "before"), ("result.json$", 2, "after")),
        *moments("mlflow", ("create_run", 3, "after"), ("log_batch", 4, "before"), ("set_terminated", 2, "before")),
        *moments("rename", ("mlruns/reports/.*aggregate.json$", 1, "before")),
    ],
}
MORE = {
    "more training": moments(
        "rename",
        ("config.json$", 1, "before"),
        ("metrics.jsonl$", 6, "before"),
        ("best.*safetensors$", 1, "before"),
        ("fit.json$", 2, "before"),
        ("status.json$", 2, "after"),
    ),
    "more results": moments(
        "rename",
        ("trials/.*predictions.valid.parquet$", 1, "after"),
        ("trials/.*predictions.test.parquet$", 1, "after"),
        ("test.json$", 1, "before"),
        ("status.json$", 3, "before"),
        ("mlruns/reports/.*table.md$", 1, "after"),
    ),
    "more mlflow": moments(
        "mlflow",
        ("create_run", 3, "before"),
        ("log_batch", 6, "after"),
        ("log_artifact", 1, "after"),
        ("set_terminated", 2, "after"),
    ),
}


@pytest.mark.parametrize("group", [*LOCAL, *(pytest.param(name, marks=pytest.mark.long) for name in MORE)])
def test_a_run_killed_at_any_write_goes_on_from_there(place, reference, group):
    place.pace_s = 0
    for moment in {**LOCAL, **MORE}[group]:
        ran = place.go_on("--local", moments=(moment,))
        assert (ran.returncode, place.hits()) == (KILLED, {moment.name}), (moment, ran.stderr)
    place.finish("--local")
    check(place, reference)


def test_a_run_killed_while_mlflow_makes_its_database(place, reference):
    """It makes some forty tables one after the other, and does not open a database that has a part of them."""
    place.pace_s, generator = 0, new_random()
    for _ in range(3):
        with place.start("--local") as process:
            place.wait_until(lambda: list(place.ledger.glob("*mlflow.db*")), process)
            time.sleep(generator.uniform(0, 1))
            process.kill()
            place.ended(process)
    place.finish("--local")
    check(place, reference)


def test_a_worker_killed_at_any_write_costs_nothing(place, reference):
    """All in one run, that none of it ends: trials of lost processes are tried again."""
    places = [("state.safetensors$", 3, "before"), ("best.*safetensors$", 4, "after"), ("fit.json$", 2, "after")]
    places += [
        ("trials/.*predictions.test.parquet$", 3, "after"),
        ("result.json$", 3, "before"),
        ("result.json$", 4, "after"),
    ]
    chosen = moments("rename", *places)
    ran = place.go_on(moments=tuple(chosen))
    assert ran.returncode == 0, ran.stderr
    assert place.hits() == {moment.name for moment in chosen}
    check(place, reference)


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_driver_killed_while_a_result_is_written(place, reference, when):
    moment = Moment("rename", "result.json$", 2, when == "after", victim=DRIVER)
    ran = place.go_on(moments=(moment,))
    assert (ran.returncode, place.hits()) == (KILLED, {moment.name})
    place.finish()
    check(place, reference)


def test_a_driver_killed_at_random_moments(place, reference):
    generator = new_random()
    for _ in range(2):
        disturb(place, generator, 0.7 * reference.duration_s, [(DRIVER, "SIGKILL")])
    place.finish()
    check(place, reference)


ANYBODY = [(DRIVER, "SIGKILL"), (DRIVER, "SIGTERM"), (DRIVER, "SIGINT")]
ANYBODY += [(name, "SIGKILL") for name in ("ray::ResourceTrainable", "raylet", "gcs_server")]


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_anything_killed_at_random_moments_for_a_long_time(tmp_path, reference):
    """`KILLS_MINUTES` says how long (10); it is seeded, and printed, as the short one is."""
    generator, number = new_random(), 0
    ends = time.monotonic() + 60 * float(os.environ.get("KILLS_MINUTES", "10"))
    while time.monotonic() < ends:
        number += 1
        (folder := tmp_path / str(number)).mkdir()
        place = KillPlace(folder, PACE_S)
        while disturb(place, generator, reference.duration_s, ANYBODY) and time.monotonic() < ends:
            pass
        place.finish()
        check(place, reference)
        print(f"sweep {number}: {place.num_starts} starts")


def test_a_stopped_driver_keeps_every_step(place, reference):
    """SIGTERM and SIGINT in the middle of an epoch: exit 75, and no step that a checkpoint holds is lost."""
    for name, number in (("SIGTERM", 5), ("SIGINT", 9)):
        moment = Moment("rename", "metrics.jsonl$", number, victim=DRIVER, signal=name)
        ran = place.go_on(moments=(moment,))
        assert (ran.returncode, place.hits()) == (INTERRUPTED, {moment.name}), ran.stderr
        assert "run the same command again to continue" in ran.stderr and "Traceback" not in ran.stderr
    place.finish()
    check(place, reference)


def test_a_trial_stopped_in_the_middle_of_an_epoch_ends_with_the_same_bits(place, reference):
    place.pace_s = 0
    steps = []
    for name, number in (("SIGTERM", 3), ("SIGINT", 2)):  # of the first trial's steps
        moment = Moment("rename", "metrics.jsonl$", number, signal=name)
        ran = place.go_on("--local", moments=(moment,))
        assert (ran.returncode, place.hits()) == (INTERRUPTED, {moment.name}), ran.stderr
        steps += checkpoints(place)
    assert steps[1] > steps[0] > 0 and all(step % STEPS_PER_EPOCH for step in steps)
    place.finish("--local")
    check(place, reference)


def checkpoints(place: KillPlace) -> list[int]:
    """Return the step of each training state, from its file's header."""
    found = []
    for file in place.ledger.glob("fits/*/checkpoint/state.safetensors"):
        content = file.read_bytes()
        header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])
        found.append(json.loads(header["__metadata__"]["record"])["step"])
    return found


RAY = {"a trial's process": ("ray::ResourceTrainable",), "raylet": ("raylet",), "gcs_server": ("gcs_server",)}
RAY["raylet, then a trial's process"] = ("raylet", "ray::ResourceTrainable")  # which Ray cannot make anew then
IN_CI = ("gcs_server", "raylet, then a trial's process")


@pytest.mark.parametrize(
    "names", [pytest.param(RAY[key], id=key, marks=() if key in IN_CI else pytest.mark.long) for key in RAY]
)
def test_ray_killed_beneath_a_run(place, reference, names):
    """A trial's process is made anew; without Ray itself the run ends what it can, or says to run it again."""
    # At once: without its raylet a process lives for about a second.
    chosen = [Moment("rename", "metrics.jsonl$", 20, victim=name) for name in names]
    ran = place.go_on(moments=tuple(chosen))
    assert place.hits() == {moment.name for moment in chosen}
    assert ran.returncode in ((0,) if names == RAY["a trial's process"] else (0, INTERRUPTED)), ran.stderr
    assert "Traceback" not in ran.stderr
    place.finish()
    check(place, reference)


def test_the_sweep_file_is_the_target_state(place, reference):
    """A seed, a value, an axis more: only what is missing runs. A value less: nothing is removed."""
    place.pace_s = 0
    text = place.sweep.read_text()
    edits = {
        "axes: {readout: [discriminative, constant]}\nseeds: [1]": (2, 2),
        "axes: {readout: [discriminative, constant]}\nseeds: [1, 2]": (3, 3),
        "axes: {readout: [discriminative, generative, constant]}\nseeds: [1, 2]": (5, 5),
        "axes: {readout: [constant]}\nseeds: [2]": (1, 5),
        "axes: {readout: [discriminative, constant], adapter.rank: [4, 2]}\nseeds: [1]": (3, 6),
    }
    for keys, (num_wanted, num_kept) in edits.items():
        place.sweep.write_text(_with_keys(text, keys))
        ran = place.go_on("--local")  # which sees that nothing finished is touched
        ending = f"{num_wanted} of {num_wanted} trial{'s' if num_wanted > 1 else ''} complete, 0 failed"
        assert ran.returncode == 0 and ending in ran.stdout, ran.stdout + ran.stderr
        assert len(place.finished) == num_kept
    assert set(place.written().values()) == {1}


def _with_keys(text: str, keys: str) -> str:
    kept = [line for line in text.splitlines() if not line.startswith(("axes:", "seeds:", "compare:"))]
    return "\n".join([*kept, keys, ""])


def test_two_sweeps_that_share_trials_share_their_results(place, reference):
    place.pace_s = 0
    first = place.sweep
    place.sweep = place.folder / "other.yaml"
    place.sweep.write_text(_with_keys(first.read_text(), "axes: {readout: [expected_value, constant]}\nseeds: [1, 2]"))
    ran = place.go_on("--local")
    assert ran.returncode == 0 and "3 of 3 trials complete" in ran.stdout, ran.stderr
    fits = {file: file.stat().st_mtime_ns for file in place.ledger.glob("fits/*/fit.json")}
    place.sweep = first
    place.finish("--local")
    assert len(fits) == 2 and {file: file.stat().st_mtime_ns for file in fits} == fits
    check(place, reference)


def test_a_second_driver_is_refused_and_a_dead_one_makes_room(place, reference):
    with place.start() as process:
        place.wait_until(lambda: len(place.steps()) > 3, process)
        process.kill()
        process.communicate()
    with place.start() as next_one:  # at once: while what the dead driver started may still be there
        begun = len(place.steps())
        place.wait_until(lambda: len(place.steps()) > begun, next_one)
        second = place.run("--local")
        assert second.returncode == 2 and second.stdout == "" and "Traceback" not in second.stderr
        assert f"process {next_one.pid} on {socket.gethostname()}" in second.stderr
        ran = place.ended(next_one)  # unharmed
    assert ran.returncode == 0, ran.stderr
    check(place, reference)


@pytest.fixture
def two_nodes(tmp_path, place) -> Iterator[Path]:
    """A Ray cluster of two nodes with a slot each; yields the folder through which it is spoken to."""
    (folder := tmp_path / "nodes").mkdir()
    environment = {name: value for name, value in place.environment.items() if name != "OMNI_MSA_LEDGER"}
    environment |= shim(folder, 0.3)  # a worker lives for about a second without its raylet
    command = [sys.executable, str(TESTS / "helpers" / "two_nodes.py"), str(folder)]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, start_new_session=True) as process:
        place.wait_until((folder / "address").exists, process, 300)
        yield folder
        process.communicate(timeout=180)


def test_a_cluster_node_killed_in_mid_sweep(place, reference, two_nodes):
    address, raylet = (two_nodes / "address").read_text(), int((two_nodes / "raylet").read_text())
    with place.start("--address", address) as process:
        lost = place.wait_until(lambda: place.trained_under(raylet), process)
        (two_nodes / "remove").touch()
        place.wait_until((two_nodes / "removed").exists, process)
        ran = place.ended(process)
    assert ran.returncode == 0 and "Traceback" not in ran.stderr, ran.stderr
    assert json.loads((lost / "status.json").read_text())["attempt"] == 2  # was lost with its node
    check(place, reference)
