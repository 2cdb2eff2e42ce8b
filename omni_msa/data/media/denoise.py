"""DeepFilterNet, a program of others that takes noise out of speech: found, asked for its version, run on one file."""

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
PROGRAMS = ("deep-filter", "deepFilter")  # the stand-alone program and the Python package's
SAMPLE_RATE_HZ = 48_000  # the only rate that the stand-alone program is made for
SECONDS_MAX = 600.0  # for one file, where no other limit ends it before
_WHAT = "DeepFilterNet is needed to take the noise out of the sound"
_INSTALL = (
    "put the program deep-filter from the releases of github.com/Rikorose/DeepFilterNet on the PATH (its model is "
    "built in), or: python3.11 -m venv DIR && DIR/bin/pip install deepfilternet 'torch<2.9' 'torchaudio<2.9' && "
    f"export {VARIABLE}=DIR/bin/deepFilter (it needs another numpy than this program; it fetches its model once)"
)
_PR_SET_PDEATHSIG = 1  # prctl(2)
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class DenoiserFailed(RuntimeError):
    """The program did not do its work on a file; the message says why."""


def is_needed(config: TrialConfig) -> bool:
    """Return whether a trial's sound is denoised."""
    return config.media.denoise != "none" and "audio" in config.modalities and uses(config, "media")


def check(cells: Iterable[tuple[str, TrialConfig]]) -> list[Problem]:
    """Return a problem if the program is needed and cannot be used, else none.

    Args:
        cells: label and configuration of each cell whose trials are to run.
    """
    labels = list(dict.fromkeys(label for label, config in cells if is_needed(config)))
    try:
        if labels:
            version()
    except InputError as error:
        (found,) = error.problems
        where = f"media.denoise=deepfilternet (cells: {'; '.join(labels)})"
        return [Problem(found.what, where, found.got, found.allowed, found.next_step)]
    return []


def find() -> str | None:
    """Return the program's path: what `$OMNI_MSA_DEEPFILTER` names, else the first found on the PATH; None if none."""
    own = os.environ.get(VARIABLE)
    names = (os.path.expanduser(own),) if own else PROGRAMS
    return next(filter(None, map(shutil.which, names)), None)


def version() -> str:
    """Return what the program calls itself, such as `deep_filter 0.5.6`.

    Raises:
        InputError: it is not installed, or does not even tell its version.
    """
    return _installed()[1]


def described(config: TrialConfig) -> dict[str, Any]:
    """Return for a trial's provenance which program denoised its sound: {} if it needs none."""
    if not is_needed(config):
        return {}
    try:
        return {"denoiser": version()}
    except InputError:
        return {"denoiser": None}  # where the sound is read it is said what is wrong


def clean(noisy: Path, folder: Path, seconds_max: float = SECONDS_MAX) -> Path:
    """Denoise one file.

    Args:
        noisy: wav of 48 kHz and 16 bits, the only ones that the stand-alone program reads.
        folder: an empty one for the result.
        seconds_max: after so long the program is killed.

    Returns:
        the wav that the program wrote: 48 kHz; it may end up to 40 ms before the sound does.

    Raises:
        DenoiserFailed: it ended with an error, took too long or wrote nothing.
        InputError: as `version`.
    """
    program, name = _installed()
    # The stand-alone program's result comes 30 ms late unless told otherwise; the Python package's never does.
    options = [] if name.startswith("DeepFilterNet ") else ["-D"]
    _run([program, *options, "-o", str(folder), str(noisy)], seconds_max)
    written = list(folder.glob("*.wav"))  # the Python package adds the model's name to the file's
    if len(written) != 1:
        raise DenoiserFailed("it ended well but wrote no sound")
    return written[0]


def _installed() -> tuple[str, str]:
    """Return the program's path and its version."""
    program = find()
    if program is None:
        own = os.environ.get(VARIABLE)
        got = f"{VARIABLE}={own} names no program" if own else f"neither {' nor '.join(PROGRAMS)} is on the PATH"
        raise InputError(
            Problem(_WHAT, "media.denoise", got, f"a program on the PATH, or named by {VARIABLE}", _INSTALL)
        )
    try:
        return program, _version(program)
    except DenoiserFailed as error:
        raise InputError(Problem(_WHAT, "media.denoise", f"{program} --version: {error}", "", _INSTALL)) from error


@lru_cache
def _version(program: str) -> str:
    text = _run([program, "--version"], SECONDS_MAX).strip()
    if not text:
        raise DenoiserFailed("it says nothing")
    return text.splitlines()[0].strip()


def _run(command: Sequence[str], seconds_max: float) -> str:
    """Run the program and return what it printed."""
    # On the CPU: the cards belong to the trials, and the same sound must come out with and without one.
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    with TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"  # a pipe would stay open as long as any child of it lives
        try:
            with out.open("wb") as stdout, err.open("wb") as stderr:
                done = subprocess.run(
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
    if done.returncode:
        raise DenoiserFailed((printed[1] or f"exit code {done.returncode}").splitlines()[-1].strip())
    return printed[0]


def _die_with_parent() -> None:
    """Runs in the new process: a worker that is ended for taking too long must not leave the program behind."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
