"""The rows of benchmarks/gpu.py: one training step, one prediction, several processes at once."""

import gc
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from omni_msa.backbones._qwen_omni import QwenOmni, QwenOmniOptions
from omni_msa.config import plugins
from omni_msa.config.trial import TrialConfig
from omni_msa.data.inputs.clip_inputs import ClipInputs
from omni_msa.model.adapter import Adapter, attached
from omni_msa.model.forward import Forward
from omni_msa.model.memory_saving import offload_output_layer, output_layer
from omni_msa.model.prompt import Prompt
from omni_msa.model.thinker import Backbone
from omni_msa.planning.memory import clip_lengths, plan_memory
from omni_msa.readouts._module import Readout
from omni_msa.readouts._task import Task
from omni_msa.sweep.sweep import load_sweep
from omni_msa.training.evaluate import peak_memory

SHORT_S, LONG_S = 4.0, 30.0
NUM_LATENCIES = 20
SWEEP = Path(__file__).parents[1] / "sweeps" / "readout_comparison.yaml"
_TINY = ("backbone={name: tiny, quantization: nf4, dtype: bfloat16}", "media.frame_pixels_max=3136", "adapter.rank=4")


@dataclass(frozen=True)
class Setting:
    """One row: a readout under the profile `rtx`, with one thing changed.

    Args:
        readout: name.
        clip_s: length of the clips.
        quantization, checkpointing, micro_batch: as in the configuration.
        all_positions: score every token of the prompt over the vocabulary, as models do by themselves.
        head_on_gpu: keep `lm_head` on the GPU though nothing uses it.
    """

    readout: str
    clip_s: float = SHORT_S
    quantization: str = "nf4"
    checkpointing: bool = True
    micro_batch: int = 1
    all_positions: bool = False
    head_on_gpu: bool = False


@dataclass
class Bench:
    """State shared by all rows; the backbone stays loaded while the quantisation is the same."""

    family: QwenOmni
    folder: Path
    device: str
    tiny: bool
    steps: int
    _backbone: Backbone | None = field(default=None, repr=False)

    def backbone(self, quantization: str) -> Backbone:
        """Return the frozen network."""
        if self._backbone is None or self._backbone.quantization != quantization:
            self.drop()
            options = QwenOmniOptions(name="random", weights=str(self.folder), quantization=quantization)
            self._backbone = self.family.build(options, self.device)
        offload_output_layer(self._backbone)
        return self._backbone

    def drop(self) -> None:
        """Release the memory of the network."""
        self._backbone = None
        clean(self.device)

    def config(self, setting: Setting) -> TrialConfig:
        """Return the trial's configuration: the profile `rtx` with the setting's changes."""
        changes = [f"axes.readout=[{setting.readout}]", "compare=null", f"runtime.device={self.device}"]
        changes += [f"runtime.micro_batch={setting.micro_batch}", "profile=rtx", *(_TINY if self.tiny else ())]
        changes += [f"runtime.gradient_checkpointing={str(setting.checkpointing).lower()}"]
        found = load_sweep(SWEEP, changes).cells[0].config
        backbone = found.backbone.model_copy(update={"quantization": setting.quantization})
        return found.model_copy(update={"backbone": backbone, "seed": 1})


def clean(device: str) -> None:
    """Release memory that is not used any more."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


def gpu_text() -> str:
    """Return the GPU's name, its memory and the driver."""
    name = torch.cuda.get_device_name()
    total_gb = torch.cuda.get_device_properties(0).total_memory / 1e9
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.split()
    return f"{name}, {total_gb:.1f} GB; driver {found[0] if found else 'unknown'}"


def make_prompts(backbone: Backbone, config: TrialConfig, clip_s: float, num: int) -> list[Prompt]:
    """Return prompts as long as those of clips of `clip_s` seconds, with random audio, video and words."""
    lengths, rng = clip_lengths(config, clip_s), np.random.default_rng(0)
    num_frames = 2 * int(min(config.media.num_frames_max, clip_s * config.media.frame_rate_hz) / 2)
    patches = config.media.frame_pixels_max // 196
    height = 2 * int((patches / 2) ** 0.5 / 2)
    grid = np.array([num_frames // 2, height, patches // height // 2 * 2], dtype=np.int64)
    ids = {name: backbone.tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in _MARKS}
    prompts = []
    for number in range(num):
        mel = rng.standard_normal((config.media.num_mel_bins, 2 * int(lengths.audio)), dtype=np.float32)
        pixels = rng.standard_normal((int(grid.prod()), 1176), dtype=np.float32)
        media = ClipInputs(pixels, grid, mel)
        words = rng.integers(1, 250, int(lengths.tokens - lengths.video / 4 - lengths.audio / 2) - 4).tolist()
        token_ids = [ids["vision_bos"], *[ids["VIDEO"]] * media.num_video_tokens, ids["vision_eos"]]
        token_ids += [ids["audio_bos"], *[ids["AUDIO"]] * media.num_audio_tokens, ids["audio_eos"], *words]
        prompts.append(Prompt(f"clip_{number}", tuple(token_ids), media))
    return prompts


_MARKS = ("vision_bos", "VIDEO", "vision_eos", "audio_bos", "AUDIO", "audio_eos")


def build_readout(backbone: Backbone, config: TrialConfig) -> Readout:
    """Return the configured readout on the backbone's device."""
    task = Task((-3.0, 3.0), 0.0, 1.0, 0.0, backbone.hidden_size, backbone.tokenizer)
    found: Readout = plugins.load("readouts", config.readout.name).build(config.readout, task)
    return found.to(backbone.device)


@contextmanager
def idle_share(device: str) -> Iterator[Callable[[], str]]:
    """Sample the load of the GPU; yields a function that returns the idle share as text."""
    samples: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            samples.append(torch.cuda.utilization())

    watcher = threading.Thread(target=watch, daemon=True)
    if device == "cuda":
        watcher.start()
    try:
        yield lambda: f"{1 - np.mean(samples) / 100:.0%}" if samples else "-"
    finally:
        done.set()
        if watcher.ident is not None:
            watcher.join()


class Step:
    """One optimiser step over a batch, as `omni_msa.training.train` does it."""

    def __init__(self, bench: Bench, setting: Setting, backbone: Backbone, adapter: Adapter) -> None:
        self.config, self.setting, self.backbone = bench.config(setting), setting, backbone
        self.readout = build_readout(backbone, self.config).train()
        self.forward = Forward(backbone, checkpointing=setting.checkpointing)
        self.prompts = make_prompts(backbone, self.config, setting.clip_s, self.config.training.batch_size)
        self.labels = torch.linspace(-2.5, 2.5, len(self.prompts), device=backbone.device)
        self.trainable = [*adapter.parameters(), *self.readout.parameters()]
        self.optimizer = torch.optim.AdamW(self.trainable, lr=1e-5)
        adapter.train(True)
        if setting.head_on_gpu:
            output_layer(backbone)

    def __call__(self) -> float:
        """Return the seconds it took."""
        started = now()
        size = self.setting.micro_batch
        for start in range(0, len(self.prompts), size):
            part = self.prompts[start : start + size]
            losses = self._everywhere(part) if self.setting.all_positions else self._losses(part, start)
            (losses.sum() / len(self.prompts)).backward()
        torch.nn.utils.clip_grad_norm_(self.trainable, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return now() - started

    def _losses(self, part: list[Prompt], start: int) -> torch.Tensor:
        return self.readout.losses(self.forward, part, self.labels[start : start + len(part)])

    def _everywhere(self, part: list[Prompt]) -> torch.Tensor:
        """Use the first token as the prompt and all others as its answer, so that each has a hidden state."""
        answers = [prompt.token_ids[1:] for prompt in part]
        states = self.forward.states([replace(prompt, token_ids=prompt.token_ids[:1]) for prompt in part], answers)
        targets = torch.tensor(answers, device=self.backbone.device)
        logits = self.forward.logits(states[:, :-1])
        return functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none").mean(-1)


def now() -> float:
    """Return the time after the GPU has finished its work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def train_row(bench: Bench, setting: Setting) -> tuple[str, ...]:
    """Return peak and planned memory, seconds per step, clips and tokens per second, and idle share of the GPU."""
    backbone = bench.backbone(setting.quantization)
    with attached(backbone, bench.config(setting).adapter, seed=1) as adapter, peak_memory(bench.device) as peak_gb:
        step = Step(bench, setting, backbone, adapter)
        step()
        with idle_share(bench.device) as idle:
            seconds = float(np.median([step() for _ in range(bench.steps)]))
        on_gpu, shape = bench.device == "cuda", bench.family.dimensions(step.config.backbone)
        plan = plan_memory(step.config, setting.clip_s, on_gpu, shape)
        planned = plan.total - (plan.libraries if on_gpu else 0)  # torch does not count CUDA's own memory
        num_clips, num_tokens = len(step.prompts), sum(len(prompt.token_ids) for prompt in step.prompts)
        speeds = f"{seconds:.2f}", f"{num_clips / seconds:.2f}", f"{num_tokens / seconds:.0f}"
        return f"{peak_gb():.2f}", f"{planned:.2f}", *speeds, idle()


def latency_row(bench: Bench, setting: Setting) -> tuple[str, ...]:
    """Return median and 95th percentile of seconds per clip, and peak memory, at batch 1."""
    backbone, config = bench.backbone(setting.quantization), bench.config(setting)
    adapter = attached(backbone, config.adapter, seed=1)
    with adapter as weights, peak_memory(bench.device) as peak_gb:
        weights.train(False)
        readout, forward = build_readout(backbone, config).eval(), Forward(backbone)
        [prompt] = make_prompts(backbone, config, setting.clip_s, 1)
        if readout.closed_form:
            labels = torch.zeros(2, device=backbone.device)
            readout.fit(forward, ([prompt] * 2, labels), ([prompt] * 2, labels), 1)
        times = []
        for _ in range(1 + (2 if bench.tiny else NUM_LATENCIES)):
            started = now()
            readout.predict(forward, [prompt])
            times.append(now() - started)
        median, high = np.percentile(times[1:], [50, 95])
        return f"{median:.3f}", f"{high:.3f}", f"{peak_gb():.2f}"


def agreement_row(device: str) -> tuple[str, ...]:
    """Return the distance of the tiny network's hidden states in NF4 from those on the CPU."""
    plugin, states = plugins.load("backbones", "tiny"), []
    for place in ("cpu", device):
        backbone = plugin.build(plugin.Options(quantization="nf4"), place)
        config = load_sweep(SWEEP, ["profile=rtx", *_TINY]).cells[0].config
        prompts = make_prompts(backbone, config, SHORT_S, 2)
        with torch.no_grad():
            states.append(Forward(backbone).states(prompts)[:, 0].float().cpu())
    here, there = states
    difference = ((here - there).abs().max() / here.abs().max()).item()
    return f"{difference:.1e}", f"{functional.cosine_similarity(here, there).min().item():.6f}"


def work(bench: Bench) -> None:
    """Run as one of several trials on a GPU: load, report it, wait for a line, run steps, print the result."""
    setting = Setting("discriminative")
    backbone = bench.backbone(setting.quantization)
    with attached(backbone, bench.config(setting).adapter, seed=1) as adapter, peak_memory(bench.device) as peak_gb:
        step = Step(bench, setting, backbone, adapter)
        step()
        print("ready", flush=True)
        sys.stdin.readline()
        seconds = sum(step() for _ in range(bench.steps))
        print(json.dumps({"clips_per_s": bench.steps * len(step.prompts) / seconds, "peak_gb": peak_gb()}), flush=True)


def packed_row(num: int, command: list[str]) -> tuple[str, ...]:
    """Return clips per second of `num` concurrent trials, and the peak memory of one.

    Raises:
        RuntimeError: one of them ended early; its last line says why.
    """
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    started = [subprocess.Popen(command, text=True, **pipes) for _ in range(num)]
    try:
        failed = [process for process in started if process.stdout.readline().strip() != "ready"]
        ended = [process.communicate("go\n" if not failed else "", timeout=1800) for process in started]
    finally:
        for process in started:
            process.kill()
    if failed:
        raise RuntimeError(next((error for _, error in ended if error), "a process ended early"))
    found = [json.loads(out) for out, _ in ended]
    return f"{sum(each['clips_per_s'] for each in found):.2f}", f"{max(each['peak_gb'] for each in found):.2f}"
