"""The findings of a search: its history, the confirmed proposals, and the winner as a sweep file."""

import math
import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from omni_msa.evidence.search_summary import Confirmed, FurtherObjective, ProposalSummary, SearchFindings, Spent
from omni_msa.evidence.search_verdict import compare, gains, has_seeds, sign, verdict
from omni_msa.evidence.summary import CellSummary, summarise
from omni_msa.ledger import names
from omni_msa.planning.plan import Plan
from omni_msa.search import confirmation
from omni_msa.search.rules import ProposalValue, Values, pareto_front
from omni_msa.search.study import Study
from omni_msa.search.study_folder import DEFAULT, Proposal
from omni_msa.sweep.search_space import label
from omni_msa.sweep.sweep import Cell
from omni_msa.system.files import is_number


def describe(study: Study, importances: Mapping[str, float], best: str = "") -> SearchFindings:
    """Return all that a report shows of a study.

    Args:
        study: with the current state of its proposals and trials.
        importances: parameter to the share of the variance that it explains, in [0, 1].
        best: name of the file that its winner is written to, "" if no winner was ever named.
    """
    scores, candidates = study.scores(), confirmation.candidates(study) if study.is_searched() else []
    history, default = _history(study, scores), study.whole_score(study.default_cell())
    confirmed = confirmation.confirmed(study) if candidates else {}
    winner = confirmation.winner(study) if candidates else {}
    compared = compare(study, confirmed, winner.get("candidate"))
    searched = {row.proposal: row.values for row in history} | {DEFAULT: default.values}
    rows = {str(name): _confirmed_row(study, name, confirmed, searched) for name in confirmed}
    return SearchFindings(
        study=study.name,
        axes=study.cell.axes,
        sampler=study.search.sampler,
        seed=study.search.seed,
        objectives=study.search.objectives,
        space=study.search.model_dump(mode="json", include={"space"}, exclude_none=True)["space"],
        seeds=study.sweep.file.seeds,
        confirm_seeds=study.search.confirm.seeds,
        rungs=study.steps,
        spent=Spent(**study.folder.spent()),
        num_known=len(study.folder.known() or []) if study.search.transfer else 0,
        first_rung=_first_rung(study),
        history=history,
        importances=importances,
        pareto_front=_front(study, history) if len(study.search.objectives) > 1 else None,
        confirmed=list(rows.values()),
        num_confirmed=len(confirmation.ever_confirmed(study)),
        is_fresh=has_seeds(study, [DEFAULT, *candidates]),
        winner=winner.get("winner"),
        times_test_was_opened=confirmation.num_openings(study),
        comparison=compared,
        verdict=verdict(study, rows, winner, compared),
        best=best,
    )


def _front(study: Study, history: Sequence[ProposalSummary]) -> list[int]:
    valued = [(row.proposal, row.values) for row in history if row.state == "complete" and row.values]
    return [valued[index][0] for index in pareto_front([values for _, values in valued], study.search.directions)]


def _history(study: Study, scores: Sequence[ProposalValue]) -> list[ProposalSummary]:
    """Return every proposal; `best_so_far` is taken over complete ones."""
    direction, best, rows = sign(study), math.inf, []
    for proposal, score in zip(study.proposals, scores, strict=True):
        if score.values:
            best = min(best, direction * score.values[0])
        rows.append(
            ProposalSummary(
                proposal=proposal.number,
                state=score.state,
                rung=proposal.rung,
                values=score.values or None,
                by_rung=score.by_rung,
                best_so_far=direction * best if math.isfinite(best) else None,
                parameters=proposal.parameters,
                trials=proposal.trials,
                why=_why(study, proposal) if score.state == "failed" else "",
                time=proposal.time,
            )
        )
    return rows


def history_rows(found: SearchFindings) -> list[dict[str, Any]]:
    """Return the history as flat rows with a column for each parameter."""
    rows = []
    for row in found.history:
        flat = dict(zip(found.objectives, row.values or [None] * len(found.objectives), strict=True))
        first = {"study": found.study, "proposal": row.proposal, "state": row.state}
        more = {"at_first_rung": row.by_rung.get(0), "best_so_far": row.best_so_far, "rung": row.rung}
        rows.append({**first, **flat, **more, **row.parameters})
    return rows


def _why(study: Study, proposal: Proposal) -> str:
    """Return the reason why a proposal failed, in one line."""
    if refusal := study.refusal(proposal):
        return refusal
    cell = study.cell_of(proposal)
    for seed in cell.seeds:
        status = study.ledger.trial(study.id_of(cell, seed), opens_test=False).status()
        if status.state == "failed":
            return f"{'' if seed is None else f'seed {seed}: '}{(status.failure or {}).get('message', 'unknown')}"
    return "a seed has no value"


def _first_rung(study: Study) -> str:
    """Return the first rung, at which every proposal has a value, in words; "" if nothing is pruned."""
    first, num_epochs = study.steps[0], study.cell.config.training.epochs
    if study.search.pruning is None:
        return ""
    after = "" if first.num_epochs is None else f"after {first.num_epochs} of {num_epochs} epochs "
    return f"{after}of one seed"


def _confirmed_row(
    study: Study,
    name: int | str,
    confirmed: Mapping[int | str, ProposalValue],
    searched: Mapping[int | str, Values | None],
) -> Confirmed:
    """Return the values of one configuration in the search and with fresh seeds."""
    one, parameters = confirmed[name], {} if name == DEFAULT else study.proposal(name).parameters
    ours, theirs = searched.get(name), searched.get(DEFAULT)
    fresh = list(one.by_seed.values())
    gained = gains(study, name, one, confirmed[DEFAULT]) if name != DEFAULT else []
    return Confirmed(
        study=study.name,
        configuration=str(name),
        search_value=ours[0] if ours else None,
        search_gain=sign(study) * (theirs[0] - ours[0]) if ours and theirs and name != DEFAULT else None,
        fresh_mean=statistics.fmean(fresh) if fresh else None,
        fresh_std=statistics.stdev(fresh) if len(fresh) > 1 else None,
        n=len(fresh),
        fresh_gain=statistics.fmean(gained) if gained else None,
        state=one.state,
        fresh_values=fresh,
        parameters=label(parameters),
        further={
            objective: _further(study, name, index, ours)
            for index, objective in enumerate(study.search.objectives[1:], 1)
        },
    )


def _further(study: Study, name: int | str, index: int, ours: Values | None) -> FurtherObjective:
    values = [outcome.values[index] for outcome in study.seen(study.fresh_cell(name, False)) if outcome.values]
    return FurtherObjective(
        search=ours[index] if ours else None,
        fresh=statistics.fmean(values) if values else None,
        fresh_std=statistics.stdev(values) if len(values) > 1 else None,
    )


def best_sweep(study: Study) -> dict[str, Any]:
    """Return the winning configuration as the content of a sweep file; its trials are those of the confirmation.

    Args:
        study: one for which a winner has been named, perhaps before the search went on.
    """
    file, naming = study.sweep.file, confirmation.named(study)
    name = naming["winner"]
    cell = study.fresh_cell(name, True)
    config = cell.config.model_dump(mode="json")
    sections = {
        key: config[key] for key in ("dataset", "modalities", "media", "backbone", "adapter", "readout", "training")
    }
    sections["training"].pop("select_metric")
    axes = {axis: [value] for axis, value in study.cell.axes.items()} or {"readout": [config["readout"]["name"]]}
    which = "the default configuration" if name == DEFAULT else f"proposal {name}"
    question = f"How good is the best configuration of the search {study.name} ({which})?"
    keys = {"question": question, "profile": file.profile, "axes": axes, "seeds": naming["seeds"]}
    select = {"select": {"metric": file.select.metric, "split": "valid"}, "on_bad_clip": file.on_bad_clip}
    return {**keys, **select, **sections, "runtime": config["runtime"]}


def find(plan: Plan) -> tuple[SearchFindings, ...]:
    """Return the findings of each search of a plan, empty without a search.

    Args:
        plan: with the current states of its trials.
    """
    return tuple(
        describe(study, _importances(study), _best_name(plan, number)) for number, study in enumerate(plan.studies, 1)
    )


def _best_name(plan: Plan, number: int) -> str:
    """Return the name of the file that a study's winner is written to, "" if no winner was ever named."""
    if confirmation.named(plan.studies[number - 1]).get("winner") is None:
        return ""
    return f"{names.folder_name(plan.sweep.name)}_best{'' if number == 1 else f'_{number}'}.yaml"


def _importances(study: Study) -> dict[str, float]:
    """Return the importance of each parameter; empty on an error, as no conclusion depends on it."""
    from omni_msa.search import optuna_sampler

    with suppress(Exception):
        return optuna_sampler.importances(study.search, study.told())
    return {}


def locked_cells(plan: Plan) -> list[CellSummary]:
    """Return the statistics on valid of each cell whose test split is locked, for MLflow.

    Args:
        plan: with the current states of its trials.
    """
    return [
        _locked(study, cell)
        for study in plan.studies
        for cell in confirmation.cells(study)
        if not cell.config.opens_test
    ]


def _locked(study: Study, cell: Cell) -> CellSummary:
    by_seed = {seed: study.ledger.trial(study.id_of(cell, seed), opens_test=False).result() for seed in cell.seeds}
    results = [result for result in by_seed.values() if result is not None]
    values: dict[str, list[float]] = {}
    for name, value in (item for result in results for item in {**result["valid"], **result["cost"]}.items()):
        if is_number(value):
            values.setdefault(name, []).append(value)
    missing = [seed for seed, result in by_seed.items() if result is None]
    metrics = {name: summarise(each) for name, each in values.items()}
    return CellSummary(cell.name, cell.axes, cell.deterministic, cell.seeds, missing, metrics=metrics)
