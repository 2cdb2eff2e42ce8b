"""Optuna, and nothing else: what to try next, which parameters mattered, and a database for people to look at.

The only file that imports optuna. Nothing is kept in here: each question comes with all that is known, from our own
ledger, and a sampler seeded by (search seed, proposal number); so an answer is the same again after any kill. The
database is a view, as MLflow's is: it can be deleted, and is written again.
"""

import importlib.util
import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from omni_msa.flatten import digest
from omni_msa.search_rules import Score, Suggestion, Told
from omni_msa.search_space import Parameter, Search, counts, grid, ordered, same, text
from omni_msa.seeding import derive

if TYPE_CHECKING:
    import optuna

NUM_STARTUP = 6
"""Proposals drawn at random before a sampler learns; no part of a budget, so that raising one changes nothing."""

_REDRAWS = 20
_STATES = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL", "running": "RUNNING"}
_SEEDS_MAX = 2**32  # of numpy's generators
_NUM_TREES = 64
_CMA_STATE, _CMA_GENERATION = "cma:optimizer", "cma:generation"  # as Optuna names them


def suggest(search: Search, told: Sequence[Told], number: int) -> Suggestion | None:
    """Return what to try next, None if there is nothing new while proposals run, or a grid is exhausted.

    A cell that was proposed before is proposed again only if the sampler insists and nothing runs: its stored result
    is told then, which costs nothing. Running proposals count as if they had a poor value (constant liar).

    Args:
        search: the section of the sweep file.
        told: all proposals so far, and what was known before.
        number: of the proposal that is made.
    """
    before = [each.parameters for each in told if each.number is not None]
    if search.sampler == "grid":
        new = (point for point in grid(search.space) if not any(same(point, each) for each in before))
        point = next(new, None)
        return None if point is None else Suggestion(point)
    study = _study(search, told, _evolved(search, told) if search.sampler == "cmaes" else {})
    for redraw in range(_REDRAWS):
        study.sampler = _sampler(search, derive(search.seed, "proposal", number, redraw) % _SEEDS_MAX)
        trial = study.ask()
        parameters = _draw(search.space, trial)
        if not any(same(parameters, each) for each in before):
            return Suggestion(parameters, _kept(study.get_trials(deepcopy=False)[trial.number].system_attrs))
    if any(each.score.state == "running" for each in told):
        return None
    return Suggestion(parameters)


def _evolved(search: Search, told: Sequence[Told]) -> dict[str, Any]:
    """Return the state of CMA-ES: each generation of what was told is replayed, in this process.

    Optuna keeps that state pickled with a trial. A pickle can run any code, so none is written to the ledger, and none
    is read from it: what is kept of a proposal is the number of its generation.
    """
    state: dict[str, Any] = {}
    while True:  # each turn is one generation further, and there are no more generations than proposals
        study = _study(search, told, state)
        study.sampler = _sampler(search, derive(search.seed, "generations", 0) % _SEEDS_MAX)
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


def _frozen(
    search: Search, told: Told, is_view: bool = False, state: Mapping[str, Any] = MappingProxyType({})
) -> "optuna.trial.FrozenTrial":
    from optuna.trial import TrialState, create_trial

    space, score = search.space, told.score
    params = {path: _name(value) for path, value in told.parameters.items()}
    return create_trial(
        state=TrialState[_STATES[score.state]],
        values=list(score.values) if score.values else None,
        params=params,
        distributions={path: _distribution(space[path]) for path in params},
        intermediate_values={rung + 1: value for rung, value in score.by_rung.items()} if search.pruning else None,
        system_attrs={**_kept(told.notes), **state},
        user_attrs={"proposal": told.number, **told.facts} if is_view else None,
    )


def _study(search: Search, told: Sequence[Told], state: Mapping[str, Any]) -> "optuna.Study":
    """Return a study of all that was told; `state` goes with the last complete proposal, where CMA-ES looks for it."""
    study: optuna.Study = _quiet_optuna().create_study(directions=_directions(search))
    last = max((place for place, each in enumerate(told) if each.score.state == "complete"), default=None)
    for place, each in enumerate(told):
        study.add_trial(_frozen(search, each, state=state if place == last else {}))
    return study


def _directions(search: Search) -> list[str]:
    return ["minimize" if better == "lower" else "maximize" for better in search.directions]


def _quiet_optuna() -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _sampler(search: Search, seed: int) -> "optuna.samplers.BaseSampler":
    from optuna import samplers

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # options of samplers that Optuna calls experimental
        if search.sampler == "tpe":
            return samplers.TPESampler(
                seed=seed, multivariate=True, group=True, constant_liar=True, n_startup_trials=NUM_STARTUP
            )
        if search.sampler == "gp":
            return samplers.GPSampler(seed=seed, n_startup_trials=NUM_STARTUP, warn_independent_sampling=False)
        if search.sampler == "cmaes":
            return samplers.CmaEsSampler(seed=seed, n_startup_trials=NUM_STARTUP, warn_independent_sampling=False)
        return samplers.RandomSampler(seed=seed)


def importances(search: Search, told: Sequence[Told]) -> dict[str, float]:
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
    optuna = _quiet_optuna()
    study = optuna.create_study(direction=_directions(search)[0])
    for each, value in values:
        study.add_trial(_frozen(search, Told(each.parameters, Score("complete", (value,)))))
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=_NUM_TREES, seed=search.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: dict[str, float] = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {path: float(share) for path, share in sorted(found.items(), key=lambda item: -item[1])}


def publish(path: Path, name: str, search: Search, told: Sequence[Told]) -> None:
    """Bring one study in the database up to date: `optuna-dashboard sqlite:///mlruns/optuna.db` shows it.

    It holds what has ended, in order of proposal where it was built at once; none is ever running. Where it holds
    something else (a kill, a promotion, a file of somebody else), the study is made anew.

    Args:
        path: the database; only the driver writes it.
        name: of the study.
        search: the section of the sweep file.
        told: all proposals, and what was known before.
    """
    wanted = {_content(each): each for each in told if each.score.state != "running"}
    optuna, storage = _quiet_optuna(), _database(path)
    try:
        study = optuna.create_study(
            study_name=name, storage=storage, directions=_directions(search), load_if_exists=True
        )
        there = [trial.user_attrs.get("content") for trial in study.get_trials(deepcopy=False)]
        is_part = len(set(there)) == len(there) and set(there) <= set(wanted)
        if not is_part or [d.name.lower() for d in study.directions] != _directions(search):
            optuna.delete_study(study_name=name, storage=storage)
            study, there = optuna.create_study(study_name=name, storage=storage, directions=_directions(search)), []
        for content in (content for content in wanted if content not in there):
            each = wanted[content]
            facts = {**each.facts, "content": content}
            study.add_trial(_frozen(search, Told(each.parameters, each.score, each.number, {}, facts), is_view=True))
    finally:
        storage.engine.dispose()


def _content(told: Told) -> str:
    parts = [told.number, dict(told.parameters), told.score.state, told.score.values, dict(told.score.by_rung)]
    return digest(repr(parts), [])


def _database(path: Path) -> Any:
    """Open the database; its tables are made aside, since a kill would leave a half that can never be opened."""
    from optuna.storages import RDBStorage

    logging.getLogger("alembic").setLevel(logging.CRITICAL)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f".{path.name}.{os.getpid()}.db")
        RDBStorage(f"sqlite:///{draft}").engine.dispose()
        os.replace(draft, path)
    return RDBStorage(f"sqlite:///{path}")
