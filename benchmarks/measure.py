"""Seconds, memory and share of a GPU's peak at the 7B's dimensions, most important rows first; stops at a time limit.

    python benchmarks/measure.py [--seconds 330] [--steps 2]
    python benchmarks/measure.py --device cpu --tiny --steps 1        the whole script without a GPU

Weights are random and drawn on the GPU (no 18 GB on disk). Two prototypes are timed beside the project's own code,
to say what they would bring: `varlen` (encoder attention as one flash call a layer) and `autocast` (LoRA in bfloat16).
No row is begun after `--seconds`.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gpu_rows as rows
import numpy as np
import random_checkpoint
import torch
from gpu_rows import Bench, Setting

from omni_msa.backbones._qwen_omni import QwenOmniOptions
from omni_msa.config.sections import BackboneOptions
from omni_msa.model.adapter import attached
from omni_msa.model.dimensions import Dimensions, linear_layers
from omni_msa.model.forward import Forward
from omni_msa.model.thinker import Backbone, load_thinker, parameter_hash, special_ids, thinker_config
from omni_msa.planning.memory import clip_lengths, plan_memory
from omni_msa.training.evaluate import peak_memory

VARLEN = "torch_flash_varlen"
RTX = Setting("discriminative")  # the profile `rtx` as it is


@dataclass
class Drawn(Bench):
    """A bench whose backbone is created on its device, and the peak performance of its GPU."""

    flops_per_s: float = 1e11
    bytes_per_s: float = 1e10

    @property
    def is_cuda(self) -> bool:
        """Whether there is a GPU."""
        return self.device == "cuda"

    @property
    def shape(self) -> Dimensions:
        """The network's dimensions."""
        return self.family.dimensions(BackboneOptions(name="random"))

    def backbone(self, quantization: str) -> Backbone:
        """Return the frozen network."""
        if self._backbone is None or self._backbone.quantization != quantization:
            self.drop()
            self._backbone = self.draw(quantization)
        rows.offload_output_layer(self._backbone)
        return self._backbone

    def draw(self, quantization: str) -> Backbone:
        """Return a network with random weights."""
        from transformers import Qwen2_5OmniThinkerForConditionalGeneration

        plugin = random_checkpoint._TINY
        tokenizer = plugin.build(plugin.Options(), "cpu").tokenizer
        half = self.shape.text.hidden_size // self.shape.text.num_heads // 2
        side = 3 * half // 8
        config = thinker_config(self.shape, special_ids(tokenizer), mrope_section=(half - 2 * side, side, side))
        with torch.device("meta"):
            tensors = Qwen2_5OmniThinkerForConditionalGeneration(config).state_dict()
        state = {name: self.tensor(name, tensor.shape) for name, tensor in tensors.items()}
        options = QwenOmniOptions(name="random", quantization=quantization)
        return Backbone(
            load_thinker(options, self.device, config=config, state=state), tokenizer, self.device, quantization
        )

    def tensor(self, name: str, shape: torch.Size) -> torch.Tensor:
        """Return random weights; for a norm, weights of one."""
        if "norm" in name or ".ln_" in name:
            kind = torch.ones if name.endswith("weight") else torch.zeros
            return kind(shape, dtype=torch.bfloat16, device=self.device)
        return torch.empty(shape, dtype=torch.bfloat16, device=self.device).normal_(std=0.02)

    def measure_gpu(self) -> None:
        """Measure the GPU's bf16 FLOP/s on random data, and the bytes/s of a copy, each the median of ten."""
        if not self.is_cuda:
            return
        a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
        large = torch.empty(2**31, dtype=torch.uint8, device="cuda").random_()
        other = torch.empty_like(large)
        self.flops_per_s = 2 * 8192**3 / median_s(lambda: a @ b)
        self.bytes_per_s = 2 * large.numel() / median_s(lambda: other.copy_(large))

    def flops_per_clip(self, clip_s: float, setting: Setting) -> float:
        """Return the FLOPs of a training step per clip without recomputation.

        Forward, and back to the inputs; frozen weights get no gradient; LoRA adds 1 to 4 %.
        """
        lengths = clip_lengths(self.config(setting), clip_s)
        times = {"text": lengths.tokens, "audio": lengths.audio, "video": lengths.video}
        layers = (layer for layer in linear_layers(self.shape) if layer.layer is not None)
        return 2 * sum(2 * layer.num_inputs * layer.num_outputs * times[layer.tower] for layer in layers)


def median_s(work: Callable[[], Any]) -> float:
    """Return the median seconds of ten runs, after three."""
    seconds = []
    for _ in range(13):
        started = rows.now()
        work()
        seconds.append(rows.now() - started)
    return float(np.median(seconds[3:]))


def flash_varlen(module, query, key, value, attention_mask, scaling=None, dropout=0.0, **lengths):
    """Attention of all windows (1, H, S, D) in one call; without a GPU the same, window by window."""
    cu, longest = lengths["cu_seq_lens_q"], lengths["max_length_q"]
    q, k, v = (each[0].transpose(0, 1).to(torch.bfloat16).contiguous() for each in (query, key, value))  # (S, H, D)
    if q.is_cuda:
        from torch.nn.attention.varlen import varlen_attn

        return varlen_attn(q, k, v, cu, cu, int(longest), int(longest), scale=scaling).to(query.dtype), None
    windows = zip(*(each.split((cu[1:] - cu[:-1]).tolist()) for each in (q, k, v)), strict=True)
    sdpa = torch.nn.functional.scaled_dot_product_attention
    parts = [sdpa(*(each.transpose(0, 1) for each in window), scale=scaling).transpose(0, 1) for window in windows]
    return torch.cat(parts).to(query.dtype), None


def use_varlen(backbone: Backbone, is_on: bool) -> None:
    """Set the attention of both encoders: one call of torch's flash kernel for all windows, or that of transformers."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    ALL_ATTENTION_FUNCTIONS.register(VARLEN, flash_varlen)
    for tower in (backbone.model.model.visual, backbone.model.model.audio_tower):
        tower.config._attn_implementation = VARLEN if is_on else "sdpa"


def train_row(bench: Drawn, setting: Setting, varlen: bool = False, autocast: bool = False) -> str:
    """Return peak and planned memory in GB, seconds a clip, and the share of the GPU's peak, of a training step."""
    backbone = bench.backbone(setting.quantization)
    use_varlen(backbone, varlen)
    cast = torch.autocast("cuda", torch.bfloat16, cache_enabled=False) if autocast and bench.is_cuda else nullcontext()
    adapting = attached(backbone, bench.config(setting).adapter, seed=1)
    try:
        with adapting as adapter, peak_memory(bench.device) as peak_gb, cast:
            step = rows.Step(bench, setting, backbone, adapter)
            step()
            seconds = float(np.median([step() for _ in range(bench.steps)]))
            plan = plan_memory(step.config, setting.clip_s, bench.is_cuda, bench.shape)
            rate = len(step.prompts) * bench.flops_per_clip(setting.clip_s, setting) / seconds
            planned = plan.total - (plan.libraries if bench.is_cuda else 0)
            share = rate / bench.flops_per_s
            return f"{peak_gb():.2f} | {planned:.2f} | {seconds / len(step.prompts):.3f} | {share:.1%}"
    finally:
        use_varlen(backbone, False)


def compare_varlen(bench: Drawn) -> str:
    """Return the distance of the varlen prototype's hidden states from those of the project's own code."""
    backbone, config = bench.backbone("nf4"), bench.config(RTX)
    prompts, found = rows.make_prompts(backbone, config, rows.SHORT_S, 1), []
    for is_on in (False, True):
        use_varlen(backbone, is_on)
        with torch.no_grad():
            found.append(Forward(backbone).states(prompts)[:, 0].float())
    use_varlen(backbone, False)
    return f"relative distance {((found[1] - found[0]).norm() / found[0].norm()).item():.1e}"


def time_parts(bench: Drawn) -> str:
    """Return seconds of a pass over four clips: whole; towers only; text layers only (as with cached hidden states)."""
    backbone, config = bench.backbone("nf4"), bench.config(RTX)
    forward, prompts = Forward(backbone), rows.make_prompts(backbone, config, rows.SHORT_S, 4)
    answers: list[tuple[int, ...]] = [()] * 4
    seconds = []
    with torch.no_grad():
        for work in (lambda: forward.states(prompts), lambda: forward.embed(prompts, answers)):
            work()
            started = rows.now()
            work()
            seconds.append(rows.now() - started)
    whole, towers = seconds
    return f"whole {whole:.3f} s, towers {towers:.3f} s, text layers {whole - towers:.3f} s"


def time_digest(bench: Drawn) -> str:
    """Return how long the digest of all weights takes."""
    started = rows.now()
    parameter_hash(bench.backbone("nf4").model)
    return f"{rows.now() - started:.1f} s after each trial"


def count_weights(bench: Drawn) -> str:
    """Draw the network; return how many values it stores."""
    return f"{sum(each.numel() for each in bench.backbone('nf4').model.parameters()) / 1e9:.2f}e9 stored values"


TRAINING: dict[str, tuple[Setting, dict[str, bool]]] = {
    "discriminative, rtx as it is": (RTX, {}),
    "same, varlen encoders": (RTX, {"varlen": True}),
    "same, varlen, autocast": (RTX, {"varlen": True, "autocast": True}),
    "varlen, autocast, no checkpointing": (replace(RTX, checkpointing=False), {"varlen": True, "autocast": True}),
    "varlen, autocast, micro-batch 4": (replace(RTX, micro_batch=4), {"varlen": True, "autocast": True}),
    "micro-batch 4, rtx otherwise": (replace(RTX, micro_batch=4), {}),
    "generative, rtx as it is": (replace(RTX, readout="generative"), {}),
    "discriminative, clips of 30 s": (replace(RTX, clip_s=rows.LONG_S), {}),
}


class Show:
    """Prints rows until the time limit.

    Args:
        device: of the bench.
        seconds: after so many no row is begun.
    """

    def __init__(self, device: str, seconds: float) -> None:
        self.device, self.end = device, time.monotonic() + seconds

    def __call__(self, name: str, work: Callable[..., str], *arguments: Any, **options: Any) -> None:
        """Print a row, or that it does not fit the GPU."""
        started = time.monotonic()
        if started > self.end:
            print(f"| {name} | no time left |", flush=True)
            return
        try:
            text = work(*arguments, **options)
        except RuntimeError as error:
            text = f"{type(error).__name__}: {str(error).splitlines()[0][:160]}"
        rows.clean(self.device)
        print(f"| {name} | {text} | {time.monotonic() - started:.0f} s |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=330.0)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tiny", action="store_true", help="a network of a few thousand weights")
    options = parser.parse_args()
    show = Show(options.device, options.seconds)
    family = random_checkpoint.member("tiny" if options.tiny else "qwen2_5_omni_7b", None)
    bench = Drawn(family, Path(), options.device, options.tiny, options.steps)
    bench.measure_gpu()
    gpu = rows.gpu_text() if bench.is_cuda else "CPU"
    peak = f"{bench.flops_per_s / 1e12:.0f} TFLOP/s bf16, copy {bench.bytes_per_s / 1e12:.2f} TB/s"
    print(f"{gpu}; torch {torch.__version__}; {peak}")
    show("weights drawn and quantised on the GPU", count_weights, bench)
    print("\n| setting | peak GB | planned GB | s a clip | MFU | took |\n|---|---|---|---|---|---|")
    for name, (setting, prototypes) in TRAINING.items():
        show(name, train_row, bench, setting, **prototypes)
    print("\n| inference, batch 1 | median s, 95th percentile s, peak GB | took |\n|---|---|---|")
    rows.NUM_LATENCIES = 8
    for name in ("discriminative", "generative", "expected_value"):
        show(name, lambda name: ", ".join(rows.latency_row(bench, Setting(name))), name)
    print("\n| further | result | took |\n|---|---|---|")
    show("varlen against transformers' loop", compare_varlen, bench)
    show("a pass over four clips", time_parts, bench)
    show("digest of all weights", time_digest, bench)
    show("NF4 on the CPU and here (tiny)", lambda: " ".join(rows.agreement_row(options.device)))
    print("\n| trial | peak GB | planned GB | s a clip | MFU | took |\n|---|---|---|---|---|---|")
    show("16 bits instead of NF4", train_row, bench, replace(RTX, quantization="none"))


if __name__ == "__main__":
    main()
