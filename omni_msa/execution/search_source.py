"""Where the jobs of a search come from: what is proposed, promoted, confirmed and at last tested, one after the other.

Before anything starts, it is written in the ledger of proposals; what a trial found is in its own folder. So this may
be killed at any line: the next one reads the same and goes on.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from omni_msa.execution.attempt import Job
from omni_msa.ledger.trials import PlannedTrial, planned
from omni_msa.planning.plan import Plan
from omni_msa.search import confirmation
from omni_msa.search.rules import Observation, Suggestion
from omni_msa.search.study import Study
from omni_msa.search.study_folder import Proposal
from omni_msa.search.warm_start import look_up_known
from omni_msa.sweep.search_space import Search, label
from omni_msa.sweep.sweep import Cell
from omni_msa.system.files import is_number

Suggest = Callable[[Search, Sequence[Observation], int], Suggestion | None]
"""`omni_msa.search.optuna_sampler.suggest`, or another rule."""


class SearchSource:
    """Gives a queue the jobs of a plan's searches.

    Args:
        plan: of a sweep with a search.
        suggest: what to try next.
        trials: those that are known; what is proposed is added, and takes the place of what it goes on from.
    """

    def __init__(self, plan: Plan, suggest: Suggest, trials: list[PlannedTrial]) -> None:
        self._plan, self._suggest, self._trials = plan, suggest, trials
        self._given: dict[str, Study] = {}  # trial to the study that waits for it
        self._tried: set[tuple[str, bool, int | None]] = set()  # trials that this run has run, and how far
        self._confirming: set[str] = set()  # trials that no budget counts
        self._since: dict[str, float] = {}
        for study in plan.studies:
            study.folder.describe({"axes": study.cell.axes, "base": study.base, **study.facts})
            if study.search.transfer and study.folder.known() is None:
                study.folder.write_known(look_up_known(study))

    def more(self) -> list[Job]:
        """Return the jobs that are next: of the first study that has any."""
        return next((jobs for study in self._plan.studies if (jobs := self._of(study))), [])

    def done(self, trial_id: str) -> None:
        """Note what a proposal's trial has taken; what it found is in the ledger."""
        study = self._given.pop(trial_id, None)
        if study is None:
            return
        provenance = self._plan.ledger.trial(trial_id).provenance()
        work_s = provenance.get("attempt_s")
        now, spent = time.monotonic(), study.folder.spent()
        if trial_id not in self._confirming:
            spent["wall_s"] += now - self._since.get(study.name, now)
            spent["work_s"] += (self._plan.hours(work_s) or 0.0) * 3600 if is_number(work_s) else 0.0
            study.folder.write_spent(spent)
        self._since[study.name] = now

    def _of(self, study: Study) -> list[Job]:
        """Return the next jobs of a study, each step only if the ones before have none."""
        for step in (self._begun, self._promoted, self._proposed, self._fresh, self._named):
            jobs = [self._job(trial, study) for trial in step(study)]
            if step in (self._fresh, self._named):
                self._confirming.update(job.trial_id for job in jobs)
            if jobs:
                self._since.setdefault(study.name, time.monotonic())
                return jobs
        if study not in self._given.values():
            self._since.pop(study.name, None)  # it waits for nothing: time does not count
        return []

    def _begun(self, study: Study) -> Iterator[PlannedTrial]:
        """Yield what is left of proposals that were made before."""
        for cell in study.proposed_cells():
            yield from self._due(study, cell)

    def _promoted(self, study: Study) -> Iterator[PlannedTrial]:
        while (one := study.next_to_promote()) is not None:
            found = self._write(study, replace(one, rung=one.rung + 1))
            if found:  # else its trials were in the ledger already
                yield from found
                return

    def _proposed(self, study: Study) -> Iterator[PlannedTrial]:
        while study.may_propose():
            number, known = study.folder.next_number(), study.best_known()
            if number < len(known):  # they are whole already; so they can be confirmed like others
                proposal = Proposal(number, known[number], rung=len(study.steps) - 1)
            elif (suggestion := self._suggest(study.search, study.told(), number)) is not None:
                proposal = Proposal(number, suggestion.parameters, notes=suggestion.notes)
            else:
                return
            found = self._write(study, proposal)
            if found:
                yield from found
                return

    def _write(self, study: Study, proposal: Proposal) -> list[PlannedTrial]:
        """Write a proposal, new or promoted, with its trials; return those that are to run.

        One that the configuration refuses is written, too: the sampler is told that it failed.
        """
        if study.refusal(proposal):
            study.write(proposal)
            return []
        cell = study.cell_of(proposal)
        ids = {str(seed): study.id_of(cell, seed) for seed in cell.seeds}
        study.write(replace(proposal, trials=ids))
        return list(self._due(study, cell))

    def _fresh(self, study: Study) -> Iterator[PlannedTrial]:
        """Yield the default with both sets of seeds, and when the search is over the best proposals with fresh ones."""
        if study.is_searched():
            study.folder.note_confirmed(confirmation.confirming(study))
        for cell in confirmation.cells(study):
            yield from self._due(study, cell)

    def _named(self, study: Study) -> Iterator[PlannedTrial]:
        """Name the winner when all that is confirmed has ended; only then its test split is opened."""
        winner = confirmation.winner_now(study) if study not in self._given.values() else None
        if winner is not None and confirmation.candidates(study) and not confirmation.winner(study):
            study.folder.write_winner(winner)
            yield from self._fresh(study)

    def _due(self, study: Study, cell: Cell) -> Iterator[PlannedTrial]:
        """Yield those of a cell's trials that are to run, each once: what an attempt leads to the queue decides."""
        if not cell.config.opens_test and all(one.state in ("complete", "pruned") for one in study.seen(cell)):
            return
        for seed in cell.seeds:
            config = cell.config.model_copy(update={"seed": seed})
            trial = planned(config, study.fingerprint, self._plan.ledger, (cell.label,), label(cell.parameters))
            is_left = trial.status.state in ("pending", "running") or (
                self._plan.retry and trial.status.state == "failed"
            )
            if is_left and trial.trial_id not in self._given and trial.run_key not in self._tried:
                yield trial

    def _job(self, trial: PlannedTrial, study: Study) -> Job:
        self._given[trial.trial_id] = study
        self._tried.add(trial.run_key)
        known = {each.trial_id: place for place, each in enumerate(self._trials)}
        if trial.trial_id in known:  # promoted, or its test split is opened: from now on it is what runs
            self._trials[known[trial.trial_id]] = trial
        else:
            self._trials.append(trial)
        return Job.of(trial, self._plan.ledger)
