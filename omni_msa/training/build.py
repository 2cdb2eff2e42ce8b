"""The parts of a trial, built from its configuration: splits, prompts, backbone with adapter, readout."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
import torch

from omni_msa.config import plugins
from omni_msa.config.lookups import root_of
from omni_msa.config.sections import ReadoutOptions
from omni_msa.config.trial import TrialConfig, classes_of, conventions_of
from omni_msa.data.clip import Clip
from omni_msa.data.faults import left_after
from omni_msa.data.inputs import clip_inputs
from omni_msa.data.inputs.clip_inputs import ClipInputs, TokenCounts
from omni_msa.data.inputs.loader import Loader
from omni_msa.data.inputs.preprocess import BadClip, ClipInputStore, prepare
from omni_msa.data.splits import Splits
from omni_msa.datasets._base import DATASETS
from omni_msa.ledger.hidden_states import States
from omni_msa.model.adapter import Adapter, attached, first_trained_layer
from omni_msa.model.backbone_cache import Resident
from omni_msa.model.forward import Forward
from omni_msa.model.memory_saving import offload_output_layer
from omni_msa.model.prefix_cache import PrefixStore
from omni_msa.model.prompt import Prompt, build_prompt
from omni_msa.model.thinker import Backbone
from omni_msa.readouts._base import READOUTS
from omni_msa.readouts._module import Readout
from omni_msa.readouts._task import Task
from omni_msa.seeding import derive
from omni_msa.system.cache_folder import cache_folder
from omni_msa.system.watchdog import alive
from omni_msa.training import evaluate
from omni_msa.training.hidden_states import Collector

TEMPORAL_PATCH = 2
"""Frames per time step of video tokens (Qwen2.5-VL)."""
_NUM_READERS = 8  # threads that read file headers, mostly waiting for the disk


def choose_device(config: TrialConfig) -> str:
    """Return "cuda" or "cpu": the configured device; for "auto", a GPU if there is one."""
    device = config.runtime.device
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def build_forward(config: TrialConfig, backbone: Backbone, weights: str, loader: Loader | None = None) -> Forward:
    """Return the forward passes of a trial, with a cache of the hidden states below the first adapted layer.

    Args:
        config: of the trial.
        backbone: frozen.
        weights: digest of its weights.
        loader: loads the media arrays of prompts that have only token counts.
    """
    runtime = config.runtime
    first_layer = first_trained_layer(config.adapter, backbone.num_text_layers) if runtime.prefix_cache else 0
    seconds_per_grid = TEMPORAL_PATCH / config.media.frame_rate_hz
    settings = f"{config.backbone.dtype}/{config.backbone.attention}/{backbone.device}/{seconds_per_grid}"
    store = PrefixStore(cache_folder() / "prefix", weights, first_layer, settings) if first_layer > 0 else None
    return Forward(backbone, first_layer, store, seconds_per_grid, runtime.gradient_checkpointing, loader)


def fit_options(options: ReadoutOptions) -> ReadoutOptions:
    """Return the options of the readout whose training is shared: equal for all readouts that share a fit."""
    plugin = plugins.load(READOUTS, options.name)
    shared = {name: getattr(options, name) for name in plugin.fit_fields}
    model: type[ReadoutOptions] = plugins.load(READOUTS, plugin.fit_as).Options
    return model(**shared)


@dataclass
class TrialParts:
    """The parts of a trial. `adapter`, `forward` and `inputs` are None if the readout does not need them.

    Args:
        config: of the trial.
        device: "cpu" or "cuda".
        splits: the clips; test is locked.
        task: what the readout may know of the data.
        readout: on the device; predicts valid and test after the checkpoint has been chosen.
        fitted: the readout that is trained and selects the epoch. It is the same for all trials that share a fit, so
            that the fit does not depend on which of them runs first.
        adapter: attached to the backbone.
        forward: passes over the backbone.
        inputs: prepared audio and video of all clips, on disk.
    """

    config: TrialConfig
    device: str
    splits: Splits
    task: Task
    readout: Readout
    fitted: Readout
    adapter: Adapter | None = None
    forward: Forward | None = None
    inputs: ClipInputStore | None = None
    _prompts: dict[str, Prompt] = field(default_factory=dict)

    def trainable(self) -> dict[str, torch.Tensor]:
        """Return the trainable tensors of adapter and readout by name: the tensors themselves, not copies."""
        adapter = self.adapter.state_dict() if self.adapter is not None else {}
        readout: dict[str, torch.Tensor] = dict(self.fitted.named_parameters())
        parts = {"adapter": adapter, "readout": readout}
        return {f"{part}/{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Copy saved values into the trainable tensors."""
        with torch.no_grad():
            for name, tensor in self.trainable().items():
                tensor.copy_(tensors[name])
        self.readout.load_state_dict(self.fitted.state_dict())

    def set_training(self, mode: bool) -> None:
        """Switch the dropout of readout and adapter on or off."""
        self.readout.train(mode)
        self.fitted.train(mode)
        if self.adapter is not None:
            self.adapter.train(mode)

    def labels(self, clips: list[Clip]) -> torch.Tensor:
        """Return the labels of clips, (N,) float32."""
        return torch.tensor([clip.label for clip in clips], dtype=torch.float32, device=self.device)

    def prompts(self, clips: list[Clip]) -> list[Prompt]:
        """Return the prompts of clips, without media arrays; without a backbone they are empty."""
        new = [clip for clip in clips if clip.id not in self._prompts]
        with ThreadPoolExecutor(_NUM_READERS) as readers:
            for clip, sizes in zip(new, readers.map(self._sizes, new), strict=True):
                self._prompts[clip.id] = self._prompt(clip, sizes)
                alive()
        return [self._prompts[clip.id] for clip in clips]

    def _sizes(self, clip: Clip) -> ClipInputs | TokenCounts:
        if self.inputs is None or not self.inputs.has_media(clip.id):
            return ClipInputs()
        return self.inputs.sizes(clip.id)

    def _prompt(self, clip: Clip, media: ClipInputs | TokenCounts) -> Prompt:
        if self.inputs is None:
            return Prompt(clip.id, (), ClipInputs())
        names = [self.inputs.addresses.get((clip.id, modality), "") for modality in ("audio", "video")]
        return self._write_prompt(clip, media, "/".join(names))

    def _write_prompt(self, clip: Clip, media: ClipInputs | TokenCounts, address: str) -> Prompt:
        task, modalities = self.task, self.config.modalities
        assert task.tokenizer is not None
        return build_prompt(clip, modalities, media, address, task.tokenizer, task.label_range, task.classes)

    def predict(self, clips: list[Clip], readout: Readout | None = None) -> pd.DataFrame:
        """Return the predictions of clips as a table, by default those of the trial's own readout."""
        readout = readout or self.readout
        self.set_training(False)
        prompts = self.prompts(clips)
        if self.forward is not None and readout.uses_kept:
            self.forward.fill_cache(prompts, None, keys_values=readout.decodes)
        predictions = evaluate.predict(readout, self.forward, prompts, self.config.runtime.eval_batch)
        return evaluate.as_frame(clips, predictions)

    def predict_test(self) -> tuple[pd.DataFrame, States | None]:
        """Return the predictions on the unlocked test split as a table, and the hidden states collected meanwhile."""
        clips = self.splits.test
        if self.forward is None:
            return self.predict(clips), None
        self.forward.on_states = collector = Collector(clips)
        frame = self.predict(clips)
        self.forward.on_states = None
        return frame, collector.states()

    def score(self, frame: pd.DataFrame) -> dict[str, float]:
        """Return all metrics of a table of predictions, by the conventions of the trial's dataset."""
        return evaluate.score(frame, conventions_of(self.config.dataset))

    def valid_metrics(self) -> dict[str, float]:
        """Return the metrics that select the epoch: of `fitted` on valid, with diagnostics if it decodes text."""
        clips = self.splits.valid
        if self.forward is None or not self.fitted.decodes:
            return self.score(self.predict(clips, self.fitted))
        self.set_training(False)
        prompts, labels, batch = self.prompts(clips), self.labels(clips), self.config.runtime.eval_batch
        self.forward.fill_cache(prompts, None, keys_values=True)
        predictions, losses = evaluate.predict_with_losses(self.fitted, self.forward, prompts, labels, batch)
        return self.score(evaluate.as_frame(clips, predictions)) | evaluate.diagnostics(predictions, losses)

    def inference_cost(self, clips: list[Clip]) -> dict[str, float]:
        """Measure the cost of inference: one clip at a time, no caches, after a warm-up.

        Returns:
            the four numbers of `evaluate.latency` and, on a GPU, `peak_memory_inference_gb`.
        """
        bare: Any = None
        if self.forward is not None:
            bare = Forward(self.forward.backbone, seconds_per_grid=self.forward.seconds_per_grid)

        def read(clip: Clip) -> Prompt:
            return (
                self._prompt(clip, ClipInputs()) if bare is None else self._write_prompt(clip, self._decode(clip), "")
            )

        self.set_training(False)
        with evaluate.peak_memory(self.device) as peak_gb:
            cost = evaluate.latency(read, lambda prompt: self.readout.predict(bare, [prompt]), clips)
            # On the CPU the peak resident set would include everything before, such as training.
            return cost | ({"peak_memory_inference_gb": peak_gb()} if self.device == "cuda" else {})

    def _decode(self, clip: Clip) -> ClipInputs:
        parts: dict[str, Any] = {}
        for modality in self.config.modalities:
            source = getattr(clip, modality, None)
            if source is not None:
                arrays = clip_inputs.compute(source, modality, self.config.media)
                parts |= {
                    name: value for name, value in vars(clip_inputs.as_inputs(arrays)).items() if value is not None
                }
        return ClipInputs(**parts)


def assemble(config: TrialConfig, resident: Resident, stack: ExitStack) -> TrialParts:
    """Build the parts of a trial.

    Args:
        config: of the trial.
        resident: the backbone of this process.
        stack: removes the adapter when it closes.

    Raises:
        InputError: the data or weights cannot be used.
        BadClip: a clip cannot be used any more, although it was checked before the sweep started.
    """
    plugin = plugins.load(READOUTS, config.readout.name)
    dataset = plugins.load(DATASETS, config.dataset.name)
    device, seed = choose_device(config), config.seed or 0
    clips = left_after(dataset.load(root_of(config.dataset), config.dataset), config.dropped_clips)
    splits = Splits(clips, config.num_train_clips)
    task = Task(
        dataset.label_range(config.dataset),
        *splits.label_statistics(),
        classes=classes_of(config.dataset),
        label_mode=splits.label_mode(),
    )
    if "backbone" not in plugin.uses:
        readout = plugin.build(config.readout, task)
        return TrialParts(config, device, splits, task, readout, readout)
    backbone = resident.backbone(config.backbone, device)
    offload_output_layer(backbone)
    stack.callback(offload_output_layer, backbone)  # or the GPU guard takes what is left there for a leak
    adapter = None
    if plugin.trained:
        adapter = stack.enter_context(attached(backbone, config.adapter, seed))
    task = replace(task, hidden_size=backbone.hidden_size, tokenizer=backbone.tokenizer)
    torch.manual_seed(derive(seed, "readout"))
    fitted = readout = plugin.build(config.readout, task).to(device)
    if (options := fit_options(config.readout)) != config.readout:
        fitted = plugins.load(READOUTS, options.name).build(options, task).to(device)
    inputs = prepare(clips, config.modalities, config.media, lambda *_: alive(), None, config.runtime.clip_seconds_max)
    if inputs.faults:
        raise BadClip.of(inputs.faults)
    loader = stack.enter_context(Loader(inputs, config.runtime.loader_workers))
    forward = build_forward(config, backbone, resident.weights, loader)
    return TrialParts(config, device, splits, task, readout, fitted, adapter, forward, inputs)
