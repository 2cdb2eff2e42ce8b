"""Expected times of trials: from complete trials of the same kind, else a timed warm-up, else a setting's guess."""

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
_NUMBER_MAX = 1e15  # a file with larger numbers is damaged
_FORWARD_SHARE = 1 / 3  # of a training step's time; the backward pass takes the rest
_MEASURED, _WARMED, _GUESSED, _UNKNOWN = "measured", "warmed", "guessed", "unknown"


Batches = tuple[Any, ...]
"""The settings of `runtime` on which memory depends, and times hardly do."""


class Timed(Protocol):
    """The attributes of a trial that its expected time depends on."""

    @property
    def fit_id(self) -> str:
        """The id of its fit."""

    @property
    def config(self) -> TrialConfig:
        """Its configuration."""


@dataclass(frozen=True)
class MeasuredCost:
    """Time and memory of complete trials of one kind.

    Args:
        fit_s: median time of their training, in seconds.
        read_s: median time of the rest of the attempt (reading scores, testing), in seconds.
        peaks_gb: `batches` to the highest peak of memory, in GB.
    """

    fit_s: float
    read_s: float
    peaks_gb: Mapping[Batches, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """The expected time of one trial in seconds, None if unknown, what it is based on, and the date of a warm-up."""

    seconds: float | None
    basis: str
    measured_on: str = ""


@dataclass(frozen=True)
class Expected:
    """The expected time of several trials.

    Args:
        seconds: until all are done, None if the time of one is unknown.
        work_s: sum over all trials, in seconds, None likewise.
        num_measured: number of trials whose time is that of complete trials of the same kind.
        num_warmed: number of trials whose time comes from a warm-up; `warmed_on` has the dates of these.
        num_guessed: number of trials whose time is a setting's guess.
        num_unknown: number of trials whose time is unknown.
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
        """The sources of the expected time, with the number of trials for each."""
        parts = {
            "measured on trials done before": self.num_measured,
            f"measured by --measure on {', '.join(self.warmed_on)}": self.num_warmed,
            "guessed from runtime.seconds_per_clip": self.num_guessed,
            "unknown": self.num_unknown,
        }
        return ", ".join(f"{number} {what}" for what, number in parts.items() if number)


def total(trial_costs: Sequence[Cost], num_slots: int) -> Expected:
    """Return the expected time of all trials together, if `num_slots` of them run at once."""
    bases = [cost.basis for cost in trial_costs]
    times = [cost.seconds or 0.0 for cost in trial_costs]
    is_known = _UNKNOWN not in bases and math.isfinite(sum(times))
    seconds = max(sum(times) / num_slots, max(times, default=0.0)) if is_known else None
    num_by = {basis: bases.count(basis) for basis in (_MEASURED, _WARMED, _GUESSED, _UNKNOWN)}
    dates = tuple(sorted({cost.measured_on for cost in trial_costs if cost.measured_on}))
    work_s = sum(times) if is_known else None
    return Expected(seconds, work_s, num_by[_MEASURED], num_by[_WARMED], num_by[_GUESSED], num_by[_UNKNOWN], dates)


def costs(missing: Sequence[Timed], ledger: Ledger, known: Mapping[str, MeasuredCost] | None = None) -> list[Cost]:
    """Return the expected time of each missing trial; a shared fit counts for the first trial that needs it.

    A trial that is stopped after some of its epochs counts that share of its fit.

    Args:
        missing: the trials to run, in order.
        ledger: the ledger with complete trials, trained fits and warm-ups.
        known: measured costs by `key`; None reads them from the ledger.
    """
    if not missing:
        return []
    known = measured(ledger) if known is None else known
    on_gpu, fits, result = cache(hardware.uses_gpu), set(), []
    for trial in missing:
        fit_s, read_s, basis, date = _times(trial.config, on_gpu(trial.config.runtime), ledger, known)
        is_trained = trial.fit_id in fits or ledger.is_fitted(trial.fit_id)
        fits.add(trial.fit_id)
        seconds = None if basis == _UNKNOWN else read_s + (0.0 if is_trained else fit_s * _share(trial.config))
        result.append(Cost(seconds, basis, date))
    return result


def _share(config: TrialConfig) -> float:
    stops_after, num_epochs = config.stops_after_epoch, config.training.epochs
    return 1.0 if stops_after is None else min(1.0, stops_after / num_epochs)


def _times(
    config: TrialConfig, on_gpu: bool, ledger: Ledger, known: Mapping[str, MeasuredCost]
) -> tuple[float, float, str, str]:
    """Return the seconds of training and of testing, what they are based on, and the date of a warm-up or ""."""
    if (cost := known.get(key(config, on_gpu))) is not None:
        return cost.fit_s, cost.read_s, _MEASURED, ""
    if (measured_warm_up := warm_up(config, on_gpu, ledger)) is not None:
        return *_from_warm_up(config, measured_warm_up), _WARMED, str(measured_warm_up["time"])[:10]
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
    """Return time and memory of each kind of trial that is complete in a ledger, by its `key`."""
    costs_of_kind: dict[str, list[MeasuredCost]] = defaultdict(list)
    for folder in ledger.begun_trials():
        if (result := folder.recorded_result()) is None:
            continue  # true of most trials of a large plan: read nothing more of them
        config, attempt = folder.config(), folder.provenance()
        cost = _mapping(result.get("cost"))
        train_s = _number(cost.get("train_s"))
        if config is None or train_s is None:
            continue
        peak = _number(cost.get("peak_memory_gb"))
        peaks = {batches(_mapping(config.get("runtime"))): peak} if peak else {}
        own_cost = MeasuredCost(*_split(train_s, attempt), peaks)
        costs_of_kind[_key_of_values(config, hardware.ran_on_gpu(result, config, attempt))].append(own_cost)
    return {name: _summary(kind_costs) for name, kind_costs in costs_of_kind.items()}


def _summary(costs: Sequence[MeasuredCost]) -> MeasuredCost:
    fit_s, read_s = (statistics.median(getattr(each, name) for each in costs) for name in ("fit_s", "read_s"))
    peaks: dict[Batches, float] = {}
    for name, peak in (item for each in costs for item in each.peaks_gb.items()):
        peaks[name] = max(peak, peaks.get(name, 0.0))
    return MeasuredCost(fit_s, read_s, peaks)


def batches(runtime: Mapping[str, Any]) -> Batches:
    """Return the values of `runtime` that a trial's memory depends on besides its `key`."""
    return tuple(str(runtime.get(name)) for name in ("micro_batch", "eval_batch", "gradient_checkpointing"))


def _split(train_s: float, attempt: dict[str, Any]) -> tuple[float, float]:
    """Split the time of a trial into training and the rest, in seconds.

    An attempt shorter than its fit's training took over a fit that was trained, wholly or in part, before.
    """
    attempt_s = _number(attempt.get("attempt_s"))
    if attempt_s is None:
        return train_s, 0.0
    return train_s, attempt_s - train_s if attempt_s >= train_s else attempt_s


def key(config: TrialConfig, on_gpu: bool) -> str:
    """Return the kind of a trial as text: all that its time and memory depend on.

    Args:
        config: the trial's configuration.
        on_gpu: whether it runs on a GPU; measurements on a CPU do not apply there.
    """
    return _key_of_values(config.model_dump(mode="json"), on_gpu)


def _key_of_values(values: dict[str, Any], on_gpu: bool) -> str:
    shape = {name: values.get(name) for name in _WHAT_COUNTS}
    training = _mapping(values.get("training"))  # its other settings do not change the amount of work
    shape |= {name: training.get(name) for name in ("epochs", "batch_size")}
    readout = _mapping(values.get("readout")).get("name")
    return json.dumps({**shape, "readout": readout, "gpu": on_gpu}, sort_keys=True)


def warm_up_file(config: TrialConfig, on_gpu: bool, ledger: Ledger) -> Path:
    """Return the file with the timed warm-up of a trial's kind; readouts that share a fit share it."""
    values = config.model_dump(mode="json")
    values["readout"] = {"name": plugins.load(READOUTS, config.readout.name).fit_as}
    values["training"] = {"batch_size": config.training.batch_size}
    name = hashlib.sha256(_key_of_values(values, on_gpu).encode()).hexdigest()[:16]
    return ledger.warm_up(name)


def warm_up(config: TrialConfig, on_gpu: bool, ledger: Ledger) -> dict[str, Any] | None:
    """Return the timed warm-up of a trial's kind on the same hardware, or None."""
    values = read_json(warm_up_file(config, on_gpu, ledger))
    numbers = ("step_s", "eval_clip_s", "num_train", "num_valid", "num_test")
    if values is None or None in [_number(values.get(name)) for name in numbers]:
        return None
    return values if values.get("hardware") == hardware_name(on_gpu) and "time" in values else None


@lru_cache(maxsize=2)
def hardware_name(on_gpu: bool) -> str:
    """Return the name of this machine's processor, or of its GPUs."""
    return str(hardware.describe()["gpu" if on_gpu else "cpu"])


def _from_warm_up(config: TrialConfig, values: Mapping[str, Any]) -> tuple[float, float]:
    """Return the seconds of training, with valid after each epoch, and of reading scores of valid and test.

    A closed-form readout runs once over train and valid instead of training in steps.
    """
    clip_s, training = values["eval_clip_s"], config.training
    read_s = (values["num_valid"] + values["num_test"]) * clip_s
    if not plugins.load(READOUTS, config.readout.name).trained:
        num_fitted = values["num_train"] + values["num_valid"] if values.get("closed_form") is True else 0
        return num_fitted * clip_s, read_s
    num_steps = math.ceil(values["num_train"] / training.batch_size) * training.epochs
    return num_steps * values["step_s"] + training.epochs * values["num_valid"] * clip_s, read_s


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    """Return a value read from a file as a number if it is a plausible time, size or count, else None."""
    return float(value) if is_number(value) and 0 <= value < _NUMBER_MAX else None
