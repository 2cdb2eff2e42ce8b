"""A study: one cell of the axes, the proposals made for it, and what the ledger says of their trials.

All of it follows from files: what was proposed, and which trials have ended how. So a driver that is killed at any
moment is followed by one that knows the same. The test split stays locked: values are those on valid.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from omni_msa.identity import trial_id
from omni_msa.ledger import Ledger, TrialFolder
from omni_msa.metrics import METRICS
from omni_msa.options import DatasetOptions
from omni_msa.proposals import Known, Proposal, StudyFolder, study_id
from omni_msa.search_rules import Rung, Score, Seen, Told, best, best_so_far, next_to_promote, num_ahead, rungs, score
from omni_msa.search_space import Search, grid, same
from omni_msa.sweep import Cell, Compare, Sweep, proposed

DEFAULT = "default"
"""The name of the configuration without any parameter of the space set, where others have a proposal's number."""

_PROPOSAL, _SEEDS = "proposal", "seeds"


@dataclass(eq=False)
class Study:
    """One search.

    Args:
        sweep: as it was loaded.
        cell: of the axes: the default configuration.
        fingerprint: of its dataset.
        ledger: where its trials and its proposals are.
        proposals: all that were made, by number.
    """

    sweep: Sweep
    cell: Cell
    fingerprint: str
    ledger: Ledger
    proposals: list[Proposal] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._cells: dict[int, Cell] = {}
        self._complete: dict[str, Seen] = {}
        self._ids: dict[tuple[int | str, int | None], str] = {}
        self.proposals = self.folder.proposals()

    @cached_property
    def search(self) -> Search:
        """The section of the sweep file, with its objectives named."""
        search, file = self.sweep.file.search, self.sweep.file
        assert search is not None
        return search if search.objectives else search.model_copy(update={"objectives": (file.select.metric,)})

    @cached_property
    def facts(self) -> dict[str, Any]:
        """All that proposals depend on; budget and confirmation may change."""
        search = self.search.model_dump(
            mode="json", include={"space", "sampler", "seed", "objectives", "pruning"}, exclude_none=True
        )
        first = self.cell.config.model_copy(update={"seed": self.cell.seeds[0]})
        return {**search, "seeds": list(self.sweep.file.seeds), "default": trial_id(first, self.fingerprint)}

    @cached_property
    def folder(self) -> StudyFolder:
        """Its files."""
        return StudyFolder(self.ledger.root / "searches" / study_id(self.facts), self.search.space)

    @property
    def name(self) -> str:
        """Its name for people."""
        return f"{self.sweep.name} {self.cell.label}".strip()

    @property
    def title(self) -> str:
        """Its name in a database, where other searches of the same name may be: it ends with the study's id."""
        return f"{self.name} {self.folder.path.name[:8]}"

    @cached_property
    def steps(self) -> list[Rung]:
        """The rungs that proposals climb."""
        halving = self.search.pruning.halving if self.search.pruning else None
        return rungs(halving, self.cell.config.training.epochs, len(self.sweep.file.seeds))

    def cell_of(self, proposal: Proposal) -> Cell:
        """Return a proposal as a cell: its trials as far as its rung asks for them, the test split locked."""
        if proposal.number not in self._cells:
            made = proposed(self.sweep, self.cell, proposal.parameters)
            self._cells[proposal.number] = replace(made, config=made.config.model_copy(update={"opens_test": False}))
        cell, rung = self._cells[proposal.number], self.steps[min(proposal.rung, len(self.steps) - 1)]
        seeds = (None,) if cell.deterministic else self.sweep.file.seeds[: rung.num_seeds]
        axes = {**self.cell.axes, _PROPOSAL: proposal.number, _SEEDS: "search"}
        config = cell.config.model_copy(update={"stops_after_epoch": rung.num_epochs})
        return replace(cell, axes=axes, seeds=seeds, config=config)

    def fresh_cell(self, name: int | str, opens_test: bool) -> Cell:
        """Return a proposal (by its number) or the default configuration as a cell with the fresh seeds."""
        parameters = {} if name == DEFAULT else self.proposal(name).parameters
        made = proposed(self.sweep, self.cell, parameters)
        seeds = (None,) if made.deterministic else self.search.confirm.seeds
        config = made.config.model_copy(update={"opens_test": opens_test})
        axes = {**self.cell.axes, _PROPOSAL: name, _SEEDS: "fresh"}
        return replace(made, axes=axes, config=config, seeds=seeds)

    def proposal(self, number: int | str) -> Proposal:
        """Return a proposal by its number."""
        return next(each for each in self.proposals if each.number == number)

    def write(self, proposal: Proposal) -> None:
        """Write a proposal, new or promoted, before anything of it starts."""
        self.folder.write(proposal)
        self.proposals = self.folder.proposals()

    def cells(self) -> list[Cell]:
        """Return all cells so far: the default, what is confirmed, and every proposal; test is open for the named."""
        candidates = self.candidates() if self.is_searched() else []
        winner = self.winner() if candidates else {}
        opened = {DEFAULT, winner.get("candidate")} if winner else set()
        names: list[int | str] = [DEFAULT, *candidates]
        fresh = [self.fresh_cell(name, name in opened) for name in names]
        first = [cell for cell in fresh if cell.config.opens_test]
        rest = [cell for cell in fresh if not cell.config.opens_test]
        return [*first, *rest, *(self.cell_of(proposal) for proposal in self.proposals)]

    def seen(self, cell: Cell) -> list[Seen]:
        """Return what the ledger says of a cell's trials, in the order of its seeds."""
        return [self._seen(self.id_of(cell, seed), cell.config.stops_after_epoch) for seed in cell.seeds]

    def id_of(self, cell: Cell, seed: int | None) -> str:
        """Return the id of one of a cell's trials."""
        key = (cell.axes[_PROPOSAL], seed)
        if key not in self._ids:
            self._ids[key] = trial_id(cell.config.model_copy(update={"seed": seed}), self.fingerprint)
        return self._ids[key]

    def _seen(self, name: str, stops_after: int | None) -> Seen:
        if name in self._complete:
            return self._complete[name]
        folder = self.ledger.trial(name, opens_test=False)
        result = folder.result()
        if result is not None:
            self._complete[name] = Seen("complete", self.values(result), self._curve(folder))
            return self._complete[name]
        state, curve = folder.written_status().state, self._curve(folder)
        if state == "pruned" and stops_after in curve:
            return Seen("pruned", None, curve)
        return Seen("failed") if state == "failed" else Seen()

    def _curve(self, folder: TrialFolder) -> dict[int, float]:
        return best_so_far(folder.metrics(), self.search.objectives[0]) if self.search.pruning else {}

    def values(self, result: Mapping[str, Any]) -> tuple[float, ...] | None:
        """Return the objectives of a complete trial, None if one is not defined."""
        groups = {name: "valid" if METRICS[name].kind == "quality" else "cost" for name in self.search.objectives}
        found = [result[group].get(name) for name, group in groups.items()]
        return None if None in found else tuple(map(float, found))

    def scores(self) -> list[Score]:
        """Return what each proposal is worth."""
        return [score(self.seen(self.cell_of(each)), self.steps, each.rung) for each in self.proposals]

    def told(self) -> list[Told]:
        """Return all that a sampler learns from: the proposals, and what was known before."""
        known = [Told(each.parameters, Score("complete", each.values), facts={"known": True}) for each in self._known()]
        made = [
            Told(each.parameters, one, each.number, each.notes, {"trials": each.trials})
            for each, one in zip(self.proposals, self.scores(), strict=True)
        ]
        return [*known, *made]

    def _known(self) -> list[Known]:
        num = len(self.search.objectives)
        return [each for each in self.folder.known() or [] if len(each.values) == num] if self.search.transfer else []

    def next_to_promote(self) -> Proposal | None:
        """Return the proposal that goes on to its next rung, if one may now."""
        if self.search.pruning is None:
            return None
        reached, halving = [each.rung for each in self.proposals], self.search.pruning.halving
        better, scores = self.search.directions[0], self.scores()
        is_last = not self.may_propose() and not any(one.state == "running" for one in scores)
        place = next_to_promote(scores, reached, self.steps, halving, better, is_last)
        return None if place is None else self.proposals[place]

    def may_propose(self) -> bool:
        """Return whether the budget has room for a further proposal."""
        budget, spent = self.search.budget, self.folder.spent()
        limits = ((budget.hours, spent["wall_s"]), (budget.gpu_hours, spent["work_s"]))
        is_spent = any(limit is not None and seconds / 3600 >= limit for limit, seconds in limits)
        return not is_spent and self.num_proposals_left() != 0

    def num_proposals_left(self) -> int | None:
        """Return how many proposals there may still be, None if their number does not end the search."""
        most = self.search.budget.proposals
        if self.search.sampler == "grid":
            size = len(grid(self.search.space))
            most = size if most is None else min(most, size)
        return None if most is None else max(0, most - len(self.proposals))

    def is_searched(self) -> bool:
        """Return whether nothing will be proposed or promoted any more, and all that was proposed has ended."""
        if self.may_propose() or any(one.state == "running" for one in self.scores()):
            return False
        return self.next_to_promote() is None

    def candidates(self) -> list[int]:
        """Return the numbers of the best proposals, no cell twice, the best first."""
        scores = self.scores()
        found: list[Proposal] = []
        for place in best(scores, self.search.directions, len(scores)):
            one = self.proposals[place]
            if not any(same(one.parameters, other.parameters) for other in found):
                found.append(one)
        return [each.number for each in found[: self.search.confirm.best]]

    def confirmed(self) -> dict[int | str, Score]:
        """Return what the default and the candidates are worth with fresh seeds."""
        names: list[int | str] = [DEFAULT, *self.candidates()]
        cells = {name: self.fresh_cell(name, False) for name in names}
        return {name: score(self.seen(cell), [Rung(len(cell.seeds))], 0) for name, cell in cells.items()}

    def winner_now(self) -> dict[str, Any] | None:
        """Return who wins by what is known, as `winner.json` has it; None while something is still to be run.

        `candidate` is the best proposal with fresh seeds, `winner` that one or the default, whichever is better.
        """
        if not self.is_searched():
            return None
        found = self.confirmed()
        if any(one.state == "running" for one in found.values()):
            return None
        sign = -1 if self.search.directions[0] == "higher" else 1
        means = {name: sign * one.values[0] for name, one in found.items() if one.values}
        proposals = [name for name in means if name != DEFAULT]
        candidate = min(proposals, key=lambda name: means[name], default=None)
        loses = candidate is None or means.get(DEFAULT, math.inf) <= means[candidate]
        fresh = {str(name): one.values[0] if one.values else None for name, one in found.items()}
        facts = {"candidate": candidate, "winner": DEFAULT if loses else candidate}
        return {**facts, "seeds": list(self.search.confirm.seeds), "valid": fresh}

    def winner(self) -> dict[str, Any]:
        """Return the winner that was named, empty unless it is the one by what is known now."""
        named, now = self.folder.winner(), self.winner_now()
        return named if now is not None and {name: named.get(name) for name in now} == now else {}

    def is_over(self) -> bool:
        """Return whether a winner has been named, or none can be for want of a complete proposal."""
        return self.is_searched() and (not self.candidates() or bool(self.winner()))

    def num_ahead(self) -> int:
        """Return how many trials are to come beside those of `cells()`, at most; promoted ones count in part."""
        if self.is_over():
            return 0
        confirm = 0 if self.is_searched() else self.search.confirm.best * len(self.search.confirm.seeds)
        left, epochs = self.num_proposals_left(), self.cell.config.training.epochs
        keep = self.search.pruning.halving.keep if self.search.pruning else 1.0
        new = 1 if left is None else left
        return max(1, math.ceil(num_ahead(self.steps, epochs, keep) * new) + confirm)

    def text(self) -> str:
        """Say where the search stands."""
        budget = self.search.budget
        limits = {"proposals": budget.proposals, "hours": budget.hours, "GPU-hours": budget.gpu_hours}
        until = " or ".join(f"{number:g} {what}" for what, number in limits.items() if number is not None)
        states = [one.state for one in self.scores()]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        made = f"{len(states)} made" + (f" ({counts})" if counts else "")
        confirm = f"the best {self.search.confirm.best} are confirmed with {len(self.search.confirm.seeds)} fresh seeds"
        winner = self.winner().get("winner")
        named = f"; winner: {winner if winner == DEFAULT else f'proposal {winner}'}" if winner is not None else ""
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
    against = {**compare.against, _PROPOSAL: DEFAULT, _SEEDS: "fresh"}
    file = file.model_copy(update={"compare": compare.model_copy(update={"against": against})})
    return replace(sweep, file=file, cells=tuple(cell for study in found for cell in study.cells()))
