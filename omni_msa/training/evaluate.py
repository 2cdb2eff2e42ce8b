"""Predictions of a split, their metrics, and the cost of inference."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
import psutil
import torch

from omni_msa.data.clip import Clip
from omni_msa.model.padding import in_batches
from omni_msa.model.prompt import Prompt
from omni_msa.readouts._module import Readout
from omni_msa.readouts._task import Prediction
from omni_msa.stats.metrics import compute
from omni_msa.system.watchdog import alive

_SAMPLE_S = 0.2
NUM_LATENCY_CLIPS = 21
"""One warm-up clip and twenty others, whose second slowest is about the 95th percentile."""
LATENCY_S = 20.0


def predict(readout: Readout, forward: Any, prompts: list[Prompt], batch: int) -> list[Prediction]:
    """Return one prediction for each prompt, in order; each pass takes prompts of similar length.

    Args:
        readout: in eval mode.
        forward: passes over the backbone with the chosen adapter weights; None for a readout without a backbone.
        prompts: of one split.
        batch: prompts per pass.
    """
    results: dict[int, Prediction] = {}
    for indices in _batches(forward, prompts, batch):
        results.update(zip(indices, readout.predict(forward, [prompts[index] for index in indices]), strict=True))
    return [results[index] for index in range(len(prompts))]


def predict_with_losses(
    readout: Readout, forward: Any, prompts: list[Prompt], labels: torch.Tensor, batch: int
) -> tuple[list[Prediction], list[float]]:
    """Return the predictions of `predict`, and the loss of each clip's true answer.

    Args:
        readout: one that decodes and is trained, in eval mode.
        forward, prompts, batch: as for `predict`.
        labels: (N,).
    """
    results: dict[int, tuple[Prediction, float]] = {}
    for indices in _batches(forward, prompts, batch):
        part = [prompts[index] for index in indices]
        predictions, losses = readout.predict_with_losses(forward, part, labels[indices])
        results.update(zip(indices, zip(predictions, losses.tolist(), strict=True), strict=True))
    pairs = [results[index] for index in range(len(prompts))]
    return [prediction for prediction, _ in pairs], [loss for _, loss in pairs]


def _batches(forward: Any, prompts: list[Prompt], batch: int) -> Iterator[list[int]]:
    """Yield the indices of each batch, from the shortest prompts to the longest, with prefetching."""
    parts = in_batches(sorted(range(len(prompts)), key=lambda index: len(prompts[index].token_ids)), batch)
    if forward is not None:
        forward.prefetch([prompts[index] for index in indices] for indices in parts)
    for indices in parts:
        yield indices
        alive()


def as_frame(clips: list[Clip], predictions: list[Prediction]) -> pd.DataFrame:
    """Return predictions as a table with the columns clip_id, label, score, text, parsed, in_range."""
    rows = [
        (clip.id, clip.label, prediction.score, prediction.text, prediction.parsed, prediction.in_range)
        for clip, prediction in zip(clips, predictions, strict=True)
    ]
    return pd.DataFrame(rows, columns=["clip_id", "label", "score", "text", "parsed", "in_range"])


def score(frame: pd.DataFrame, conventions: str = "mosi") -> dict[str, float]:
    """Return all metrics of a table of predictions, by the conventions of its dataset."""
    columns = {name: frame[name].to_numpy(bool) for name in ("parsed", "in_range")}
    labels, scores = frame["label"].to_numpy(float), frame["score"].to_numpy(float)
    return compute(labels, scores, **columns, conventions=conventions)


def diagnostics(predictions: list[Prediction], losses: list[float]) -> dict[str, float]:
    """Return numbers that show whether decoded answers have collapsed into a few.

    Args:
        predictions: of one split, at least one.
        losses: of the tokens of the true answers, one per clip.

    Returns:
        `num_distinct` texts, `mode_rate` (the share of the most frequent one), `answer_loss` (the mean).
    """
    counts = Counter(prediction.text for prediction in predictions)
    rate = counts.most_common(1)[0][1] / len(predictions)
    return {"num_distinct": len(counts), "mode_rate": rate, "answer_loss": fmean(losses)}


def latency(
    prepare: Callable[[Clip], Prompt],
    predict: Callable[[Prompt], object],
    clips: Sequence[Clip],
    budget_s: float = LATENCY_S,
) -> dict[str, float]:
    """Measure the latency of single clips, one after another, after a warm-up clip.

    Args:
        prepare: reads the files of a clip and builds its prompt, without caches.
        predict: computes the score of a prompt.
        clips: the first is the warm-up (a single clip is measured without one); at most `NUM_LATENCY_CLIPS` are used.
        budget_s: after this time no further clip is measured, if two have been.

    Returns:
        median and 95th percentile (linear between ranks) in seconds: `latency_s` and `latency_p95_s` from files to
        score, `latency_model_s` and `latency_model_p95_s` from prompt to score, media on the host.
    """
    whole, model, began = [], [], time.perf_counter()
    for clip in clips[:NUM_LATENCY_CLIPS]:
        start = _now()
        prompt = prepare(clip)
        ready = _now()
        predict(prompt)
        end = _now()
        whole.append(end - start)
        model.append(end - ready)
        alive()
        if len(whole) > 2 and end - began > budget_s:
            break
    values = {}
    for name, times in (("latency", whole[1:] or whole), ("latency_model", model[1:] or model)):
        values[f"{name}_s"], values[f"{name}_p95_s"] = np.percentile(times, [50, 95]).tolist()
    return values


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()  # GPU work is asynchronous: wait until it is done
    return time.perf_counter()


@contextmanager
def peak_memory(device: str) -> Iterator[Callable[[], float]]:
    """Measure peak memory; yields a function that returns it in GB (1e9 bytes).

    On a GPU it is CUDA's peak of allocated memory, reset here; on the CPU the largest resident set of this process,
    sampled five times per second. In a process that runs several trials it includes the backbone from the start.
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
