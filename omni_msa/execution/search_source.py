"""The jobs of a search: trials that are proposed, promoted, confirmed and finally tested, one step after the other.

A proposal is written to the study's folder before its trials start, and results are in the trials' folders. So this
may be killed at any line: the next driver reads the same files and continues.
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
"""`omni_msa.search.optuna_sampler.suggest`, or a replacement: (search, observations, number of the proposal)."""


class SearchSource:
    """Gives a queue the jobs of a plan's searches.

    Args:
        plan: the plan of a sweep with a search.
        suggest: returns the parameters to try next.
        trials: the trials known so far; new ones are added, and one that continues a trial replaces its entry.
    """

    def __init__(self, plan: Plan, suggest: Suggest, trials: list[PlannedTrial]) -> None:
        self._plan, self._suggest, self._trials = plan, suggest, trials
        self._given: dict[str, Study] = {}  # id of each running trial: the study that waits for it
        self._tried: set[tuple[str, bool, int | None]] = set()  # keys of the trials that this run has started
        self._confirming: set[str] = set()  # ids of trials that do not count in the budget
        self._since: dict[str, float] = {}
        for study in plan.studies:
            study.folder.describe({"axes": study.cell.axes, "base": study.base, **study.facts})
            if study.search.transfer and study.folder.known() is None:
                study.folder.write_known(look_up_known(study))

    def more(self) -> list[Job]:
        """Return the next jobs, those of the first study that has any."""
        return next((jobs for study in self._plan.studies if (jobs := self._of(study))), [])

    def done(self, trial_id: str) -> None:
        """Add the time of a trial that has ended to what its study has spent; its results are in the ledger."""
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
        """Return the next jobs of a study, from the first of the steps that has any."""
        for step in (self._begun, self._promoted, self._proposed, self._fresh, self._named):
            jobs = [self._job(trial, study) for trial in step(study)]
            if step in (self._fresh, self._named):
                self._confirming.update(job.trial_id for job in jobs)
            if jobs:
                self._since.setdefault(study.name, time.monotonic())
                return jobs
        if study not in self._given.values():
            self._since.pop(study.name, None)  # no trial of it runs, so time does not count
        return []

    def _begun(self, study: Study) -> Iterator[PlannedTrial]:
        """Yield the trials left of proposals that were made before."""
        for cell in study.proposed_cells():
            yield from self._due(study, cell)

    def _promoted(self, study: Study) -> Iterator[PlannedTrial]:
        while (proposal := study.next_to_promote()) is not None:
            due = self._write(study, replace(proposal, rung=proposal.rung + 1))
            if due:  # otherwise the ledger has all its trials already
                yield from due
                return

    def _proposed(self, study: Study) -> Iterator[PlannedTrial]:
        while study.may_propose():
            number, best_known = study.folder.next_number(), study.best_known()
            if number < len(best_known):  # earlier results become proposals, so that they can be confirmed
                proposal = Proposal(number, best_known[number], rung=len(study.steps) - 1)
            elif (suggestion := self._suggest(study.search, study.told(), number)) is not None:
                proposal = Proposal(number, suggestion.parameters, notes=suggestion.notes)
            else:
                return
            due = self._write(study, proposal)
            if due:
                yield from due
                return

    def _write(self, study: Study, proposal: Proposal) -> list[PlannedTrial]:
        """Write a new or promoted proposal with its trials; return those that must be run.

        A proposal that is no valid configuration is written, too: it counts as failed for the sampler.
        """
        if study.refusal(proposal):
            study.write(proposal)
            return []
        cell = study.cell_of(proposal)
        ids = {str(seed): study.id_of(cell, seed) for seed in cell.seeds}
        study.write(replace(proposal, trials=ids))
        return list(self._due(study, cell))

    def _fresh(self, study: Study) -> Iterator[PlannedTrial]:
        """Yield the default with all seeds and, once the search is over, the best proposals with fresh seeds."""
        if study.is_searched():
            study.folder.note_confirmed(confirmation.confirming(study))
        for cell in confirmation.cells(study):
            yield from self._due(study, cell)

    def _named(self, study: Study) -> Iterator[PlannedTrial]:
        """Name the winner once all confirming trials have ended; only then its test split is opened."""
        winner = confirmation.winner_now(study) if study not in self._given.values() else None
        if winner is not None and confirmation.candidates(study) and not confirmation.winner(study):
            study.folder.write_winner(winner)
            yield from self._fresh(study)

    def _due(self, study: Study, cell: Cell) -> Iterator[PlannedTrial]:
        """Yield the trials of a cell that must be run, each once in a run; the queue decides on retries."""
        if not cell.config.opens_test and all(outcome.state in ("complete", "pruned") for outcome in study.seen(cell)):
            return
        for seed in cell.seeds:
            config = cell.config.model_copy(update={"seed": seed})
            trial = planned(config, study.fingerprint, self._plan.ledger, (cell.name,), label(cell.parameters))
            is_left = trial.status.state in ("pending", "running") or (
                self._plan.retry and trial.status.state == "failed"
            )
            if is_left and trial.trial_id not in self._given and trial.run_key not in self._tried:
                yield trial

    def _job(self, trial: PlannedTrial, study: Study) -> Job:
        self._given[trial.trial_id] = study
        self._tried.add(trial.run_key)
        index_of = {each.trial_id: index for index, each in enumerate(self._trials)}
        if trial.trial_id in index_of:  # it was promoted, or its test split is opened
            self._trials[index_of[trial.trial_id]] = trial
        else:
            self._trials.append(trial)
        return Job.of(trial, self._plan.ledger)
