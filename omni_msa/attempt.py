"""One attempt at one trial, wherever it runs: opened, trained, and closed in the ledger whatever happens."""

import gc
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omni_msa.config import TrialConfig, parse_trial
from omni_msa.errors import InputError, Interrupted
from omni_msa.files import read_json, write_json
from omni_msa.ledger import Ledger, TrialFolder, now
from omni_msa.provenance import provenance

Train = Callable[[TrialConfig, TrialFolder, Path, Any, Callable[[], bool]], None]
"""`omni_msa.train.train`, or a stand-in: (configuration, trial folder, fit folder, resident, should_stop)."""

_MESSAGE_LENGTH_MAX = 500


@dataclass(frozen=True)
class Job:
    """A trial to run, in plain values that any process understands.

    Args:
        ledger: the ledger's folder, absolute.
        trial_id: identity of the trial.
        fit_id: identity of its training.
        config: the trial's configuration as JSON values.
        label: the trial's name for people.
    """

    ledger: str
    trial_id: str
    fit_id: str
    config: dict[str, Any]
    label: str

    def folder(self) -> TrialFolder:
        """Return the trial's folder."""
        return Ledger(Path(self.ledger)).trial(self.trial_id)


def run_attempt(job: Job, resident: Any, train: Train | None = None) -> str:
    """Run one attempt and record how it ended. It does not raise: a trial that fails must not stop the others.

    Args:
        job: the trial.
        resident: what the process keeps between trials, handed through to `train`.
        train: the training function; None means `omni_msa.train.train`.

    Returns:
        The trial's state: "complete", "failed", or "pending" after an interruption.
    """
    folder = job.folder()
    if folder.result() is not None:
        return "complete"
    started = time.monotonic()
    try:
        _run(job, folder, resident, train)
    except (Interrupted, KeyboardInterrupt):
        with suppress(OSError):
            folder.interrupt()
    except SystemExit:  # the process is being ended from outside: no fault of the trial
        folder.interrupt()
        raise
    except Exception as error:
        _record_failure(folder, error)
        _free_memory()
    with suppress(OSError):
        _record_end(folder, time.monotonic() - started)
    return folder.status().state


def _run(job: Job, folder: TrialFolder, resident: Any, train: Train | None) -> None:
    config = parse_trial(job.config, str(folder.path / "config.json"))
    folder.begin(config, provenance())
    ledger = Ledger(Path(job.ledger))
    (train or _own_train())(config, folder, ledger.fit(job.fit_id), resident, ledger.stop_file.exists)
    if folder.result() is None:
        raise RuntimeError("the training function returned, but the trial is not complete")


def _own_train() -> Train:
    from omni_msa.train import train

    return train


def _record_failure(folder: TrialFolder, error: BaseException) -> None:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    message = lines[0] if isinstance(error, InputError) else f"{type(error).__name__}: {lines[0]}"
    trace = "".join(traceback.format_exception(error))
    try:
        folder.fail(failure_kind(error), message[:_MESSAGE_LENGTH_MAX], trace)
    except OSError:  # a full disk: what can be said goes to the process's own output
        print(trace, file=sys.stderr)


def failure_kind(error: BaseException) -> str:
    """Return what sort of failure an exception is: "bad input", "not finite", "out of memory" or "bug"."""
    if isinstance(error, InputError):
        return "bad input"
    if isinstance(error, FloatingPointError):
        return "not finite"
    # By name, because torch may not be imported; on the CPU torch raises a plain RuntimeError.
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"MemoryError", "OutOfMemoryError"} or "can't allocate memory" in str(error):
        return "out of memory"
    return "bug"


def _free_memory() -> None:
    """Let go of what the failed trial held, or the next one in this process fails for it."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _record_end(folder: TrialFolder, seconds: float) -> None:
    """Add to the provenance when the attempt ended and how long it took: plans expect times from it."""
    path = folder.path / "provenance.json"
    known = read_json(path)
    if known is not None:
        write_json(path, {**known, "ended": now(), "attempt_s": round(seconds, 3)})
