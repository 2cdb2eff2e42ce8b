"""Optuna, and nothing else: what to try next, which parameters mattered, and a database for people to look at.

The only file that imports optuna. Nothing is kept in here: each question comes with all that is known, from our own
ledger, and a sampler seeded by (search seed, proposal number); so an answer is the same again after any kill. The
database is a view, as MLflow's is: it can be deleted, and is written again.
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
"""Proposals drawn at random before a sampler learns; no part of a budget, so that raising one changes nothing."""

_REDRAWS = 20
_PATIENCE_S = 20.0  # with a database that somebody else holds
_STATES = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL", "running": "RUNNING"}
_SEEDS_MAX = 2**32  # of numpy's generators
_NUM_TREES = 64
_CMA_STATE, _CMA_GENERATION = "cma:optimizer", "cma:generation"  # as Optuna names them


def suggest(search: Search, told: Sequence[Observation], number: int) -> Suggestion | None:
    """Return what to try next: a cell that was not proposed before; None if every point of the space was.

    What runs or failed counts as poor, so that a sampler keeps away from it: see `_as_poor`. If it insists on what was
    proposed before, a new point is drawn at random; where points cannot be counted and none is found, an old one is
    proposed again once nothing runs: its stored result is told then, which costs nothing.

    Args:
        search: the section of the sweep file.
        told: all proposals so far, and what was known before.
        number: of the proposal that is made.
    """
    before = {text(dict(each.parameters)) for each in told if each.number is not None}
    if search.sampler == "grid":
        return next((Suggestion(point) for point in grid(search.space) if text(point) not in before), None)
    heard, left = _as_poor(search, told), None
    study = _study(search, heard, _evolved(search, heard) if search.sampler == "cmaes" else {})
    for redraw in range(2 * _REDRAWS):
        if (insists := redraw >= _REDRAWS) and left:
            return Suggestion(Random(derive(search.seed, "left", number)).choice(left))
        seed = derive(search.seed, "proposal", number, redraw) % _SEEDS_MAX
        study.sampler = _sampler("random" if insists else search.sampler, seed)
        trial = study.ask()
        parameters = _draw(search.space, trial)
        if text(parameters) not in before:
            return Suggestion(parameters, _kept(study.get_trials(deepcopy=False)[trial.number].system_attrs))
        if redraw == 0 and (left := _left(search.space, before)) == []:
            return None
    return None if any(each.score.state == "running" for each in told) else Suggestion(parameters)


def _as_poor(search: Search, told: Sequence[Observation]) -> list[Observation]:
    """Return what was told as a sampler hears it: a proposal that failed has a poor value.

    Optuna's samplers leave failed trials out, and so propose what fails again and again. The value is made up, as for
    what runs (constant liar: Ginsbourger et al. 2010): a hair beyond the worst of the complete ones, in each objective.
    With halving it is pruned without a value, for TPE ranks what is pruned below all that is complete. While nothing
    has a value it stays failed: of failures alone a sampler would take one for the best.
    """
    every = [each.score.values for each in told if each.score.state == "complete" and each.score.values]
    poor = ProposalValue("failed")
    if search.pruning and (every or any(each.score.by_rung for each in told)):
        poor = ProposalValue("pruned")
    elif every:
        poor = ProposalValue("complete", tuple(map(_beyond, zip(*every, strict=True), search.directions)))
    return [replace(each, score=poor) if each.score.state == "failed" else each for each in told]


def _beyond(values: Sequence[float], better: str) -> float:
    return math.nextafter(max(values), math.inf) if better == "lower" else math.nextafter(min(values), -math.inf)


def _left(space: Mapping[str, Parameter], before: set[str]) -> list[dict[str, Any]] | None:
    """Return the points that were not proposed before; None if they cannot be counted, or are too many."""
    if any(parameter.values() is None for parameter in space.values()):
        return None
    points = grid(space)
    return [point for point in points if text(point) not in before] if len(points) < GRID_MAX else None


def _evolved(search: Search, told: Sequence[Observation]) -> dict[str, Any]:
    """Return the state of CMA-ES: each generation of what was told is replayed, in this process.

    Optuna keeps that state pickled with a trial. A pickle can run any code, so none is written to the ledger, and none
    is read from it: what is kept of a proposal is the number of its generation.
    """
    state: dict[str, Any] = {}
    while True:  # each turn is one generation further, and there are no more generations than proposals
        study = _study(search, told, state)
        study.sampler = _sampler(search.sampler, derive(search.seed, "generations", 0) % _SEEDS_MAX)
        trial = study.ask()
        _draw(search.space, trial)  # tells the generation
        notes = study.get_trials(deepcopy=False)[trial.number].system_attrs
        further = {name: value for name, value in notes.items() if name.startswith(_CMA_STATE)}
        if not further:
            return state
        state = further


def _kept(notes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a sampler's notes goes to the ledger and comes from it: a whole number, whoever wrote the file."""
    return {name: value for name, value in notes.items() if name == _CMA_GENERATION and type(value) is int}


def _draw(space: Mapping[str, Parameter], trial: "optuna.Trial") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in ordered(space):
        if counts(space[path], found):
            found[path] = _drawn(space[path], path, trial)
    return {path: found[path] for path in space if path in found}


def _distribution(parameter: Parameter) -> "optuna.distributions.BaseDistribution":
    from optuna import distributions

    if parameter.choice is not None:
        return distributions.CategoricalDistribution([_name(value) for value in parameter.choice])
    low, high = parameter.bounds
    if parameter.is_whole:
        return distributions.IntDistribution(int(low), int(high), log=parameter.is_log)
    return distributions.FloatDistribution(low, high, log=parameter.is_log)


def _name(value: Any) -> Any:
    """Return a choice as Optuna takes it: lists and mappings as text."""
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
    if told.span:  # Optuna's times are local ones without a zone
        trial.datetime_start, trial.datetime_complete = (time.astimezone().replace(tzinfo=None) for time in told.span)
    return trial


def _study(search: Search, told: Sequence[Observation], state: Mapping[str, Any]) -> "optuna.Study":
    """Return a study of all that was told; `state` goes with the last complete proposal, where CMA-ES looks for it."""
    study: optuna.Study = _quiet_optuna().create_study(directions=_directions(search))
    last = max((place for place, each in enumerate(told) if each.score.state == "complete"), default=None)
    study.add_trials(_frozen(search, each, state=state if place == last else None) for place, each in enumerate(told))
    return study


def _directions(search: Search) -> list[str]:
    return ["minimize" if better == "lower" else "maximize" for better in search.directions]


def _quiet_optuna() -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # of samplers' options, and names of values
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
    """Return which share of the variance of the first objective each parameter explains (fANOVA), largest first.

    Values are those of the first rung, which all proposals have. Parameters that count only at times are left out.
    fANOVA: Hutter, Hoos and Leyton-Brown, ICML 2014.

    Args:
        search: the section of the sweep file.
        told: all proposals.

    Returns:
        nothing if too few proposals have values, all values are the same, or scikit-learn is not installed.
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
        found: dict[str, float] = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {path: float(share) for path, share in sorted(found.items(), key=lambda item: -item[1])}


def publish(path: Path, name: str, search: Search, told: Sequence[Observation], is_over: bool) -> None:
    """Bring one study in the database up to date: `optuna-dashboard sqlite:///mlruns/optuna.db` shows it.

    It holds what has ended, and none is ever running. Where it holds something else (somebody else's trial, what failed
    and was retried), the study is made anew. All is done in memory and written in one transaction; a damaged database
    is put aside.

    Args:
        path: the database; only the driver writes it.
        name: of the study.
        search: the section of the sweep file.
        told: all proposals, and what was known before.
        is_over: nothing will be promoted; else pruned proposals are left out: what has ended cannot change in Optuna.

    Raises:
        OSError: the folder cannot be made, or the database is held by somebody else.
        sqlite3.Error: the database cannot be written; it is as it was.
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
    """Copy a database in one transaction; sqlite3 alone would wait for ever for somebody who holds it."""
    until = time.monotonic() + _PATIENCE_S

    def check(status: int, remaining: int, total: int) -> None:
        if status != sqlite3.SQLITE_DONE and time.monotonic() > until:
            raise TimeoutError("the database is held by somebody else")

    source.backup(target, progress=check)


def _update_study(
    base: sqlite3.Connection, name: str, search: Search, told: Sequence[Observation], is_over: bool
) -> bool:
    """Bring the study in a database in memory up to date; return whether there was anything to do."""
    ended = {_content(each): each for each in told if each.score.state != "running"}
    logging.getLogger("alembic").setLevel(logging.CRITICAL)
    optuna, keys = _quiet_optuna(), {"study_name": name, "directions": _directions(search)}
    keys["storage"] = storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": lambda: base})
    is_changed = name not in optuna.get_all_study_names(storage)
    study = optuna.create_study(**keys, load_if_exists=True)
    trials = study.get_trials(deepcopy=False)
    there = {trial.user_attrs.get("content") for trial in trials}
    is_part = len(there) == len(trials) and there <= set(ended)
    if not is_part or [each.name.lower() for each in study.directions] != _directions(search):
        optuna.delete_study(study_name=name, storage=storage)
        study, there, is_changed = optuna.create_study(**keys), set(), True
    if is_changed:
        study.set_metric_names(list(search.objectives))
    for content, each in ended.items():
        if content not in there and (is_over or each.score.state != "pruned"):
            shown, is_changed = replace(each, notes={}, facts={**each.facts, "content": content}), True
            study.add_trial(_frozen(search, shown, is_view=True))
    return is_changed


def _content(told: Observation) -> str:
    parts = [told.number, dict(told.parameters), told.score.state, told.score.values, dict(told.score.by_rung)]
    return digest(repr(parts), [])
