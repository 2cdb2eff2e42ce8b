"""What is made of the best proposals of a study: who is confirmed with fresh seeds, who wins, and where it stands.

It follows from files, as the study itself: a winner that was named keeps its place, whatever is measured again later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from omni_msa.config.sections import DatasetOptions
from omni_msa.ledger.ledger import Ledger
from omni_msa.search.rules import ProposalValue, best
from omni_msa.search.study import PROPOSAL, STAGE, Study
from omni_msa.search.study_folder import DEFAULT, Confirmation
from omni_msa.sweep.search_space import text
from omni_msa.sweep.sweep import Cell, Compare, Sweep
from omni_msa.text import count


def cells(study: Study) -> list[Cell]:
    """Return all cells so far: the default, what is confirmed, and every proposal; test is open for the named."""
    best_ones = candidates(study) if study.is_searched() else []
    named_now = winner(study) if best_ones else {}
    opened = {DEFAULT, named_now.get("candidate")} if named_now else set()
    names: list[int | str] = [DEFAULT, *best_ones]
    fresh = [study.fresh_cell(name, name in opened) for name in names]
    first = [cell for cell in fresh if cell.config.opens_test]
    rest = [cell for cell in fresh if not cell.config.opens_test]
    return [*first, *rest, study.default_cell(), *study.proposed_cells()]


def candidates(study: Study) -> list[int]:
    """Return the numbers of the best proposals, no cell twice, the best first; then those confirmed earlier.

    Who has been confirmed with these seeds stays in the running when a larger budget finds others.
    """
    scores = study.scores()
    found: dict[str, int] = {}
    for place in best(scores, study.search.directions, len(scores)):
        one = study.proposals[place]
        if len(found) < study.search.confirm.best:
            found.setdefault(text(one.parameters), one.number)
    complete = {each.number for each, one in zip(study.proposals, scores, strict=True) if one.state == "complete"}
    return [*found.values(), *sorted((_confirmed_earlier(study) & complete) - set(found.values()))]


def _confirmed_earlier(study: Study) -> set[int]:
    """Return which proposals were confirmed with the seeds of today whenever a winner was named."""
    made = {str(each.number) for each in study.proposals if not study.refusal(each)}
    named = [(int(name), each["seeds"]) for each in study.folder.winners() for name in each["valid"] if name in made]
    return {number for number, seeds in named if _fresh_seeds(study, number) in ((), tuple(sorted(seeds)))}


def _fresh_seeds(study: Study, number: int) -> tuple[int, ...]:
    """Return the fresh seeds of a proposal, none if it draws nothing at random."""
    return () if study.fresh_cell(number, False).deterministic else tuple(sorted(study.search.confirm.seeds))


def confirming(study: Study) -> set[Confirmation]:
    """Return what is confirmed now."""
    return {(text(study.proposal(each).parameters), _fresh_seeds(study, each)) for each in candidates(study)}


def ever_confirmed(study: Study) -> set[Confirmation]:
    """Return what was ever confirmed, and is now, for this default: with whatever space, seeds and sampler."""
    now = confirming(study) if study.is_searched() else set()
    return now.union(*(folder.confirmed() for folder in study.folder.alike()))


def num_openings(study: Study) -> int:
    """Return how often a winner was named, and the test split opened, for this default."""
    return sum(len(folder.winners()) for folder in study.folder.alike())


def confirmed(study: Study) -> dict[int | str, ProposalValue]:
    """Return what the default and the candidates are worth with fresh seeds."""
    names: list[int | str] = [DEFAULT, *candidates(study)]
    return {name: study.whole_score(study.fresh_cell(name, False)) for name in names}


def winner_now(study: Study) -> dict[str, Any] | None:
    """Return who wins by what is known, as `winner.json` has it; None while something is still to be run.

    `candidate` is the best proposal with fresh seeds, `winner` that one or the default, whichever is better. None
    wins against a default of which a seed failed.
    """
    found = confirmed(study) if study.is_searched() else {}
    if any(one.state == "running" for one in found.values()) or not (found and found[DEFAULT].values):
        return None
    sign = -1 if study.search.directions[0] == "higher" else 1
    means = {name: sign * one.values[0] for name, one in found.items() if one.values}
    proposals = [name for name in means if name != DEFAULT]
    candidate = min(proposals, key=lambda name: means[name], default=None)
    loses = candidate is None or means[DEFAULT] <= means[candidate]
    fresh = {str(name): one.values[0] if one.values else None for name, one in found.items()}
    facts = {"candidate": candidate, "winner": DEFAULT if loses else candidate}
    return {**facts, "seeds": list(study.search.confirm.seeds), "valid": fresh}


def winner(study: Study) -> dict[str, Any]:
    """Return the winner that was named, empty unless it was named among those that are complete now.

    What is measured again, as a latency, unseats nobody.
    """
    every = study.folder.winners()
    found = confirmed(study) if every and study.is_searched() else {}
    whole = {str(name) for name, one in found.items() if one.state in ("complete", "running")}
    for named in every if found else ():
        known = {name for name, value in named["valid"].items() if value is not None}
        if (
            sorted(named["seeds"]) == sorted(study.search.confirm.seeds)
            and set(named["valid"]) == set(map(str, found))
            and whole <= known
        ):
            return named
    return {}


def named(study: Study) -> dict[str, Any]:
    """Return the naming that stands or, while a larger budget or other seeds are run, the latest; else empty."""
    made = {DEFAULT, *(each.number for each in study.proposals if not study.refusal(each))}
    latest = study.folder.winner()
    return winner(study) or (latest if latest.get("winner") in made else {})


def is_over(study: Study) -> bool:
    """Return whether a winner has been named, or none can be: no proposal is complete, or the default failed."""
    if not study.is_searched():
        return False
    found = confirmed(study) if candidates(study) else {}
    have_ended = all(one.state != "running" for one in found.values())
    is_stuck = bool(found) and found[DEFAULT].state == "failed" and have_ended
    return not found or is_stuck or bool(winner(study))


def standing(study: Study) -> str:
    """Say where the search stands."""
    budget = study.search.budget
    limits = {"proposals": budget.proposals, "hours": budget.hours, "GPU-hours": budget.gpu_hours}
    until = " or ".join(f"{number:g} {what}" for what, number in limits.items() if number is not None)
    states = [one.state for one in study.scores()]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    made = f"{len(states)} made" + (f" ({counts})" if counts else "")
    num, seeds = study.search.confirm.best, count(len(study.search.confirm.seeds), "fresh seed")
    if study.is_searched():  # halving and failures may leave fewer, and earlier ones may come to them
        num = len(candidates(study))
    confirm = f"the best {f'{num} are' if num != 1 else 'is'} confirmed with {seeds}" if num else "none to confirm"
    best_one, when = named(study).get("winner"), "" if winner(study) else "so far "
    who = best_one if best_one == DEFAULT else f"proposal {best_one}"
    won = "" if best_one is None else f"; {when}winner: {who}"
    return f"search {study.name}: {study.search.sampler}, until {until}: {made}; {confirm}{won}"


def studies(sweep: Sweep, ledger: Ledger, prints: Mapping[DatasetOptions, str]) -> tuple[Study, ...]:
    """Return the studies of a sweep, one for each cell of its axes; none unless it has a search.

    Args:
        sweep: as it was loaded.
        ledger: keeps proposals and trials.
        prints: the fingerprint of each dataset.
    """
    if sweep.file.search is None:
        return ()
    return tuple(Study(sweep, cell, prints[cell.config.dataset], ledger) for cell in sweep.cells)


def expand(sweep: Sweep, found: Sequence[Study]) -> Sweep:
    """Return a sweep whose cells are those that its studies have so far."""
    if not found:
        return sweep
    file = sweep.file
    compare = file.compare or Compare(against={}, metric=file.select.metric)
    against = {**compare.against, PROPOSAL: DEFAULT, STAGE: "fresh"}
    file = file.model_copy(update={"compare": compare.model_copy(update={"against": against})})
    return replace(sweep, file=file, cells=tuple(cell for study in found for cell in cells(study)))
