"""Tiny clips, prompts and trials for tests: a random backbone, made-up sentences, nothing fetched."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn.utils.rnn import pad_sequence

from omni_msa.config import plugins
from omni_msa.config.identity import fit_id, trial_id
from omni_msa.config.trial import TrialConfig, parse_trial
from omni_msa.data.clip import Clip
from omni_msa.data.inputs.clip_inputs import ClipInputs
from omni_msa.data.media.mel import num_audio_tokens
from omni_msa.data.synthetic import generate
from omni_msa.ledger.ledger import Ledger
from omni_msa.ledger.trial_folder import TrialFolder
from omni_msa.model.backbone_cache import Resident
from omni_msa.model.decoding import greedy
from omni_msa.model.prompt import Prompt, build_prompt
from omni_msa.readouts._task import Task
from omni_msa.training.build import TrialParts, assemble
from omni_msa.training.train import train

torch.set_num_threads(1)  # as in trials; tiny matrices gain nothing from more

LABEL_RANGE = (-3.0, 3.0)
SENTENCES = (
    ("train", 2.4, "a warm and lovely tale"),
    ("train", -2.1, "dull from start to end"),
    ("train", 0.3, "it has its moments"),
    ("train", -0.9, "the plot wanders off somewhere"),
    ("train", 1.5, "good fun for a rainy evening"),
    ("train", -2.8, "the worst thing in years"),
    ("train", 0.0, "it is a film"),
    ("train", 2.9, "simply wonderful"),
    ("valid", 1.1, "rather charming after all"),
    ("valid", -1.6, "too long and too loud"),
    ("valid", 2.2, "funny and very clever"),
    ("valid", -0.2, "neither here nor there"),
    ("test", -2.5, "a tedious and empty mess"),
    ("test", 0.8, "worth a look on video"),
    ("test", 1.9, "moving and well played"),
    ("test", -1.2, "it never finds its way"),
)
CONFIG = {
    "dataset": {"name": "vader_av", "num_train": 8, "num_valid": 4, "num_test": 4},
    "modalities": ("text",),
    "media": {"num_frames_max": 4, "frame_pixels_max": 3136, "mel_hop_ms": 40},
    "backbone": {"name": "tiny"},
    "adapter": {"rank": 4, "alpha": 8.0, "dropout": 0.1, "towers": ("text",), "text_layers": "last_2"},
    "readout": {"name": "discriminative"},
    "training": {"epochs": 2, "batch_size": 4, "learning_rate": 1e-2, "learning_rate_readout": 1e-2},
    "runtime": {"device": "cpu", "micro_batch": 4, "eval_batch": 4},
    "seed": 1,
}


def make_clips(cache: Path, with_media: bool, dataset: dict | None = None, sentences=SENTENCES) -> None:
    """Put the clips of a dataset where it looks for them, rendered or with their text only.

    Args:
        cache: the cache folder.
        with_media: render them.
        dataset: its options; by default those of `CONFIG`.
        sentences: (split, label, text) of each clip; as many of a split as its options say are taken.
    """
    plugin = plugins.load("datasets", "vader_av")
    options = config(dataset=dataset or CONFIG["dataset"]).dataset
    folder = cache / "datasets" / f"vader_av-{plugin.fingerprint(None, options)[:16]}"
    folder.mkdir(parents=True)
    rows = [
        generate.Row(f"clip_{n}", f"source_{n}", 0, split, label, text, label / 2, label / 2, "0 1")
        for n, (split, label, text) in enumerate(sentences)
    ]
    sizes = {"train": options.num_train, "valid": options.num_valid, "test": options.num_test}
    rows = [row for name, size in sizes.items() for row in [r for r in rows if r.split == name][:size]]
    if not with_media:
        for row in rows:
            (folder / f"{row.id}.mp4").touch()  # what is there is not rendered again
    generate.generate(folder, rows, seed=0)


def config(**sections: object) -> TrialConfig:
    """Return `CONFIG` with some sections changed: a mapping changes single values, anything else the section."""
    values = dict(CONFIG)
    for name, change in sections.items():
        old = values.get(name)
        renamed = isinstance(change, dict) and "name" in change
        values[name] = (
            {**old, **change} if isinstance(change, dict) and isinstance(old, dict) and not renamed else change
        )
    return parse_trial(values)


def run(ledger: Path, trial: TrialConfig, resident: Resident | None = None, should_stop=lambda: False) -> TrialFolder:
    """Run one attempt of a trial in this process and return its folder; exceptions are let through."""
    fingerprint = plugins.load("datasets", trial.dataset.name).fingerprint(None, trial.dataset)
    folder = Ledger(ledger).trial(trial_id(trial, fingerprint))
    folder.begin(trial, {})
    train(trial, folder, fit_folder(ledger, trial), resident or Resident(), should_stop)
    return folder


def fit_folder(ledger: Path, trial: TrialConfig) -> Path:
    """Return the folder of a trial's fit."""
    fingerprint = plugins.load("datasets", trial.dataset.name).fingerprint(None, trial.dataset)
    return Ledger(ledger).fit(fit_id(trial, fingerprint))


def tiny_backbone(**options: object):
    """Build the tiny backbone on the CPU."""
    plugin = plugins.load("backbones", "tiny")
    return plugin.build(plugin.Options(**options), "cpu")


def tiny_task(backbone) -> Task:
    """Return what a readout may know, with made-up statistics of the labels."""
    return Task(LABEL_RANGE, 0.2, 1.8, 0.15, backbone.hidden_size, backbone.tokenizer)


def random_media(number: int, modalities: tuple[str, ...]) -> ClipInputs:
    """Return made-up network inputs whose sizes differ from number to number."""
    generator = np.random.default_rng(number)
    mel = pixels = grid = None
    if "audio" in modalities:
        mel = generator.standard_normal((128, 24 + 10 * number)).astype(np.float32)
    if "video" in modalities:
        grid = np.array([2 + number % 3, 4, 4 + 4 * (number % 2)], dtype=np.int64)
        pixels = generator.standard_normal((int(grid.prod()), 1176)).astype(np.float32)
    return ClipInputs(pixels, grid, mel)


def make_prompts(backbone, modalities: tuple[str, ...] = ("text", "audio", "video"), num: int = 3) -> list[Prompt]:
    """Return prompts of different lengths about the first sentences, with random sound and picture."""
    prompts = []
    for number, (split, label, text) in enumerate(SENTENCES[:num]):
        clip = Clip(f"clip_{number}", f"source_{number}", 0, split, label, text, None, None)
        inputs = random_media(number, modalities)
        assert inputs.mel is None or inputs.num_audio_tokens == num_audio_tokens(inputs.mel.shape[1])
        address = f"{number}/{'+'.join(modalities)}"
        prompts.append(build_prompt(clip, modalities, inputs, address, backbone.tokenizer, LABEL_RANGE))
    return prompts


def move(adapter, seed: int = 5) -> None:
    """Give an adapter weights as training might leave them: B is no longer zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in adapter.parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.1)


def scores(folder: TrialFolder) -> dict[str, list[float]]:
    """Return the predicted scores of valid and test, in order of their clips; equal means equal bits."""
    splits = ("valid", "test")
    return {name: pd.read_parquet(folder.path / f"predictions.{name}.parquet")["score"].tolist() for name in splits}


def rows(folder: TrialFolder) -> list[dict]:
    """Return the lines of metrics.jsonl without what tells of the machine: time of day, memory and the like."""
    return [
        {key: value for key, value in row.items() if not key.startswith(("time", "system_"))}
        for row in folder.metrics()
    ]


def outcome(folder: TrialFolder) -> dict[str, Any]:
    """Return all that must be the same bits in two runs of one trial."""
    result = folder.result()
    kept = ("valid", "best_epoch", "hashes", "fit_id", "trial_id")
    found = {"scores": scores(folder), "rows": rows(folder), "test": folder.test_metrics()}
    found["states"] = (folder.path / "states.test.npz").read_bytes()
    return found | {name: result[name] for name in kept}


class Assembled(list[TrialParts]):
    """What the trials that are run are put together from, the latest last; see the fixture `assembled`.

    Args:
        monkeypatch: puts a function that notes what it returns around the trainer's `assemble`.
    """

    def __init__(self, monkeypatch) -> None:
        super().__init__()
        self.change = lambda built: None
        """Is given each before anything is done with it."""
        monkeypatch.setattr("omni_msa.training.train.assemble", self._assemble)

    def _assemble(self, *arguments) -> TrialParts:
        built = assemble(*arguments)
        self.append(built)
        self.change(built)
        return built


class StopAt:
    """A `should_stop` that says stop once, after the given number of steps of an attempt."""

    def __init__(self, num_steps: int) -> None:
        self.left = num_steps

    def __call__(self) -> bool:
        self.left -= 1
        return self.left == 0


def model_inputs(prompts, answers=None):
    """The same prompts in the form that transformers' own forward takes, padded on the left."""
    answers = answers or [()] * len(prompts)
    rows = [torch.tensor((*p.token_ids, *a)) for p, a in zip(prompts, answers, strict=True)]
    longest = max(map(len, rows))
    ids = torch.stack([torch.nn.functional.pad(row, (longest - len(row), 0), value=257) for row in rows])
    mask = torch.stack([torch.arange(longest) >= longest - len(row) for row in rows]).long()
    inputs = {"input_ids": ids, "attention_mask": mask}
    if prompts[0].media.mel is not None:
        mels = [torch.from_numpy(p.media.mel).T for p in prompts]
        inputs["input_features"] = pad_sequence(mels, batch_first=True).transpose(1, 2)
        lengths = torch.tensor([[len(mel)] for mel in mels])
        inputs["feature_attention_mask"] = (torch.arange(inputs["input_features"].shape[2]) < lengths).long()
    if prompts[0].media.grid_thw is not None:
        inputs["pixel_values_videos"] = torch.cat([torch.from_numpy(p.media.pixel_values) for p in prompts])
        inputs["video_grid_thw"] = torch.stack([torch.from_numpy(p.media.grid_thw) for p in prompts])
        inputs["video_second_per_grid"] = torch.ones(len(prompts))
    return inputs


def decode(forward, prompts, num_tokens_max: int, stop: int):
    """Return greedily decoded token ids after each prompt."""
    return greedy(forward, forward.prefill(prompts), num_tokens_max, stop)
