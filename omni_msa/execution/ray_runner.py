"""Runs trials through Ray Tune, which only dispatches them: the ledger decides what is done."""

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from omni_msa.backbones._base import BACKBONES
from omni_msa.config import lookups, plugins
from omni_msa.config.lookups import root_of
from omni_msa.config.trial import TrialConfig
from omni_msa.datasets._base import DATASETS
from omni_msa.execution import ray_cluster
from omni_msa.execution.attempt import Job, Train, record_failure, run_attempt
from omni_msa.execution.gpu_guard import GpuBusy, Guard
from omni_msa.execution.job_queue import JobQueue, Wait
from omni_msa.execution.ray_cluster import Workers
from omni_msa.ledger.ledger import Ledger
from omni_msa.planning import hardware, memory
from omni_msa.system.cache_folder import cache_folder

if TYPE_CHECKING:
    import psutil
    from ray import tune
    from ray.tune.search import Searcher

MakeResident = Callable[[], Any]

_NOTICE_S = 10.0  # time for Tune to notice that Ray was shut down
_PARKED_S = 1.0
_PARKED = "parked"


def run(
    queue: JobQueue,
    workers: Workers,
    scratch: Path,
    ledger: Path,
    is_overdue: Callable[[], bool],
    make_resident: MakeResident | None = None,
    train: Train | None = None,
) -> bool:
    """Run all jobs of a queue; return when the queue is empty and no trial runs any more.

    Args:
        queue: the queue of jobs, which also decides when to stop.
        workers: the resources that trials run on.
        scratch: an empty folder for Ray's own files, as for `ray_cluster.started`.
        ledger: folder of the ledger.
        is_overdue: once it returns True, trials that still run are killed.
        make_resident: makes the objects that a process keeps between trials; None means
            `omni_msa.model.backbone_cache.Resident`.
        train: the training function, as for `run_attempt`.

    Returns:
        whether Ray itself died while trials were running.

    Raises:
        InputError: nodes of a cluster lack what a trial needs.
        RuntimeError: Ray itself failed.
    """
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(cast(TextIO, _WithoutRay(sys.stdout))))
        storage = stack.enter_context(_storage(Ledger(ledger).driver if workers.address else scratch))
        with ray_cluster.started(workers, scratch, ledger) as available:
            trainable = _attempts(make_resident, train, bool(workers.address))
            tuning = _Tuning(_tuner(_feeder(queue, available), queue, available, storage, trainable))
            servers = _servers()
            while tuning.is_alive() and not is_overdue() and _all_live(servers):
                tuning.join(0.2)
            is_lost = not _all_live(servers)
            is_killed = tuning.is_alive() or is_lost
        tuning.join(_NOTICE_S)
    if tuning.error is not None and not is_killed:
        raise RuntimeError("Ray Tune failed") from tuning.error
    return is_lost


def _servers() -> list["psutil.Process"]:
    """Return the server processes of Ray that this process has started."""
    import psutil

    return [process for process in psutil.Process().children() if process.name() in ("raylet", "gcs_server")]


def _all_live(servers: list["psutil.Process"]) -> bool:
    return all(server.is_running() and server.status() != "zombie" for server in servers)


@contextmanager
def _storage(parent: Path) -> Iterator[Path]:
    """Yield a folder for the files that Tune writes, which are not used; on a cluster all nodes must see it."""
    folder = parent / "tune"
    shutil.rmtree(folder, ignore_errors=True)  # left by a killed driver
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _WithoutRay:
    """Standard output without messages of Ray's own threads on lost workers, which would break the live display."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        is_ours = not threading.current_thread().name.startswith("ray_")
        return self._stream.write(text) if is_ours else len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _tuner(
    feeder: "Searcher", queue: JobQueue, workers: Workers, storage: Path, trainable: "type[tune.Trainable]"
) -> "tune.Tuner":
    from ray import tune

    return tune.Tuner(
        tune.with_resources(trainable, tune.PlacementGroupFactory([workers.resources])),
        tune_config=tune.TuneConfig(search_alg=feeder, num_samples=-1, reuse_actors=True),
        run_config=tune.RunConfig(
            name="trials",
            storage_path=str(storage),
            verbose=0,
            log_to_file=False,
            stop=_release(queue),
        ),
    )


def _release(queue: JobQueue) -> "tune.Stopper":
    """Return the stopper that ends attempts which block a GPU, once there is nothing left to run."""
    from ray import tune

    class Release(tune.Stopper):  # type: ignore[misc]
        def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
            return result.get("state") == _PARKED and queue.is_over()

        def stop_all(self) -> bool:
            return False

        def __reduce__(self) -> tuple[type, tuple[()]]:
            return object, ()  # as for the feeder

    return Release()


class _Tuning(threading.Thread):
    """A thread that runs Tune, so that the main thread can handle signals and stop waiting."""

    def __init__(self, tuner: "tune.Tuner") -> None:
        super().__init__(name="tune", daemon=True)
        self._tuner = tuner
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._tuner.fit()
        except BaseException as error:
            self.error = error


def _attempts(make_resident: MakeResident | None, train: Train | None, is_elsewhere: bool) -> "type[tune.Trainable]":
    """Return the Tune class whose instances live as long as their process and run one trial after the other."""
    from ray import tune

    class Attempts(tune.Trainable):  # type: ignore[misc]
        def setup(self, config: dict[str, Any]) -> None:
            self.resident = _new_resident() if make_resident is None else make_resident()
            self.job = Job(**config["job"])
            self.guard, self.is_parked = Guard(), False

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.job = Job(**new_config["job"])
            return True

        def step(self) -> dict[str, Any]:
            if self.is_parked:  # block its GPU for other trials until all are done
                time.sleep(_PARKED_S)
                return {"state": _PARKED, "done": False}
            try:
                state = self.attempt()
            except GpuBusy as busy:
                self.is_parked = True
                return {"state": _PARKED, "card": str(busy), "done": False}
            return {"state": state, "done": True}

        def attempt(self) -> str:
            config = self.job.parsed()
            try:
                self.guard.before(memory.memory_gb(config) if hardware.uses_gpu(config.runtime) else 0.0)
            except GpuBusy as busy:
                record_failure(self.job, busy)
                raise
            prepare = _bring_inputs if is_elsewhere and train is None else None
            state = run_attempt(self.job, self.resident, train, True, prepare)
            self.guard.after(getattr(self.resident, "weights", ""))
            return state

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            """Write nothing: checkpoints are in the ledger."""

    return Attempts


def _bring_inputs(config: TrialConfig) -> None:
    """Fetch weights and make clips on another node of a cluster, as the driver did on its own; others wait for it."""
    from filelock import FileLock

    cache_folder().mkdir(parents=True, exist_ok=True)
    with FileLock(cache_folder() / "inputs.lock"):
        if lookups.uses(config, "backbone"):
            plugins.load(BACKBONES, config.backbone.name).fetch(config.backbone, lambda what, done, total: None)
        plugins.load(DATASETS, config.dataset.name).load(root_of(config.dataset), config.dataset)


def _new_resident() -> Any:
    from omni_msa.model.backbone_cache import Resident

    return Resident()


def _feeder(queue: JobQueue, workers: Workers) -> "Searcher":
    """Return the Searcher that gives Tune the jobs of a queue: the next trial, wait, or finished."""
    from ray.tune.search import Searcher

    class Feeder(Searcher):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.trial_ids: dict[str, str] = {}  # Tune's name of a trial to ours
            self.num_parked = 0

        def suggest(self, trial_id: str) -> Any:
            is_full = len(self.trial_ids) + self.num_parked >= workers.num_slots
            if is_full and not workers.address:  # nodes may join a cluster
                return None
            job = queue.take()
            if isinstance(job, Wait):
                return Searcher.FINISHED if job is Wait.FINISHED else None
            self.trial_ids[trial_id] = job.trial_id
            return {"job": asdict(job)}

        def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
            ours = self.trial_ids.pop(trial_id, None) if "card" in result else None
            if ours is not None:
                self.num_parked += 1
                queue.out_of_service(result["card"], self.num_parked == workers.num_slots)
                queue.done(ours)

        def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
            ours = self.trial_ids.pop(trial_id, None)
            if ours is not None and error:  # its process died; errors of the trial itself are handled in it
                queue.lost(ours, _what_tune_knows(workers.session, trial_id))
            elif ours is not None:
                queue.done(ours)

        def __reduce__(self) -> tuple[type, tuple[()]]:
            return object, ()  # Tune pickles a copy to restore from, which is never done

        def save(self, checkpoint_path: str) -> None:
            """Write nothing: the state is in the ledger."""

        def restore(self, checkpoint_path: str) -> None:
            """Read nothing, as `save` writes nothing."""

    return Feeder()


def _what_tune_knows(session: str, trial_id: str) -> str:
    files = [file for file in Path(session).rglob("error.txt") if trial_id in file.parent.name]
    return "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files)
