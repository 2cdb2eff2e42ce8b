"""Cost of orchestration besides training: overhead per trial, a large ledger, resuming after a kill.

    python benchmarks/orchestration.py [overhead] [ledger] [kill]

Without a word all three parts run. Trials train a random network of a few thousand weights on made-up sentences, or
nothing at all; everything lies in a temporary folder.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean

import psutil

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from helpers.place import PROFILE, Place

NUM_TINY = 50
SIZES = (200, 2000)
NUM_CELLS = 20
NUM_CLIPS = 120
POLL_S = 0.05
TINY = "question: What does a trial cost?\nprofile: small\naxes: {readout: [discriminative]}\n"
LARGE = (
    "question: Is a large ledger quick?\nprofile: small\naxes: {readout: [discriminative, generative], adapter.rank: "
)
LARGE += f"{list(range(1, NUM_CELLS // 2 + 1))}}}\ncompare: {{against: {{readout: discriminative, adapter.rank: 1}}}}\n"


def row(*texts: object) -> None:
    """Print a row of a table."""
    print("|", " | ".join(map(str, texts)), "|", flush=True)


def head(*texts: str) -> None:
    """Print the head of a table."""
    print()
    row(*texts)
    row(*["---"] * len(texts))


def own_peak_mb(process: subprocess.Popen[bytes]) -> float:
    """Wait until a process has ended; return the peak of its own resident memory, without its children's."""
    peak = 0
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = max([peak, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))])
        except OSError:
            break
        time.sleep(POLL_S)
    process.wait()
    return peak / 1000


def measure(place: Place, command: list[str], allowed: tuple[int, ...] = (0,)) -> tuple[float, float]:
    """Run a command in a fresh process; return its seconds and its peak memory in MB."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=ROOT, env=place.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    peak_mb = own_peak_mb(process)
    seconds = time.perf_counter() - started
    assert process.stderr is not None
    if process.returncode not in allowed:
        raise SystemExit(f"{command} ended with {process.returncode}: {process.stderr.read().decode()}")
    return seconds, peak_mb


def orchestrate(place: Place, *arguments: str) -> list[str]:
    """Return a command line."""
    return [sys.executable, str(ROOT / "orchestrate.py"), str(place.sweep), *arguments]


def gaps(ledger: Path) -> list[float]:
    """Return the seconds between the end of each trial and the start of the next one in the same process.

    An attempt begins by writing config.json and ends by writing provenance.json a last time.
    """
    from omni_msa.system.files import read_json

    spans = defaultdict(list)
    for folder in (ledger / "trials").iterdir():
        status = read_json(folder / "status.json") or {}
        begun, ended = ((folder / f"{name}.json").stat().st_mtime for name in ("config", "provenance"))
        spans[status["pid"]].append((begun, ended))
    pairs = [pair for each in spans.values() for pair in zip(sorted(each), sorted(each)[1:], strict=False)]
    return [later[0] - earlier[1] for earlier, later in pairs]


def stand_in():  # type: ignore[no-untyped-def]
    """Return a training function that does nothing; it is pickled by value for Ray's processes."""

    def train(config, folder, fit, resident, should_stop):  # type: ignore[no-untyped-def]
        folder.write_test_metrics({"mae": 1.0})
        folder.complete({"valid": {"mae": 1.0}, "cost": {"train_s": 0.0}})

    return train


def run_stand_ins(root: Path, num_slots: int) -> None:
    """Run trials that do nothing through Ray."""
    from helpers.stand_ins import make_job
    from omni_msa.execution import ray_runner
    from omni_msa.execution.driver import sole_driver
    from omni_msa.execution.job_queue import JobQueue
    from omni_msa.execution.ray_cluster import Workers
    from omni_msa.ledger.ledger import Ledger

    jobs = [make_job(root, f"t{number}", f"f{number}") for number in range(NUM_TINY)]
    with sole_driver(Ledger(root)) as seat:
        queue = JobQueue(jobs, lambda: False)
        ray_runner.run(queue, Workers(num_slots), seat.scratch, root, lambda: False, list, stand_in())


def overhead(folder: Path) -> None:
    """Print the time between trials."""
    head(f"{NUM_TINY} tiny trials", "mean s between trials", "largest", "whole run (s)")
    for name in ("nothing is trained", "tiny network"):
        within = folder / name.replace(" ", "_")
        within.mkdir()
        started = time.perf_counter()
        if name == "tiny network":
            place = Place(within, sweep=TINY + f"seeds: {list(range(NUM_TINY))}\n")
            ledger = place.ledger
            measure(place, orchestrate(place))
        else:
            ledger = within / "mlruns"
            run_stand_ins(ledger, 2)
        seconds = time.perf_counter() - started
        found = gaps(ledger)
        row(f"{name}, {len(found)} gaps", f"{mean(found):.3f}", f"{max(found):.3f}", f"{seconds:.1f}")


def fill(place: Place) -> None:
    """Complete every trial of the place's sweep in its ledger."""
    import pandas as pd

    from omni_msa.ledger.ledger import Ledger
    from omni_msa.planning.plan import make_plan
    from omni_msa.sweep.sweep import load_sweep

    ledger = Ledger(place.ledger)
    clips = [f"clip_{number}" for number in range(NUM_CLIPS)]
    for number, trial in enumerate(make_plan(load_sweep(place.sweep), ledger).trials):
        folder, value = ledger.trial(trial.trial_id), 0.5 + number % 97 / 200
        quality = {"mae": value, "corr": 1 - value, "acc7": value, "acc2_non0": value, "f1_non0": value}
        frame = pd.DataFrame({"clip_id": clips, "label": 0.5, "score": value, "text": "", "parsed": True})
        folder.begin(trial.config, {"attempt_s": 9.0})
        folder.write_metrics(
            [{"step": 2 * n, "epoch": n, "train_loss": value, "valid_mae": value} for n in (1, 2, 3, 4)]
        )
        for split in ("valid", "test"):
            folder.write_predictions(split, frame)
        folder.write_test_metrics(quality)
        cost = {"train_s": 8.0, "latency_s": 0.1, "peak_memory_gb": 0.5, "trainable_parameters": 1000}
        folder.complete({"fit_id": trial.fit_id, "seed": trial.config.seed, "valid": quality, "cost": cost})


TABLES = """
from pathlib import Path
from omni_msa.report.write import write_report
from omni_msa.ledger.ledger import Ledger
from omni_msa.planning.plan import make_plan
from omni_msa.sweep.sweep import load_sweep
import sys
write_report(make_plan(load_sweep(Path(sys.argv[1])), Ledger(Path(sys.argv[2]))))
"""


def large_ledgers(folder: Path) -> None:
    """Print time and memory for reading a large ledger."""
    head("finished trials", "command", "s", "driver's peak (MB)")
    for size in SIZES:
        within = folder / f"ledger_{size}"
        within.mkdir()
        place = Place(within, sweep=LARGE + f"seeds: {list(range(size // NUM_CELLS))}\n")
        fill(place)
        more = f"seeds={list(range(size // NUM_CELLS + 1))}"
        one_more = "axes.readout=[discriminative, generative, constant]"
        cases = {
            "--plan": orchestrate(place, "--plan"),
            f"--plan, {NUM_CELLS} trials to run": orchestrate(place, "--plan", more),
            "--status": orchestrate(place, "--status"),
            "tables alone": [sys.executable, "-c", TABLES, str(place.sweep), str(place.ledger)],
            "--report, MLflow empty": orchestrate(place, "--report"),
            "--report, MLflow has all": orchestrate(place, "--report"),
            "a run with one trial missing": orchestrate(place, one_more),
        }
        for name, command in cases.items():
            seconds, peak_mb = measure(place, command)
            row(size, name, f"{seconds:.1f}", f"{peak_mb:.0f}")


def at_work(place: Place, least_step: int) -> set[int]:
    """Return the processes whose trials are running and have made at least this many steps."""
    from omni_msa.ledger.trial_folder import TrialFolder

    found = [TrialFolder(path).status() for path in place.ledger.glob("trials/*")]
    return {status.pid for status in found if status.state == "running" and status.step >= least_step}


def wait_for_two(place: Place, before: set[int]) -> tuple[float, float]:
    """Wait for two new processes; return the seconds until both have started, and until both have made a step."""
    started, found = time.perf_counter(), []
    for least_step in (0, 1):
        while len(at_work(place, least_step) - before) < 2:
            if time.perf_counter() - started > 300:
                raise SystemExit("no two trials came to life within five minutes")
            time.sleep(POLL_S)
        found.append(time.perf_counter() - started)
    return found[0], found[1]


def import_s() -> tuple[float, float]:
    """Return the import time in seconds of the driver, and of two concurrent workers."""

    def once(modules: str) -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import {modules}"], check=True, cwd=ROOT)
        return time.perf_counter() - started

    workers = "ray.tune, torch, transformers, peft, omni_msa.training.train"
    with ThreadPoolExecutor() as pool:
        return once("orchestrate, ray.tune"), max(pool.map(once, [workers] * 2))


def after_a_kill(folder: Path) -> None:
    """Print how long slots stay empty after a driver is killed and restarted at once."""
    profile = PROFILE.replace("epochs: 2", "epochs: 100000").replace("device: cpu", "device: cpu, trials_at_once: 2")
    within = folder / "kill"
    within.mkdir()
    place = Place(within, profile=profile, sweep=TINY + "seeds: [1, 2]\n")
    head("after SIGKILL of the driver", "s")
    imports = [import_s()]
    with place.start() as first:
        cold = wait_for_two(place, set())
        before = at_work(place, 0)
        first.kill()
        with place.start() as second:
            again = wait_for_two(place, before)
            second.send_signal(signal.SIGINT)
            second.communicate(timeout=60)
        first.communicate(timeout=60)
    imports.append(import_s())
    driver_s, worker_s = (min(each) for each in zip(*imports, strict=True))  # of a busy machine: subtract too little
    row("first start until two trials have begun", f"{cold[0]:.1f}")
    row("first start until both have made a step", f"{cold[1]:.1f}")
    row("start again until two trials have begun", f"{again[0]:.1f}")
    row("start again until both have made a step", f"{again[1]:.1f}")
    row("imports of the driver (alone; the faster of two)", f"{driver_s:.1f}")
    row("imports of two workers side by side (likewise)", f"{worker_s:.1f}")
    row("until both have made a step, without imports", f"{again[1] - driver_s - worker_s:.1f}")


PARTS = {"overhead": overhead, "ledger": large_ledgers, "kill": after_a_kill}


def main() -> None:
    """Run the named parts, or all."""
    os.environ.update(OMP_NUM_THREADS="1")
    print(f"{psutil.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or PARTS:
            PARTS[name](Path(folder))


if __name__ == "__main__":
    main()
