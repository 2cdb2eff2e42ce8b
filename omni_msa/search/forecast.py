"""What a search is still expected to run beside the trials of its cells: for counts and times, before it is known."""

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
    """What is expected of one search, each trial as the default configuration.

    Args:
        proposed: trials of proposals to come, and further seeds of those that go on; `stops_after_epoch` is set for
            those that are expected to be stopped there.
        confirmed: trials of the best with fresh seeds.
        again: trials of its cells that go on, promoted or opened for test; `stops_after_epoch` is how many epochs are
            still to be trained, none if 0.
        is_least: hours end the search, so there may be more.
        most: how many `proposed` and `confirmed` are at most, None if nothing but time bounds them.
        seconds_left: of a search that hours end, until then, None if only its work is bounded.
        work_s_left: likewise of all its trials together.
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
        """Trials to come that its cells do not have."""
        return len(self.proposed) + len(self.confirmed)

    def stand_ins(self) -> Iterator[tuple[str, TrialConfig]]:
        """Yield what each expected trial is for, the name of its list, and its configuration."""
        for kind in ("proposed", "confirmed", "again"):
            for config in getattr(self, kind):
                yield kind, config


@dataclass(frozen=True)
class Outlook:
    """What is known of all searches while they go on.

    Args:
        num_new: trials that are expected beside those of their cells.
        done: ids of the trials of their cells that are complete or stopped early, whoever ran them.
        is_least: hours end a search, so there may be more.
    """

    num_new: int = 0
    done: frozenset[str] = frozenset()
    is_least: bool = False


def look_ahead(study: Study) -> Ahead:
    """Return what a search is expected to run; nothing if it is over, something if it is not and nothing waits.

    A share `keep` of the proposals is expected to go on at each rung, rounded up, and at least those to be confirmed.
    While proposals are still to come the best may all be among them; then, of those that are to be confirmed, so many
    fewer come as are confirmed already.

    Args:
        study: with its proposals and trials as they are now.
    """
    if confirmation.is_over(study):
        return Ahead()
    if study.is_searched():  # what is confirmed is in its cells; then the best one and the default are opened
        num = 1 if study.cell.deterministic else len(study.search.confirm.seeds)
        return Ahead(again=(_stopped(study, 0),) * (2 * num))
    budget, spent = study.search.budget, study.folder.spent()
    left = study.num_proposals_left() if study.may_propose() else 0
    most = None if left is None else _with(study, left).num_new
    if left == 0 or (budget.hours is None and budget.gpu_hours is None):
        return replace(_with(study, left or 0), most=most)
    seconds = None if budget.hours is None else budget.hours * 3600 - spent["wall_s"]
    work_s = None if budget.gpu_hours is None else budget.gpu_hours * 3600 - spent["work_s"]
    return replace(_with(study, 1), is_least=True, most=most, seconds_left=seconds, work_s_left=work_s)


def lookout(studies: Sequence[Study]) -> Callable[[], Outlook]:
    """Return what says how searches stand now, for a thread of its own: it reads their files and changes nothing.

    Args:
        studies: which another thread goes on with.
    """
    own = [replace(study, proposals=[]) for study in studies]

    def look() -> Outlook:
        for study in own:
            study.proposals = replace(study, proposals=[]).proposals  # what was read of its trials stays
        ahead = [look_ahead(study) for study in own]
        done = frozenset().union(*map(_done, own))
        return Outlook(sum(each.num_new for each in ahead), done, any(each.is_least for each in ahead))

    return look


def _done(study: Study) -> set[str]:
    return {
        study.id_of(cell, seed)
        for cell in confirmation.cells(study)
        for seed, one in zip(cell.seeds, study.seen(cell), strict=True)
        if one.state in ("complete", "pruned")
    }


def _with(study: Study, num_more: int) -> Ahead:
    """Return what is expected if so many proposals are still to come."""
    more, whole = _going_on(study, num_more)
    steps = [(_num_seeds(study, place), _num_epochs(study, place)) for place in range(len(study.steps))]
    climbing = [num_more]
    for number in more[1:]:
        climbing.append(min(_share(study, climbing[-1]), number))
    proposed: list[TrialConfig] = []
    for place in range(num_more):
        num_seeds, num_epochs = steps[max(rung for rung, number in enumerate(climbing) if place < number)]
        proposed += [_stopped(study, num_epochs), *[study.cell.config] * (num_seeds - 1)]
    again: list[TrialConfig] = []
    for rung, (before, now) in enumerate(pairwise(steps), 1):
        promoted = more[rung] - climbing[rung]
        proposed += [study.cell.config] * (promoted * (now[0] - before[0]))
        again += [_stopped(study, now[1] - before[1])] * (promoted if now[1] > before[1] else 0)
    if not (proposed or again) and study.next_to_promote() is not None:
        again.append(study.cell.config)
    num_known = _num_confirmed(study) if not num_more else 0
    num_fresh = max(0, min(study.search.confirm.best, whole) - num_known) * len(study.search.confirm.seeds)
    is_random = not study.cell.deterministic  # else a fresh trial is that of the search
    return Ahead(tuple(proposed), (study.cell.config,) * (num_fresh if is_random else 0), tuple(again))


def _going_on(study: Study, num_more: int) -> tuple[list[int], int]:
    """Return for each rung how many proposals are still to reach it, and how many come to the last one in all."""
    rungs = [each.rung for each, one in zip(study.proposals, study.scores(), strict=True) if one.state != "failed"]
    total, more = len(rungs) + num_more, [num_more]
    for place in range(1, len(study.steps)):
        reached = sum(rung >= place for rung in rungs)
        total = max(reached, _share(study, total))
        more.append(total - reached)
    return more, total


def _num_confirmed(study: Study) -> int:
    """Return how many proposals have been run with fresh seeds."""
    return sum(one.state != "running" for name, one in confirmation.confirmed(study).items() if name != DEFAULT)


def _share(study: Study, num: int) -> int:
    """Return how many of so many proposals go on to the next rung."""
    keep = study.search.pruning.halving.keep if study.search.pruning else 1.0
    return max(math.ceil(num * keep - 1e-9), min(study.search.confirm.best, num))


def _num_seeds(study: Study, rung: int) -> int:
    return 1 if study.cell.deterministic else study.steps[rung].num_seeds


def _num_epochs(study: Study, rung: int) -> int:
    return study.steps[rung].num_epochs or study.cell.config.training.epochs


def _stopped(study: Study, num_epochs: int) -> TrialConfig:
    """Return the default configuration with so many epochs to train, whole if that is all of them."""
    config = study.cell.config
    stops = None if num_epochs == config.training.epochs else num_epochs
    return config.model_copy(update={"stops_after_epoch": stops})
