"""Seconds per clip of a training step of the pocket profile, with and without the prefix cache.

    python benchmarks/step_time.py [key=value ...]

Both ways run in one process, one after the other, on the same batches; one torch thread.
"""

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import torch

from omni_msa.model.backbone_cache import Resident
from omni_msa.sweep.sweep import load_sweep
from omni_msa.training.build import TrialParts, assemble

SWEEP = Path(__file__).parents[1] / "sweeps" / "readout_comparison.yaml"
NUM_STEPS = 6
NUM_WARM_UP = 1


def seconds_per_clip(built: TrialParts) -> float:
    """Return the median time of a forward and backward pass, divided by the batch."""
    assert built.forward is not None
    batch = built.config.training.batch_size
    clips = built.splits.train[: batch * (NUM_STEPS + NUM_WARM_UP)]
    prompts, labels = built.prompts(clips), built.labels(clips)
    built.forward.fill_cache(prompts, [built.readout.answer(clip.label) for clip in clips], keys_values=False)
    built.set_training(True)
    times = []
    for first in range(0, len(clips), batch):
        started = time.perf_counter()
        losses = built.readout.losses(built.forward, prompts[first : first + batch], labels[first : first + batch])
        losses.mean().backward()
        times.append((time.perf_counter() - started) / batch)
    return median(times[NUM_WARM_UP:])


def main() -> None:
    """Print a small table."""
    torch.set_num_threads(1)
    resident = Resident()
    print("| readout | without store (s a clip) | with store (s a clip) | ratio |\n|---|---|---|---|")
    for readout in ("discriminative", "generative"):
        times = []
        for store in ("false", "true"):
            settings = [f"axes.readout=[{readout}]", "compare=null", f"runtime.prefix_cache={store}", *sys.argv[1:]]
            config = load_sweep(SWEEP, settings).cells[0].config.model_copy(update={"seed": 1})
            with ExitStack() as stack:
                times.append(seconds_per_clip(assemble(config, resident, stack)))
        print(f"| {readout} | {times[0]:.3f} | {times[1]:.3f} | {times[0] / times[1]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
