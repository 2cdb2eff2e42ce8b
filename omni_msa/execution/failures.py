"""Kinds of failures of an attempt, and the reaction to each: retry, smaller batches, wait, or give up."""

import errno
import os
import re
import traceback
from collections.abc import Sequence
from typing import Any

from omni_msa.config.trial import TrialConfig
from omni_msa.errors import InputError
from omni_msa.system import own_code
from omni_msa.system.lease import LeaseLost

BUG, NOT_FINITE, BAD_INPUT, BAD_CLIP = "bug", "not finite", "bad input", "bad clip"
OUT_OF_MEMORY, DISK_FULL, GPU_BUSY = "out of memory", "disk full", "card busy"
LOST_PROCESS, HANG = "lost process", "hang"
NUM_RETRIES = {LOST_PROCESS: 3, HANG: 1}
NUM_EQUAL_BUGS_MAX = 3
History = Sequence[dict[str, Any]]

_PUT_OFF = {DISK_FULL: "put off until the disk has room", GPU_BUSY: "put off until a card is free"}


_NO_MEMORY = re.compile(r"out of memory|can't allocate memory|_STATUS_ALLOC_FAILED", re.IGNORECASE)
"""What CUDA, cuBLAS, cuDNN, bitsandbytes and torch's CPU allocator say in a plain RuntimeError."""


def kind_of(error: BaseException) -> str:
    """Return the kind of failure of an exception.

    Errors of torch and safetensors are recognised by name or text, because torch is not imported here.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DISK_FULL
    if "No space left on device" in str(error):
        return DISK_FULL
    if "BadClip" in names:
        return BAD_CLIP
    if isinstance(error, InputError):
        return BAD_INPUT
    if isinstance(error, FloatingPointError):
        return NOT_FINITE
    if isinstance(error, LeaseLost):
        return LOST_PROCESS
    if names & {"MemoryError", "OutOfMemoryError"} or _NO_MEMORY.search(str(error)):
        return OUT_OF_MEMORY
    return GPU_BUSY if "GpuBusy" in names else BUG


def facts_of(error: BaseException) -> dict[str, str]:
    """Return further facts about an exception: its own `facts`, and as `place` where it was raised.

    `place` lists the innermost line and the lines of this package that led to it; equal places mean the same bug.
    """
    facts = {str(key): str(value) for key, value in getattr(error, "facts", {}).items()}
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame for frame in frames if own_code.is_own(frame.filename) or frame is frames[-1]]
    names = [f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in reversed(lines)]
    return {**facts, "place": f"{type(error).__name__} in {' < '.join(names)}"}


def reaction_to(kind: str, history: History, config: TrialConfig) -> str:
    """Return the reaction to a failure as text, "" if there is none and so the trial has failed.

    Args:
        kind: the kind of failure.
        history: earlier failures of the trial.
        config: the trial's configuration, without the changes of earlier reactions, which follow from the history.
    """
    if kind in _PUT_OFF:
        return _PUT_OFF[kind]
    if kind in NUM_RETRIES:
        number = sum(entry.get("kind") == kind for entry in _this_round(history)) + 1
        return f"free retry {number} of {NUM_RETRIES[kind]}" if number <= NUM_RETRIES[kind] else ""
    if kind == OUT_OF_MEMORY:
        return _halving(adapted(config, history))
    return ""


def _halving(now: TrialConfig) -> str:
    before, after = now.runtime, adapted(now, [{"kind": OUT_OF_MEMORY, "retried": True}]).runtime
    if (before.micro_batch, before.eval_batch) == (after.micro_batch, after.eval_batch):
        return ""
    used = min(before.micro_batch, now.training.batch_size)
    text = f"micro-batch {used} -> {after.micro_batch} (test: {before.eval_batch} -> {after.eval_batch})"
    return f"{text}; the effective batch stays, dropout masks differ from here on"


def adapted(config: TrialConfig, history: History) -> TrialConfig:
    """Return the configuration of a trial's next attempt: batch sizes are halved for each time memory ran out.

    Gradient accumulation keeps the effective batch, over which the loss is a mean however it is split.

    Args:
        config: the trial's configuration.
        history: failures of the trial; those before a final failure do not count, so `--retry` starts afresh.
    """
    num_halvings = sum(entry.get("kind") == OUT_OF_MEMORY for entry in _this_round(history))
    if not num_halvings:
        return config
    runtime = config.runtime
    smaller = {
        "micro_batch": max(1, min(runtime.micro_batch, config.training.batch_size) >> num_halvings),
        "eval_batch": max(1, runtime.eval_batch >> num_halvings),
    }
    return config.model_copy(update={"runtime": runtime.model_copy(update=smaller)})


def _this_round(history: History) -> list[dict[str, Any]]:
    """Return the failures since the last one that was final."""
    final_failures = [index for index, entry in enumerate(history) if not entry.get("retried")]
    return list(history[final_failures[-1] + 1 :] if final_failures else history)
