"""Before a trial its memory must be free on the card, after it back: looked after by each process that runs trials."""

import gc
import os
import sys
import time
from collections.abc import Callable, Collection

from omni_msa.system.nvml import Card, cards, holders

PATIENCE_S = 5.0
"""How long memory may take to come back: the driver frees that of a process shortly after its end."""
_POLL_S = 0.25
_NEXT = "wait, stop it, or choose other cards with CUDA_VISIBLE_DEVICES"


class GpuBusy(Exception):
    """A card cannot take a trial, or did not get its memory back from one.

    Args:
        message: what is wrong and what to do, one line.
        uuid: of the card.
    """

    def __init__(self, message: str, uuid: str = "") -> None:
        super().__init__(message, uuid)
        self.uuid = uuid

    def __str__(self) -> str:
        return str(self.args[0])


def left_behind(pids: Collection[int], patience_s: float = PATIENCE_S) -> list[tuple[Card, tuple[int, ...]]]:
    """Return the cards on which processes of ours still are after their end, with their ids.

    Args:
        pids: of processes that have ended, or should have.
        patience_s: how long to wait for them to be gone.
    """

    def found() -> list[tuple[Card, tuple[int, ...]]]:
        held = ((card, tuple(pid for pid in card.pids if pid in pids)) for card in cards())
        return [(card, ours) for card, ours in held if ours]

    _wait_for(lambda: not found(), patience_s)
    return found()


class Guard:
    """Looks after the card of a process that serves many trials, before and after each. Without NVML it does nothing.

    Args:
        place: of the card among those that the process may use.
        tolerance_gb: what may stay beyond the baseline: kernels are loaded when they are first needed.
        patience_s: how long memory may take to come back.
    """

    def __init__(self, place: int = 0, tolerance_gb: float = 0.256, patience_s: float = PATIENCE_S) -> None:
        self._place, self._tolerance_gb, self._patience_s = place, tolerance_gb, patience_s
        self._kept, self._baseline_gb = "", float("inf")

    def before(self, needed_gb: float) -> None:
        """Check that a trial's memory can be had; what this process holds already counts as free.

        Args:
            needed_gb: of the whole trial, its backbone included.

        Raises:
            CardBusy: it cannot; names the card and who holds its memory.
        """

        def available() -> float:
            card = self._card()
            return float("inf") if card is None else card.free_gb + _own_gb(card)

        if _wait_for(lambda: available() >= needed_gb, self._patience_s) or (card := self._card()) is None:
            return
        memory = f"{available():.1f} of {card.total_gb:.1f} GB free, {needed_gb:.1f} GB needed"
        raise GpuBusy(f"{card} is busy: {memory}; held by {holders(card, (os.getpid(),))}; {_NEXT}", card.uuid)

    def after(self, kept: str = "") -> None:
        """Check that a trial gave its memory back; the first trial with something else kept sets the baseline.

        Args:
            kept: names what stays in the process on purpose, such as the digest of its backbone's weights.

        Raises:
            CardBusy: this process holds more than after the first trial.
        """
        release_memory()
        card = self._card()
        if card is None:
            return
        if kept != self._kept or self._baseline_gb == float("inf"):
            self._kept, self._baseline_gb = kept, _own_gb(card)
        allowed = self._baseline_gb + self._tolerance_gb
        if not _wait_for(lambda: self._own_gb() <= allowed, self._patience_s):
            held = f"this process holds {self._own_gb():.1f} GB, after its first trial {self._baseline_gb:.1f} GB"
            raise GpuBusy(f"{card}: a trial did not give memory back: {held}; run the same command again", card.uuid)
        self._baseline_gb = min(self._baseline_gb, self._own_gb())

    def _card(self) -> Card | None:
        found = cards()
        return found[self._place] if self._place < len(found) else None

    def _own_gb(self) -> float:
        card = self._card()
        return 0.0 if card is None else _own_gb(card)


def _own_gb(card: Card) -> float:
    """Return what this process holds on a card; where NVML does not tell (a container, MIG), what torch says."""
    known = [process.used_gb for process in card.processes if process.pid == os.getpid()]
    if known and known[0] is not None:
        return known[0]
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return 0.0
    return float(torch.cuda.memory_reserved()) / 1e9


def release_memory() -> None:
    """Give back what is no longer used: objects in circles, and what torch keeps of the card for later."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _wait_for(is_so: Callable[[], bool], patience_s: float) -> bool:
    """Return whether it comes to be so in time."""
    end = time.monotonic() + patience_s
    while not is_so():
        if time.monotonic() >= end:
            return False
        time.sleep(min(_POLL_S, patience_s))
    return True
