"""Time and memory of the main job on this machine, started as a user would start it.

    python benchmarks/main_job.py

Runs `sweeps/readout_comparison.yaml` in an empty ledger with an empty cache, again (nothing to do), with three new
seeds, and `--plan`; prints seconds and the peak resident memory of all processes together.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
SAMPLE_S = 0.5
CASES = (
    ("first run, nothing cached", []),
    ("the same again, all done", []),
    ("three new seeds, warm caches", ["seeds=[2111, 2112, 2113]"]),
    ("--plan", ["--plan"]),
)


def tree_gb(process: psutil.Process) -> float:
    """Return the resident memory of a process and its descendants in GB (shared pages counted once a process)."""
    total = 0
    for each in [process, *process.children(recursive=True)]:
        try:
            total += each.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 1e9


def measure(arguments: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Run the command line once; return seconds and peak memory in GB."""
    command = [sys.executable, "orchestrate.py", "sweeps/readout_comparison.yaml", *arguments]
    started, peak = time.perf_counter(), 0.0
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as running:
        process = psutil.Process(running.pid)
        while running.poll() is None:
            try:
                peak = max(peak, tree_gb(process))
            except psutil.NoSuchProcess:
                break
            time.sleep(SAMPLE_S)
    if running.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with exit code {running.returncode}")
    return time.perf_counter() - started, peak


def main() -> None:
    """Print a small table."""
    with tempfile.TemporaryDirectory() as folder:
        places = {"OMNI_MSA_CACHE": f"{folder}/cache", "OMNI_MSA_LEDGER": f"{folder}/mlruns"}
        print("| run | seconds | peak memory (GB) |\n|---|---|---|")
        for name, arguments in CASES:
            seconds, peak = measure(arguments, {**os.environ, **places})
            print(f"| {name} | {seconds:.1f} | {peak:.1f} |", flush=True)


if __name__ == "__main__":
    main()
