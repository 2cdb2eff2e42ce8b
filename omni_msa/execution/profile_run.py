"""`--measure`: times a few training steps and predictions of each kind of trial whose cost is not known yet.

Inputs must have been prepared before. Training uses a temporary folder; only the times are kept, in the ledger's
`measured/`, where `timing` reads them.
"""

import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from omni_msa.config import lookups, plugins
from omni_msa.config.trial import TrialConfig
from omni_msa.errors import InputError, Interrupted, Problem
from omni_msa.execution.gpu_guard import GpuBusy, Guard
from omni_msa.ledger.ledger import Ledger
from omni_msa.ledger.trials import PlannedTrial
from omni_msa.planning import hardware, memory, timing
from omni_msa.readouts._base import READOUTS
from omni_msa.system.files import write_json
from omni_msa.system.process import now

if TYPE_CHECKING:
    from omni_msa.model.backbone_cache import Resident
    from omni_msa.training.build import TrialParts

NUM_WARM_UP_STEPS = 2
NUM_STEPS = 6
NUM_CLIPS = 8
Say = Callable[[str, int, int], None]


def to_measure(missing: Sequence[PlannedTrial], ledger: Ledger) -> list[TrialConfig]:
    """Return one configuration of each kind of missing trial whose cost has not been measured yet.

    Args:
        missing: the trials that are to run.
        ledger: the ledger with complete trials and earlier measurements.
    """
    known = timing.measured(ledger)
    config_of_file: dict[Path, TrialConfig] = {}
    for config in (trial.config for trial in missing if lookups.uses(trial.config, "backbone")):
        on_gpu = hardware.uses_gpu(config.runtime)
        if timing.key(config, on_gpu) not in known and timing.warm_up(config, on_gpu, ledger) is None:
            config_of_file.setdefault(timing.warm_up_file(config, on_gpu, ledger), config)
    return list(config_of_file.values())


def measure(missing: Sequence[PlannedTrial], ledger: Ledger, say: Say) -> None:
    """Measure the configurations that `to_measure` returns, and store the times in the ledger.

    Args:
        missing: the trials that are to run; their inputs must be prepared.
        ledger: where the measurements are stored.
        say: called with (what, done, total).

    Raises:
        InputError: a GPU is busy, or the data or weights cannot be used.
    """
    configs = to_measure(missing, ledger)
    if not configs:
        return
    from omni_msa.model.backbone_cache import Resident

    resident = Resident()
    for number, config in enumerate(configs):
        say("measuring kinds of trials", number, len(configs))
        on_gpu = hardware.uses_gpu(config.runtime)
        if on_gpu:
            _check_gpu(config)
        values = {**warm_up(config, resident), "time": now(), "host": socket.gethostname()}
        values["hardware"] = timing.hardware_name(on_gpu)
        write_json(timing.warm_up_file(config, on_gpu, ledger), values)
    say("measuring kinds of trials", len(configs), len(configs))


def _check_gpu(config: TrialConfig) -> None:
    try:
        Guard(patience_s=0.0).before(memory.memory_gb(config))
    except GpuBusy as busy:
        raise InputError(Problem("a GPU is busy, so nothing can be measured", "--measure", str(busy))) from busy


def warm_up(config: TrialConfig, resident: "Resident") -> dict[str, Any]:
    """Run and time a few steps and predictions of one trial.

    Args:
        config: the trial's configuration; its readout uses a backbone.
        resident: holds the process's backbone.

    Returns:
        `step_s`, `eval_clip_s` and `setup_s` (loading, caching states below the adapter) in seconds, `peak_memory_gb`,
        the numbers of clips, and whether the readout is `closed_form`.
    """
    plugin = plugins.load(READOUTS, config.readout.name)
    steps = _steps(config, resident) if plugin.trained else {"step_s": 0.0, "setup_s": 0.0, "peak_memory_gb": 0.0}
    clips = _predictions(config, resident)
    peak_gb = max(steps["peak_memory_gb"], clips.pop("peak_memory_gb"))
    return {**steps, **clips, "setup_s": steps["setup_s"] or clips["setup_s"], "peak_memory_gb": peak_gb}


class _Clock:
    """A `should_stop` function that notes when each step ended, and stops training after a few."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self) -> bool:
        self.times.append(time.perf_counter())
        return len(self.times) >= NUM_WARM_UP_STEPS + NUM_STEPS

    def step_s(self) -> float:
        """Return the median time of a step in seconds, without the first steps; a median ignores ends of epochs."""
        later = self.times[NUM_WARM_UP_STEPS - 1 :]
        return median(after - before for before, after in pairwise(later))


def _steps(config: TrialConfig, resident: "Resident") -> dict[str, float]:
    """Train a few steps with the real training function, in a ledger that is removed afterwards."""
    from omni_msa.training.checkpoints import FitFolder
    from omni_msa.training.train import train

    with tempfile.TemporaryDirectory(prefix="omni_msa_measure_") as folder:
        ledger, clock, started = Ledger(Path(folder)), _Clock(), time.perf_counter()
        trial, fit = ledger.trial("measured"), FitFolder(ledger.fit("measured"))
        trial.begin(config, {})
        with suppress(Interrupted):
            train(_endless(config), trial, fit.path, resident, clock)
        begun = fit.state()
        assert begun is not None  # it stopped before its end
        record = begun[0]
    step_s = min(clock.step_s(), record.train_s / record.step)  # the second without the ends of epochs
    return {
        "step_s": step_s,
        "setup_s": max(0.0, clock.times[0] - started - step_s),
        "peak_memory_gb": record.peak_memory_gb,
    }


def _endless(config: TrialConfig) -> TrialConfig:
    """Return the configuration with more epochs than the warm-up runs, so that the test split is not opened."""
    longer = config.training.model_copy(update={"epochs": NUM_WARM_UP_STEPS + NUM_STEPS + 1})
    return config.model_copy(update={"training": longer})


def _predictions(config: TrialConfig, resident: "Resident") -> dict[str, Any]:
    """Predict a few valid clips twice and time the second pass, which finds the states below the adapter cached."""
    from omni_msa.training.build import assemble
    from omni_msa.training.evaluate import peak_memory

    started = time.perf_counter()
    with ExitStack() as stack:
        stack.callback(resident.check_unchanged)
        built = assemble(config, resident, stack)
        peak_memory_gb = stack.enter_context(peak_memory(built.device))
        clips = built.splits.valid[:NUM_CLIPS]
        if built.readout.closed_form:
            _fit(built)
        built.predict(clips)
        setup_s = time.perf_counter() - started
        started = time.perf_counter()
        built.predict(clips)
        clip_s = (time.perf_counter() - started) / len(clips)
        return {
            **{f"num_{split}": number for split, number in built.splits.sizes().items()},
            "eval_clip_s": clip_s,
            "setup_s": setup_s,
            "peak_memory_gb": peak_memory_gb(),
            "closed_form": built.readout.closed_form,
        }


def _fit(built: "TrialParts") -> None:
    """Fit a closed-form readout on a few clips, so that it can predict."""
    assert built.forward is not None
    parts = [clips[:NUM_CLIPS] for clips in (built.splits.train, built.splits.valid)]
    for clips in parts if built.readout.uses_kept else ():
        built.forward.fill_cache(built.prompts(clips), None, built.readout.decodes)
    train, valid = ((built.prompts(clips), built.labels(clips)) for clips in parts)
    built.readout.fit(built.forward, train, valid, built.config.runtime.eval_batch)
