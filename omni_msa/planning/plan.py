"""The plan of a sweep: every trial it expects, where each stands in the ledger, and what is left to run."""

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
from omni_msa.sweep.sweep import Cell, Sweep


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
        largest: the trial that takes most memory, None if none has a backbone.
        slots: how many trials run at once, and on which cards.
        expected: time of the trials that are missing.
        costs: what is expected of each of them, by its id.
        retry: whether failed trials are run again.
        stores: the bad clips of each dataset, where the sweep drops them.
        data_notes: what a reader of the results must know of these copies of the corpora.
        asked: the sweep as it was loaded: of a search `sweep` has the cells that there are so far.
        studies: the searches, one for each cell of the axes.
        ahead: stand-ins for trials that searches are still expected to run, with the default configuration.
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
        """Return the trials to run: those neither complete nor pruned, the failed ones only if `retry`; and `ahead`."""
        return [*missing(self.trials, self.retry), *self.ahead]

    def is_complete(self) -> bool:
        """Return whether there is nothing left to run or to try again."""
        return not missing(self.trials, retry=True) and not self.ahead

    @property
    def num_slots(self) -> int:
        """Trials at once."""
        return self.slots.num

    @property
    def hours_of(self) -> str:
        """What is kept busy, and so the unit of cost."""
        return "GPU-hours" if self.slots.num_gpus else "core-hours"

    def hours(self, seconds: float | None) -> float | None:
        """Return the card's or core's hours of some seconds of trials; several trials on a card share it."""
        share = min(1.0, self.slots.num_gpus / self.num_slots) if self.slots.num_gpus else 1.0
        return None if seconds is None else seconds * share / 3600

    def cell_hours(self) -> dict[str, float | None]:
        """Return for each cell the hours that its missing trials cost, None where one is not known.

        A trial of several cells counts in each, a fit that trials share with the first of them.
        """
        found: dict[str, float | None] = {cell.label: 0.0 for cell in self.sweep.cells}
        for trial in self.missing():
            more = self.hours(self.costs[trial.trial_id].seconds)
            for cell in trial.cells:
                before = found[cell]
                found[cell] = None if before is None or more is None else before + more
        return found

    def counts(self) -> dict[str, int]:
        """Return how many trials there are, and how many in each state."""
        states = Counter(trial.status.state for trial in self.trials)
        shown = ("complete", "failed", "running", *(["pruned"] if states["pruned"] else []))
        return {"trials": len(self.trials), **{state: states[state] for state in shown}}


def make_plan(sweep: Sweep, ledger: Ledger, retry: bool = False, elsewhere: bool = False) -> Plan:
    """Identify every trial of a sweep and look it up in the ledger.

    Args:
        sweep: the checked sweep.
        ledger: the trials on disk.
        retry: count failed trials among those to run.
        elsewhere: trials run on other machines, whose GPUs cannot be seen from here.
    """
    asked, (prints, problems, notes) = sweep, _fingerprints(sweep)
    stores = bad_clips.look_up(sweep, ledger, prints)
    sweep = bad_clips.apply(sweep, stores)
    searches = studies(sweep, ledger, prints)
    sweep = expand(sweep, searches)
    trials, ahead = _trials(sweep, ledger, prints), _ahead(searches)
    left = [*missing(trials, retry), *ahead]
    models, known = _models(asked.cells), timing.measured(ledger) if left else {}
    configs, fits = [trial.config for trial in left], _untrained(left, ledger)
    weights_gb = max((model.weights_gb for model in models), default=0.0)
    places = choose(configs, sweep.cells[0].config.runtime, weights_gb, known, _running(trials), elsewhere)
    asked_for = {cell.label for cell in sweep.cells if not cell.parameters}
    made = [trial.config for trial in left if trial.cells and asked_for.isdisjoint(trial.cells)]
    found = preflight.check(configs, ledger.root, elsewhere, fits, min(places.num, max(1, len(left))), made)
    if going_on := [study.cell for study in searches if study.may_propose()]:
        found += preflight.check_space(asked, going_on)
    found += denoise.check((cell, trial.config) for trial in left for cell in trial.cells)
    if name_problem := refusal(ledger, name_holder(sweep)):
        problems.append(name_problem)
    refusals = tuple(dict.fromkeys([*problems, *found, *places.problems]))
    expected = timing.total(each := timing.costs(left, ledger, known), min(places.num, max(1, len(left))))
    by_id = {trial.trial_id: cost for trial, cost in zip(left, each, strict=True)}
    return Plan(
        sweep=sweep,
        ledger=ledger,
        trials=tuple(trials),
        refusals=refusals,
        is_readable=not problems,
        models=models,
        slots=places,
        expected=expected,
        costs=by_id,
        retry=retry,
        stores=stores,
        data_notes=notes,
        largest=largest((cell.label, cell.config) for cell in sweep.cells),
        asked=asked,
        studies=searches,
        ahead=ahead,
    )


def name_holder(sweep: Sweep) -> NameHolder:
    """Return what a ledger records of the sweep that has a name."""
    return NameHolder(sweep.name, sweep.file.question, str(sweep.path.absolute()), sweep.overrides)


def _untrained(left: Iterable[PlannedTrial], ledger: Ledger) -> list[TrialConfig]:
    """Return one configuration of each training that is to run."""
    fits = {trial.fit_id: trial.config for trial in left if uses(trial.config, "adapter")}
    return [config for fit, config in fits.items() if not ledger.is_fitted(fit)]


def _running(trials: Iterable[PlannedTrial]) -> set[int]:
    """Return the ids of processes on this machine that run trials of the sweep: their memory will be free."""
    running = (trial.status for trial in trials if trial.status.state == "running")
    return {status.pid for status in running if status.host == socket.gethostname()}


def _fingerprints(sweep: Sweep) -> tuple[dict[DatasetOptions, str], list[Problem], tuple[str, ...]]:
    """Identify each dataset once; one that cannot be read gets a stand-in, so that trials can still be counted."""
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
        cells.setdefault(name, []).append(cell.label)
        details.setdefault(name, label(cell.parameters))
    return [
        planned(config, prints[config.dataset], ledger, tuple(cells[name]), details[name])
        for name, config in configs.items()
    ]


def _ahead(searches: Sequence[Study]) -> tuple[PlannedTrial, ...]:
    found = [(kind, config) for study in searches for kind, config in look_ahead(study).stand_ins()]
    named = [(f"ahead {number}", *each) for number, each in enumerate(found)]
    return tuple(PlannedTrial(name, name, (), config, Status(), kind) for name, kind, config in named)


def opened(plan: Plan) -> Plan:
    """Return the part of a plan that a report shows: of a search, the cells whose test split is open."""
    if not plan.studies:
        return plan
    cells = [cell for cell in plan.sweep.cells if cell.config.opens_test] or list(plan.sweep.cells[:1])
    labels = {cell.label for cell in cells}
    trials = [replace(trial, cells=tuple(cell for cell in trial.cells if cell in labels)) for trial in plan.trials]
    file = plan.sweep.file.model_copy(update={"seeds": plan.studies[0].search.confirm.seeds})
    shown = replace(plan.sweep, cells=tuple(cells), file=file)
    return replace(plan, sweep=shown, trials=tuple(trial for trial in trials if trial.cells))


def _models(cells: Iterable[Cell]) -> tuple[ModelSize, ...]:
    """Count each distinct backbone and adapter; one whose settings do not fit is left to the pre-flight."""
    found: dict[ModelSize, None] = {}
    for cell in cells:
        if not uses(cell.config, "backbone"):
            continue
        try:
            found[_model(cell.config)] = None
        except InputError:
            continue
    trained = {model.backbone for model in found if model.adapter}
    return tuple(model for model in found if model.adapter or model.backbone not in trained)


def _model(config: TrialConfig) -> ModelSize:
    backbone, adapter, shape = config.backbone, config.adapter, dimensions(config)
    name = backbone.name if backbone.quantization == "none" else f"{backbone.name} in {backbone.quantization}"
    size = name, num_base_parameters(shape), weights_gb(shape, backbone.quantization, backbone.dtype)
    if not uses(config, "adapter"):
        return ModelSize(*size)
    which = f"rank {adapter.rank}, {'+'.join(adapter.towers)}, layers {adapter.text_layers}"
    layers = adapter.targets, adapter.towers, adapter.text_layers
    return ModelSize(*size, which, num_lora_parameters(shape, adapter.rank, *layers))
