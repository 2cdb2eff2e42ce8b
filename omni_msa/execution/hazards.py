"""Checks that run repeatedly beside the trials: is the disk nearly full, is a process frozen, is the lease lost?"""

import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from omni_msa.ledger.ledger import Ledger
from omni_msa.ledger.trial_folder import Status
from omni_msa.ledger.trials import PlannedTrial
from omni_msa.system.lease import Lease
from omni_msa.system.process import read_process

FROZEN_EVERY_S = 10.0
_FROZEN_FACTOR = 1.5  # a process has its own watchdog; if even that does not act, the process is frozen


class Hazards:
    """Watches over the trials of a plan.

    Args:
        trials: the trials of the plan.
        ledger: the ledger with these trials.
        lease: the driver's lease of the ledger.
        reserve_gb: free disk space in GB below which trials must stop, so that their checkpoints still fit.
        folders: folders whose disks are watched.
        request_stop: called with a reason when all trials must write a checkpoint and end.
    """

    def __init__(
        self,
        trials: Sequence[PlannedTrial],
        ledger: Ledger,
        lease: Lease,
        reserve_gb: float,
        folders: Sequence[Path],
        request_stop: Callable[[str], None],
    ) -> None:
        self._trials, self._ledger, self._lease, self._request_stop = trials, ledger, lease, request_stop
        self._reserve_gb, self._folders = reserve_gb, folders
        self._heartbeats: dict[str, tuple[str, float]] = {}

    def look(self) -> None:
        """Check the lease and the disks; ask the trials to stop if one is lost or nearly full."""
        if self._lease.is_lost:
            self._request_stop("another run has taken over the ledger, as this one did not renew its lease")
        for folder in self._folders:
            free_gb = shutil.disk_usage(folder).free / 1e9 if folder.exists() else self._reserve_gb
            if free_gb < self._reserve_gb:
                room = f"{free_gb:.2f} GB free, {self._reserve_gb:.2f} GB are reserved for checkpoints"
                self._request_stop(f"the disk of {folder} is nearly full ({room})")

    def end_frozen(self) -> None:
        """Kill the processes of frozen trials; it reads a file for each trial, so call it less often than `look`."""
        for trial in self._trials:
            self._end_if_frozen(trial)

    def _end_if_frozen(self, trial: PlannedTrial) -> None:
        """Kill a trial's process on this machine if its heartbeat has stopped and its own watchdog has not ended it."""
        folder = self._ledger.trial(trial.trial_id)
        status = folder.written_status() if trial.status.state != "complete" else Status()
        if status.state != "running":
            return
        heartbeat, since_s = self._heartbeats.get(trial.trial_id, ("", 0.0))
        if heartbeat != status.heartbeat:
            self._heartbeats[trial.trial_id] = status.heartbeat, time.monotonic()
        elif time.monotonic() - since_s > _FROZEN_FACTOR * trial.config.runtime.hang_s:
            process = read_process(vars(status))
            if process.is_here and not process.is_gone:
                folder.stacks.write_text("the process did not even answer its own watchdog\n")
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
