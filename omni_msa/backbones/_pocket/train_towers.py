"""Train the two small towers: `python -m omni_msa.backbones._pocket.train_towers` writes `towers.safetensors`.

Every media token learns to be a point on the line between the embeddings of " terrible" and " wonderful", which the
frozen language model understands; its position is the cue with which voice or face were rendered. Labels are not used.
"""

import argparse
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from omni_msa.backbones._pocket.examples import Example, plan, render
from omni_msa.backbones._pocket.source import llama_folder
from omni_msa.backbones._pocket.text import word_embeddings
from omni_msa.backbones._pocket.towers import FILE, PREFIXES, pocket_config
from omni_msa.data.synthetic.ratings import fetch_sentences

WORDS = [" terrible", " wonderful"]
BATCH = 32
LEARNING_RATE = 2e-3
Say = Callable[[str], None]


@dataclass(frozen=True)
class Line:
    """The straight line in embedding space on which cues are represented.

    Args:
        middle: point of cue 0, (D,).
        half: vector from there to the point of cue 1, (D,).
    """

    middle: torch.Tensor
    half: torch.Tensor

    def point(self, cues: torch.Tensor) -> torch.Tensor:
        """Return the points of cues (N,), shape (N, D)."""
        return self.middle + cues[:, None] * self.half

    def place(self, tokens: torch.Tensor) -> torch.Tensor:
        """Project tokens (N, D) onto the line and return their cues, shape (N,)."""
        return (tokens - self.middle) @ self.half / self.half.square().sum()


class AudioTask:
    """The audio tower on batches of clips."""

    name = "audio"

    def __init__(self, tower: nn.Module) -> None:
        self.tower = tower
        self.output: nn.Linear = tower.proj  # type: ignore[assignment]

    def tokens(self, examples: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the tokens of all clips (N, D), the number of each clip's tokens, and each clip's cue."""
        lengths = torch.tensor([example.mel.shape[1] for example in examples])
        features = torch.from_numpy(np.concatenate([example.mel for example in examples], axis=1))
        tokens = self.tower(features, feature_lens=lengths).last_hidden_state
        _, counts = self.tower._get_feat_extract_output_lengths(lengths)  # type: ignore[operator]
        return (tokens, counts, torch.tensor([example.job.audio_drive for example in examples]))


class VideoTask:
    """The vision tower on batches of clips."""

    name = "video"

    def __init__(self, tower: nn.Module) -> None:
        self.tower = tower
        self.output: nn.Linear = tower.merger.mlp[2]  # type: ignore[assignment, index, union-attr]

    def tokens(self, examples: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the tokens of all clips (N, D), the number of each clip's tokens, and each clip's cue."""
        grids = torch.from_numpy(np.stack([example.grid_thw for example in examples]))
        pixels = torch.from_numpy(np.concatenate([example.pixels for example in examples]))
        tokens = self.tower(pixels, grid_thw=grids).pooler_output
        return (tokens, grids.prod(dim=1) // 4, torch.tensor([example.job.video_drive for example in examples]))


Task = AudioTask | VideoTask


def new_tasks(seed: int) -> list[Task]:
    """Return both towers with random weights drawn from a seed; this sets the global random state."""
    from transformers.models.qwen2_5_omni import modeling_qwen2_5_omni as omni

    config = pocket_config()
    torch.manual_seed(seed)
    audio = omni.Qwen2_5OmniAudioEncoder._from_config(config.audio_config)
    return [AudioTask(audio), VideoTask(omni.Qwen2_5OmniVisionEncoder._from_config(config.vision_config))]


def train(task: Task, examples: Sequence[Example], line: Line, num_epochs: int, seed: int, say: Say) -> None:
    """Train one tower in place.

    The loss is the mean squared distance of tokens from their points, in units of half the distance between the words;
    along the line it is the squared error of the cue.

    Args:
        task: a tower.
        examples: clips to train on.
        line: the line of the target points.
        num_epochs: passes over the clips.
        seed: of their order.
        say: called with progress messages.
    """
    with torch.no_grad():
        task.output.bias.copy_(line.middle)
    num_steps = num_epochs * math.ceil(len(examples) / BATCH)
    optimizer = torch.optim.AdamW(task.tower.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, num_steps, pct_start=0.1)
    random = np.random.default_rng(seed)
    task.tower.train()
    for epoch in range(1, num_epochs + 1):
        losses = []
        for chosen in np.array_split(random.permutation(len(examples)), num_steps // num_epochs):
            loss = _loss(task, [examples[number] for number in chosen], line)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(task.tower.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        if epoch % 5 == 0 or epoch == num_epochs:
            say(f"{task.name}: epoch {epoch} of {num_epochs}, loss {np.mean(losses):.4f}")
    task.tower.eval()


def quality(task: Task, examples: Sequence[Example], line: Line) -> dict[str, float]:
    """Return how well the mean token of a tower predicts the cue of held-out clips.

    Returns:
        `corr` and `mae` of the position on the line against the cue, and `norm`, the mean norm of a token.
    """
    with torch.no_grad():
        tokens, counts, cues = task.tokens(examples)
    means = [part.mean() for part in torch.split(line.place(tokens), counts.tolist())]
    predicted, wanted = torch.stack(means).numpy(), cues.numpy()
    return {
        "corr": float(np.corrcoef(predicted, wanted)[0, 1]),
        "mae": float(np.abs(predicted - wanted).mean()),
        "norm": float(tokens.norm(dim=1).mean()),
    }


def write(tasks: Sequence[Task], metadata: dict[str, str], file: Path) -> None:
    """Write both towers in half precision, named as in the Thinker."""
    from safetensors.torch import save_file

    state: dict[str, torch.Tensor] = {}
    for prefix, task in zip(PREFIXES, tasks, strict=True):
        state |= {f"{prefix}{name}": tensor.half() for name, tensor in task.tower.state_dict().items()}
    save_file(state, file, metadata=metadata)


def _loss(task: Task, examples: Sequence[Example], line: Line) -> torch.Tensor:
    tokens, counts, cues = task.tokens(examples)
    points = line.point(cues.float()).repeat_interleave(counts, dim=0)  # (N, D)
    return (tokens - points).square().sum(dim=1).mean() / line.half.square().sum()


def _round_to_half(tower: nn.Module) -> None:
    """Round the weights to float16 precision; position tables are not stored and keep theirs."""
    for parameter in tower.parameters():
        parameter.data = parameter.data.half().float()


def main() -> None:
    """Render the clips, train the towers, test on held-out clips, write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=1600, help="clips to train on")
    parser.add_argument("--held-out", type=int, default=200, help="clips to test with")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--file", type=Path, default=FILE)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    start = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - start:6.0f} s  {text}", flush=True)

    training, tests = plan(fetch_sentences(), arguments.clips, arguments.held_out, arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        examples = render(training + tests, Path(folder), on_done=lambda: None)
    say(f"rendered {len(training)} clips to train on and {len(tests)} to test with")
    terrible, wonderful = word_embeddings(llama_folder("wheel", None), WORDS)
    line = Line((terrible + wonderful) / 2, (wonderful - terrible) / 2)
    tasks = new_tasks(arguments.seed)
    metadata = {"seed": str(arguments.seed), "clips": str(len(training)), "held_out": str(len(tests))}
    for task in tasks:
        train(task, examples[: len(training)], line, arguments.epochs, arguments.seed, say)
        _round_to_half(task.tower)  # test the weights as they are stored
        for name, value in quality(task, examples[len(training) :], line).items():
            metadata[f"{task.name}_{name}"] = f"{value:.4f}"
    say(", ".join(f"{name} {value}" for name, value in metadata.items()))
    write(tasks, metadata, arguments.file)


if __name__ == "__main__":
    main()
