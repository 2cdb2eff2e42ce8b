"""A helper process that ends what a killed driver has started, and then itself: `python -m omni_msa.execution.reaper`.

Ray's own processes notice the death of their driver late, some after more than a minute. All processes that a driver
starts inherit an environment variable with the name of its scratch folder, by which they are found; no other process
is ended.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

SCRATCH_VARIABLE = "OMNI_MSA_SCRATCH"
PATIENCE_S = 10.0
_FAREWELL = b"done"
_OWN_END_S = 3.0  # Ray's processes need about a second to end by themselves


@contextmanager
def reaper(scratch: Path) -> Iterator[None]:
    """Run a reaper process for the processes that this one starts within the block.

    Args:
        scratch: the driver's scratch folder, which the environment names as `SCRATCH_VARIABLE`.
    """
    environment = {name: value for name, value in os.environ.items() if name != SCRATCH_VARIABLE}
    command = [sys.executable, "-m", __name__, str(scratch)]
    # In a session of its own, so that Ctrl-C or a kill of the process group does not reach it.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, start_new_session=True)
    try:
        yield
    finally:
        with suppress(BrokenPipeError):
            process.communicate(_FAREWELL)


def main(scratch: str) -> None:
    """Wait until the driver signs off or dies, then end the processes it started and remove its scratch folder.

    Args:
        scratch: the driver's scratch folder.
    """
    is_farewell = sys.stdin.buffer.read() == _FAREWELL
    now_s = time.monotonic()
    own_end_s = now_s + (_OWN_END_S if is_farewell else 0.0)
    while (processes := started_by(scratch)) and time.monotonic() < now_s + PATIENCE_S:
        if time.monotonic() > own_end_s:
            for process in processes:
                with suppress(psutil.Error):
                    process.kill()
        time.sleep(0.1)
    shutil.rmtree(scratch, ignore_errors=True)


def started_by(scratch: str) -> list[psutil.Process]:
    """Return the living processes that the driver with this scratch folder has started, directly or indirectly."""
    processes = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            environment = process.environ()
            is_marked = environment.get(SCRATCH_VARIABLE) == scratch if environment else _has_open(process, scratch)
            if is_marked and process.status() != psutil.STATUS_ZOMBIE:
                processes.append(process)
    return processes


def _has_open(process: psutil.Process, folder: str) -> bool:
    """Return whether a process has a file of the folder open; Ray's agents hide their environment but log there."""
    return any(file.path.startswith(f"{folder}/") for file in process.open_files())


if __name__ == "__main__":
    main(sys.argv[1])
