"""The process that outlives a killed driver by seconds, to end what it started: `python -m omni_msa.execution.reaper`.

Ray's own processes notice the death of their driver late, some after more than a minute. Everything a driver starts
inherits an environment variable with the name of its scratch folder; by that it is found, and nothing else is touched.
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
_OWN_END_S = 3.0  # Ray's processes that were told to end need about a second


@contextmanager
def reaper(scratch: Path) -> Iterator[None]:
    """Have a process look after what this one starts within the block.

    Args:
        scratch: the driver's folder, named in the environment as `SCRATCH_VARIABLE`.
    """
    environment = {name: value for name, value in os.environ.items() if name != SCRATCH_VARIABLE}
    command = [sys.executable, "-m", __name__, str(scratch)]
    # A session of its own: Ctrl-C and a killed process group are not meant for it.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, start_new_session=True)
    try:
        yield
    finally:
        with suppress(BrokenPipeError):
            process.communicate(_FAREWELL)


def main(scratch: str) -> None:
    """Wait until the driver says farewell or dies, then end what it started and remove its folder.

    Args:
        scratch: the driver's folder.
    """
    is_farewell = sys.stdin.buffer.read() == _FAREWELL
    now_s = time.monotonic()
    own_end_s = now_s + (_OWN_END_S if is_farewell else 0.0)
    while (left := started_by(scratch)) and time.monotonic() < now_s + PATIENCE_S:
        if time.monotonic() > own_end_s:
            for process in left:
                with suppress(psutil.Error):
                    process.kill()
        time.sleep(0.1)
    shutil.rmtree(scratch, ignore_errors=True)


def started_by(scratch: str) -> list[psutil.Process]:
    """Return the living processes that the driver with this scratch folder started, and those that they started."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            environment = process.environ()
            is_marked = environment.get(SCRATCH_VARIABLE) == scratch if environment else _has_open(process, scratch)
            if is_marked and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _has_open(process: psutil.Process, folder: str) -> bool:
    """Ray's agents write their title over their environment; but their logs lie in the folder."""
    return any(file.path.startswith(f"{folder}/") for file in process.open_files())


if __name__ == "__main__":
    main(sys.argv[1])
