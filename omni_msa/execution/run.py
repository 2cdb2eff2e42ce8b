"""Runs the missing trials of a plan, on this machine or a cluster, and watches for hazards meanwhile."""

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
        stopped: why the trials were asked to stop, "" if they were not.
        given_up: why the remaining trials were not started, "" if all were.
        notes: further remarks for the user.
    """

    stopped: str = ""
    given_up: str = ""
    notes: tuple[str, ...] = ()


def progress_of(plan: Plan) -> Progress:
    """Return the progress display for a run of a plan; trials done before do not count in its speed."""
    counts = plan.counts()
    return Progress(len(plan.trials) + len(plan.ahead), counts["complete"] + counts.get("pruned", 0))


def execute(
    plan: Plan,
    session: DriverSession,
    progress: Progress,
    record: Callable[[PlannedTrial, str], None],
    is_local: bool = False,
    address: str | None = None,
) -> Outcome:
    """Run the missing trials of a plan, whose inputs must be prepared.

    Args:
        plan: a plan with at least one missing trial.
        session: of the only driver of the ledger.
        progress: the progress display.
        record: called with each trial that runs or has just ended, and its state, for MLflow.
        is_local: whether to run in this process, without Ray.
        address: address of a Ray cluster to join, None to start Ray on this machine.

    Raises:
        InputError: nodes of a cluster lack what a trial needs.
    """
    ledger, missing, trials = plan.ledger, plan.missing(), list(plan.trials)
    watched = trials if plan.studies else missing
    monitor = Monitor(trials, ledger, progress.update, record, lookout(plan.studies) if plan.studies else None)
    with ExitStack() as stack:
        stop = stack.enter_context(StopRequest(ledger, is_local))
        reserve_gb = disk.reserve_gb([trial.config for trial in missing], plan.num_slots)
        folders = (ledger.root, cache_folder())
        hazards = Hazards(watched, ledger, session.lease, reserve_gb, folders, stop.request)
        for look in (hazards.look, monitor.look, monitor.follow):
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
            stack.enter_context(reaper(session.scratch))
            _run_on_ray(plan, queue, session, stop, address)
    return Outcome(stop.reason, queue.given_up, (*plan.slots.notes, *queue.notes, *_left_on_gpus(plan, watched)))


def _source(plan: Plan, trials: list[PlannedTrial]) -> Source:
    from omni_msa.execution.search_source import SearchSource
    from omni_msa.search import optuna_sampler

    return SearchSource(plan, optuna_sampler.suggest, trials)


def _run_on_ray(plan: Plan, queue: JobQueue, session: DriverSession, stop: StopRequest, address: str | None) -> None:
    from omni_msa.execution import ray_runner
    from omni_msa.execution.ray_cluster import Workers

    slots, missing = plan.slots, plan.missing()
    wants_gpu = missing[0].config.runtime.device != "cpu"
    bounds = open_end(plan)
    most = bounds["trials_at_most"] if bounds else len(missing)
    num = 1 if address else slots.num if most is None else min(slots.num, most)
    workers = Workers(num, slots.num_gpus, address, wants_gpu, slots.visible_devices)
    if ray_runner.run(queue, workers, session.scratch, plan.ledger.root, stop.is_overdue):
        stop.request("Ray itself died")


def _left_on_gpus(plan: Plan, ran: Sequence[PlannedTrial]) -> list[str]:
    """Return a note for each GPU that still holds processes of this run."""
    if not plan.slots.num_gpus:
        return []
    pids = {plan.ledger.trial(trial.trial_id).written_status().pid for trial in ran} - {os.getpid()}
    step = "end them before the next run"
    return [
        f"{gpu} still holds processes of this run, {', '.join(map(str, own_pids))}: {step}"
        for gpu, own_pids in left_behind(pids)
    ]
