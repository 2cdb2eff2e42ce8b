"""DeepFilterNet, an external program that denoises speech: finding it, its version, and running it on a file."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from omni_msa.config.lookups import uses
from omni_msa.config.trial import TrialConfig
from omni_msa.errors import InputError, Problem

VARIABLE = "OMNI_MSA_DEEPFILTER"
PROGRAMS = ("deep-filter", "deepFilter")  # of the stand-alone program and of the Python package
SAMPLE_RATE_HZ = 48_000  # the only rate that the stand-alone program supports
SECONDS_MAX = 600.0  # time limit for one file, if no other limit is shorter
_WHAT = "DeepFilterNet is needed to denoise the audio"
_INSTALL = (
    "put the program deep-filter from the releases of github.com/Rikorose/DeepFilterNet on the PATH (its model is "
    "built in), or: python3.11 -m venv DIR && DIR/bin/pip install deepfilternet 'torch<2.9' 'torchaudio<2.9' && "
    f"export {VARIABLE}=DIR/bin/deepFilter (a separate environment, as it needs an older numpy; "
    "it downloads its model once)"
)
_PR_SET_PDEATHSIG = 1  # prctl(2)
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class DenoiserFailed(RuntimeError):
    """The program failed on a file; the message says why."""


def is_needed(config: TrialConfig) -> bool:
    """Return whether the audio of a trial is denoised."""
    return config.media.denoise != "none" and "audio" in config.modalities and uses(config, "media")


def check(cells: Iterable[tuple[str, TrialConfig]]) -> list[Problem]:
    """Return a problem if the program is needed but cannot be used.

    Args:
        cells: label and configuration of each cell that has trials to run.
    """
    labels = list(dict.fromkeys(label for label, config in cells if is_needed(config)))
    try:
        if labels:
            version()
    except InputError as error:
        (problem,) = error.problems
        where = f"media.denoise=deepfilternet (cells: {'; '.join(labels)})"
        return [Problem(problem.what, where, problem.got, problem.allowed, problem.next_step)]
    return []


def find() -> str | None:
    """Return the path of the program: `$OMNI_MSA_DEEPFILTER` if set, else the first one on the PATH, else None."""
    own = os.environ.get(VARIABLE)
    names = (os.path.expanduser(own),) if own else PROGRAMS
    return next(filter(None, map(shutil.which, names)), None)


def version() -> str:
    """Return name and version as printed by the program, such as `deep_filter 0.5.6`.

    Raises:
        InputError: the program is not installed, or does not print its version.
    """
    return _installed()[1]


def described(config: TrialConfig) -> dict[str, Any]:
    """Return the entry of a trial's provenance for the denoiser; {} if the audio is not denoised."""
    if not is_needed(config):
        return {}
    try:
        return {"denoiser": version()}
    except InputError:
        return {"denoiser": None}  # reading the audio reports the problem


def clean(noisy: Path, folder: Path, seconds_max: float = SECONDS_MAX) -> Path:
    """Denoise one file.

    Args:
        noisy: a wav file of 48 kHz and 16 bits, the only format that the stand-alone program reads.
        folder: an empty folder for the result.
        seconds_max: time limit after which the program is killed.

    Returns:
        the wav file written by the program, 48 kHz; it may be up to 40 ms shorter than the input.

    Raises:
        DenoiserFailed: the program ended with an error, took too long or wrote nothing.
        InputError: as `version`.
    """
    program, name = _installed()
    # Without -D the result of the stand-alone program is delayed by 30 ms; that of the Python package never is.
    options = [] if name.startswith("DeepFilterNet ") else ["-D"]
    _run([program, *options, "-o", str(folder), str(noisy)], seconds_max)
    written = list(folder.glob("*.wav"))  # the Python package adds the name of its model to the file name
    if len(written) != 1:
        raise DenoiserFailed("it reported no error but wrote no audio")
    return written[0]


def _installed() -> tuple[str, str]:
    """Return path and version of the program."""
    program = find()
    if program is None:
        own = os.environ.get(VARIABLE)
        got = f"{VARIABLE}={own} is not a program" if own else f"neither {' nor '.join(PROGRAMS)} is on the PATH"
        allowed = f"a program on the PATH, or its path in {VARIABLE}"
        raise InputError(Problem(_WHAT, "media.denoise", got, allowed, _INSTALL))
    try:
        return program, _version(program)
    except DenoiserFailed as error:
        raise InputError(Problem(_WHAT, "media.denoise", f"{program} --version: {error}", "", _INSTALL)) from error


@lru_cache
def _version(program: str) -> str:
    text = _run([program, "--version"], SECONDS_MAX).strip()
    if not text:
        raise DenoiserFailed("it prints nothing")
    return text.splitlines()[0].strip()


def _run(command: Sequence[str], seconds_max: float) -> str:
    """Run the program and return what it printed."""
    # On the CPU: GPUs belong to the trials, and the result must not depend on whether there is one.
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    with TemporaryDirectory() as folder:
        # Files, because a pipe would stay open as long as any child process of the program runs.
        out, err = Path(folder) / "out", Path(folder) / "err"
        try:
            with out.open("wb") as stdout, err.open("wb") as stderr:
                process = subprocess.run(
                    command,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    timeout=seconds_max,
                    preexec_fn=_die_with_parent,
                )
        except subprocess.TimeoutExpired as error:
            raise DenoiserFailed(f"it takes more than {seconds_max:g} s") from error
        except OSError as error:
            raise DenoiserFailed(error.strerror or str(error)) from error
        printed = [file.read_text(encoding="utf-8", errors="replace").strip() for file in (out, err)]
    if process.returncode:
        raise DenoiserFailed((printed[1] or f"exit code {process.returncode}").splitlines()[-1].strip())
    return printed[0]


def _die_with_parent() -> None:
    """Run in the new process: a worker that is killed for taking too long must not leave the program running."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
