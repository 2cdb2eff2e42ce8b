"""The end of a search: which of the best proposals are confirmed with fresh seeds, and which one wins.

All of it follows from files, as the study itself does. A winner that was named stays the winner, even if a value, such
as a latency, is measured again later.
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
    """Return all cells so far: default and best proposals with fresh seeds, then default and proposals of the search.

    The test split is open for the default and the candidate of the naming, as soon as a winner has been named.
    """
    numbers = candidates(study) if study.is_searched() else []
    naming = winner(study) if numbers else {}
    opened = {DEFAULT, naming.get("candidate")} if naming else set()
    names: list[int | str] = [DEFAULT, *numbers]
    fresh = [study.fresh_cell(name, name in opened) for name in names]
    first = [cell for cell in fresh if cell.config.opens_test]
    rest = [cell for cell in fresh if not cell.config.opens_test]
    return [*first, *rest, study.default_cell(), *study.proposed_cells()]


def candidates(study: Study) -> list[int]:
    """Return the numbers of the proposals to confirm: the best ones, the best first, no parameters twice.

    Proposals that were confirmed earlier with the same seeds follow, even if a larger budget has found better ones.
    """
    scores = study.scores()
    best_of: dict[str, int] = {}
    for index in best(scores, study.search.directions, len(scores)):
        proposal = study.proposals[index]
        if len(best_of) < study.search.confirm.best:
            best_of.setdefault(text(proposal.parameters), proposal.number)
    complete = {each.number for each, value in zip(study.proposals, scores, strict=True) if value.state == "complete"}
    return [*best_of.values(), *sorted((_confirmed_earlier(study) & complete) - set(best_of.values()))]


def _confirmed_earlier(study: Study) -> set[int]:
    """Return the proposals that were confirmed with the current fresh seeds when a winner was named earlier."""
    made = {str(each.number) for each in study.proposals if not study.refusal(each)}
    named = [(int(name), each["seeds"]) for each in study.folder.winners() for name in each["valid"] if name in made]
    return {number for number, seeds in named if _fresh_seeds(study, number) in ((), tuple(sorted(seeds)))}


def _fresh_seeds(study: Study, number: int) -> tuple[int, ...]:
    """Return the fresh seeds of a proposal, () if its readout is deterministic."""
    return () if study.fresh_cell(number, False).deterministic else tuple(sorted(study.search.confirm.seeds))


def confirming(study: Study) -> set[Confirmation]:
    """Return parameters and fresh seeds of the proposals that are confirmed now."""
    return {(text(study.proposal(number).parameters), _fresh_seeds(study, number)) for number in candidates(study)}


def ever_confirmed(study: Study) -> set[Confirmation]:
    """Return all that was ever confirmed for the same default configuration, with whatever space, seeds and sampler."""
    now = confirming(study) if study.is_searched() else set()
    return now.union(*(folder.confirmed() for folder in study.folder.alike()))


def num_openings(study: Study) -> int:
    """Return how often a winner was named, and so the test split opened, for this default configuration."""
    return sum(len(folder.winners()) for folder in study.folder.alike())


def confirmed(study: Study) -> dict[int | str, ProposalValue]:
    """Return the values of the default and of the candidates with fresh seeds, by name or number."""
    names: list[int | str] = [DEFAULT, *candidates(study)]
    return {name: study.whole_score(study.fresh_cell(name, False)) for name in names}


def winner_now(study: Study) -> dict[str, Any] | None:
    """Return the winner by the results so far, as for `winner.json`; None while trials are still to be run.

    `candidate` is the best proposal with fresh seeds; `winner` is the better one of candidate and default. There is no
    winner if a seed of the default failed.
    """
    values = confirmed(study) if study.is_searched() else {}
    if any(value.state == "running" for value in values.values()) or not (values and values[DEFAULT].values):
        return None
    sign = -1 if study.search.directions[0] == "higher" else 1
    means = {name: sign * value.values[0] for name, value in values.items() if value.values}
    proposals = [name for name in means if name != DEFAULT]
    candidate = min(proposals, key=lambda name: means[name], default=None)
    default_wins = candidate is None or means[DEFAULT] <= means[candidate]
    means_by_name = {str(name): value.values[0] if value.values else None for name, value in values.items()}
    facts = {"candidate": candidate, "winner": DEFAULT if default_wins else candidate}
    return {**facts, "seeds": list(study.search.confirm.seeds), "valid": means_by_name}


def winner(study: Study) -> dict[str, Any]:
    """Return the naming that holds for the current candidates and seeds, {} if there is none.

    A value that is measured again later, such as a latency, does not change the winner.
    """
    namings = study.folder.winners()
    values = confirmed(study) if namings and study.is_searched() else {}
    not_failed = {str(name) for name, value in values.items() if value.state in ("complete", "running")}
    for naming in namings if values else ():
        measured = {name for name, value in naming["valid"].items() if value is not None}
        if (
            sorted(naming["seeds"]) == sorted(study.search.confirm.seeds)
            and set(naming["valid"]) == set(map(str, values))
            and not_failed <= measured
        ):
            return naming
    return {}


def named(study: Study) -> dict[str, Any]:
    """Return the naming that holds; while a larger budget or other seeds are run, the latest one; {} if none."""
    made = {DEFAULT, *(each.number for each in study.proposals if not study.refusal(each))}
    latest = study.folder.winner()
    return winner(study) or (latest if latest.get("winner") in made else {})


def is_over(study: Study) -> bool:
    """Return whether the search is over: a winner is named, or cannot be, as no proposal or no default is complete."""
    if not study.is_searched():
        return False
    values = confirmed(study) if candidates(study) else {}
    have_ended = all(value.state != "running" for value in values.values())
    is_stuck = bool(values) and values[DEFAULT].state == "failed" and have_ended
    return not values or is_stuck or bool(winner(study))


def standing(study: Study) -> str:
    """Return a line on the state of the search: its budget, proposals made, confirmation and winner."""
    budget = study.search.budget
    limits = {"proposals": budget.proposals, "hours": budget.hours, "GPU-hours": budget.gpu_hours}
    until = " or ".join(f"{number:g} {what}" for what, number in limits.items() if number is not None)
    states = [value.state for value in study.scores()]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    made = f"{len(states)} made" + (f" ({counts})" if counts else "")
    num, seeds = study.search.confirm.best, count(len(study.search.confirm.seeds), "fresh seed")
    if study.is_searched():  # halving and failures leave fewer, earlier confirmations add some
        num = len(candidates(study))
    confirm = f"the best {f'{num} are' if num != 1 else 'is'} confirmed with {seeds}" if num else "none to confirm"
    name, when = named(study).get("winner"), "" if winner(study) else "so far "
    who = name if name == DEFAULT else f"proposal {name}"
    outcome = "" if name is None else f"; {when}winner: {who}"
    return f"search {study.name}: {study.search.sampler}, until {until}: {made}; {confirm}{outcome}"


def studies(sweep: Sweep, ledger: Ledger, prints: Mapping[DatasetOptions, str]) -> tuple[Study, ...]:
    """Return the studies of a sweep, one for each cell of its axes; () without a search.

    Args:
        sweep: the sweep as it was loaded.
        ledger: the ledger with proposals and trials.
        prints: the fingerprint of each dataset.
    """
    if sweep.file.search is None:
        return ()
    return tuple(Study(sweep, cell, prints[cell.config.dataset], ledger) for cell in sweep.cells)


def expand(sweep: Sweep, searches: Sequence[Study]) -> Sweep:
    """Return the sweep with the cells that its studies have so far; unchanged without studies."""
    if not searches:
        return sweep
    file = sweep.file
    compare = file.compare or Compare(against={}, metric=file.select.metric)
    against = {**compare.against, PROPOSAL: DEFAULT, STAGE: "fresh"}
    file = file.model_copy(update={"compare": compare.model_copy(update={"against": against})})
    return replace(sweep, file=file, cells=tuple(cell for study in searches for cell in cells(study)))
