"""Cost of full-size trials on this GPU: memory, time, idle share, latency, and the savings of each option.

    python benchmarks/gpu.py [--weights FOLDER] [--layers N] [--backbone NAME]
    python benchmarks/gpu.py --device cpu --tiny        the whole script in a minute, without a GPU

Without --weights, random ones with the 7B's dimensions are written once to the cache (18 GB) and loaded as real ones
are: times and memory do not depend on their values, scores do. What does not fit the GPU says so, and the next row
follows. Prints Markdown.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import gpu_rows as rows
import random_checkpoint
import torch
from gpu_rows import Bench, Setting

from omni_msa.system.cache_folder import cache_folder

TRAINED = ("discriminative", "generative")
READ = ("discriminative", "generative", "expected_value", "frozen_probe")
Row = tuple[str, ...]


def main() -> None:
    """Print all tables."""
    options = arguments()
    name = "tiny" if options.tiny else options.backbone
    family = random_checkpoint.member(name, options.layers)
    folder = options.weights or cache_folder() / "benchmarks" / family.repository.replace("/", "-")
    if options.weights is None:
        random_checkpoint.write(folder, family, options.device)
    bench = Bench(family, folder, options.device, options.tiny, options.steps)
    if options.worker:
        rows.work(bench)
        return
    for line in head(options, name, folder):
        print(line)
    for heading, columns, listed in TABLES:
        print(f"\n### {heading}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
        for label, row in listed(bench, options):
            print(f"| {' | '.join((label, *attempt(row, len(columns) - 1)))} |", flush=True)
            rows.clean(bench.device)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="folder with real weights")
    parser.add_argument("--backbone", default="qwen2_5_omni_7b", choices=["qwen2_5_omni_7b", "qwen2_5_omni_3b"])
    parser.add_argument("--layers", type=int, help="of the language model, fewer for a small GPU (random weights)")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tiny", action="store_true", help="a network of a few thousand weights")
    parser.add_argument("--steps", type=int, default=5, help="measured after one warm-up")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    found = parser.parse_args()
    if found.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA GPU here; the whole script on the CPU: --device cpu --tiny")
    if found.weights is not None and (found.layers or found.tiny):
        parser.error("--weights has all layers of the whole network: leave --layers and --tiny out")
    return found


def head(options: argparse.Namespace, name: str, folder: Path) -> list[str]:
    """Return the description of machine, model and clips above the tables."""
    gpu = rows.gpu_text() if options.device == "cuda" else "CPU, one thread"
    weights = "real weights" if options.weights else "random weights"
    layers = f", {options.layers} text layers" if options.layers else ""
    clips = f"clips of {rows.SHORT_S:g} s ({rows.LONG_S:g} s: the longest that the settings leave uncut)"
    return [f"{gpu}; torch {torch.__version__}; {date.today()}; {name}{layers}, {weights}; {clips}"]


def attempt(row: Callable[[], Row], num_columns: int) -> Row:
    """Return the values of a row, or a note if memory is not sufficient."""
    try:
        return row()
    except RuntimeError as error:  # torch's, bitsandbytes' and CUDA's own have no common class below this one
        if not isinstance(error, torch.OutOfMemoryError) and "out of memory" not in str(error).lower():
            raise
    return ("does not fit", *[""] * (num_columns - 1))


def _training(bench: Bench, options: argparse.Namespace):
    for clip_s in (rows.SHORT_S, rows.LONG_S):
        for readout in TRAINED:
            setting = Setting(readout, clip_s=clip_s)
            yield f"{readout}, {clip_s:g} s", lambda setting=setting: rows.train_row(bench, setting)


def _inference(bench: Bench, options: argparse.Namespace):
    for readout in READ:
        yield readout, lambda readout=readout: rows.latency_row(bench, Setting(readout))


def _measures(bench: Bench, options: argparse.Namespace):
    settings = {
        "as in the profile rtx": Setting("generative"),
        "16 bits instead of NF4": Setting("generative", quantization="none"),
        "without gradient checkpointing": Setting("generative", checkpointing=False),
        "scores of all positions": Setting("generative", all_positions=True),
        "discriminative": Setting("discriminative"),
        "discriminative, lm_head on the GPU": Setting("discriminative", head_on_gpu=True),
        "micro-batch 2": Setting("generative", micro_batch=2),
        "micro-batch 4": Setting("generative", micro_batch=4),
    }
    for label, setting in settings.items():
        yield label, lambda setting=setting: rows.train_row(bench, setting)


def _packing(bench: Bench, options: argparse.Namespace):
    bench.drop()  # the other processes need the GPU
    for num in (2,) if bench.tiny else (1, 2, 3):
        yield str(num), lambda num=num: rows.packed_row(num, worker_command())


def worker_command() -> list[str]:
    """Return the command that runs one of several concurrent trials."""
    return [sys.executable, __file__, *sys.argv[1:], "--worker"]


def _agreement(bench: Bench, options: argparse.Namespace):
    yield "tiny", lambda: rows.agreement_row(bench.device)


_STEP = ("peak (GB)", "planned (GB)", "step of 8 clips (s)", "clips a second", "tokens a second", "idle")
TABLES = (
    ("Training", ("readout, clips", *_STEP), _training),
    ("Inference, batch 1, media prepared", ("readout", "median (s)", "95th percentile (s)", "peak (GB)"), _inference),
    ("Measures, one at a time, generative unless said", ("setting", *_STEP), _measures),
    ("NF4 on the CPU and here", ("network", "largest difference of states, relative", "cosine"), _agreement),
    ("Trials packed on one GPU", ("trials", "clips a second, all together", "peak of one (GB)"), _packing),
)

if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, subprocess.TimeoutExpired) as stopped:
        sys.exit(f"stopped: {type(stopped).__name__}")
