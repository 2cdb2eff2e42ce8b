"""Trials through Ray Tune, which is the dispatcher and nothing more: the ledger says what is done. Only here is ray."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from omni_msa.attempt import Job, Train, run_attempt
from omni_msa.dispatch import JobQueue, Wait
from omni_msa.pool import THREAD_VARIABLES

if TYPE_CHECKING:
    from ray import tune
    from ray.tune.search import Searcher

MakeResident = Callable[[], Any]

# Ray reads these when it is imported or started.
_ENVIRONMENT = {
    "RAY_raylet_start_wait_time_s": "120",  # a loaded machine needs more than the default
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # it would be 15: trials would starve beside anything else
    "RAY_DEDUP_LOGS": "0",
    "RAY_ENABLE_AUTO_CONNECT": "0",  # or Tune starts another Ray when this one is taken away from it
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}
# Without clusters every port of Ray is bound to 127.0.0.1; otherwise it replaces that by the machine's own address.
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
_NOTICE_S = 10.0  # for Tune to notice that
_OBJECT_STORE_BYTES = 100 * 2**20  # configurations pass through it, nothing else


@dataclass(frozen=True)
class Workers:
    """What the trials run on.

    Args:
        num_slots: trials at once.
        num_gpus: of this machine; 0 keeps trials on the CPU, with one thread each.
        address: of a Ray cluster to join, or None to start Ray here.
    """

    num_slots: int
    num_gpus: int = 0
    address: str | None = None

    @property
    def resources(self) -> dict[str, float]:
        """What one trial reserves: a core and, on GPUs, a GPU; a share of one if more trials than GPUs are wanted."""
        if not self.num_gpus:
            return {"CPU": 1}
        return {"CPU": 1, "GPU": min(1.0, self.num_gpus / self.num_slots)}


def run(
    queue: JobQueue,
    workers: Workers,
    scratch: Path,
    is_overdue: Callable[[], bool],
    make_resident: MakeResident | None = None,
    train: Train | None = None,
) -> None:
    """Run all jobs of a queue; returns when the queue is empty and nothing runs any more.

    Args:
        queue: of the jobs; it also says when to stop.
        workers: what the trials run on.
        scratch: an empty folder for Ray's own files, with a short path: sockets in it may have 107 characters in all.
        is_overdue: once it says True, whatever still runs is killed.
        make_resident: makes what a process keeps between trials; None means `omni_msa.resident.Resident`.
        train: as in `run_attempt`.

    Raises:
        RuntimeError: Ray itself failed.
    """
    threads = dict.fromkeys(THREAD_VARIABLES, "1") if not workers.num_gpus else {}
    inherited = {**_ENVIRONMENT, **threads, **({} if workers.address else _LOOPBACK)}
    with redirect_stdout(cast(TextIO, _WithoutRay(sys.stdout))), _environment(inherited):
        with _started_ray(workers, scratch, {**_ENVIRONMENT, **threads}):
            tuner = _tuner(_feeder(queue, scratch), workers, scratch, _attempts(make_resident, train))
            tuning = _Tuning(tuner)
            while tuning.is_alive() and not is_overdue():
                tuning.join(0.2)
            is_killed = tuning.is_alive()
        tuning.join(_NOTICE_S)
    if tuning.error is not None and not is_killed:
        raise RuntimeError("Ray Tune failed") from tuning.error


class _WithoutRay:
    """Standard output without what Ray's own threads print about lost workers: it would tear the live display."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        is_ours = not threading.current_thread().name.startswith("ray_")
        return self._stream.write(text) if is_ours else len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _started_ray(workers: Workers, scratch: Path, environment: dict[str, str]) -> Iterator[None]:
    """Start Ray on the loopback interface, or join a cluster; leave nothing behind."""
    import ray

    for name in ("ray", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL, "configure_logging": False}
    if workers.address:
        settings |= {"address": workers.address, "runtime_env": {"env_vars": environment}}
    else:
        settings |= {"address": "local", "num_cpus": workers.num_slots, "num_gpus": workers.num_gpus}
        settings |= {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
        settings |= {"_temp_dir": str(scratch / "ray")}
    ours = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**settings)
        signal.signal(signal.SIGTERM, ours)  # Ray has put its own, which ends the process with trials in flight
        yield
    except SystemExit as error:  # that one, asked while Ray was starting
        raise KeyboardInterrupt from error
    finally:
        ray.shutdown()


def _tuner(feeder: "Searcher", workers: Workers, scratch: Path, trainable: "type[tune.Trainable]") -> "tune.Tuner":
    from ray import tune

    return tune.Tuner(
        tune.with_resources(trainable, tune.PlacementGroupFactory([workers.resources])),
        tune_config=tune.TuneConfig(search_alg=feeder, num_samples=-1, reuse_actors=True),
        run_config=tune.RunConfig(name="trials", storage_path=str(scratch / "tune"), verbose=0, log_to_file=False),
    )


class _Tuning(threading.Thread):
    """Tune in a thread, so that the main one stays free for signals and can give up waiting."""

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


def _attempts(make_resident: MakeResident | None, train: Train | None) -> "type[tune.Trainable]":
    """Return the class whose instances live as long as their process and run one trial after the other."""
    from ray import tune

    class Attempts(tune.Trainable):  # type: ignore[misc]
        def setup(self, config: dict[str, Any]) -> None:
            self.resident = _new_resident() if make_resident is None else make_resident()
            self.job = Job(**config["job"])

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.job = Job(**new_config["job"])
            return True

        def step(self) -> dict[str, Any]:
            return {"state": run_attempt(self.job, self.resident, train), "done": True}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            """Checkpoints are the ledger's."""

    return Attempts


def _new_resident() -> Any:
    from omni_msa.resident import Resident

    return Resident()


def _feeder(queue: JobQueue, scratch: Path) -> "Searcher":
    """Return what hands Tune the jobs of a queue: the next trial, wait, or finished."""
    from ray.tune.search import Searcher

    class Feeder(Searcher):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.trial_ids: dict[str, str] = {}  # Tune's name of a trial to ours

        def suggest(self, trial_id: str) -> Any:
            job = queue.take()
            if isinstance(job, Wait):
                return Searcher.FINISHED if job is Wait.FINISHED else None
            self.trial_ids[trial_id] = job.trial_id
            return {"job": asdict(job)}

        def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
            ours = self.trial_ids.pop(trial_id, None)
            if ours is not None and error:  # its process was lost: what a trial raises is caught within
                queue.lost(ours, _what_tune_knows(scratch, trial_id))
            elif ours is not None:
                queue.done(ours)

        def __reduce__(self) -> tuple[type, tuple[()]]:
            return object, ()  # Tune pickles a copy to restore an experiment from; we start a new one instead

        def save(self, checkpoint_path: str) -> None:
            """Nothing is kept: the ledger is."""

        def restore(self, checkpoint_path: str) -> None:
            """Nothing was kept."""

    return Feeder()


def _what_tune_knows(scratch: Path, trial_id: str) -> str:
    files = [file for file in scratch.rglob("error.txt") if trial_id in file.parent.name]
    return "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files)
