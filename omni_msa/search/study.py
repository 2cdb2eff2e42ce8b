"""A study: the search for one cell of the axes, with its proposals, their values, and what may come next.

All of it follows from files: the proposals, and the state of their trials. So a driver that is killed at any moment can
be replaced by one that knows the same. The test split stays locked: values are those on valid. What happens to the
best proposals is in `confirmation.py`.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from omni_msa.config.identity import trial_id
from omni_msa.errors import InputError
from omni_msa.ledger.ledger import Ledger
from omni_msa.ledger.trial_folder import TrialFolder
from omni_msa.search.rules import (
    Observation,
    ProposalValue,
    Rung,
    SeedOutcome,
    best,
    best_so_far,
    next_to_promote,
    rungs,
    score,
)
from omni_msa.search.study_folder import DEFAULT, PriorResult, Proposal, StudyFolder, study_id
from omni_msa.stats.metrics import METRICS
from omni_msa.sweep.search_space import GRID_MAX, Search, grid, text
from omni_msa.sweep.sweep import Cell, Sweep, proposed

PROPOSAL, STAGE = "proposal", "stage"
"""Axes that the cells of a search have in addition: proposal number or "default"; and "search" or "fresh" (seeds)."""

_REPEATS_MAX = 20  # so many repeated proposals in a row end the search


@dataclass(eq=False)
class Study:
    """The search for one cell of the axes.

    Args:
        sweep: the sweep as it was loaded.
        cell: the cell of the axes, which is the default configuration.
        fingerprint: fingerprint of its dataset.
        ledger: the ledger with its trials and proposals.
        proposals: all proposals made so far, by number; read from the ledger.
    """

    sweep: Sweep
    cell: Cell
    fingerprint: str
    ledger: Ledger
    proposals: list[Proposal] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._cells: dict[int, Cell] = {}
        self._complete: dict[str, SeedOutcome] = {}
        self._ids: dict[tuple[int | str, int | None], str] = {}
        self.proposals = self._read()

    def _read(self) -> list[Proposal]:
        """Return the proposals of the ledger, with rungs limited to those that exist, as files may have been edited."""
        top = len(self.steps) - 1
        return [replace(proposal, rung=min(proposal.rung, top)) for proposal in self.folder.proposals()]

    @cached_property
    def search(self) -> Search:
        """The `search` section of the sweep file, with its objectives filled in."""
        search, file = self.sweep.file.search, self.sweep.file
        assert search is not None
        return search if search.objectives else search.model_copy(update={"objectives": (file.select.metric,)})

    @cached_property
    def facts(self) -> dict[str, Any]:
        """All that identifies the study: what proposals depend on, and the sweep's name, but not the budget."""
        search = self.search.model_dump(
            mode="json", include={"space", "sampler", "seed", "objectives", "pruning"}, exclude_none=True
        )
        first = self.cell.config.model_copy(update={"seed": self.cell.seeds[0]})
        default = trial_id(first, self.fingerprint)
        return {**search, "sweep": self.sweep.name, "seeds": list(self.sweep.file.seeds), "default": default}

    @cached_property
    def base(self) -> str:
        """The id of the default configuration, whatever the seed."""
        return trial_id(self.cell.config.model_copy(update={"seed": None}), self.fingerprint)

    @cached_property
    def folder(self) -> StudyFolder:
        """The files of the study."""
        return StudyFolder(self.ledger.study(study_id(self.facts)), self.search.space)

    @property
    def name(self) -> str:
        """The study's name for people: of the sweep and the cell."""
        return f"{self.sweep.name} {self.cell.name}".strip()

    @property
    def title(self) -> str:
        """The study's name in Optuna's database, made unique by the study's id."""
        return f"{self.name} {self.folder.path.name[:8]}"

    @cached_property
    def steps(self) -> list[Rung]:
        """All rungs of the search, the lowest first."""
        halving = self.search.pruning.halving if self.search.pruning else None
        return rungs(halving, self.cell.config.training.epochs, len(self.sweep.file.seeds))

    def cell_of(self, proposal: Proposal) -> Cell:
        """Return a proposal as a cell with the seeds and epochs of its rung, the test split locked.

        Raises:
            InputError: its parameters are no valid configuration.
        """
        if proposal.number not in self._cells:
            self._cells[proposal.number] = self._cell(proposal.number, proposal.parameters, "search", False)
        cell, rung = self._cells[proposal.number], self.steps[proposal.rung]
        config = cell.config.model_copy(update={"stops_after_epoch": rung.num_epochs})
        return replace(cell, seeds=cell.seeds[: rung.num_seeds], config=config)

    def _cell(self, name: int | str, parameters: Mapping[str, Any], stage: str, opens_test: bool) -> Cell:
        cell = proposed(self.sweep, self.cell, parameters)
        seeds = self.search.confirm.seeds if stage == "fresh" else self.sweep.file.seeds
        axes = {**self.cell.axes, PROPOSAL: name, STAGE: stage}
        config = cell.config.model_copy(update={"opens_test": opens_test})
        return replace(cell, axes=axes, config=config, seeds=(None,) if cell.deterministic else seeds)

    def refusal(self, proposal: Proposal) -> str:
        """Return why a proposal is no valid configuration, "" if it is one."""
        try:
            self.cell_of(proposal)
        except InputError as error:
            return f"{error.problems[0].what}: {error.problems[0].where}"
        return ""

    def proposed_cells(self) -> list[Cell]:
        """Return the proposals as cells, without those that are no valid configurations."""
        return [self.cell_of(proposal) for proposal in self.proposals if not self.refusal(proposal)]

    def proposal(self, number: int | str) -> Proposal:
        """Return the proposal with this number."""
        return next(each for each in self.proposals if each.number == number)

    def write(self, proposal: Proposal) -> None:
        """Write a new or promoted proposal to the ledger, before any of its trials starts."""
        self.folder.write(proposal)
        self.proposals = self._read()

    def seen(self, cell: Cell) -> list[SeedOutcome]:
        """Return the state of each of a cell's trials in the ledger, in the order of its seeds."""
        return [self._seen(self.id_of(cell, seed), cell.config.stops_after_epoch) for seed in cell.seeds]

    def id_of(self, cell: Cell, seed: int | None) -> str:
        """Return the id of a cell's trial with this seed."""
        key = (cell.axes[PROPOSAL], seed)
        if key not in self._ids:
            self._ids[key] = trial_id(cell.config.model_copy(update={"seed": seed}), self.fingerprint)
        return self._ids[key]

    def _seen(self, name: str, stops_after: int | None) -> SeedOutcome:
        if name in self._complete:
            return self._complete[name]
        folder = self.ledger.trial(name, opens_test=False)
        result = folder.result()
        if result is not None:
            self._complete[name] = SeedOutcome("complete", self.values(result), self._curve(folder))
            return self._complete[name]
        curve = self._curve(folder)
        if stops_after in curve:  # it stays reached, even if another sweep continues the trial
            return SeedOutcome("pruned", None, curve)
        return SeedOutcome("failed") if folder.written_status().state == "failed" else SeedOutcome()

    def _curve(self, folder: TrialFolder) -> dict[int, float]:
        return best_so_far(folder.metrics(), self.search.objectives[0]) if self.search.pruning else {}

    def values(self, result: Mapping[str, Any]) -> tuple[float, ...] | None:
        """Return the objectives of a complete trial from its `result.json`, None if one is not defined."""
        groups = {name: "valid" if METRICS[name].kind == "quality" else "cost" for name in self.search.objectives}
        values = [result[group].get(name) for name, group in groups.items()]
        return None if None in values else tuple(map(float, values))

    def scores(self) -> list[ProposalValue]:
        """Return the value of each proposal."""
        return [self._score(each) for each in self.proposals]

    def _score(self, proposal: Proposal) -> ProposalValue:
        try:
            cell = self.cell_of(proposal)
        except InputError:
            return ProposalValue("failed")
        return score(self.seen(cell), self.steps, proposal.rung)

    def told(self) -> list[Observation]:
        """Return all results that a sampler learns from: earlier ones of the ledger, and those of the proposals."""
        own_points = {text(each.parameters) for each in self.proposals}
        prior = [
            Observation(each.parameters, ProposalValue("complete", each.values), facts={"known": True})
            for each in self._known()
            if text(each.parameters) not in own_points
        ]
        made = [
            Observation(each.parameters, value, each.number, each.notes, {"trials": each.trials})
            for each, value in zip(self.proposals, self.scores(), strict=True)
        ]
        return [*prior, *made]

    def _known(self) -> list[PriorResult]:
        num = len(self.search.objectives)
        return [each for each in self.folder.known() or [] if len(each.values) == num] if self.search.transfer else []

    def best_known(self) -> list[dict[str, Any]]:
        """Return the parameters of the best earlier results, the best first, at most as many as are confirmed."""
        prior = self._known()
        scores = [ProposalValue("complete", each.values) for each in prior]
        return [prior[index].parameters for index in best(scores, self.search.directions, self.search.confirm.best)]

    def next_to_promote(self) -> Proposal | None:
        """Return the proposal that is promoted to its next rung now, None if none is."""
        if self.search.pruning is None:
            return None
        reached, halving = [each.rung for each in self.proposals], self.search.pruning.halving
        better, scores = self.search.directions[0], self.scores()
        is_last = not self.may_propose() and not any(value.state == "running" for value in scores)
        least = self.search.confirm.best if is_last else 0
        index = next_to_promote(scores, reached, self.steps, halving, better, least)
        return None if index is None else self.proposals[index]

    def may_propose(self) -> bool:
        """Return whether the budget and the space allow another proposal."""
        budget, spent = self.search.budget, self.folder.spent()
        limits = ((budget.hours, spent["wall_s"]), (budget.gpu_hours, spent["work_s"]))
        is_spent = any(limit is not None and seconds / 3600 >= limit for limit, seconds in limits)
        return not is_spent and self.num_proposals_left() != 0

    def num_proposals_left(self) -> int | None:
        """Return how many more proposals are allowed, None if their number is not limited.

        It is 0, too, once every point of the space was proposed, or the latest proposals were all repetitions.
        """
        points = [text(each.parameters) for each in self.proposals]
        latest = points[-_REPEATS_MAX:]
        is_stuck = len(points) > _REPEATS_MAX and set(latest) <= set(points[:-_REPEATS_MAX])
        if is_stuck or (self._num_points is not None and len(set(points)) >= self._num_points):
            return 0
        limits = [self.search.budget.proposals, self._num_points if self.search.sampler == "grid" else None]
        most = min((limit for limit in limits if limit is not None), default=None)
        return None if most is None else max(0, most - len(points))

    @cached_property
    def _num_points(self) -> int | None:
        """The number of points of the space, None if infinite or too large."""
        can_be_counted = all(parameter.values() is not None for parameter in self.search.space.values())
        num = len(grid(self.search.space)) if can_be_counted else GRID_MAX
        return num if num < GRID_MAX or self.search.sampler == "grid" else None

    def is_searched(self) -> bool:
        """Return whether all proposals have ended and none will be made or promoted any more."""
        if self.may_propose() or any(value.state == "running" for value in self.scores()):
            return False
        return self.next_to_promote() is None

    def fresh_cell(self, name: int | str, opens_test: bool) -> Cell:
        """Return a proposal, by its number, or "default" as a cell with the fresh seeds."""
        return self._cell(name, {} if name == DEFAULT else self.proposal(name).parameters, "fresh", opens_test)

    def default_cell(self) -> Cell:
        """Return the default configuration as a cell with the seeds of the search, the test split locked."""
        return self._cell(DEFAULT, {}, "search", False)

    def whole_score(self, cell: Cell) -> ProposalValue:
        """Return the value of a cell that has no rungs."""
        return score(self.seen(cell), [Rung(len(cell.seeds))], 0)

    def dated(self) -> list[Observation]:
        """Return the observations of `told` with the times of each proposal and of the end of its last trial."""
        spans: dict[int | None, Any] = {each.number: self._span(each) for each in self.proposals}
        return [replace(each, span=spans.get(each.number)) for each in self.told()]

    def _span(self, proposal: Proposal) -> tuple[datetime, datetime] | None:
        """Return when a proposal was made and when its last trial ended, None if the times are invalid."""
        cell = None if self.refusal(proposal) else self.cell_of(proposal)
        folders = [self.ledger.trial(self.id_of(cell, seed)) for seed in cell.seeds] if cell else []
        ended = [folder.provenance().get("ended") for folder in folders]
        with suppress(ValueError, TypeError):  # an edited file
            began, *others = (datetime.fromisoformat(time) for time in (proposal.time, *ended) if time)
            return began, max([began, *others])
        return None
