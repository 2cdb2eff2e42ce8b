"""Ridge regression on hidden states of the frozen backbone, for each layer and pooling."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from omni_msa.errors import InputError, Problem
from omni_msa.model.forward import Forward
from omni_msa.model.padding import in_batches
from omni_msa.model.prompt import Prompt
from omni_msa.readouts._module import Readout
from omni_msa.readouts._task import Prediction, Task, clip_score
from omni_msa.stats.metrics import compute
from omni_msa.system.watchdog import alive

POOLINGS = ("last", "mean", "text", "audio", "video")
"""The last token; the mean over all tokens of the prompt; the mean over the tokens of one modality."""

Array = NDArray[np.float64]
LayerPooling = tuple[int, str]
"""A layer (0: the input of the first one) and a pooling."""
Split = tuple[list[Prompt], Tensor]


class Ridge:
    """Linear regression with a penalty on the squared weights of standardised features (Hoerl and Kennard 1970).

    Args:
        features: (N, D) of the training clips.
        labels: (N,) of the training clips; for classes one-hot, (N, K).
        offset: mean of the labels; for classes (K,).
    """

    def __init__(self, features: Array, labels: Array, offset: float | Array) -> None:
        self.offset = offset
        self.mean, self.scale = features.mean(0), features.std(0) + 1e-8
        left, self._values, self._right = np.linalg.svd((features - self.mean) / self.scale, full_matrices=False)
        self._projected = left.T @ (labels - offset)

    def choose(self, strengths: Sequence[float], features: Array, labels: Array) -> None:
        """Choose the penalty with the smallest `error` on held-out clips."""
        errors = []
        for strength in strengths:
            self._solve(strength)
            errors.append(error(self.scores(features), labels))
        self.strength = strengths[int(np.argmin(errors))]
        self._solve(self.strength)
        del self._right

    def _solve(self, strength: float) -> None:
        shrunk = self._values / (self._values**2 + strength) * self._projected.T
        self.weights = self._right.T @ shrunk.T

    def scores(self, features: Array) -> Array:
        """Return the scores of features: (N, D) to (N,), for classes to (N, K)."""
        scores: Array = ((features - self.mean) / self.scale) @ self.weights + self.offset
        return scores


def error(scores: Array, labels: Array) -> float:
    """Return the mean absolute error of scores (N,), or the share of misclassified clips for scores (N, K)."""
    if scores.ndim == 2:
        return float(np.mean(scores.argmax(1) != labels.argmax(1)))
    return float(np.abs(scores - labels).mean())


class FrozenProbe(Readout):
    """One ridge regression for each layer and pooling; the best one on valid makes the predictions.

    Args:
        task: what the readout may know of the data.
        strengths: penalties to choose from.
        layer: number of the layer whose output is used, 0 for the input of the first one; "last" (after the final
            norm) or "all".
        pooling: one of `POOLINGS`, or "all".
    """

    closed_form = True

    def __init__(self, task: Task, strengths: Sequence[float], layer: int | str, pooling: str) -> None:
        super().__init__()
        self.task, self.strengths, self.layer, self.pooling = task, strengths, layer, pooling
        self.uses_kept = (layer, pooling) == ("last", "last")
        self.rows: list[dict[str, Any]] = []

    def fit(self, forward: Forward, train: Split, valid: Split, batch: int) -> None:
        """Solve for the weights; one pass over each clip gives the hidden states of all layers and poolings."""
        candidates = self._candidates(forward, train[0])
        features, held_out = (self._features(forward, split[0], candidates, batch) for split in (train, valid))
        targets, labels = (self._targets(split[1]) for split in (train, valid))
        offset = targets.mean(0) if self.task.classes else self.task.label_mean
        best = np.inf
        for candidate in candidates:
            ridge = Ridge(_joined(features.pop(candidate)), targets, offset)
            valid_features = _joined(held_out.pop(candidate))
            ridge.choose(self.strengths, valid_features, labels)
            metrics = self._metrics(ridge.scores(valid_features), valid[1])
            self.rows.append({"layer": candidate[0], "pooling": candidate[1], "strength": ridge.strength})
            self.rows[-1] |= {f"valid_{name}": value for name, value in metrics.items()}
            valid_error = 1 - metrics["accuracy"] if self.task.classes else metrics["mae"]
            if valid_error < best:
                best, self.ridge, self.chosen = valid_error, ridge, candidate
            alive()

    def predict(self, forward: Forward, prompts: list[Prompt]) -> list[Prediction]:
        """Return the predictions from the layer and pooling chosen on valid."""
        features = self._features(forward, prompts, [self.chosen], len(prompts))
        raw = self.ridge.scores(_joined(features[self.chosen]))
        if self.task.classes:
            return [Prediction(float(number)) for number in raw.argmax(1)]
        return [clip_score(float(score), self.task.label_range) for score in raw]

    def _targets(self, labels: Tensor) -> Array:
        """Return labels in the form that `Ridge` takes."""
        values: Array = labels.double().cpu().numpy()
        return np.eye(len(self.task.classes))[values.astype(int)] if self.task.classes else values

    def _metrics(self, raw: Array, labels: Tensor) -> dict[str, float]:
        """Return the metrics of scores on valid."""
        true = labels.double().cpu().numpy()
        if self.task.classes:
            return compute(true, raw.argmax(1), conventions="classes")
        metrics = compute(true, np.clip(raw, *self.task.label_range))
        return {name: metrics[name] for name in ("mae", "corr")}

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Return the table `probe` if there was a choice: one row for each layer and pooling, with metrics on valid.

        Metrics on test are left out, so that nobody chooses by them.
        """
        rows = [{**row, "chosen": (row["layer"], row["pooling"]) == self.chosen} for row in self.rows]
        return {"probe": rows} if len(rows) > 1 else {}

    def _candidates(self, forward: Forward, prompts: list[Prompt]) -> list[LayerPooling]:
        num_layers = forward.backbone.num_text_layers
        layers = range(num_layers + 1) if self.layer == "all" else [num_layers if self.layer == "last" else self.layer]
        available = [name for name in POOLINGS if any(_tokens(forward, prompt, name) for prompt in prompts)]
        poolings = available if self.pooling == "all" else [self.pooling]
        problems = [
            Problem("the backbone has no such layer", "readout.layer", str(layer), f"0 to {num_layers}")
            for layer in layers
            if not 0 <= int(layer) <= num_layers
        ] + [
            Problem("no prompt has tokens for this pooling", "readout.pooling", name, ", ".join(available))
            for name in poolings
            if name not in available
        ]
        if problems:
            raise InputError(*problems)
        return [(int(layer), pooling) for pooling in poolings for layer in layers]

    @torch.no_grad()
    def _features(
        self, forward: Forward, prompts: list[Prompt], candidates: list[LayerPooling], batch: int
    ) -> dict[LayerPooling, list[Tensor]]:
        """Return the pooled hidden states of each candidate, in batches (B, D) on the CPU."""
        parts = in_batches(prompts, batch)
        forward.prefetch(parts, past_store=not self.uses_kept)
        features: dict[LayerPooling, list[Tensor]] = {candidate: [] for candidate in candidates}
        for part in parts:
            if self.uses_kept:
                features[candidates[0]].append(forward.states(part)[:, 0].cpu())
            else:
                self._pool(forward, part, features)
            alive()
        return features

    def _pool(self, forward: Forward, prompts: list[Prompt], features: dict[LayerPooling, list[Tensor]]) -> None:
        shares: dict[str, Tensor] = {}
        for layer, states in enumerate(forward.each_layer(prompts)):
            for pooling in (name for number, name in features if number == layer):
                if pooling not in shares:
                    shares[pooling] = _shares(forward, prompts, pooling, states.shape[1]).to(states.device)
                pooled = torch.einsum("bt,btd->bd", shares[pooling], states.float())
                features[layer, pooling].append(pooled.to(states.dtype).cpu())
            if layer == max(number for number, _ in features):
                break


def _tokens(forward: Forward, prompt: Prompt, pooling: str) -> Sequence[int]:
    """Return the indices of the tokens of a prompt that are pooled."""
    ids, config = prompt.token_ids, forward.model.config
    if pooling in ("audio", "video"):
        wanted = getattr(config, f"{pooling}_token_id")
        return [index for index, token in enumerate(ids) if token == wanted]
    spans = {"last": range(len(ids) - 1, len(ids)), "mean": range(len(ids)), "text": range(*prompt.text_span)}
    return spans[pooling]


def _shares(forward: Forward, prompts: list[Prompt], pooling: str, length: int) -> Tensor:
    """Return the weight of each token in the pooled hidden state, (B, length), for prompts padded on the left."""
    shares = torch.zeros(len(prompts), length)
    for row, prompt in enumerate(prompts):
        tokens = _tokens(forward, prompt, pooling)
        if tokens:  # a clip without such tokens has a pooled state of zeros
            columns = torch.tensor(tokens) + length - len(prompt.token_ids)
            shares[row, columns] = 1 / len(tokens)
    return shares


def _joined(parts: list[Tensor]) -> Array:
    joined: Array = torch.cat(parts).double().numpy()
    return joined
