"""What every readout is: the answer to train on, the loss, and the prediction."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from omni_msa.model.prompt import Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from omni_msa.model.forward import Forward


@dataclass(frozen=True)
class Task:
    """What a readout may know of the data: statistics of the training split and the label range, nothing else.

    Args:
        label_range: lowest and highest score.
        label_mean: of the training split.
        label_std: of the training split (population), positive.
        label_median: of the training split.
        hidden_size: width of the backbone's states; 0 where a readout uses no backbone.
        tokenizer: the backbone's; None where a readout uses no backbone.
        classes: names by number, where labels are classes; () where they are scores.
        label_mode: most frequent label of the training split.
    """

    label_range: tuple[float, float]
    label_mean: float
    label_std: float
    label_median: float
    hidden_size: int = 0
    tokenizer: "PreTrainedTokenizerFast | None" = None
    classes: tuple[str, ...] = ()
    label_mode: float = 0.0


NO_CLASS = -1.0
"""The score of an answer that names no class: wrong whatever the label."""


@dataclass(frozen=True)
class Prediction:
    """The score of a clip, and how it came about.

    Args:
        score: within the label range; the number of a class, where labels are classes.
        text: what was decoded, "" where nothing is.
        parsed: False if the text held no number (the score is then 0) or no class (then `NO_CLASS`).
        in_range: False if the number lay outside the label range (the score is then its nearest end).
    """

    score: float
    text: str = ""
    parsed: bool = True
    in_range: bool = True


def clip_score(raw: float, label_range: tuple[float, float], text: str = "") -> Prediction:
    """Return the prediction of a raw score, clipped to the label range."""
    low, high = label_range
    return Prediction(min(max(raw, low), high), text, True, low <= raw <= high)


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
