"""The plan of a sweep: its trials, the state of each in the ledger, which are left to run, and what that costs."""

import socket
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from omni_msa.config import lookups, plugins
from omni_msa.config.identity import trial_id
from omni_msa.config.lookups import uses
from omni_msa.config.sections import DatasetOptions
from omni_msa.config.trial import TrialConfig
from omni_msa.data.media import denoise
from omni_msa.datasets._base import DATASETS
from omni_msa.errors import InputError, Problem
from omni_msa.ledger.ledger import Ledger
from omni_msa.ledger.sweep_names import NameHolder, refusal
from omni_msa.ledger.trial_folder import Status
from omni_msa.ledger.trials import PlannedTrial, missing, planned
from omni_msa.model.dimensions import num_base_parameters, num_lora_parameters, weights_gb
from omni_msa.planning import bad_clips, preflight, timing
from omni_msa.planning.disk import dimensions
from omni_msa.planning.memory import LargestTrial, largest
from omni_msa.planning.slots import Slots, choose
from omni_msa.planning.timing import Cost, Expected
from omni_msa.search.confirmation import expand, studies
from omni_msa.search.forecast import look_ahead
from omni_msa.search.study import Study
from omni_msa.sweep.search_space import label
from omni_msa.sweep.shipped import location_of
from omni_msa.sweep.sweep import Cell, Sweep


@dataclass(frozen=True)
class ModelSize:
    """Numbers of weights of one backbone with one adapter; `adapter` is "" and nothing trainable without one."""

    backbone: str
    num_parameters: int
    weights_gb: float
    adapter: str = ""
    num_trainable: int = 0


@dataclass(frozen=True)
class Plan:
    """The trials of a sweep in the order they are run, and all that is known before they start.

    Args:
        sweep: the checked sweep; with a search, its cells are the proposals made so far.
        ledger: the ledger with its trials.
        trials: every trial once.
        refusals: problems that stop a run of the missing trials.
        is_readable: False if a dataset could not be read; then it is not known which trials are done.
        models: numbers of weights of every distinct backbone and adapter.
        largest: the trial that needs the most memory, None if none has a backbone.
        slots: how many trials run at once, and on which GPUs.
        expected: expected time of all missing trials.
        costs: expected time of each missing trial, by trial id.
        retry: whether failed trials count as missing.
        stores: the bad clips of each dataset, if the sweep drops them.
        data_notes: notes on the datasets that a reader of the results must know.
        asked: the sweep as it was loaded, before a search added cells.
        studies: the searches, one for each cell of the axes.
        ahead: stand-ins, with the default configuration, for trials that searches are still expected to run.
    """

    sweep: Sweep
    ledger: Ledger
    trials: tuple[PlannedTrial, ...]
    refusals: tuple[Problem, ...]
    is_readable: bool
    models: tuple[ModelSize, ...]
    slots: Slots
    expected: Expected
    costs: Mapping[str, Cost]
    retry: bool = False
    stores: Mapping[DatasetOptions, bad_clips.BadClipFile] = field(default_factory=dict)
    data_notes: tuple[str, ...] = ()
    largest: LargestTrial | None = None
    asked: Sweep | None = None
    studies: tuple[Study, ...] = ()
    ahead: tuple[PlannedTrial, ...] = ()

    def missing(self) -> list[PlannedTrial]:
        """Return the trials to run: all that are not complete or pruned, failed ones only with `retry`; and `ahead`."""
        return [*missing(self.trials, self.retry), *self.ahead]

    def is_complete(self) -> bool:
        """Return whether no trial is left to run, or to retry."""
        return not missing(self.trials, retry=True) and not self.ahead

    @property
    def num_slots(self) -> int:
        """How many trials run at once."""
        return self.slots.num

    @property
    def hours_of(self) -> str:
        """The unit of cost, "GPU-hours" or "core-hours"."""
        return "GPU-hours" if self.slots.num_gpus else "core-hours"

    def hours(self, seconds: float | None) -> float | None:
        """Return the GPU-hours or core-hours of `seconds` of trials; trials that share a GPU share its hours."""
        share = min(1.0, self.slots.num_gpus / self.num_slots) if self.slots.num_gpus else 1.0
        return None if seconds is None else seconds * share / 3600

    def cell_hours(self) -> dict[str, float | None]:
        """Return for each cell the cost of its missing trials in hours, None if one is not known.

        A trial of several cells counts in each of them; a shared fit counts for the first trial that needs it.
        """
        hours_of_cell: dict[str, float | None] = {cell.name: 0.0 for cell in self.sweep.cells}
        for trial in self.missing():
            hours = self.hours(self.costs[trial.trial_id].seconds)
            for cell in trial.cells:
                before = hours_of_cell[cell]
                hours_of_cell[cell] = None if before is None or hours is None else before + hours
        return hours_of_cell

    def counts(self) -> dict[str, int]:
        """Return how many trials there are, and how many in each state."""
        states = Counter(trial.status.state for trial in self.trials)
        shown = ("complete", "failed", "running", *(["pruned"] if states["pruned"] else []))
        return {"trials": len(self.trials), **{state: states[state] for state in shown}}


def make_plan(sweep: Sweep, ledger: Ledger, retry: bool = False, elsewhere: bool = False) -> Plan:
    """Make the plan of a sweep: identify every trial and look up its state in the ledger.

    Args:
        sweep: the checked sweep.
        ledger: the ledger with the trials.
        retry: whether failed trials are run again.
        elsewhere: whether trials run on other machines, whose GPUs are not known here.
    """
    asked, (prints, problems, notes) = sweep, _fingerprints(sweep)
    stores = bad_clips.look_up(sweep, ledger, prints)
    sweep = bad_clips.apply(sweep, stores)
    searches = studies(sweep, ledger, prints)
    sweep = expand(sweep, searches)
    trials, ahead = _trials(sweep, ledger, prints), _ahead(searches)
    to_run = [*missing(trials, retry), *ahead]
    models, known = _models(asked.cells), timing.measured(ledger) if to_run else {}
    configs, fits = [trial.config for trial in to_run], _untrained(to_run, ledger)
    weights_gb = max((model.weights_gb for model in models), default=0.0)
    slots = choose(configs, sweep.cells[0].config.runtime, weights_gb, known, _running(trials), elsewhere)
    named_cells = {cell.name for cell in sweep.cells if not cell.parameters}
    proposals = [trial.config for trial in to_run if trial.cells and named_cells.isdisjoint(trial.cells)]
    obstacles = preflight.check(configs, ledger.root, elsewhere, fits, min(slots.num, max(1, len(to_run))), proposals)
    if open_cells := [study.cell for study in searches if study.may_propose()]:
        obstacles += preflight.check_space(asked, open_cells)
    obstacles += denoise.check((cell, trial.config) for trial in to_run for cell in trial.cells)
    held = refusal(ledger, name_holder(sweep))
    refusals = tuple(dict.fromkeys([*([held] if held else []), *problems, *obstacles, *slots.problems]))
    expected = timing.total(costs := timing.costs(to_run, ledger, known), min(slots.num, max(1, len(to_run))))
    by_id = {trial.trial_id: cost for trial, cost in zip(to_run, costs, strict=True)}
    return Plan(
        sweep=sweep,
        ledger=ledger,
        trials=tuple(trials),
        refusals=refusals,
        is_readable=not problems,
        models=models,
        slots=slots,
        expected=expected,
        costs=by_id,
        retry=retry,
        stores=stores,
        data_notes=notes,
        largest=largest((cell.name, cell.config) for cell in sweep.cells),
        asked=asked,
        studies=searches,
        ahead=ahead,
    )


def check_name(sweep: Sweep, ledger: Ledger) -> None:
    """Make sure that the sweep may write under its name.

    Raises:
        InputError: another sweep of this ledger has the name.
    """
    if held := refusal(ledger, name_holder(sweep)):
        raise InputError(held)


def name_holder(sweep: Sweep) -> NameHolder:
    """Return the record that a ledger keeps of the sweep that uses a name."""
    return NameHolder(sweep.name, sweep.file.question, location_of(sweep.path), sweep.overrides)


def _untrained(left: Iterable[PlannedTrial], ledger: Ledger) -> list[TrialConfig]:
    """Return one configuration for each fit that still has to be trained."""
    fits = {trial.fit_id: trial.config for trial in left if uses(trial.config, "adapter")}
    return [config for fit, config in fits.items() if not ledger.is_fitted(fit)]


def _running(trials: Iterable[PlannedTrial]) -> set[int]:
    """Return the ids of processes on this machine that run trials of the sweep; their memory counts as free."""
    running = (trial.status for trial in trials if trial.status.state == "running")
    return {status.pid for status in running if status.host == socket.gethostname()}


def _fingerprints(sweep: Sweep) -> tuple[dict[DatasetOptions, str], list[Problem], tuple[str, ...]]:
    """Return fingerprint, problems and notes of the datasets; one that cannot be read gets a made-up fingerprint."""
    prints: dict[DatasetOptions, str] = {}
    problems: list[Problem] = []
    notes: list[str] = []
    for options in dict.fromkeys(cell.config.dataset for cell in sweep.cells):
        plugin, root = plugins.load(DATASETS, options.name), lookups.root_of(options)
        try:
            prints[options] = plugin.fingerprint(root, options)
            notes += plugin.notes(root, options)
        except InputError as error:
            prints[options] = f"unreadable {options.model_dump_json()}"
            problems += error.problems
    return prints, problems, tuple(dict.fromkeys(notes))


def _trials(sweep: Sweep, ledger: Ledger, prints: dict[DatasetOptions, str]) -> list[PlannedTrial]:
    configs: dict[str, TrialConfig] = {}
    cells: dict[str, list[str]] = {}
    details: dict[str, str] = {}
    for cell, config in sweep.trials():
        name = trial_id(config, prints[config.dataset])
        configs.setdefault(name, config)
        cells.setdefault(name, []).append(cell.name)
        details.setdefault(name, label(cell.parameters))
    return [
        planned(config, prints[config.dataset], ledger, tuple(cells[name]), details[name])
        for name, config in configs.items()
    ]


def _ahead(searches: Sequence[Study]) -> tuple[PlannedTrial, ...]:
    stand_ins = [(kind, config) for study in searches for kind, config in look_ahead(study).stand_ins()]
    named = [(f"ahead {number}", *stand_in) for number, stand_in in enumerate(stand_ins)]
    return tuple(PlannedTrial(name, name, (), config, Status(), kind) for name, kind, config in named)


def opened(plan: Plan) -> Plan:
    """Return the part of a plan that a report shows; of a search only the cells whose test split was opened."""
    if not plan.studies:
        return plan
    cells = [cell for cell in plan.sweep.cells if cell.config.opens_test] or list(plan.sweep.cells[:1])
    labels = {cell.name for cell in cells}
    trials = [replace(trial, cells=tuple(cell for cell in trial.cells if cell in labels)) for trial in plan.trials]
    file = plan.sweep.file.model_copy(update={"seeds": plan.studies[0].search.confirm.seeds})
    shown = replace(plan.sweep, cells=tuple(cells), file=file)
    return replace(plan, sweep=shown, trials=tuple(trial for trial in trials if trial.cells))


def _models(cells: Iterable[Cell]) -> tuple[ModelSize, ...]:
    """Return the size of each distinct backbone and adapter; one that the pre-flight refuses is skipped."""
    sizes: dict[ModelSize, None] = {}
    for cell in cells:
        if not uses(cell.config, "backbone"):
            continue
        try:
            sizes[_model(cell.config)] = None
        except InputError:
            continue
    trained = {model.backbone for model in sizes if model.adapter}
    return tuple(model for model in sizes if model.adapter or model.backbone not in trained)


def _model(config: TrialConfig) -> ModelSize:
    backbone, adapter, shape = config.backbone, config.adapter, dimensions(config)
    name = backbone.name if backbone.quantization == "none" else f"{backbone.name} in {backbone.quantization}"
    size = name, num_base_parameters(shape), weights_gb(shape, backbone.quantization, backbone.dtype)
    if not uses(config, "adapter"):
        return ModelSize(*size)
    which = f"rank {adapter.rank}, {'+'.join(adapter.towers)}, layers {adapter.text_layers}"
    layers = adapter.targets, adapter.towers, adapter.text_layers
    return ModelSize(*size, which, num_lora_parameters(shape, adapter.rank, *layers))
