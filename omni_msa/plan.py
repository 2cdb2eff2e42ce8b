"""The plan of a sweep: every trial it expects, where each stands in the ledger, and what is left to run."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from omni_msa import hardware, plugins, preflight
from omni_msa.config import TrialConfig
from omni_msa.errors import InputError, Problem
from omni_msa.identity import fit_id, trial_id
from omni_msa.ledger import Ledger, Status
from omni_msa.options import DatasetOptions
from omni_msa.sizes import num_base_parameters, num_lora_parameters, weights_gb
from omni_msa.sweep import Cell, Sweep
from omni_msa.timing import Expected, expect


@dataclass(frozen=True)
class PlannedTrial:
    """One trial of a plan.

    Args:
        trial_id, fit_id: its identity and that of its training; not to be used where the plan's data is unreadable.
        cells: labels of the cells it belongs to, at least one.
        config: its configuration.
        status: where it stands.
    """

    trial_id: str
    fit_id: str
    cells: tuple[str, ...]
    config: TrialConfig
    status: Status

    @property
    def label(self) -> str:
        """The trial's name for people: cell and seed."""
        seed = "" if self.config.seed is None else f", seed {self.config.seed}"
        return self.cells[0] + seed


@dataclass(frozen=True)
class ModelSize:
    """Counts of one backbone with one adapter; `adapter` is empty and nothing is trained where none is used."""

    backbone: str
    num_parameters: int
    weights_gb: float
    adapter: str = ""
    num_trainable: int = 0


@dataclass(frozen=True)
class Plan:
    """What a sweep expects, in the order it is run.

    Args:
        sweep: the checked sweep.
        ledger: where its trials are kept.
        trials: every trial once.
        refusals: what stops a run of the trials that are missing.
        is_readable: False if a dataset could not be identified: then nothing is known about what is done.
        models: counts of every distinct backbone and adapter.
        num_slots: trials at once.
        expected: time of the trials that are missing.
        retry: whether failed trials are run again.
    """

    sweep: Sweep
    ledger: Ledger
    trials: tuple[PlannedTrial, ...]
    refusals: tuple[Problem, ...]
    is_readable: bool
    models: tuple[ModelSize, ...]
    num_slots: int
    expected: Expected
    retry: bool = False

    def missing(self) -> list[PlannedTrial]:
        """Return the trials to run: those neither complete nor pruned, the failed ones only if `retry`."""
        return missing(self.trials, self.retry)

    def counts(self) -> dict[str, int]:
        """Return how many trials there are, and how many in each state."""
        states = Counter(trial.status.state for trial in self.trials)
        return {"trials": len(self.trials), **{state: states[state] for state in ("complete", "failed", "running")}}


def missing(trials: Iterable[PlannedTrial], retry: bool) -> list[PlannedTrial]:
    """Return the trials that a run would start; one marked as running was left by a driver that is gone."""
    ends = ("complete", "pruned") if retry else ("complete", "pruned", "failed")
    return [trial for trial in trials if trial.status.state not in ends]


def make_plan(sweep: Sweep, ledger: Ledger, retry: bool = False, elsewhere: bool = False) -> Plan:
    """Identify every trial of a sweep and look it up in the ledger.

    Args:
        sweep: the checked sweep.
        ledger: the trials on disk.
        retry: count failed trials among those to run.
        elsewhere: trials run on other machines, whose GPUs cannot be seen from here.
    """
    prints, problems = _fingerprints(sweep)
    trials = _trials(sweep, ledger, prints)
    left = missing(trials, retry) if not problems else trials
    refusals = [*problems, *preflight.check([trial.config for trial in left], ledger.root, elsewhere)]
    models = _models(sweep.cells)
    runtime = sweep.cells[0].config.runtime
    num_slots = hardware.num_slots(runtime, max((model.weights_gb for model in models), default=0.0))
    expected = expect(left, ledger, min(num_slots, max(1, len(left))))
    unique = tuple(dict.fromkeys(refusals))
    return Plan(sweep, ledger, tuple(trials), unique, not problems, models, num_slots, expected, retry)


def _fingerprints(sweep: Sweep) -> tuple[dict[DatasetOptions, str], list[Problem]]:
    """Identify each dataset once; one that cannot be read gets a stand-in, so that trials can still be counted."""
    prints: dict[DatasetOptions, str] = {}
    problems: list[Problem] = []
    for options in dict.fromkeys(cell.config.dataset for cell in sweep.cells):
        try:
            prints[options] = plugins.load("datasets", options.name).fingerprint(preflight.root_of(options), options)
        except InputError as error:
            prints[options] = f"unreadable {options.model_dump_json()}"
            problems += error.problems
    return prints, problems


def _trials(sweep: Sweep, ledger: Ledger, prints: dict[DatasetOptions, str]) -> list[PlannedTrial]:
    configs: dict[str, TrialConfig] = {}
    cells: dict[str, list[str]] = {}
    for cell, config in sweep.trials():
        name = trial_id(config, prints[config.dataset])
        configs.setdefault(name, config)
        cells.setdefault(name, []).append(cell.label)
    return [
        PlannedTrial(
            name, fit_id(config, prints[config.dataset]), tuple(cells[name]), config, ledger.trial(name).status()
        )
        for name, config in configs.items()
    ]


def _models(cells: Iterable[Cell]) -> tuple[ModelSize, ...]:
    """Count each distinct backbone and adapter; one whose settings do not fit is left to the pre-flight."""
    found: dict[ModelSize, None] = {}
    for cell in cells:
        if not preflight.uses(cell.config, "backbone"):
            continue
        try:
            found[_model(cell.config)] = None
        except InputError:
            continue
    trained = {model.backbone for model in found if model.adapter}
    return tuple(model for model in found if model.adapter or model.backbone not in trained)


def _model(config: TrialConfig) -> ModelSize:
    backbone, adapter, shape = config.backbone, config.adapter, preflight.dimensions(config)
    name = backbone.name if backbone.quantization == "none" else f"{backbone.name} in {backbone.quantization}"
    size = name, num_base_parameters(shape), weights_gb(shape, backbone.quantization, backbone.dtype)
    if not preflight.uses(config, "adapter"):
        return ModelSize(*size)
    which = f"rank {adapter.rank}, {'+'.join(adapter.towers)}, layers {adapter.text_layers}"
    layers = adapter.targets, adapter.towers, adapter.text_layers
    return ModelSize(*size, which, num_lora_parameters(shape, adapter.rank, *layers))


def as_json(plan: Plan) -> dict[str, Any]:
    """Return the plan as plain values, for `--json`."""
    expected = plan.expected
    return {
        "sweep": plan.sweep.name,
        "question": plan.sweep.file.question,
        "profile": plan.sweep.file.profile,
        "num_cells": len(plan.sweep.cells),
        "seeds": list(plan.sweep.file.seeds),
        "counts": {**plan.counts(), "missing": len(plan.missing())},
        "num_slots": plan.num_slots,
        "expected": {"seconds": expected.seconds, "basis": expected.basis},
        "models": [vars(model) for model in plan.models],
        "would_refuse": [vars(problem) for problem in plan.refusals],
        "trials": [_trial_json(trial, plan) for trial in plan.trials],
    }


def _trial_json(trial: PlannedTrial, plan: Plan) -> dict[str, Any]:
    ids = (trial.trial_id, trial.fit_id) if plan.is_readable else (None, None)
    folder = str(plan.ledger.trial(trial.trial_id).path) if plan.is_readable else None
    values = {"trial_id": ids[0], "fit_id": ids[1], "cells": list(trial.cells), "seed": trial.config.seed}
    return {**values, "folder": folder, "status": vars(trial.status)}
