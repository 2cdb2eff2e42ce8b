"""One attempt at one trial, on whatever machine: runs it and records in the ledger how it ended, in every case."""

import sys
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omni_msa.config.trial import TrialConfig, parse_trial
from omni_msa.errors import Interrupted, Pruned
from omni_msa.execution import failures
from omni_msa.execution.gpu_guard import release_memory
from omni_msa.execution.provenance import provenance
from omni_msa.ledger.ledger import Ledger
from omni_msa.ledger.trial_folder import TrialFolder
from omni_msa.ledger.trials import PlannedTrial
from omni_msa.system.process import now
from omni_msa.system.watchdog import watched

Train = Callable[[TrialConfig, TrialFolder, Path, Any, Callable[[], bool]], None]
"""`omni_msa.training.train.train`, or a replacement: (config, trial folder, fit folder, resident, should_stop)."""

_MESSAGE_LENGTH_MAX = 500


@dataclass(frozen=True)
class Job:
    """A trial to run, as plain values that can be sent to another process.

    Args:
        ledger: absolute path of the ledger's folder.
        trial_id: id of the trial.
        fit_id: id of its fit.
        config: the trial's configuration as JSON values.
        label: name of the trial for people.
    """

    ledger: str
    trial_id: str
    fit_id: str
    config: dict[str, Any]
    label: str

    @classmethod
    def of(cls, trial: PlannedTrial, ledger: Ledger) -> "Job":
        """Return the job for a trial of a plan."""
        config = trial.config.model_dump(mode="json")
        return cls(str(ledger.root), trial.trial_id, trial.fit_id, config, trial.name)

    def folder(self) -> TrialFolder:
        """Return the trial's folder."""
        return Ledger(Path(self.ledger)).trial(self.trial_id, self.config.get("opens_test") is not False)

    def parsed(self) -> TrialConfig:
        """Return the trial's configuration, checked again."""
        return parse_trial(self.config, str(self.folder().config_file))


def run_attempt(
    job: Job,
    resident: Any,
    train: Train | None = None,
    is_watched: bool = False,
    prepare: Callable[[TrialConfig], None] | None = None,
) -> str:
    """Run one attempt and record how it ended; errors are not raised, so that a failed trial does not stop the others.

    Args:
        job: the trial.
        resident: objects that the process keeps between trials (the backbone), passed on to `train`.
        train: the training function; None means `omni_msa.training.train.train`.
        is_watched: whether this process is ended if the trial gives no sign of life for `runtime.hang_s` seconds.
        prepare: called first to bring weights and data to this machine; it may take any time.

    Returns:
        The trial's state: "complete", "failed", "pruned", or "pending" if it was interrupted or is to be tried again.
    """
    folder = job.folder()
    if folder.result() is not None:
        return "complete"
    started, has_failed = time.monotonic(), False
    try:
        _run(job, folder, resident, train, is_watched, prepare)
    except Pruned:
        with suppress(OSError):
            folder.interrupt("pruned")
    except (Interrupted, KeyboardInterrupt):
        with suppress(OSError):
            folder.interrupt()
    except SystemExit:  # the process is being ended from outside, which is no failure of the trial
        folder.interrupt()
        raise
    except Exception as error:
        record_failure(job, error)
        has_failed = True
    if has_failed:  # after the handler: until then the traceback holds the tensors of the trial
        release_memory()
    with suppress(OSError):
        _record_end(folder, time.monotonic() - started)
    return folder.status().state


def _run(
    job: Job,
    folder: TrialFolder,
    resident: Any,
    train: Train | None,
    is_watched: bool,
    prepare: Callable[[TrialConfig], None] | None,
) -> None:
    config = failures.adapted(job.parsed(), folder.written_status().history)
    folder.begin(config, provenance(config))
    if prepare is not None:
        prepare(config)
    ledger = Ledger(Path(job.ledger))
    watch = watched(folder.stacks, config.runtime.hang_s, folder.pulse) if is_watched else nullcontext()
    with watch:
        (train or _own_train())(config, folder, ledger.fit(job.fit_id), resident, ledger.stop_file.exists)
    if folder.result() is None:
        raise RuntimeError("the training function returned, but the trial is not complete")


def _own_train() -> Train:
    from omni_msa.training.train import train

    return train


def record_failure(job: Job, error: Exception) -> None:
    """Record the error that ended an attempt, and whether the trial will be tried again.

    Args:
        job: the trial.
        error: the exception; it decides the kind of failure.
    """
    trace = "".join(traceback.format_exception(error))
    message = (str(error).splitlines() or [type(error).__name__])[0][:_MESSAGE_LENGTH_MAX]
    try:
        _close(job, failures.kind_of(error), message, trace, failures.facts_of(error))
    except OSError as full:  # no space on the disk: print it instead
        print(f"{job.label}: {message}; it could not be recorded: {full}", file=sys.stderr)


def record_loss(job: Job, detail: str, num_oom_kills: int = 0) -> None:
    """Record that the process of an attempt has ended unexpectedly, unless the attempt recorded its end itself.

    Args:
        job: the trial.
        detail: further text for `error.txt`.
        num_oom_kills: how many processes this machine's kernel has killed as memory ran out since the attempt began.
    """
    folder = job.folder()
    if folder.written_status().state != "running":
        return
    stacks = folder.stacks.read_text(encoding="utf-8", errors="replace") if folder.stacks.is_file() else ""
    folder.stacks.unlink(missing_ok=True)
    if stacks:
        limit_s = job.parsed().runtime.hang_s
        _close(job, failures.HANG, f"no sign of life for {limit_s:g} s (runtime.hang_s)", f"{stacks}\n{detail}", {})
    elif num_oom_kills or "OutOfMemoryError" in detail:
        message = "the process running the trial was killed, as the machine's memory had run out"
        _close(job, failures.OUT_OF_MEMORY, message, f"{message}\n{detail}", {})
    else:
        message = "the process running the trial died"
        _close(job, failures.LOST_PROCESS, message, f"{message}\n{detail}", {})


def _close(job: Job, kind: str, message: str, trace: str, facts: dict[str, str]) -> None:
    folder = job.folder()
    try:
        reaction = failures.reaction_to(kind, folder.written_status().history, job.parsed())
    except Exception:  # the configuration itself is invalid
        reaction = ""
    folder.fail(kind, message, trace, facts, reaction)


def _record_end(folder: TrialFolder, seconds: float) -> None:
    """Add to the provenance when the attempt ended and how long it took; plans estimate times from it."""
    folder.add_provenance(ended=now(), attempt_s=round(seconds, 3))
