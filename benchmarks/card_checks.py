"""Checks that need a GPU: CUDA code paths compared with the CPU. One line per check; a failure ends none.

    python benchmarks/card_checks.py [--device cpu]        (cpu: the script itself, without a GPU)

It takes about a minute on a GPU, and needs neither Ray nor MLflow nor media files. Exit code 1 if a check failed.
"""

import argparse
import gc
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import torch

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests")]
from helpers import tiny_trials
from omni_msa.config import plugins
from omni_msa.execution import failures, gpu_guard
from omni_msa.model import memory_saving, thinker
from omni_msa.model.adapter import attached
from omni_msa.model.forward import Forward
from omni_msa.system import nvml

ADAPTER = {"rank": 4, "dropout": 0.0, "towers": ("text", "audio", "video"), "text_layers": "all"}
NF4 = {"quantization": "nf4", "dtype": "bfloat16"}
# Of each number format: options of the backbone; how far states and gradients may be from the CPU's, relatively.
FORMATS = {
    "float32": ({}, (1e-4, 1e-3)),
    "bfloat16": ({"dtype": "bfloat16"}, (3e-2, 1e-1)),
    "NF4": (NF4, (3e-2, 1e-1)),
}
READOUTS = ("discriminative", "generative", "expected_value", "frozen_probe")


def build(device: str, **options):
    """Return the tiny backbone on a device."""
    plugin = plugins.load("backbones", "tiny")
    return plugin.build(plugin.Options(**options), device)


def states_and_gradients(device: str, checkpointing: bool = False, dropout: float = 0.0, **options):
    """Return hidden states and adapter gradients of three prompts of different lengths in one batch.

    The loss is a fixed projection of the states: the sum of their squares is what the final norm makes it, whatever
    the weights, so that its gradient would be nothing but rounding.
    """
    backbone = build(device, **options)
    config = tiny_trials.config(adapter=ADAPTER).adapter.model_copy(update={"dropout": dropout})
    with attached(backbone, config, seed=1) as adapter:
        tiny_trials.move(adapter)
        adapter.train(dropout > 0)
        torch.manual_seed(3)
        forward = Forward(backbone, checkpointing=checkpointing)
        states = forward.states(tiny_trials.make_prompts(backbone), [(5, 6), (7,), ()])[:, 0]
        weights = torch.randn(states.shape[-1], generator=torch.Generator().manual_seed(4)).to(states.device)
        gradients = torch.autograd.grad((states.float() @ weights).sum(), adapter.parameters())
        return states.detach().float().cpu(), torch.cat([each.float().flatten().cpu() for each in gradients])


def distance(found: torch.Tensor, wanted: torch.Tensor, limit: float) -> str:
    """Return the relative distance of two tensors as text; raise if it exceeds a limit."""
    far = ((found - wanted).norm() / wanted.norm()).item()
    if not far <= limit:  # a NaN is no number
        raise AssertionError(f"relative distance {far:.1e}, allowed {limit:.0e}")
    return f"{far:.1e}"


def see_the_gpu(device: str) -> str:
    """NVML and torch report the same GPU, and this process is among those that hold its memory."""
    import bitsandbytes
    from bitsandbytes.cextension import lib

    versions = f"torch {torch.__version__}, bitsandbytes {bitsandbytes.__version__}"
    if device != "cuda":
        return versions
    assert lib.compiled_with_cuda, "bitsandbytes found no CUDA library"
    held = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    (gpu,) = nvml.list_gpus()
    own = gpu_guard._own_gb(gpu)
    assert gpu.name == torch.cuda.get_device_name(), gpu
    assert 1.0 < own < 3.0, f"own memory {own:.2f} GB for one of {held.numel() / 1e9:.2f} GB; {gpu.processes}"
    return f"{versions}; {gpu}, {gpu.total_gb:.1f} GB, pid seen: {bool(gpu.pids)}, own {own:.2f} GB"


def compare_format(device: str, name: str) -> str:
    """Hidden states and gradients in a number format equal those on the CPU."""
    options, limits = FORMATS[name]
    here, there = states_and_gradients(device, **options), states_and_gradients("cpu", **options)
    return " and ".join(distance(a, b, limit) for a, b, limit in zip(here, there, limits, strict=True))


def compare_checkpointing(device: str) -> str:
    """Activation checkpointing changes neither hidden states nor gradients, with dropout on."""
    with_it, without = (states_and_gradients(device, on, dropout=0.1, **NF4) for on in (True, False))
    return " and ".join(distance(a, b, 2e-2) for a, b in zip(with_it, without, strict=True))


def compare_decoding(device: str) -> str:
    """Decoded tokens and hidden states of trees and answers equal those on the CPU."""
    found = []
    for place in (device, "cpu"):
        backbone = build(place)
        prompts, forward = tiny_trials.make_prompts(backbone), Forward(backbone)
        opened = forward.prefill(prompts)
        tree = forward.tree_states(opened, [5, 6, 7, 8], [-1, 0, 0, 2]).cpu()
        answers = forward.answer_states(opened, [(5, 7), (6,), (8, 9)])[:, 1].cpu()
        states = torch.cat([tree.flatten(), answers.flatten()])
        found.append((states, tiny_trials.decode(forward, prompts, 4, 0)))
    (here, tokens), (there, tokens_cpu) = found
    assert tokens == tokens_cpu, found
    return distance(here, there, 1e-4)


def run_twice(device: str, readout: str) -> str:
    """Run a whole trial twice; on a GPU the bits may differ."""
    scores = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["OMNI_MSA_CACHE"] = f"{folder}/cache"
        tiny_trials.make_clips(Path(folder, "cache"), with_media=False)
        for number in range(2):
            trial = tiny_trials.config(readout={"name": readout}, runtime={"device": device})
            scores.append(tiny_trials.scores(tiny_trials.run(Path(folder, f"ledger{number}"), trial)))
    return "same bits" if scores[0] == scores[1] else "NOT the same bits (allowed on a GPU)"


def compare_digests(device: str) -> str:
    """Compare the digest of quantised weights with that on the CPU; both outcomes are acceptable."""
    here, there = (thinker.parameter_hash(build(place, **NF4).model) for place in (device, "cpu"))
    return "equal" if here == there else f"{here} and {there}: a trial's `weights` hash names the device too"


def run_out_of_memory(device: str) -> str:
    """Every form of CUDA's out-of-memory error is recognised, and the memory is released."""
    if device != "cuda":
        return "no GPU"
    gc.collect()
    torch.cuda.empty_cache()
    before, kinds = torch.cuda.memory_allocated(), []
    try:
        _ = [torch.empty(2**34, dtype=torch.uint8, device="cuda") for _ in range(100)]
    except Exception as error:
        kinds.append(failures.kind_of(error))
    gpu_guard.release_memory()
    for text in ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"):
        kinds.append(failures.kind_of(RuntimeError(f"CUDA error: {text}")))
    assert torch.cuda.memory_allocated() - before < 2**20
    assert set(kinds) == {failures.OUT_OF_MEMORY}, f"{kinds}: a bug is not tried again with smaller batches"
    return str(kinds)


def keep_output_layer(device: str) -> str:
    """A readout that generates text may follow one that does not: `lm_head` on the GPU is not taken for a leak."""
    if device != "cuda":
        return "no GPU"
    head = torch.nn.Linear(3584, 152064, bias=False, dtype=torch.bfloat16)
    config = SimpleNamespace(text_config=SimpleNamespace(tie_word_embeddings=False))
    backbone = SimpleNamespace(model=SimpleNamespace(lm_head=head, config=config), device="cuda")
    guard = gpu_guard.Guard(patience_s=1.0)
    guard.after("weights")
    memory_saving.output_layer(backbone)
    torch.cuda.synchronize()
    guard.after("weights")
    return "not taken for a leak"


CHECKS: dict[str, Callable[[str], str]] = {
    "the GPU, by NVML and by torch": see_the_gpu,
    **{f"{name}: states and gradients as on the CPU": partial(compare_format, name=name) for name in FORMATS},
    "checkpointing changes nothing, dropout on": compare_checkpointing,
    "decoding and trees as on the CPU (float32)": compare_decoding,
    **{f"a whole trial, twice: {name}": partial(run_twice, readout=name) for name in READOUTS},
    "a digest of the weights is the CPU's": compare_digests,
    "out of memory is recognised, and memory is released": run_out_of_memory,
    "a readout that generates text may follow one that does not (lm_head stays on the GPU)": keep_output_layer,
}


def is_passed(name: str, device: str) -> bool:
    """Run a check and print its result."""
    started = time.perf_counter()
    try:
        word, said = "ok", CHECKS[name](device)
    except Exception as error:
        word, said = "FAILED", f"{type(error).__name__}: {error}".splitlines()[0][:220]
        traceback.print_exc()
    print(f"{word:6} {time.perf_counter() - started:6.1f} s  {name}: {said}", flush=True)
    gc.collect()
    return word == "ok"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    device = parser.parse_args().device
    failed = [name for name in CHECKS if not is_passed(name, device)]
    print(f"{len(failed)} failed: {'; '.join(failed)}" if failed else "all ok")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
