"""What a search found, as data: its history, what was confirmed, and whether it found anything real."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from omni_msa.ledger import finite
from omni_msa.metrics import METRICS
from omni_msa.search_rules import Score, pareto_front
from omni_msa.search_space import label
from omni_msa.statistics.intervals import t_interval
from omni_msa.statistics.paired import sign_flip_floor, sign_flip_p
from omni_msa.study import DEFAULT, Study

REAL, NOT_DECIDED, NOTHING, UNFINISHED = "real", "not decided", "nothing found", "unfinished"


def describe(study: Study, importances: Mapping[str, float]) -> dict[str, Any]:
    """Return all that a report says of a study, as plain values.

    Args:
        study: with its proposals and trials as they are now.
        importances: share of the variance that each parameter explains.
    """
    scores, candidates = study.scores(), study.candidates() if study.is_searched() else []
    confirmed = study.confirmed() if candidates else {}
    winner = study.winner() if candidates else {}
    compared = _compare(study, confirmed, winner.get("candidate"))
    front = [place for place, one in enumerate(scores) if one.state == "complete" and one.values]
    found = [one.values for one in scores if one.state == "complete" and one.values]
    pareto = [study.proposals[front[place]].number for place in pareto_front(found, study.search.directions)]
    state, text = _verdict(study, confirmed, winner, compared)
    values = {
        "study": study.name,
        "axes": study.cell.axes,
        "sampler": study.search.sampler,
        "seed": study.search.seed,
        "objectives": list(study.search.objectives),
        "space": study.search.model_dump(mode="json", include={"space"}, exclude_none=True)["space"],
        "seeds": list(study.sweep.file.seeds),
        "confirm_seeds": list(study.search.confirm.seeds),
        "rungs": [vars(rung) for rung in study.steps],
        "spent": study.folder.spent(),
        "num_known": len(study.folder.known() or []) if study.search.transfer else 0,
        "history": _history(study, scores),
        "importances": dict(importances),
        "pareto_front": pareto if len(study.search.objectives) > 1 else None,
        "confirmed": [_confirmed_row(study, name, one, scores) for name, one in confirmed.items()],
        "winner": winner.get("winner"),
        "times_test_was_opened": 1 + len(winner.get("earlier", [])) if winner else 0,
        "comparison": compared,
        "verdict": {"state": state, "text": text},
    }
    plain: dict[str, Any] = finite(values)
    return plain


def _history(study: Study, scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Return one row for each proposal; `best_so_far` is of the complete ones."""
    sign, best, rows = _sign(study), math.inf, []
    for proposal, one in zip(study.proposals, scores, strict=True):
        if one.values:
            best = min(best, sign * one.values[0])
        rows.append(
            {
                "proposal": proposal.number,
                "state": one.state,
                "rung": proposal.rung,
                "values": list(one.values) if one.values else None,
                "by_rung": {str(rung): value for rung, value in one.by_rung.items()},
                "best_so_far": sign * best if math.isfinite(best) else None,
                "parameters": proposal.parameters,
                "trials": proposal.trials,
                "time": proposal.time,
            }
        )
    return rows


def history_rows(described: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the history as flat rows, a column for each parameter: for slices and parallel coordinates.

    Args:
        described: what `describe` returned.
    """
    rows = []
    for row in described["history"]:
        values = row["values"] or [None] * len(described["objectives"])
        flat = dict(zip(described["objectives"], values, strict=True))
        first = {"study": described["study"], "proposal": row["proposal"], "state": row["state"]}
        at_first = row["by_rung"].get("0")
        more = {"at_first_rung": at_first, "best_so_far": row["best_so_far"], "rung": row["rung"]}
        rows.append({**first, **flat, **more, **row["parameters"]})
    return rows


def _confirmed_row(study: Study, name: int | str, one: Score, scores: Sequence[Score]) -> dict[str, Any]:
    """Return search value and value with fresh seeds of one configuration, side by side."""
    searched: float | None = None
    parameters: dict[str, Any] = {}
    if name != DEFAULT:
        place = next(place for place, each in enumerate(study.proposals) if each.number == name)
        values, parameters = scores[place].values, study.proposals[place].parameters
        searched = values[0] if values else None
    fresh = list(one.by_seed.values())
    return {
        "study": study.name,
        "configuration": str(name),
        "search_value": searched,
        "fresh_mean": statistics.fmean(fresh) if fresh else None,
        "fresh_std": statistics.stdev(fresh) if len(fresh) > 1 else None,
        "n": len(fresh),
        "state": one.state,
        "fresh_values": fresh,
        "parameters": label(parameters),
    }


def _compare(study: Study, confirmed: Mapping[int | str, Score], candidate: Any) -> dict[str, Any] | None:
    """Return the paired comparison of the best proposal with the default on fresh seeds, None if there is none."""
    if candidate not in confirmed or DEFAULT not in confirmed:
        return None
    ours, theirs = confirmed[candidate].by_seed, confirmed[DEFAULT].by_seed
    places = sorted(ours.keys() & theirs.keys())
    gained = [_sign(study) * (theirs[place] - ours[place]) for place in places]
    if not gained:
        return None
    num = sum(name != DEFAULT for name in confirmed)
    interval = t_interval(gained, num)  # the candidate is the best of them by these very seeds
    return {
        "candidate": candidate,
        "against": DEFAULT,
        "best_of": num,
        "gained": gained,  # above zero: the proposal is better
        "mean": statistics.fmean(gained),
        "interval_95": None if interval is None else list(interval),
        "p": sign_flip_p(gained),
        "p_floor": sign_flip_floor(len(gained)),
        "n": len(gained),
    }


def _verdict(
    study: Study, confirmed: Mapping[int | str, Score], winner: Mapping[str, Any], compared: Mapping[str, Any] | None
) -> tuple[str, str]:
    """Say in a sentence or two whether the search found anything real."""
    if not winner or compared is None:
        why = "no proposal is complete" if study.is_searched() and not confirmed else "it is not over"
        return UNFINISHED, f"The search says nothing yet: {why}."
    name = study.search.objectives[0]
    metric = METRICS[name]
    fresh = {key: statistics.fmean(one.by_seed.values()) for key, one in confirmed.items() if one.by_seed}
    candidate, gained = compared["candidate"], compared["mean"]
    searched = next(row["values"][0] for row in _history(study, study.scores()) if row["proposal"] == candidate)
    seeds = "1 fresh seed" if compared["n"] == 1 else f"{compared['n']} fresh seeds"
    text = (
        f"On {seeds} the best proposal ({candidate}: {label(study.proposal(candidate).parameters)}) has a valid "
        f"{metric.title} of {metric.show(fresh[candidate])} (in the search: {metric.show(searched)}) against "
        f"{metric.show(fresh[DEFAULT])} of the default: {_difference(metric.show(abs(gained)), gained)}"
    )
    interval = compared["interval_95"]
    if interval is not None:
        text += f", 95 % t interval {metric.show(interval[0])} to {metric.show(interval[1])}"
        text += f" (corrected for being the best of {compared['best_of']})" if compared["best_of"] > 1 else ""
    text += f", exact sign-flip p = {compared['p']:.3g} (at least {compared['p_floor']:.3g} with {seeds}). "
    if gained <= 0:
        return NOTHING, f"{text}The search found nothing better than the default, which stays."
    if interval is not None and interval[0] > 0:
        return REAL, f"{text}The gain is real: the interval lies above zero, with seeds that had no part in the search."
    return NOT_DECIDED, f"{text}Whether the gain is real is not decided: it may be the luck of seeds."


def _difference(size: str, gained: float) -> str:
    return f"{'better' if gained > 0 else 'worse'} by {size}" if gained else "no difference"


def best_sweep(study: Study) -> dict[str, Any]:
    """Return the winning configuration as the content of a sweep file; its trials are those that were confirmed.

    Args:
        study: whose winner has been named.
    """
    file, name = study.sweep.file, study.winner()["winner"]
    cell = study.fresh_cell(name, True)
    config = cell.config.model_dump(mode="json")
    sections = {
        key: config[key] for key in ("dataset", "modalities", "media", "backbone", "adapter", "readout", "training")
    }
    sections["training"].pop("select_metric")
    axes = {axis: [value] for axis, value in study.cell.axes.items()} or {"readout": [config["readout"]["name"]]}
    which = "the default configuration" if name == DEFAULT else f"proposal {name}"
    question = f"How good is the best configuration of the search {study.name} ({which})?"
    keys = {"question": question, "profile": file.profile, "axes": axes, "seeds": list(study.search.confirm.seeds)}
    select = {"select": {"metric": file.select.metric, "split": "valid"}, "on_bad_clip": file.on_bad_clip}
    return {**keys, **select, **sections, "runtime": config["runtime"]}


def _sign(study: Study) -> int:
    return -1 if study.search.directions[0] == "higher" else 1
