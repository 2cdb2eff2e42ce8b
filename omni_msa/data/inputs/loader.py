"""Prefetching: arrays of the next batches are read from disk while the model computes, a bounded number at a time.

Threads read cached files. Clips missing from the cache are decoded in other processes, never in the training process.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from types import TracebackType

from omni_msa.data.inputs.clip_inputs import ClipInputs
from omni_msa.data.inputs.preprocess import ClipInputStore
from omni_msa.system.process_pool import JobPool
from omni_msa.system.watchdog import alive

NUM_BATCHES_AHEAD = 4
_LOOK_EVERY_S = 0.5
_PATIENCE = 3  # times the time limit of a clip: a batch that takes longer no longer counts as progress
_START_S = 120.0  # allowed for starting the decoding processes

Ids = tuple[str, ...]


class Loader:
    """Loads batches of clips in the order in which they are taken; threads only change when a file is read.

    Threads start with the first batch, processes with the first file that has to be decoded; `close` ends both.

    Args:
        inputs: the prepared clips.
        num_workers: number of prefetching threads, and limit on decoding processes; 0: no prefetching.
        num_ahead: number of batches prefetched beyond the one in use, at least 1.
    """

    def __init__(self, inputs: ClipInputStore, num_workers: int, num_ahead: int = NUM_BATCHES_AHEAD) -> None:
        self._inputs, self._num_ahead = inputs, num_ahead
        self._workers = JobPool(max(1, num_workers), inputs.limits)
        self._threads = ThreadPoolExecutor(num_workers, "loader") if num_workers else None
        self._expected: Iterator[Ids] = iter(())
        self._ahead: deque[tuple[Ids, list[Future[ClipInputs]]]] = deque()
        self._held: tuple[Ids, list[ClipInputs]] = ((), [])
        self.waited_s = 0.0
        """Seconds spent in `take` so far."""

    def __enter__(self) -> "Loader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def prefetch(self, batches: Iterable[Sequence[str]]) -> None:
        """Start reading the batches that will be taken next; replaces batches announced earlier and not taken.

        Args:
            batches: clip ids of each batch, in the order of `take`; consumed only as far as arrays are prefetched.
        """
        self._forget()
        self._expected = map(tuple, batches)
        self._read_ahead()

    def take(self, clip_ids: Sequence[str]) -> list[ClipInputs]:
        """Return the arrays of a batch. The last batch stays in memory, so that it can be taken again at no cost.

        Args:
            clip_ids: the next announced batch; any other batch is loaded now, without prefetching.

        Raises:
            KeyError: no such clip.
            BadClip: a source file was changed or damaged after the clips were prepared.
        """
        ids, started = tuple(clip_ids), time.perf_counter()
        if self._held[0] != ids:
            self._held = ((), [])  # frees memory before the next batch is read
            self._held = (ids, self._next(ids))
        self.waited_s += time.perf_counter() - started
        return list(self._held[1])

    def close(self) -> None:
        """End threads and processes and abandon their work."""
        self._forget()
        self._held = ((), [])
        self._workers.close()  # ends the threads that wait for a process
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)

    def _forget(self) -> None:
        self._expected = iter(())
        for _, futures in self._ahead:
            for future in futures:
                future.cancel()
        self._ahead.clear()

    def _next(self, ids: Ids) -> list[ClipInputs]:
        if self._ahead and self._ahead[0][0] == ids:
            _, futures = self._ahead.popleft()
            self._read_ahead()
        elif self._threads is not None:
            futures = [self._threads.submit(self._load, clip_id) for clip_id in ids]
        else:
            return [self._load(clip_id) for clip_id in ids]
        self._wait(futures)
        return [future.result() for future in futures]

    def _read_ahead(self) -> None:
        if self._threads is None:
            return
        for ids in islice(self._expected, self._num_ahead - len(self._ahead)):
            self._ahead.append((ids, [self._threads.submit(self._load, clip_id) for clip_id in ids]))

    def _wait(self, futures: Sequence[Future[ClipInputs]]) -> None:
        alive_until = time.monotonic() + _START_S + _PATIENCE * self._inputs.limits.seconds * len(futures)
        while wait(futures, _LOOK_EVERY_S).not_done:
            if time.monotonic() < alive_until:  # later, the watchdog may end this process
                alive()

    def _load(self, clip_id: str) -> ClipInputs:
        return self._inputs.load(clip_id, self._workers.call)
