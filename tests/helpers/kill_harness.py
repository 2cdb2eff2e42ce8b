"""Sweeps that are killed, gone on with, and compared with one that never was."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil

from helpers.place import Place
from helpers.tiny_trials import SENTENCES

PROFILE = """
dataset: {name: vader_av, num_train: 16, num_valid: 4, num_test: 4}
modalities: [text]
backbone: {name: tiny}
adapter: {rank: 4, alpha: 8.0, dropout: 0.1, towers: [text], text_layers: last_2}
readout: {name: discriminative}
training: {epochs: 6, batch_size: 2, learning_rate: 1.0e-2, learning_rate_readout: 1.0e-2}
runtime: {device: cpu}
"""
STEPS_PER_EPOCH, NUM_ROWS = 8, 24  # a row every two steps
DATASET = {"name": "vader_av", "num_train": 16, "num_valid": 4, "num_test": 4}
MORE = [(split, round(label * 0.9, 1), f"{text}, they say") for split, label, text in SENTENCES if split == "train"]
SHIM = Path(__file__).with_name("kill_shim.py")
INTERRUPTED, KILLED = 75, -signal.SIGKILL
DRIVER = "orchestrate.py"
SILENCE_S = 10.0  # so long may anything of a sweep outlive its driver


@dataclass(frozen=True)
class Moment:
    """When to kill what.

    Args:
        kind: "rename", "open" or "remove" of a path that the pattern is found in (of a rename: the new name), or
            "mlflow": the call of the client's method that the pattern names.
        number: of such events over all processes of the run, counted from 1.
        is_after: once it has been done, else just before.
        victim: "self", or the name of a program or script, or the start of a title, of the processes to kill.
    """

    kind: str
    pattern: str
    number: int = 1
    is_after: bool = False
    victim: str = "self"
    signal: str = "SIGKILL"

    @property
    def name(self) -> str:
        """A file name for it."""
        when = "after" if self.is_after else "before"
        words = "".join(letter for letter in self.pattern if letter.isalnum() or letter in "._")
        whom = "".join(letter for letter in self.victim if letter.isalnum())
        return f"{when}_{self.kind}_{words}_{self.number}_{whom}"


def shim(folder: Path, pace_s: float, moments: tuple[Moment, ...] = ()) -> dict[str, str]:
    """Return what an environment needs so that its processes wait at each write of `metrics.jsonl`, and are killed."""
    for name in ("path", "pids"):
        (folder / name).mkdir(parents=True)
    shutil.copy(SHIM, folder / "path" / "sitecustomize.py")
    (folder / "moments.json").write_text(json.dumps([{**asdict(each), "name": each.name} for each in moments]))
    path = os.pathsep.join(filter(None, [str(folder / "path"), os.environ.get("PYTHONPATH")]))
    return {"PYTHONPATH": path, "KILLS": str(folder), "KILLS_PACE_S": str(pace_s)}


class KillPlace(Place):
    """A sweep of seven tiny trials, whose drivers are killed.

    Args:
        folder: exists and is empty.
        sweep: what the sweep file holds, by default seven trials.
        pace_s: how long each write of `metrics.jsonl` waits, so that a random moment falls into the training.
    """

    def __init__(self, folder: Path, pace_s: float = 0.0, **files: str) -> None:
        super().__init__(folder, PROFILE, dataset=DATASET, sentences=(*MORE, *SENTENCES), **files)
        self.pace_s, self.num_starts = pace_s, 0
        self.finished: dict[str, dict[str, tuple[int, str]]] = {}
        self.moments: list[Moment] = []

    def start(self, *arguments: str, moments: tuple[Moment, ...] = (), sweep: Path | None = None) -> subprocess.Popen:
        """Start the command with moments at which it, or what belongs to it, is killed."""
        self.num_starts += 1
        self.environment |= shim(self.folder / "kills" / str(self.num_starts), self.pace_s, moments)
        return super().start(*arguments, sweep=sweep)

    def hits(self) -> set[str]:
        """Return the names of the moments of the last start that have come and found somebody to kill."""
        files = (self.folder / "kills" / str(self.num_starts)).glob("*.hit")
        return {file.stem for file in files if file.read_text()}

    def go_on(self, *arguments: str, moments: tuple[Moment, ...] = ()) -> subprocess.CompletedProcess:
        """Run the command until it ends or is killed; see that nothing is left and nothing finished was touched."""
        with self.start(*arguments, moments=moments) as process:
            return self.ended(process)

    def ended(self, process: subprocess.Popen, timeout_s: float = 450) -> subprocess.CompletedProcess:
        """Wait for a command's end, then look around: no process, no change to what had been finished before."""
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"it hung: {process.communicate()}") from None
        self.silence()
        self.look()
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def finish(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run the same command until it is complete: at once, unless it says that it was interrupted."""
        for _ in range(3):
            ran = self.go_on(*arguments)
            if ran.returncode != INTERRUPTED:
                break
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran

    def processes(self, name: str = "") -> list[psutil.Process]:
        """Return what runs for this ledger on this machine; name: of a program or script, or the start of a title."""
        found = [process for process in psutil.process_iter() if self._is_ours(process)]
        return [process for process in found if any(_is_named(word, name) for word in _command(process)[:2])]

    def _is_ours(self, process: psutil.Process) -> bool:
        """Judge by the environment, or by the note that Python left: a process may overwrite its own environment."""
        with suppress(psutil.Error, OSError):
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            if process.environ().get("OMNI_MSA_LEDGER") == str(self.ledger):
                return True
            notes = [file.read_text() for file in self.folder.glob(f"kills/*/pids/{process.pid}")]
            return _started(process.pid) in notes
        return False

    def silence(self) -> float:
        """Wait until no process of the sweep is left and return how many seconds that took; fails after ten."""
        began = time.monotonic()
        while left := self.processes():
            names = [(process.pid, " ".join(_command(process))[:200]) for process in left]
            assert time.monotonic() - began < SILENCE_S, f"left after {SILENCE_S} s: {names}"
            time.sleep(0.2)
        return time.monotonic() - began

    def look(self) -> None:
        """What was finished at the last look must be there unchanged: same content, not even written again."""
        now = {folder.name: _files(folder) for folder in self._finished_folders()}
        for name, files in self.finished.items():
            assert now.get(name) == files, f"{name} had been finished and was touched"
        self.finished = now

    def _finished_folders(self) -> list[Path]:
        return [file.parent for file in self.ledger.glob("trials/*/result.json")]

    def steps(self) -> list[int]:
        """Return the steps of all rows of all trials' `metrics.jsonl`."""
        return [row["step"] for folder in self.ledger.glob("trials/*") for row in rows(folder)]

    def trained_under(self, pid: int) -> Path | None:
        """Return the folder of the trial that a process or one of its descendants has trained, at most half by now."""
        pids = {pid, *(process.pid for process in psutil.Process(pid).children(recursive=True))}
        for file in self.ledger.glob("trials/*/status.json"):
            status = json.loads(file.read_text())
            is_its = status["state"] == "running" and status["pid"] in pids
            if is_its and 2 < len(rows(file.parent)) < NUM_ROWS // 2:
                return file.parent
        return None

    def wait_until(self, is_so: Callable[[], Any], process: subprocess.Popen, timeout_s: float = 240) -> Any:
        """Wait while a command runs until something is true, and return it; fails if the command ends before."""
        deadline = time.monotonic() + timeout_s
        while not (found := is_so()):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "it did not come to that"
            time.sleep(0.05)
        return found

    def written(self) -> dict[str, int]:
        """Return how often each `result.json` and `fit.json` was written, over all starts."""
        lines = [line for file in (self.folder / "kills").glob("*/journal") for line in file.read_text().splitlines()]
        return {line: lines.count(line) for line in lines}


def _command(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return process.cmdline() or [""]
    return [""]


def _is_named(word: str, name: str) -> bool:
    return word.startswith(name) or word.endswith(name)


def _started(pid: int) -> str:
    """Return field 22 of proc(5) stat: when the process started."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def _files(folder: Path) -> dict[str, tuple[int, str]]:
    return {
        file.name: (file.stat().st_mtime_ns, sha256(file.read_bytes()).hexdigest())
        for file in sorted(folder.iterdir())
        if file.is_file() and not file.name.startswith(".")
    }


def rows(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a trial's `metrics.jsonl` without what tells of the machine: time of day, memory and such."""
    file = folder / "metrics.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    kept = [json.loads(line).items() for line in lines]
    return [{key: value for key, value in items if not key.startswith(("time", "system_"))} for items in kept]


def disturb(place: KillPlace, generator: random.Random, duration_s: float, names: Sequence[tuple[str, str]]) -> int:
    """Start the command, kill something at a random moment, wait for the end, and return the exit code.

    Args:
        place: of the sweep.
        generator: chooses.
        duration_s: of a run that is not disturbed.
        names: (whom, signal) to choose from; whom as in `KillPlace.processes`.
    """
    wait_s, (name, number) = generator.uniform(0, duration_s), generator.choice(names)
    print(f"{number} for {name} after {wait_s:.2f} s", end="", flush=True)
    with place.start() as process:
        time.sleep(wait_s)
        for victim in place.processes(name)[:1]:
            with suppress(psutil.Error):
                victim.send_signal(getattr(signal, number))
        ran = place.ended(process)
    print(f": exit {ran.returncode}, {len(place.finished)} done", flush=True)
    if name != DRIVER or ran.returncode != -getattr(signal, number):  # else it was killed, or had not begun
        assert ran.returncode in (0, INTERRUPTED) and "Traceback" not in ran.stderr, ran.stderr
    return ran.returncode


def new_random() -> random.Random:
    """Return random moments, the same again where `KILLS_SEED` is that of a run that failed; prints the seed."""
    seed = int(os.environ.get("KILLS_SEED") or random.SystemRandom().randrange(10**6))
    print(f"KILLS_SEED={seed}")
    return random.Random(seed)
