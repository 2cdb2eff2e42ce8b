"""Ray itself: started on this machine, or a cluster that is joined after a check of every node."""

import importlib.metadata
import logging
import math
import os
import platform
import signal
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omni_msa.config import plugins
from omni_msa.errors import InputError, Problem
from omni_msa.ledger.ledger import Ledger
from omni_msa.system import own_code
from omni_msa.system.process_pool import THREAD_VARIABLES

# Ray reads these when it is imported or started.
_ENVIRONMENT = {
    "RAY_raylet_start_wait_time_s": "120",  # a loaded machine needs more than the default
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_memory_monitor_refresh_ms": "0",  # or it ends trials when any other program fills the memory
    "RAY_worker_niceness": "0",  # the default of 15 would starve trials beside other programs
    "RAY_DEDUP_LOGS": "0",
    "RAY_ENABLE_AUTO_CONNECT": "0",  # or Tune starts another Ray when this one is shut down
    "RAY_AIR_NEW_OUTPUT": "0",
    "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # so that CUDA, NVML and `nvidia-smi` count GPUs alike
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}
# With clusters disabled, Ray binds every port to 127.0.0.1; otherwise it uses the machine's own address.
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
# A Ray server that died does not come back. Ray ends every process that has lost it for this long (default: a minute),
# this one, too, which must have shut down its connection to Ray by then; that takes six seconds.
_NO_WAITING = {"RAY_gcs_rpc_server_reconnect_timeout_s": "30"}
_OBJECT_STORE_BYTES = 100 * 2**20  # only configurations pass through it
_CHECK_S = 60.0
_CONNECT_S = 10.0


@dataclass(frozen=True)
class Workers:
    """The resources that trials run on.

    Args:
        num_slots: how many trials run at once; on a cluster its resources decide.
        num_gpus: number of GPUs of this machine or of the cluster; 0 runs trials on the CPU, with one thread each.
        address: address of a Ray cluster to join, None to start Ray on this machine.
        wants_gpu: whether trials on a cluster use its GPUs, if it has any.
        visible_devices: value of `CUDA_VISIBLE_DEVICES` that selects this machine's usable GPUs, None for all.
        session: Ray's own folder, once it runs.
    """

    num_slots: int
    num_gpus: int = 0
    address: str | None = None
    wants_gpu: bool = True
    visible_devices: str | None = None
    session: str = ""

    @property
    def resources(self) -> dict[str, float]:
        """What one trial reserves: a core and a GPU, or a share of a GPU if there are more slots than GPUs."""
        if not self.num_gpus:
            return {"CPU": 1}
        return {"CPU": 1, "GPU": 1 / math.ceil(self.num_slots / self.num_gpus)}


@contextmanager
def started(workers: Workers, scratch: Path, ledger: Path) -> Iterator[Workers]:
    """Start Ray on the loopback interface, or join a cluster; shut down and restore the environment at the end.

    Args:
        workers: the resources that are wanted.
        scratch: an empty folder for Ray's own files; its path must be short, as paths of sockets have at most 107
            characters.
        ledger: folder of the ledger, which must be the same on all nodes of a cluster.

    Yields:
        the resources that are available.

    Raises:
        InputError: the cluster cannot be joined, or nodes lack what a trial needs; lists every such node.
    """
    threads = dict.fromkeys(THREAD_VARIABLES, "1") if not workers.num_gpus else {}
    all_at_once = {"TUNE_MAX_PENDING_TRIALS_PG": str(workers.num_slots)}  # let all processes start at the same time
    if workers.address:
        with _environment(_ENVIRONMENT), _running({"address": workers.address}, workers.address) as session:
            _check_nodes(ledger)
            yield _with_resources(replace(workers, session=session))
        return
    visible = {} if workers.visible_devices is None else {"CUDA_VISIBLE_DEVICES": workers.visible_devices}
    settings = {"address": "local", "num_cpus": workers.num_slots, "num_gpus": workers.num_gpus}
    settings |= {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
    with (
        _environment({**_ENVIRONMENT, **threads, **_LOOPBACK, **_NO_WAITING, **visible, **all_at_once}),
        _running({**settings, "_temp_dir": str(scratch / "ray")}) as session,
    ):
        yield replace(workers, session=session)


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
def _running(settings: dict[str, Any], address: str = "") -> Iterator[str]:
    import ray

    for name in ("ray", "ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL, "configure_logging": False}
    ours = signal.getsignal(signal.SIGTERM)
    if address:
        _check_address(address)
    try:
        try:
            session = str(ray.init(**quiet, **settings).address_info["session_dir"])
        except (ConnectionError, ValueError, RuntimeError) as error:
            if not address:
                raise
            raise InputError(_not_joined(address, error)) from error
        signal.signal(signal.SIGTERM, ours)  # Ray installs a handler that would end the process with trials running
        yield session
    except SystemExit as error:  # from Ray's handler, if SIGTERM came while Ray was starting
        raise KeyboardInterrupt from error
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Raise InputError for an address at which nothing listens, since Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    try:
        if host and port.isdecimal():
            socket.create_connection((host, int(port)), _CONNECT_S).close()
    except OSError as error:
        raise InputError(_not_joined(address, error)) from error


def _not_joined(address: str, error: Exception) -> Problem:
    what = (str(error).splitlines() or [type(error).__name__])[0]
    step = "check `ray status` on the head node; this machine must be a node, too: `ray start --address=...`"
    return Problem("the Ray cluster cannot be joined", "--address", f"{address}: {what}", "host:port, or auto", step)


def _with_resources(workers: Workers) -> Workers:
    """Return the resources of the cluster: one slot per GPU, or per core without GPUs."""
    import ray

    resources = ray.cluster_resources()
    num_gpus = int(resources.get("GPU", 0)) if workers.wants_gpu else 0
    return replace(workers, num_slots=num_gpus or max(1, int(resources.get("CPU", 1))), num_gpus=num_gpus)


def _check_nodes(ledger: Path) -> None:
    """Check on every node that it sees the ledger and runs the same code.

    Raises:
        InputError: lists each node that does not.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    token = Ledger(ledger).driver / f"{uuid.uuid4().hex}.hello"
    token.write_text(token.name)
    remote_look = ray.remote(num_cpus=0, max_retries=0)(look)
    try:
        asked = {
            remote_look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
                str(token)
            ): node
            for node in ray.nodes()
            if node["Alive"]
        }
        problems = [problem for task, node in asked.items() for problem in judge(_answer(task), _name(node), ledger)]
    finally:
        token.unlink(missing_ok=True)
    if problems:
        raise InputError(*problems)


def _answer(task: Any) -> dict[str, Any] | Exception:
    import ray

    try:
        answer: dict[str, Any] = ray.get(task, timeout=_CHECK_S)
    except Exception as error:  # whatever keeps a node from answering
        return error
    return answer


def _name(node: dict[str, Any]) -> str:
    return f"node {node['NodeManagerHostname']} ({node['NodeManagerAddress']})"


def judge(seen: dict[str, Any] | Exception, where: str, ledger: Path) -> list[Problem]:
    """Return the problems that keep a node from running trials.

    Args:
        seen: result of `look` on that node, or the error that it raised.
        where: name of the node.
        ledger: the folder that it must see.
    """
    if isinstance(seen, Exception):
        got = (str(seen).strip().splitlines() or [type(seen).__name__])[-1]
        step = "install the package in the Python that runs `ray start` there, or remove the node from the cluster"
        return [Problem("a node of the cluster cannot run trials", where, got, "", step)]
    problems = []
    if not seen["has_ledger"]:
        step = (
            "mount the folder at the same path on all nodes (NFS, sshfs), or set OMNI_MSA_LEDGER to one that is shared"
        )
        problems.append(
            Problem("a node of the cluster does not see the ledger", where, "no such folder", str(ledger), step)
        )
    ours = _versions()
    if seen["versions"] != ours:
        step = "install the same commit and the same package versions on all nodes"
        problems.append(Problem("a node of the cluster runs different code", where, seen["versions"], ours, step))
    return problems


def look(token: str) -> dict[str, Any]:
    """Return, on a node, whether it sees the token file (which contains its own name), and the versions of its code."""
    path = Path(token)
    has_ledger = path.is_file() and path.read_text() == path.name
    return {"has_ledger": has_ledger, "versions": _versions()}


def _versions() -> str:
    """Return the versions that must be the same on all nodes: Python, torch, this package, packages with plug-ins."""
    torch = importlib.metadata.version("torch").partition("+")[0]
    others = "".join(f", {name} {version}" for name, version in plugins.packages())
    return f"Python {platform.python_version()}, torch {torch}, omni_msa {own_code.digest()}{others}"
