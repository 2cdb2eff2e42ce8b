"""A disk that fills in mid-sweep, for real: a small file system in a name space of its own."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas
import pytest

from helpers.place import ROOT, Place

pytestmark = pytest.mark.slow

# $1 ledger, $2 MB left free, $3 where the ledger is copied to; the rest is the command.
SCRIPT = """
set -e
ledger=$1 left=$2 copy=$3; shift 3
mkdir -p "$ledger"
mount -t tmpfs -o size=40m tmpfs "$ledger"
"$@" >"$copy.first" 2>&1 & pid=$!
until ls "$ledger"/fits/*/checkpoint/state.safetensors >/dev/null 2>&1; do kill -0 $pid; sleep 0.05; done
free=$(df --output=avail -k "$ledger" | tail -1)
head -c $(( (free - left * 1024) * 1024 )) /dev/zero >"$ledger/filler" 2>/dev/null || true
code=0; wait $pid || code=$?; echo "first $code"
find "$ledger" -name '.*' -type f
rm "$ledger/filler"
code=0; "$@" >"$copy.second" 2>&1 || code=$?; echo "second $code"
cp -r "$ledger" "$copy"
"""
MORE = ("training.epochs=40", "axes.readout=[discriminative,constant]")


def can_mount() -> bool:
    command = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    return bool(shutil.which("unshare")) and subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="this system lets nobody mount a small disk")
@pytest.mark.parametrize(
    ("reserve_gb", "left_mb", "message"),
    [(0.02, 10, "is nearly full"), (0.0, 0, "the disk is full")],
    ids=["nearly full", "full"],
)
def test_a_disk_that_fills_stops_the_sweep_tears_nothing_and_loses_nothing(
    tmp_path: Path, reserve_gb: float, left_mb: int, message: str
) -> None:
    (tmp_path / "a").mkdir()
    place = Place(tmp_path / "a")
    copy = tmp_path / "copy"
    orchestrate = [sys.executable, str(ROOT / "orchestrate.py"), str(place.sweep), "--local", *MORE]
    command = ["unshare", "-rm", "bash", "-c", SCRIPT, "-", str(place.ledger), str(left_mb), str(copy)]
    told = subprocess.run(
        [*command, *orchestrate, f"runtime.disk_reserve_gb={reserve_gb}"],
        env=place.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    first = Path(f"{copy}.first").read_text()
    assert told.stdout.splitlines() == ["first 75", "second 0"], told.stdout + told.stderr + first
    assert message in first and "run the same command again to continue" in first and "Traceback" not in first
    reference = place.run("--local", *MORE)
    assert reference.returncode == 0, reference.stderr
    for folder in place.ledger.glob("trials/*"):
        twin = copy / "trials" / folder.name
        assert json.loads((twin / "test.json").read_text()) == json.loads((folder / "test.json").read_text())
        for split in ("valid", "test"):
            name = f"predictions.{split}.parquet"
            pandas.testing.assert_frame_equal(pandas.read_parquet(twin / name), pandas.read_parquet(folder / name))
