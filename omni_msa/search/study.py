"""A study: one cell of the axes, what was proposed for it, what was confirmed, and who has won.

All of it follows from files: what was proposed, and which trials have ended how. So a driver that is killed at any
moment is followed by one that knows the same. The test split stays locked: values are those on valid.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from omni_msa.config.sections import DatasetOptions
from omni_msa.ledger.ledger import Ledger
from omni_msa.search.proposing import PROPOSAL, STAGE, Proposing
from omni_msa.search.rules import Rung, Score, Told, best, score
from omni_msa.search.study_folder import DEFAULT, Confirmation, Proposal
from omni_msa.sweep.search_space import text
from omni_msa.sweep.sweep import Cell, Compare, Sweep
from omni_msa.text import count


class Study(Proposing):
    """One search: its proposals, and what is made of the best of them."""

    def fresh_cell(self, name: int | str, opens_test: bool) -> Cell:
        """Return a proposal (by its number) or the default configuration as a cell with the fresh seeds."""
        return self._cell(name, {} if name == DEFAULT else self.proposal(name).parameters, "fresh", opens_test)

    def default_cell(self) -> Cell:
        """Return the default configuration as a cell with the seeds of the proposals, the test split locked."""
        return self._cell(DEFAULT, {}, "search", False)

    def cells(self) -> list[Cell]:
        """Return all cells so far: the default, what is confirmed, and every proposal; test is open for the named."""
        candidates = self.candidates() if self.is_searched() else []
        winner = self.winner() if candidates else {}
        opened = {DEFAULT, winner.get("candidate")} if winner else set()
        names: list[int | str] = [DEFAULT, *candidates]
        fresh = [self.fresh_cell(name, name in opened) for name in names]
        first = [cell for cell in fresh if cell.config.opens_test]
        rest = [cell for cell in fresh if not cell.config.opens_test]
        return [*first, *rest, self.default_cell(), *self.proposed_cells()]

    def candidates(self) -> list[int]:
        """Return the numbers of the best proposals, no cell twice, the best first; then those confirmed earlier.

        Who has been confirmed with these seeds stays in the running when a larger budget finds others.
        """
        scores = self.scores()
        found: dict[str, int] = {}
        for place in best(scores, self.search.directions, len(scores)):
            one = self.proposals[place]
            if len(found) < self.search.confirm.best:
                found.setdefault(text(one.parameters), one.number)
        complete = {each.number for each, one in zip(self.proposals, scores, strict=True) if one.state == "complete"}
        return [*found.values(), *sorted((self._confirmed_earlier() & complete) - set(found.values()))]

    def _confirmed_earlier(self) -> set[int]:
        """Return which proposals were confirmed with the seeds of today whenever a winner was named."""
        made = {str(each.number) for each in self.proposals if not self.refusal(each)}
        named = [(int(name), each["seeds"]) for each in self.folder.winners() for name in each["valid"] if name in made]
        return {number for number, seeds in named if self._fresh_seeds(number) in ((), tuple(sorted(seeds)))}

    def _fresh_seeds(self, number: int) -> tuple[int, ...]:
        """Return the fresh seeds of a proposal, none if it draws nothing at random."""
        return () if self.fresh_cell(number, False).deterministic else tuple(sorted(self.search.confirm.seeds))

    def confirming(self) -> set[Confirmation]:
        """Return what is confirmed now."""
        return {(text(self.proposal(each).parameters), self._fresh_seeds(each)) for each in self.candidates()}

    def ever_confirmed(self) -> set[Confirmation]:
        """Return what was ever confirmed, and is now, for this default: with whatever space, seeds and sampler."""
        now = self.confirming() if self.is_searched() else set()
        return now.union(*(folder.confirmed() for folder in self.folder.alike()))

    def num_openings(self) -> int:
        """Return how often a winner was named, and the test split opened, for this default."""
        return sum(len(folder.winners()) for folder in self.folder.alike())

    def confirmed(self) -> dict[int | str, Score]:
        """Return what the default and the candidates are worth with fresh seeds."""
        names: list[int | str] = [DEFAULT, *self.candidates()]
        return {name: self.whole_score(self.fresh_cell(name, False)) for name in names}

    def whole_score(self, cell: Cell) -> Score:
        """Return what a cell is worth that no rung cuts."""
        return score(self.seen(cell), [Rung(len(cell.seeds))], 0)

    def winner_now(self) -> dict[str, Any] | None:
        """Return who wins by what is known, as `winner.json` has it; None while something is still to be run.

        `candidate` is the best proposal with fresh seeds, `winner` that one or the default, whichever is better. None
        wins against a default of which a seed failed.
        """
        found = self.confirmed() if self.is_searched() else {}
        if any(one.state == "running" for one in found.values()) or not (found and found[DEFAULT].values):
            return None
        sign = -1 if self.search.directions[0] == "higher" else 1
        means = {name: sign * one.values[0] for name, one in found.items() if one.values}
        proposals = [name for name in means if name != DEFAULT]
        candidate = min(proposals, key=lambda name: means[name], default=None)
        loses = candidate is None or means[DEFAULT] <= means[candidate]
        fresh = {str(name): one.values[0] if one.values else None for name, one in found.items()}
        facts = {"candidate": candidate, "winner": DEFAULT if loses else candidate}
        return {**facts, "seeds": list(self.search.confirm.seeds), "valid": fresh}

    def winner(self) -> dict[str, Any]:
        """Return the winner that was named, empty unless it was named among those that are complete now.

        What is measured again, as a latency, unseats nobody.
        """
        every = self.folder.winners()
        found = self.confirmed() if every and self.is_searched() else {}
        whole = {str(name) for name, one in found.items() if one.state in ("complete", "running")}
        for named in every if found else ():
            known = {name for name, value in named["valid"].items() if value is not None}
            if (
                sorted(named["seeds"]) == sorted(self.search.confirm.seeds)
                and set(named["valid"]) == set(map(str, found))
                and whole <= known
            ):
                return named
        return {}

    def named(self) -> dict[str, Any]:
        """Return the naming that stands or, while a larger budget or other seeds are run, the latest; else empty."""
        made = {DEFAULT, *(each.number for each in self.proposals if not self.refusal(each))}
        latest = self.folder.winner()
        return self.winner() or (latest if latest.get("winner") in made else {})

    def is_over(self) -> bool:
        """Return whether a winner has been named, or none can be: no proposal is complete, or the default failed."""
        if not self.is_searched():
            return False
        found = self.confirmed() if self.candidates() else {}
        is_stuck = bool(found) and found[DEFAULT].state == "failed" and self._have_ended(found)
        return not found or is_stuck or bool(self.winner())

    @staticmethod
    def _have_ended(found: Mapping[int | str, Score]) -> bool:
        return all(one.state != "running" for one in found.values())

    def dated(self) -> list[Told]:
        """Return what `told` does, with when each proposal was made and when the last of its trials ended."""
        spans: dict[int | None, Any] = {each.number: self._span(each) for each in self.proposals}
        return [replace(each, span=spans.get(each.number)) for each in self.told()]

    def _span(self, proposal: Proposal) -> tuple[datetime, datetime] | None:
        """Return from when to when a proposal took; no time if its cell had been run before."""
        cell = None if self.refusal(proposal) else self.cell_of(proposal)
        folders = [self.ledger.trial(self.id_of(cell, seed)) for seed in cell.seeds] if cell else []
        ended = [folder.provenance().get("ended") for folder in folders]
        with suppress(ValueError, TypeError):  # somebody changed the file
            began, *others = (datetime.fromisoformat(time) for time in (proposal.time, *ended) if time)
            return began, max([began, *others])
        return None

    def text(self) -> str:
        """Say where the search stands."""
        budget = self.search.budget
        limits = {"proposals": budget.proposals, "hours": budget.hours, "GPU-hours": budget.gpu_hours}
        until = " or ".join(f"{number:g} {what}" for what, number in limits.items() if number is not None)
        states = [one.state for one in self.scores()]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        made = f"{len(states)} made" + (f" ({counts})" if counts else "")
        num, seeds = self.search.confirm.best, count(len(self.search.confirm.seeds), "fresh seed")
        if self.is_searched():  # halving and failures may leave fewer, and earlier ones may come to them
            num = len(self.candidates())
        confirm = f"the best {f'{num} are' if num != 1 else 'is'} confirmed with {seeds}" if num else "none to confirm"
        winner, when = self.named().get("winner"), "" if self.winner() else "so far "
        named = f"; {when}winner: {winner if winner == DEFAULT else f'proposal {winner}'}" if winner is not None else ""
        return f"search {self.name}: {self.search.sampler}, until {until}: {made}; {confirm}{named}"


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
    return replace(sweep, file=file, cells=tuple(cell for study in found for cell in study.cells()))
