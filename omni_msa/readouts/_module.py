"""The base class of readouts: the answer to train on, the loss, and the prediction."""

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from omni_msa.model.prompt import Prompt
from omni_msa.readouts._task import Prediction

if TYPE_CHECKING:
    from omni_msa.model.forward import Forward


class Readout(nn.Module):
    """Maps the output of the backbone to scores. Independent of Ray, MLflow and files.

    `decodes`: `predict` generates tokens after the prompts, so their keys and values are cached. `closed_form`: `fit`
    solves for the weights. `uses_kept`: it can use the cached hidden states that enter the first adapted layer.
    """

    decodes = False
    closed_form = False
    uses_kept = True

    def answer(self, label: float) -> tuple[int, ...]:
        """Return the token ids that follow a prompt with this label in training; () for none."""
        return ()

    def losses(self, forward: "Forward", prompts: list[Prompt], labels: Tensor) -> Tensor:
        """Return the loss of each clip, (B,) float32, independent of the other clips."""
        raise TypeError(f"{type(self).__name__} is not trained by gradient")

    def fit(
        self, forward: "Forward", train: tuple[list[Prompt], Tensor], valid: tuple[list[Prompt], Tensor], batch: int
    ) -> None:
        """Fit in closed form from (prompts, labels (N,)) of two splits, `batch` clips per pass; default: nothing."""

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Return further results of a closed-form fit: rows by the name of the table."""
        return {}

    def predict(self, forward: "Forward", prompts: list[Prompt]) -> list[Prediction]:
        """Return one prediction for each prompt, in order."""
        raise TypeError(f"{type(self).__name__} does not predict")

    def predict_with_losses(
        self, forward: "Forward", prompts: list[Prompt], labels: Tensor
    ) -> tuple[list[Prediction], Tensor]:
        """Return predictions and the loss of each clip, (B,); only for readouts that decode and are trained."""
        return self.predict(forward, prompts), self.losses(forward, prompts, labels)
