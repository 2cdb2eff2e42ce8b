"""Arrays of coming batches, read from disk ahead of the model; a bounded number of them is in memory.

Threads read files that are there. What is not there is decoded in other processes, never in the trainer's own.
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
_PATIENCE = 3  # times the limit on decoding a clip: a batch that takes longer is no sign of life
_START_S = 120.0  # for processes that decode

Ids = tuple[str, ...]


class Loader:
    """Loads batches of clips. Their order is the caller's; threads change when a file is read, and nothing else.

    Threads start with the first batch, processes with the first file that has to be decoded; `close` ends both.

    Args:
        inputs: the prepared clips.
        num_workers: threads that read ahead, and processes at most that decode; with 0 nothing is read ahead.
        num_ahead: batches read ahead of the one in use, at least 1.
    """

    def __init__(self, inputs: ClipInputStore, num_workers: int, num_ahead: int = NUM_BATCHES_AHEAD) -> None:
        self._inputs, self._num_ahead = inputs, num_ahead
        self._workers = JobPool(max(1, num_workers), inputs.limits)
        self._threads = ThreadPoolExecutor(num_workers, "loader") if num_workers else None
        self._expected: Iterator[Ids] = iter(())
        self._ahead: deque[tuple[Ids, list[Future[ClipInputs]]]] = deque()
        self._held: tuple[Ids, list[ClipInputs]] = ((), [])
        self.waited_s = 0.0
        """Seconds that `take` has taken so far."""

    def __enter__(self) -> "Loader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def prefetch(self, batches: Iterable[Sequence[str]]) -> None:
        """Say which batches will be taken next, in order; those expected before and not taken are forgotten.

        Args:
            batches: ids of the clips of each; read only as far ahead as arrays are.
        """
        self._forget()
        self._expected = map(tuple, batches)
        self._read_ahead()

    def take(self, clip_ids: Sequence[str]) -> list[ClipInputs]:
        """Return the arrays of a batch. The last batch is kept, so that it can be taken again.

        Args:
            clip_ids: the next batch that is expected, or any other, which is then loaded now.

        Raises:
            KeyError: no such clip.
            BadClip: a source file changed or broke since the clips were prepared.
        """
        ids, started = tuple(clip_ids), time.perf_counter()
        if self._held[0] != ids:
            self._held = ((), [])  # before more is read
            self._held = (ids, self._next(ids))
        self.waited_s += time.perf_counter() - started
        return list(self._held[1])

    def close(self) -> None:
        """End threads and processes; what they were at is given up."""
        self._forget()
        self._held = ((), [])
        self._workers.close()  # threads that wait for a process end by it
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
            if time.monotonic() < alive_until:  # beyond it the watch over this process may end it
                alive()

    def _load(self, clip_id: str) -> ClipInputs:
        return self._inputs.load(clip_id, self._workers.call)
