"""Run the trials that a plan misses, here or on a cluster, with an eye on all that can go wrong meanwhile."""

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from omni_msa.execution.attempt import Job
from omni_msa.execution.driver import DriverSession, StopRequest, repeatedly
from omni_msa.execution.gpu_guard import left_behind
from omni_msa.execution.hazards import FROZEN_EVERY_S, Hazards
from omni_msa.execution.job_queue import JobQueue, Source, run_local
from omni_msa.execution.monitor import Monitor
from omni_msa.execution.progress import Progress
from omni_msa.execution.reaper import reaper
from omni_msa.ledger.trials import PlannedTrial
from omni_msa.planning import disk
from omni_msa.planning.plan import Plan
from omni_msa.planning.plan_json import open_end
from omni_msa.search.dashboard import PUBLISH_EVERY_S, publish
from omni_msa.search.forecast import lookout
from omni_msa.system.cache_folder import cache_folder


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Args:
        stopped: why trials were asked to stop, "" if they were not.
        given_up: why the trials that were left were not begun, "" if they were.
        notes: what else people should know.
    """

    stopped: str = ""
    given_up: str = ""
    notes: tuple[str, ...] = ()


def progress_of(plan: Plan) -> Progress:
    """Return what shows a run of a plan; what was complete or stopped early before tells nothing of its pace."""
    counts = plan.counts()
    return Progress(len(plan.trials) + len(plan.ahead), counts["complete"] + counts.get("pruned", 0))


def execute(
    plan: Plan,
    seat: DriverSession,
    progress: Progress,
    record: Callable[[PlannedTrial, str], None],
    is_local: bool = False,
    address: str | None = None,
) -> Outcome:
    """Run the trials that are missing; everything they need is ready.

    Args:
        plan: with at least one missing trial.
        seat: of the one driver.
        progress: shows how far they are.
        record: takes each trial that runs or has just ended, with its state, for MLflow.
        is_local: in this process, without Ray.
        address: of a Ray cluster to join.

    Raises:
        InputError: the nodes of a cluster do not have what a trial needs.
    """
    ledger, missing, trials = plan.ledger, plan.missing(), list(plan.trials)
    watched = trials if plan.studies else missing
    watch = Monitor(trials, ledger, progress.update, record, lookout(plan.studies) if plan.studies else None)
    with ExitStack() as stack:
        stop = stack.enter_context(StopRequest(ledger, is_local))
        reserve_gb = disk.reserve_gb([trial.config for trial in missing], plan.num_slots)
        places = (ledger.root, cache_folder())
        hazards = Hazards(watched, ledger, seat.lease, reserve_gb, places, stop.request)
        for look in (hazards.look, watch.look, watch.follow):
            stack.enter_context(repeatedly(look))
        stack.enter_context(repeatedly(hazards.end_frozen, FROZEN_EVERY_S))
        source = _source(plan, trials) if plan.studies else None
        if plan.studies:
            stack.enter_context(repeatedly(partial(publish, plan.studies), PUBLISH_EVERY_S))
        jobs = [] if source else [Job.of(trial, ledger) for trial in missing]
        queue = JobQueue(jobs, stop.is_requested, stop.request, source)
        if is_local:
            from omni_msa.model.backbone_cache import Resident

            run_local(queue, Resident())
        else:
            stack.enter_context(reaper(seat.scratch))
            _run_on_ray(plan, queue, seat, stop, address)
    return Outcome(stop.reason, queue.given_up, (*plan.slots.notes, *queue.notes, *_left_on_cards(plan, watched)))


def _source(plan: Plan, trials: list[PlannedTrial]) -> Source:
    from omni_msa.execution.search_source import SearchSource
    from omni_msa.search import optuna_sampler

    return SearchSource(plan, optuna_sampler.suggest, trials)


def _run_on_ray(plan: Plan, queue: JobQueue, seat: DriverSession, stop: StopRequest, address: str | None) -> None:
    from omni_msa.execution import ray_runner
    from omni_msa.execution.ray_cluster import Workers

    slots, missing = plan.slots, plan.missing()
    wants_gpu = missing[0].config.runtime.device != "cpu"
    bounds = open_end(plan)
    most = bounds["trials_at_most"] if bounds else len(missing)
    num = 1 if address else slots.num if most is None else min(slots.num, most)
    workers = Workers(num, slots.num_gpus, address, wants_gpu, slots.visible_devices)
    if ray_runner.run(queue, workers, seat.scratch, plan.ledger.root, stop.is_overdue):
        stop.request("Ray itself died")


def _left_on_cards(plan: Plan, ran: Sequence[PlannedTrial]) -> list[str]:
    """Say which cards did not become free when the trials' processes had ended."""
    if not plan.slots.num_gpus:
        return []
    pids = {plan.ledger.trial(trial.trial_id).written_status().pid for trial in ran} - {os.getpid()}
    step = "end them before the next run"
    return [
        f"{card} still holds processes of this run, {', '.join(map(str, own))}: {step}"
        for card, own in left_behind(pids)
    ]
