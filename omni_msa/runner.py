"""Trials through Ray Tune, which is the dispatcher and nothing more: the ledger says what is done. Only here is ray."""

import logging
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO, cast

# Read by ray when it is imported or started.
_ENVIRONMENT = {
    "RAY_raylet_start_wait_time_s": "120",  # a loaded machine needs more than the default
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_THRESHOLD_S": "3600",
}
os.environ.update({name: value for name, value in _ENVIRONMENT.items() if name not in os.environ})

import ray  # noqa: E402
from ray import tune  # noqa: E402
from ray.tune.search import Searcher  # noqa: E402

from omni_msa.attempt import Job, Train, run_attempt  # noqa: E402
from omni_msa.dispatch import JobQueue, Wait  # noqa: E402
from omni_msa.pool import THREAD_VARIABLES  # noqa: E402

# Only this machine can reach it. Ray replaces 127.0.0.1 by the address the network knows the machine by, no other.
_LOOPBACK = "127.0.0.2"
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
    is_overdue: Callable[[], bool],
    make_resident: Callable[[], Any] | None = None,
    train: Train | None = None,
) -> None:
    """Run all jobs of a queue; returns when the queue is empty and nothing runs any more.

    Args:
        queue: of the jobs; it also says when to stop.
        workers: what the trials run on.
        is_overdue: once it says True, whatever still runs is killed.
        make_resident: makes what a process keeps between trials; None means `omni_msa.resident.Resident`.
        train: as in `run_attempt`.

    Raises:
        RuntimeError: Ray itself failed.
    """
    with tempfile.TemporaryDirectory(prefix="omni_msa_", dir="/tmp", ignore_cleanup_errors=True) as scratch:
        with redirect_stderr(cast(TextIO, _WithoutRay(sys.stderr))), _started_ray(workers, Path(scratch)):
            tuner = _tuner(Feeder(queue, Path(scratch)), workers, Path(scratch), _attempts(make_resident, train))
            _fit(tuner, is_overdue)
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _started_ray(workers: Workers, scratch: Path) -> Iterator[None]:
    """Start Ray on the loopback interface, or join a cluster; leave nothing behind."""
    for name in ("ray", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    threads = dict.fromkeys(THREAD_VARIABLES, "1") if not workers.num_gpus else {}
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL, "configure_logging": False}
    with _environment(threads):
        if workers.address:
            ray.init(workers.address, runtime_env={"env_vars": {**_ENVIRONMENT, **threads}}, **quiet)
        else:
            local: dict[str, Any] = {"num_cpus": workers.num_slots, "num_gpus": workers.num_gpus}
            memory, folder = {"object_store_memory": _OBJECT_STORE_BYTES}, {"_temp_dir": str(scratch / "ray")}
            ray.init("local", include_dashboard=False, _node_ip_address=_LOOPBACK, **local, **memory, **folder, **quiet)
        try:
            yield
        finally:
            ray.shutdown()


class _WithoutRay:
    """Standard error without what Ray's own threads print about lost workers: it would tear the live display."""

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
                del os.environ[name]
            else:
                os.environ[name] = value


def _tuner(feeder: "Feeder", workers: Workers, scratch: Path, trainable: type[tune.Trainable]) -> tune.Tuner:
    return tune.Tuner(
        tune.with_resources(trainable, tune.PlacementGroupFactory([workers.resources])),
        tune_config=tune.TuneConfig(search_alg=feeder, num_samples=-1, reuse_actors=True),
        run_config=tune.RunConfig(name="trials", storage_path=str(scratch / "tune"), verbose=0, log_to_file=False),
    )


def _fit(tuner: tune.Tuner, is_overdue: Callable[[], bool]) -> None:
    """Let Tune run in a thread, so that this one stays free for signals and can give up waiting."""
    errors: list[BaseException] = []

    def fit() -> None:
        try:
            tuner.fit()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=fit, name="tune", daemon=True)
    thread.start()
    while thread.is_alive() and not is_overdue():
        thread.join(0.2)
    if errors:
        raise RuntimeError("Ray Tune failed") from errors[0]


def _attempts(make_resident: Callable[[], Any] | None, train: Train | None) -> type[tune.Trainable]:
    """Return the class whose instances live as long as their process and run one trial after the other."""

    class Attempts(tune.Trainable):  # type: ignore[misc]
        def setup(self, config: dict[str, Any]) -> None:
            if make_resident is None:
                from omni_msa.resident import Resident

                self.resident = Resident()
            else:
                self.resident = make_resident()
            self.job = Job(**config["job"])

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.job = Job(**new_config["job"])
            return True

        def step(self) -> dict[str, Any]:
            return {"state": run_attempt(self.job, self.resident, train), "done": True}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            """Checkpoints are the ledger's."""

    return Attempts


class Feeder(Searcher):  # type: ignore[misc]
    """Hands Tune the jobs of a queue: the next trial, wait, or finished.

    Args:
        queue: of the jobs.
        scratch: where Tune writes what it knows of a lost process.
    """

    def __init__(self, queue: JobQueue, scratch: Path) -> None:
        super().__init__()
        self._queue, self._scratch = queue, scratch
        self._trial_ids: dict[str, str] = {}  # Tune's name for each of our trials

    def suggest(self, trial_id: str) -> Any:
        """Return the next job as a configuration, None to be asked again, or the sign that all is done."""
        job = self._queue.take()
        if isinstance(job, Wait):
            return Searcher.FINISHED if job is Wait.FINISHED else None
        self._trial_ids[trial_id] = job.trial_id
        return {"job": asdict(job)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell the queue how the trial ended; `error` means that its process was lost."""
        ours = self._trial_ids.pop(trial_id, None)
        if ours is None:
            return
        if error:
            self._queue.lost(ours, self._what_tune_knows(trial_id))
        else:
            self._queue.done(ours)

    def _what_tune_knows(self, trial_id: str) -> str:
        files = (file for file in self._scratch.rglob("error.txt") if trial_id in file.parent.name)
        return "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files)

    def __getstate__(self) -> dict[str, Any]:
        """Tune stores a copy of the searcher to restore an experiment; we start a new one instead."""
        return {}

    def save(self, checkpoint_path: str) -> None:
        """Nothing is kept: the ledger is."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing was kept."""
