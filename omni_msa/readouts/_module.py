"""The base class of readouts: the answer to train on, the loss, and the prediction."""

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from omni_msa.model.prompt import Prompt
from omni_msa.readouts._task import Prediction

if TYPE_CHECKING:
    from omni_msa.model.forward import Forward


class Readout(nn.Module):
    """Maps the backbone's output to scores. Knows nothing of Ray, MLflow or files.

    `decodes` says that `predict` continues prompts, for which their keys and values are kept; `closed_form` that `fit`
    solves for the weights; `uses_kept` that states kept below the first adapted layer are of use.
    """

    decodes = False
    closed_form = False
    uses_kept = True

    def answer(self, label: float) -> tuple[int, ...]:
        """Return the token ids that training puts after a prompt with this label; () for none."""
        return ()

    def losses(self, forward: "Forward", prompts: list[Prompt], labels: Tensor) -> Tensor:
        """Return one loss for each clip, (B,) float32, that depends on no other clip."""
        raise TypeError(f"{type(self).__name__} is not trained by gradient")

    def fit(
        self, forward: "Forward", train: tuple[list[Prompt], Tensor], valid: tuple[list[Prompt], Tensor], batch: int
    ) -> None:
        """Fit in closed form from (prompts, labels (N,)) of two splits, `batch` clips a pass; by default nothing."""

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Return what a closed-form fit has to tell beside its predictions: rows by the name of a table."""
        return {}

    def predict(self, forward: "Forward", prompts: list[Prompt]) -> list[Prediction]:
        """Return one prediction for each prompt, in order."""
        raise TypeError(f"{type(self).__name__} does not predict")

    def predict_with_losses(
        self, forward: "Forward", prompts: list[Prompt], labels: Tensor
    ) -> tuple[list[Prediction], Tensor]:
        """Return predictions and one loss for each clip, (B,); only for readouts that decode and are trained."""
        return self.predict(forward, prompts), self.losses(forward, prompts, labels)
