"""Everything that uses Optuna: suggestions, importances of parameters, and the database for `optuna-dashboard`.

The only file that imports optuna. It has no state: each call gets all observations from our own ledger and seeds the
sampler by (search seed, proposal number), so a suggestion is the same after the driver was killed. The database is a
view, as MLflow's is: it can be deleted, and is written again.
"""

import importlib.util
import logging
import math
import sqlite3
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from omni_msa.search.rules import Observation, ProposalValue, Suggestion
from omni_msa.seeding import derive
from omni_msa.sweep.search_space import GRID_MAX, Parameter, Search, counts, grid, ordered, text
from omni_msa.system.files import digest
from omni_msa.system.sqlite import put_damaged_aside

if TYPE_CHECKING:
    import optuna

NUM_STARTUP = 6
"""Number of random proposals before a sampler learns; it does not depend on the budget, which may be raised."""

_REDRAWS = 20
_PATIENCE_S = 20.0  # how long to wait for a locked database
_STATES = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL", "running": "RUNNING"}
_SEEDS_MAX = 2**32  # of numpy's generators
_NUM_TREES = 64
_CMA_STATE, _CMA_GENERATION = "cma:optimizer", "cma:generation"  # as Optuna names them


def suggest(search: Search, told: Sequence[Observation], number: int) -> Suggestion | None:
    """Return the point to try next, one that was not proposed before; None if there is none.

    Proposals that run or failed count as poor, so that the sampler avoids them: see `_as_poor`. If it keeps suggesting
    known points, a new one is drawn at random. If that finds none in a space too large to list, a known point is
    proposed again once nothing runs; its results are in the ledger, so that costs nothing.

    Args:
        search: the `search` section of the sweep file.
        told: observations of all proposals so far, and of earlier results.
        number: number of the new proposal.
    """
    proposed = {text(dict(each.parameters)) for each in told if each.number is not None}
    if search.sampler == "grid":
        return next((Suggestion(point) for point in grid(search.space) if text(point) not in proposed), None)
    adjusted, remaining = _as_poor(search, told), None
    study = _study(search, adjusted, _cma_state(search, adjusted) if search.sampler == "cmaes" else {})
    for redraw in range(2 * _REDRAWS):
        if (is_fallback := redraw >= _REDRAWS) and remaining:
            return Suggestion(Random(derive(search.seed, "left", number)).choice(remaining))
        seed = derive(search.seed, "proposal", number, redraw) % _SEEDS_MAX
        study.sampler = _sampler("random" if is_fallback else search.sampler, seed)
        trial = study.ask()
        parameters = _draw(search.space, trial)
        if text(parameters) not in proposed:
            return Suggestion(parameters, _kept(study.get_trials(deepcopy=False)[trial.number].system_attrs))
        if redraw == 0 and (remaining := _remaining(search.space, proposed)) == []:
            return None
    return None if any(each.score.state == "running" for each in told) else Suggestion(parameters)


def _as_poor(search: Search, told: Sequence[Observation]) -> list[Observation]:
    """Return the observations with a poor value in place of a failure.

    Optuna's samplers ignore failed trials, and so suggest what fails again and again. The value is made up, as for
    running trials (constant liar: Ginsbourger et al. 2010): just worse than the worst complete one in each objective.
    With halving the proposal counts as pruned without a value, as TPE ranks these below all complete ones. As long as
    none has a value it stays failed, since otherwise a failure would be the best.
    """
    complete_values = [each.score.values for each in told if each.score.state == "complete" and each.score.values]
    poor = ProposalValue("failed")
    if search.pruning and (complete_values or any(each.score.by_rung for each in told)):
        poor = ProposalValue("pruned")
    elif complete_values:
        poor = ProposalValue("complete", tuple(map(_beyond, zip(*complete_values, strict=True), search.directions)))
    return [replace(each, score=poor) if each.score.state == "failed" else each for each in told]


def _beyond(values: Sequence[float], better: str) -> float:
    return math.nextafter(max(values), math.inf) if better == "lower" else math.nextafter(min(values), -math.inf)


def _remaining(space: Mapping[str, Parameter], before: set[str]) -> list[dict[str, Any]] | None:
    """Return the points that were not proposed before, None if there are infinitely or too many."""
    if any(parameter.values() is None for parameter in space.values()):
        return None
    points = grid(space)
    return [point for point in points if text(point) not in before] if len(points) < GRID_MAX else None


def _cma_state(search: Search, told: Sequence[Observation]) -> dict[str, Any]:
    """Return the state of CMA-ES, rebuilt by replaying all generations of observations.

    Optuna stores that state as a pickle in a trial. As a pickle can run any code, the ledger has none: it has only the
    number of each proposal's generation.
    """
    state: dict[str, Any] = {}
    while True:  # one generation per turn; there are at most as many as proposals
        study = _study(search, told, state)
        study.sampler = _sampler(search.sampler, derive(search.seed, "generations", 0) % _SEEDS_MAX)
        trial = study.ask()
        _draw(search.space, trial)  # the sampler notes the generation
        notes = study.get_trials(deepcopy=False)[trial.number].system_attrs
        further = {name: value for name, value in notes.items() if name.startswith(_CMA_STATE)}
        if not further:
            return state
        state = further


def _kept(notes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a sampler's notes that may be in the ledger: the number of a CMA-ES generation."""
    return {name: value for name, value in notes.items() if name == _CMA_GENERATION and type(value) is int}


def _draw(space: Mapping[str, Parameter], trial: "optuna.Trial") -> dict[str, Any]:
    values: dict[str, Any] = {}
    for path in ordered(space):
        if counts(space[path], values):
            values[path] = _drawn(space[path], path, trial)
    return {path: values[path] for path in space if path in values}


def _distribution(parameter: Parameter) -> "optuna.distributions.BaseDistribution":
    from optuna import distributions

    if parameter.choice is not None:
        return distributions.CategoricalDistribution([_name(value) for value in parameter.choice])
    low, high = parameter.bounds
    if parameter.is_whole:
        return distributions.IntDistribution(int(low), int(high), log=parameter.is_log)
    return distributions.FloatDistribution(low, high, log=parameter.is_log)


def _name(value: Any) -> Any:
    """Return a value of a choice in a type that Optuna accepts: lists and mappings as text."""
    return value if value is None or isinstance(value, bool | int | float | str) else text(value)


def _drawn(parameter: Parameter, path: str, trial: "optuna.Trial") -> Any:
    if parameter.choice is not None:
        name = trial.suggest_categorical(path, [_name(value) for value in parameter.choice])
        return next(value for value in parameter.choice if text(_name(value)) == text(name))
    low, high = parameter.bounds
    if parameter.is_whole:
        return trial.suggest_int(path, int(low), int(high), log=parameter.is_log)
    return trial.suggest_float(path, low, high, log=parameter.is_log)


def _frozen(search: Search, told: Observation, is_view: bool = False, state: Any = None) -> "optuna.trial.FrozenTrial":
    from optuna.trial import TrialState, create_trial

    params = {path: _name(value) for path, value in told.parameters.items()}
    trial = create_trial(
        state=TrialState[_STATES[told.score.state]],
        values=list(told.score.values) if told.score.values else None,
        params=params,
        distributions={path: _distribution(search.space[path]) for path in params},
        intermediate_values={rung + 1: value for rung, value in told.score.by_rung.items()} if search.pruning else None,
        system_attrs={**_kept(told.notes), **(state or {})},
        user_attrs={"proposal": told.number, **told.facts} if is_view else None,
    )
    if told.span:  # Optuna has local times without a zone
        trial.datetime_start, trial.datetime_complete = (time.astimezone().replace(tzinfo=None) for time in told.span)
    return trial


def _study(search: Search, told: Sequence[Observation], state: Mapping[str, Any]) -> "optuna.Study":
    """Return a study of all observations; CMA-ES finds its `state` in the last complete one."""
    study: optuna.Study = _quiet_optuna().create_study(directions=_directions(search))
    last = max((index for index, each in enumerate(told) if each.score.state == "complete"), default=None)
    study.add_trials(_frozen(search, each, state=state if index == last else None) for index, each in enumerate(told))
    return study


def _directions(search: Search) -> list[str]:
    return ["minimize" if better == "lower" else "maximize" for better in search.directions]


def _quiet_optuna() -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # about options of samplers and metric names
    return optuna


def _sampler(name: str, seed: int) -> "optuna.samplers.BaseSampler":
    from optuna import samplers

    start: Any = {"seed": seed, "n_startup_trials": NUM_STARTUP}
    if name == "tpe":
        return samplers.TPESampler(**start, multivariate=True, group=True, constant_liar=True)
    if name == "gp":
        return samplers.GPSampler(**start, warn_independent_sampling=False)
    if name == "cmaes":
        return samplers.CmaEsSampler(**start, warn_independent_sampling=False)
    return samplers.RandomSampler(seed=seed)


def importances(search: Search, told: Sequence[Observation]) -> dict[str, float]:
    """Return the share of the variance of the first objective that each parameter explains (fANOVA), largest first.

    The values are those of the first rung, which all proposals have. Parameters with a condition are left out.
    fANOVA: Hutter, Hoos and Leyton-Brown, ICML 2014.

    Args:
        search: the `search` section of the sweep file.
        told: observations of all proposals.

    Returns:
        dotted path to share, in [0, 1]; {} if the values do not differ or scikit-learn is not installed.
    """
    values = [(each, each.score.by_rung[0]) for each in told if 0 in each.score.by_rung]
    if len({value for _, value in values}) < 2 or importlib.util.find_spec("sklearn") is None:
        return {}
    study = (optuna := _quiet_optuna()).create_study(direction=_directions(search)[0])
    study.add_trials(
        _frozen(search, Observation(each.parameters, ProposalValue("complete", (value,)))) for each, value in values
    )
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=_NUM_TREES, seed=search.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shares: dict[str, float] = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {path: float(share) for path, share in sorted(shares.items(), key=lambda item: -item[1])}


def publish(path: Path, name: str, search: Search, told: Sequence[Observation], is_over: bool) -> None:
    """Update one study in the database, which `optuna-dashboard sqlite:///mlruns/optuna.db` shows.

    The study has only proposals that have ended. If it has anything else (another program's trial, or a failed one that
    was retried since), it is written anew. All is done in memory and written in one transaction; a damaged database is
    renamed.

    Args:
        path: the database; only the driver writes it.
        name: name of the study.
        search: the `search` section of the sweep file.
        told: observations of all proposals, and of earlier results.
        is_over: nothing will be promoted any more; else pruned proposals are left out, as Optuna's trials are final.

    Raises:
        OSError: the folder cannot be made, or another program locks the database.
        sqlite3.Error: the database cannot be written; it is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    put_damaged_aside(path)
    with closing(sqlite3.connect(":memory:")) as memory:
        if path.exists():
            with closing(sqlite3.connect(path, timeout=_PATIENCE_S / 20)) as there:
                _copy(there, memory)
        if _update_study(memory, name, search, told, is_over):
            with closing(sqlite3.connect(path, timeout=_PATIENCE_S / 20)) as there:
                _copy(memory, there)


def _copy(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """Copy a database in one transaction; give up after a while if it is locked, as sqlite3 itself does not."""
    until = time.monotonic() + _PATIENCE_S

    def check(status: int, remaining: int, total: int) -> None:
        if status != sqlite3.SQLITE_DONE and time.monotonic() > until:
            raise TimeoutError("the database is locked by another program")

    source.backup(target, progress=check)


def _update_study(
    base: sqlite3.Connection, name: str, search: Search, told: Sequence[Observation], is_over: bool
) -> bool:
    """Update the study in a database in memory; return whether anything changed."""
    ended = {_content(each): each for each in told if each.score.state != "running"}
    logging.getLogger("alembic").setLevel(logging.CRITICAL)
    optuna, keys = _quiet_optuna(), {"study_name": name, "directions": _directions(search)}
    keys["storage"] = storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": lambda: base})
    is_changed = name not in optuna.get_all_study_names(storage)
    study = optuna.create_study(**keys, load_if_exists=True)
    trials = study.get_trials(deepcopy=False)
    stored = {trial.user_attrs.get("content") for trial in trials}
    is_part = len(stored) == len(trials) and stored <= set(ended)
    if not is_part or [each.name.lower() for each in study.directions] != _directions(search):
        optuna.delete_study(study_name=name, storage=storage)
        study, stored, is_changed = optuna.create_study(**keys), set(), True
    if is_changed:
        study.set_metric_names(list(search.objectives))
    for content, each in ended.items():
        if content not in stored and (is_over or each.score.state != "pruned"):
            shown, is_changed = replace(each, notes={}, facts={**each.facts, "content": content}), True
            study.add_trial(_frozen(search, shown, is_view=True))
    return is_changed


def _content(told: Observation) -> str:
    parts = [told.number, dict(told.parameters), told.score.state, told.score.values, dict(told.score.by_rung)]
    return digest(repr(parts), [])
