"""Predictions of a split, their metrics, and what they cost."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import pandas as pd
import psutil
import torch

from omni_msa.clip import Clip
from omni_msa.metrics import compute
from omni_msa.prompt import Prompt
from omni_msa.readout import Prediction, Readout
from omni_msa.watchdog import alive

_SAMPLE_S = 0.2


def predict(readout: Readout, forward: Any, prompts: list[Prompt], batch: int) -> list[Prediction]:
    """Return one prediction for each prompt, in order; passes are over prompts of like length.

    Args:
        readout: in eval mode.
        forward: passes over the backbone with the chosen adapter weights; None for a readout without a backbone.
        prompts: of one split.
        batch: prompts per pass.
    """
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place].token_ids))
    found: dict[int, Prediction] = {}
    for start in range(0, len(order), batch):
        places = order[start : start + batch]
        found.update(zip(places, readout.predict(forward, [prompts[place] for place in places]), strict=True))
        alive()
    return [found[place] for place in range(len(prompts))]


def as_frame(clips: list[Clip], predictions: list[Prediction]) -> pd.DataFrame:
    """Return the predictions file of a split: clip_id, label, score, text, parsed, in_range."""
    rows = [
        (clip.id, clip.label, each.score, each.text, each.parsed, each.in_range)
        for clip, each in zip(clips, predictions, strict=True)
    ]
    return pd.DataFrame(rows, columns=["clip_id", "label", "score", "text", "parsed", "in_range"])


def score(frame: pd.DataFrame) -> dict[str, float]:
    """Return all metrics of a predictions file."""
    columns = {name: frame[name].to_numpy(bool) for name in ("parsed", "in_range")}
    return compute(frame["label"].to_numpy(float), frame["score"].to_numpy(float), **columns)


def latency(one: Callable[[Clip], object], clips: list[Clip]) -> float:
    """Return the median seconds that one clip takes from its files to its score, after a warm-up clip.

    Args:
        one: prepares and predicts a clip, nothing cached.
        clips: the first is the warm-up; a single clip is measured as it is.
    """
    times = []
    for clip in clips:
        start = time.perf_counter()
        one(clip)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
        alive()
    return median(times[1:] or times)


@contextmanager
def peak_memory(device: str) -> Iterator[Callable[[], float]]:
    """Measure peak memory; yields a function that returns it in GB (1e9 bytes).

    On a GPU it is CUDA's peak of allocated memory, reset here; on the CPU the largest resident set of this process,
    sampled five times a second. A process that serves many trials starts from its backbone's size.
    """
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        yield lambda: torch.cuda.max_memory_allocated() / 1e9
        return
    process, done = psutil.Process(), threading.Event()
    samples = [process.memory_info().rss]

    def watch() -> None:
        while not done.wait(_SAMPLE_S):
            samples[0] = max(samples[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lambda: max(samples[0], process.memory_info().rss) / 1e9
    finally:
        done.set()
        watcher.join()
