"""How long trials will take: from trials like them that are done, else a measured warm-up, else the settings' guess."""

import hashlib
import json
import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Protocol

from omni_msa.config import plugins
from omni_msa.config.lookups import num_clips, num_train_clips, uses
from omni_msa.config.trial import TrialConfig
from omni_msa.ledger.ledger import Ledger
from omni_msa.planning import hardware
from omni_msa.readouts._base import READOUTS
from omni_msa.system.files import is_number, read_json

_WHAT_COUNTS = ("dataset", "num_train_clips", "modalities", "media", "backbone", "adapter")
_NUMBER_MAX = 1e15  # a file that says more is damaged
_FORWARD_SHARE = 1 / 3  # of a training step's time; the backward pass takes the rest
_MEASURED, _WARMED, _GUESSED, _UNKNOWN = "measured", "warmed", "guessed", "unknown"


Batches = tuple[Any, ...]
"""The settings of `runtime` that memory depends on, times hardly."""


class Timed(Protocol):
    """What is known of a trial that is to run."""

    @property
    def fit_id(self) -> str:
        """Identity of its training."""

    @property
    def config(self) -> TrialConfig:
        """Its configuration."""


@dataclass(frozen=True)
class MeasuredCost:
    """What trials of one kind took that are done.

    Args:
        fit_s: median seconds of their training; `read_s`: of the rest.
        peaks_gb: the highest peak of memory by `batches`, on which it depends as well.
    """

    fit_s: float
    read_s: float
    peaks_gb: Mapping[Batches, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """The expectation for one trial: its seconds, None if unknown, and what that rests on."""

    seconds: float | None
    basis: str
    measured_on: str = ""


@dataclass(frozen=True)
class Expected:
    """An expectation of time.

    Args:
        seconds: until all is done, None if something is not known.
        work_s: of all trials together, as if one ran at a time, None likewise.
        num_measured: trials whose time comes from trials done before; `num_warmed`: from a warm-up, with its
            dates in `warmed_on`; `num_guessed`: from the settings' guess.
        num_unknown: trials of which nothing is known.
    """

    seconds: float | None
    work_s: float | None = 0.0
    num_measured: int = 0
    num_warmed: int = 0
    num_guessed: int = 0
    num_unknown: int = 0
    warmed_on: tuple[str, ...] = ()

    @property
    def basis(self) -> str:
        """Say what the expectation rests on."""
        parts = {
            "measured on trials done before": self.num_measured,
            f"measured by --measure on {', '.join(self.warmed_on)}": self.num_warmed,
            "guessed from runtime.seconds_per_clip": self.num_guessed,
            "unknown": self.num_unknown,
        }
        return ", ".join(f"{number} {what}" for what, number in parts.items() if number)


def total(each: Sequence[Cost], num_slots: int) -> Expected:
    """Add up what is expected of single trials, `num_slots` at once."""
    bases = [cost.basis for cost in each]
    times = [cost.seconds or 0.0 for cost in each]
    is_known = _UNKNOWN not in bases and math.isfinite(sum(times))
    seconds = max(sum(times) / num_slots, max(times, default=0.0)) if is_known else None
    num = {basis: bases.count(basis) for basis in (_MEASURED, _WARMED, _GUESSED, _UNKNOWN)}
    dates = tuple(sorted({cost.measured_on for cost in each if cost.measured_on}))
    work_s = sum(times) if is_known else None
    return Expected(seconds, work_s, num[_MEASURED], num[_WARMED], num[_GUESSED], num[_UNKNOWN], dates)


def costs(missing: Sequence[Timed], ledger: Ledger, known: Mapping[str, MeasuredCost] | None = None) -> list[Cost]:
    """Return what is expected of each missing trial; a shared fit is the cost of the first that needs it.

    One that is stopped after some of its epochs costs that share of its fit.

    Args and the rest as in `expect`.
    """
    if not missing:
        return []
    known = measured(ledger) if known is None else known
    on_gpu, fits, found = cache(hardware.uses_gpu), set(), []
    for trial in missing:
        fit_s, read_s, basis, date = _times(trial.config, on_gpu(trial.config.runtime), ledger, known)
        is_trained = trial.fit_id in fits or ledger.is_fitted(trial.fit_id)
        fits.add(trial.fit_id)
        seconds = None if basis == _UNKNOWN else read_s + (0.0 if is_trained else fit_s * _share(trial.config))
        found.append(Cost(seconds, basis, date))
    return found


def _share(config: TrialConfig) -> float:
    stops_after, num_epochs = config.stops_after_epoch, config.training.epochs
    return 1.0 if stops_after is None else min(1.0, stops_after / num_epochs)


def _times(
    config: TrialConfig, on_gpu: bool, ledger: Ledger, known: Mapping[str, MeasuredCost]
) -> tuple[float, float, str, str]:
    """Return seconds of training and of testing, what they rest on, and the date of a warm-up."""
    if (alike := known.get(key(config, on_gpu))) is not None:
        return alike.fit_s, alike.read_s, _MEASURED, ""
    if (warmed := warm_up(config, on_gpu, ledger)) is not None:
        return *_from_warm_up(config, warmed), _WARMED, str(warmed["time"])[:10]
    if not uses(config, "backbone"):
        return 0.0, 0.0, _GUESSED, ""
    clip_s, num_epochs = config.runtime.seconds_per_clip, config.training.epochs
    num_train, num_tested = num_train_clips(config), num_clips(config.dataset, "valid", "test")
    if not num_train + num_tested:
        return 0.0, 0.0, _UNKNOWN, ""
    if not plugins.load(READOUTS, config.readout.name).trained:
        return 0.0, num_tested * clip_s * _FORWARD_SHARE, _GUESSED, ""
    return num_train * num_epochs * clip_s, 0.0, _GUESSED, ""


def measured(ledger: Ledger) -> dict[str, MeasuredCost]:
    """Return what each kind of trial took that is done in a ledger, by its `key`."""
    found: dict[str, list[MeasuredCost]] = defaultdict(list)
    for folder in ledger.begun_trials():
        if (result := folder.recorded_result()) is None:
            continue  # most of a large plan: nothing further of it is read
        config, attempt = folder.config(), folder.provenance()
        cost = _mapping(result.get("cost"))
        train_s = _number(cost.get("train_s"))
        if config is None or train_s is None:
            continue
        peak = _number(cost.get("peak_memory_gb"))
        peaks = {batches(_mapping(config.get("runtime"))): peak} if peak else {}
        values = MeasuredCost(*_split(train_s, attempt), peaks)
        found[_key_of_values(config, hardware.ran_on_gpu(result, config, attempt))].append(values)
    return {name: _summary(alike) for name, alike in found.items()}


def _summary(alike: Sequence[MeasuredCost]) -> MeasuredCost:
    fit_s, read_s = (statistics.median(getattr(each, name) for each in alike) for name in ("fit_s", "read_s"))
    peaks: dict[Batches, float] = {}
    for name, peak in (item for each in alike for item in each.peaks_gb.items()):
        peaks[name] = max(peak, peaks.get(name, 0.0))
    return MeasuredCost(fit_s, read_s, peaks)


def batches(runtime: Mapping[str, Any]) -> Batches:
    """Return what a trial's memory depends on beside its `key`, from `runtime` as plain values."""
    return tuple(str(runtime.get(name)) for name in ("micro_batch", "eval_batch", "gradient_checkpointing"))


def _split(train_s: float, attempt: dict[str, Any]) -> tuple[float, float]:
    """Split an attempt's time; one shorter than its fit's training found the fit trained, or went on with it."""
    attempt_s = _number(attempt.get("attempt_s"))
    if attempt_s is None:
        return train_s, 0.0
    return train_s, attempt_s - train_s if attempt_s >= train_s else attempt_s


def key(config: TrialConfig, on_gpu: bool) -> str:
    """Return what a trial's time and memory depend on, as text: equal for trials alike.

    Args:
        config: of the trial.
        on_gpu: where it runs; what was measured on a CPU says nothing of a GPU.
    """
    return _key_of_values(config.model_dump(mode="json"), on_gpu)


def _key_of_values(values: dict[str, Any], on_gpu: bool) -> str:
    shape = {name: values.get(name) for name in _WHAT_COUNTS}
    training = _mapping(values.get("training"))  # its other settings change numbers, not their number
    shape |= {name: training.get(name) for name in ("epochs", "batch_size")}
    readout = _mapping(values.get("readout")).get("name")
    return json.dumps({**shape, "readout": readout, "gpu": on_gpu}, sort_keys=True)


def warm_up_file(config: TrialConfig, on_gpu: bool, ledger: Ledger) -> Path:
    """Return where the measured warm-up of a trial's kind is kept; readouts that share a fit share it."""
    values = config.model_dump(mode="json")
    values["readout"] = {"name": plugins.load(READOUTS, config.readout.name).fit_as}
    values["training"] = {"batch_size": config.training.batch_size}
    name = hashlib.sha256(_key_of_values(values, on_gpu).encode()).hexdigest()[:16]
    return ledger.warm_up(name)


def warm_up(config: TrialConfig, on_gpu: bool, ledger: Ledger) -> dict[str, Any] | None:
    """Return the measured warm-up of a trial's kind on hardware like this, or None."""
    values = read_json(warm_up_file(config, on_gpu, ledger))
    numbers = ("step_s", "eval_clip_s", "num_train", "num_valid", "num_test")
    if values is None or None in [_number(values.get(name)) for name in numbers]:
        return None
    return values if values.get("hardware") == hardware_name(on_gpu) and "time" in values else None


@lru_cache(maxsize=2)
def hardware_name(on_gpu: bool) -> str:
    """Return the name of the processor or of the GPUs that trials run on here."""
    return str(hardware.describe()["gpu" if on_gpu else "cpu"])


def _from_warm_up(config: TrialConfig, values: Mapping[str, Any]) -> tuple[float, float]:
    """Return seconds of training, with valid after each epoch, and of reading valid and test.

    A closed-form readout reads train and valid once instead of steps.
    """
    clip_s, plan = values["eval_clip_s"], config.training
    read_s = (values["num_valid"] + values["num_test"]) * clip_s
    if not plugins.load(READOUTS, config.readout.name).trained:
        fitted = values["num_train"] + values["num_valid"] if values.get("closed_form") is True else 0
        return fitted * clip_s, read_s
    num_steps = math.ceil(values["num_train"] / plan.batch_size) * plan.epochs
    return num_steps * values["step_s"] + plan.epochs * values["num_valid"] * clip_s, read_s


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    """Return a value read from a file if it can be seconds, GB or a count."""
    return float(value) if is_number(value) and 0 <= value < _NUMBER_MAX else None
