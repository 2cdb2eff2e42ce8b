"""A forecast of the trials that a search will still run, so that a plan can show counts and times."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from omni_msa.config.trial import TrialConfig
from omni_msa.search import confirmation
from omni_msa.search.study import Study
from omni_msa.search.study_folder import DEFAULT


@dataclass(frozen=True)
class Ahead:
    """The expected trials of one search; each has the default configuration as a stand-in.

    Args:
        proposed: trials of proposals to come, and further seeds of promoted ones; `stops_after_epoch` is set for those
            that are expected to be stopped there.
        confirmed: trials of the best proposals with fresh seeds.
        again: trials of existing cells that continue, promoted or opened for test; `stops_after_epoch` is the number of
            epochs still to be trained, 0 if none.
        is_least: whether there may be more trials, as the search ends after some hours.
        most: upper limit for the number of `proposed` and `confirmed`, None if only time limits them.
        seconds_left: time until such a search ends, None if its budget limits only GPU-hours.
        work_s_left: sum of the trials' time until such a search ends, None if its budget limits only hours.
    """

    proposed: tuple[TrialConfig, ...] = ()
    confirmed: tuple[TrialConfig, ...] = ()
    again: tuple[TrialConfig, ...] = ()
    is_least: bool = False
    most: int | None = 0
    seconds_left: float | None = None
    work_s_left: float | None = None

    @property
    def num_new(self) -> int:
        """Number of expected trials that are not among its cells yet."""
        return len(self.proposed) + len(self.confirmed)

    def stand_ins(self) -> Iterator[tuple[str, TrialConfig]]:
        """Yield the purpose of each expected trial ("proposed", "confirmed" or "again") and its configuration."""
        for kind in ("proposed", "confirmed", "again"):
            for config in getattr(self, kind):
                yield kind, config


@dataclass(frozen=True)
class Outlook:
    """The state of all searches of a run, for its progress display.

    Args:
        num_new: number of expected trials that are not among their cells yet.
        done: ids of the trials of their cells that are complete or stopped early, in this run or before.
        is_least: whether there may be more trials, as a search ends after some hours.
    """

    num_new: int = 0
    done: frozenset[str] = frozenset()
    is_least: bool = False


def look_ahead(study: Study) -> Ahead:
    """Return the trials that a search is expected to run; none if it is over.

    At each rung a share `keep` of the proposals is expected to be promoted, rounded up, and at least as many as are
    confirmed. As long as proposals are to come, all of the best may be among them; afterwards, those that are confirmed
    already are subtracted.

    Args:
        study: the search with its current proposals and trials.
    """
    if confirmation.is_over(study):
        return Ahead()
    if study.is_searched():  # only test of the best proposal and of the default is left
        num = 1 if study.cell.deterministic else len(study.search.confirm.seeds)
        return Ahead(again=(_stopped(study, 0),) * (2 * num))
    budget, spent = study.search.budget, study.folder.spent()
    num_left = study.num_proposals_left() if study.may_propose() else 0
    most = None if num_left is None else _expected(study, num_left).num_new
    if num_left == 0 or (budget.hours is None and budget.gpu_hours is None):
        return replace(_expected(study, num_left or 0), most=most)
    seconds = None if budget.hours is None else budget.hours * 3600 - spent["wall_s"]
    work_s = None if budget.gpu_hours is None else budget.gpu_hours * 3600 - spent["work_s"]
    return replace(_expected(study, 1), is_least=True, most=most, seconds_left=seconds, work_s_left=work_s)


def lookout(studies: Sequence[Study]) -> Callable[[], Outlook]:
    """Return a function that reads the current state of searches from their files, for use in another thread.

    Args:
        studies: the searches; they are copied, as the main thread works on them.
    """
    copies = [replace(study, proposals=[]) for study in studies]

    def look() -> Outlook:
        for study in copies:
            study.proposals = replace(study, proposals=[]).proposals  # its trials stay cached
        ahead = [look_ahead(study) for study in copies]
        done = frozenset().union(*map(_done, copies))
        return Outlook(sum(each.num_new for each in ahead), done, any(each.is_least for each in ahead))

    return look


def _done(study: Study) -> set[str]:
    return {
        study.id_of(cell, seed)
        for cell in confirmation.cells(study)
        for seed, outcome in zip(cell.seeds, study.seen(cell), strict=True)
        if outcome.state in ("complete", "pruned")
    }


def _expected(study: Study, num_more: int) -> Ahead:
    """Return the expected trials if `num_more` proposals are still to come."""
    num_reaching, num_whole = _num_by_rung(study, num_more)
    steps = [(_num_seeds(study, index), _num_epochs(study, index)) for index in range(len(study.steps))]
    num_new = [num_more]
    for number in num_reaching[1:]:
        num_new.append(min(_share(study, num_new[-1]), number))
    proposed: list[TrialConfig] = []
    for index in range(num_more):
        num_seeds, num_epochs = steps[max(rung for rung, number in enumerate(num_new) if index < number)]
        proposed += [_stopped(study, num_epochs), *[study.cell.config] * (num_seeds - 1)]
    again: list[TrialConfig] = []
    for rung, (before, now) in enumerate(pairwise(steps), 1):
        promoted = num_reaching[rung] - num_new[rung]
        proposed += [study.cell.config] * (promoted * (now[0] - before[0]))
        again += [_stopped(study, now[1] - before[1])] * (promoted if now[1] > before[1] else 0)
    if not (proposed or again) and study.next_to_promote() is not None:
        again.append(study.cell.config)
    num_known = _num_confirmed(study) if not num_more else 0
    num_fresh = max(0, min(study.search.confirm.best, num_whole) - num_known) * len(study.search.confirm.seeds)
    is_random = not study.cell.deterministic  # a deterministic trial is the same with fresh seeds
    return Ahead(tuple(proposed), (study.cell.config,) * (num_fresh if is_random else 0), tuple(again))


def _num_by_rung(study: Study, num_more: int) -> tuple[list[int], int]:
    """Return how many proposals are still to reach each rung, and how many reach the last one in total."""
    rungs = [made.rung for made, value in zip(study.proposals, study.scores(), strict=True) if value.state != "failed"]
    total, num_reaching = len(rungs) + num_more, [num_more]
    for step in range(1, len(study.steps)):
        reached = sum(rung >= step for rung in rungs)
        total = max(reached, _share(study, total))
        num_reaching.append(total - reached)
    return num_reaching, total


def _num_confirmed(study: Study) -> int:
    """Return how many proposals have been run with fresh seeds."""
    return sum(value.state != "running" for name, value in confirmation.confirmed(study).items() if name != DEFAULT)


def _share(study: Study, num: int) -> int:
    """Return how many of `num` proposals are promoted to the next rung."""
    keep = study.search.pruning.halving.keep if study.search.pruning else 1.0
    return max(math.ceil(num * keep - 1e-9), min(study.search.confirm.best, num))


def _num_seeds(study: Study, rung: int) -> int:
    return 1 if study.cell.deterministic else study.steps[rung].num_seeds


def _num_epochs(study: Study, rung: int) -> int:
    return study.steps[rung].num_epochs or study.cell.config.training.epochs


def _stopped(study: Study, num_epochs: int) -> TrialConfig:
    """Return the default configuration, stopped after `num_epochs` unless these are all."""
    config = study.cell.config
    stops = None if num_epochs == config.training.epochs else num_epochs
    return config.model_copy(update={"stops_after_epoch": stops})
