"""Ridge regression on the frozen backbone's last-token state: what is linearly readable without training."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from omni_msa.options import ReadoutOptions

if TYPE_CHECKING:
    from omni_msa.readout import Readout, Task

uses = ("dataset", "modalities", "media", "backbone", "readout")
deterministic = True
trained = False
fit_as = "frozen_probe"
fit_fields = ("strengths",)


class Options(ReadoutOptions):
    """The strength of the penalty is chosen by the error on the valid split."""

    name: Literal["frozen_probe"] = "frozen_probe"
    strengths: tuple[float, ...] = Field(
        (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0),
        min_length=1,
        strict=False,
        description="penalties on the squared weights of standardised features",
    )


def build(options: Options, task: "Task") -> "Readout":
    """Return the readout; `fit` solves for its weights."""
    import numpy as np
    import torch

    from omni_msa.forward import Forward
    from omni_msa.prompt import Prompt
    from omni_msa.readout import Prediction, Readout, clip_score

    class FrozenProbe(Readout):
        closed_form = True

        def fit(
            self,
            forward: Forward,
            train: tuple[list[Prompt], torch.Tensor],
            valid: tuple[list[Prompt], torch.Tensor],
            batch: int,
        ) -> None:
            features, targets = self._features(forward, train[0], batch), train[1].double().numpy()
            held_out, labels = self._features(forward, valid[0], batch), valid[1].double().numpy()
            self.mean, self.scale = features.mean(0), features.std(0) + 1e-8
            left, values, right = np.linalg.svd((features - self.mean) / self.scale, full_matrices=False)
            projected = left.T @ (targets - task.label_mean)
            errors = []
            for strength in options.strengths:  # ridge: Hoerl and Kennard 1970, solved through the SVD
                self.weights = right.T @ (values / (values**2 + strength) * projected)
                errors.append(np.abs(self._scores(held_out) - labels).mean())
            self.strength = options.strengths[int(np.argmin(errors))]
            self.weights = right.T @ (values / (values**2 + self.strength) * projected)

        def predict(self, forward: Forward, prompts: list[Prompt]) -> list[Prediction]:
            raw = self._scores(self._features(forward, prompts, len(prompts)))
            return [clip_score(float(score), task.label_range) for score in raw]

        def _scores(self, features: np.ndarray) -> np.ndarray:
            return ((features - self.mean) / self.scale) @ self.weights + task.label_mean

        @torch.no_grad()
        def _features(self, forward: Forward, prompts: list[Prompt], batch: int) -> np.ndarray:
            parts = [prompts[start : start + batch] for start in range(0, len(prompts), batch)]
            return torch.cat([forward.states(part)[:, 0] for part in parts]).double().cpu().numpy()

    return FrozenProbe()
