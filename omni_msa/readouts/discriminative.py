"""A regression head on the hidden state of the last prompt token, trained with the adapter (arXiv 2606.05713).

If labels are classes, the head has one output per class, the loss is the cross-entropy, and the class with the highest
output is predicted. `loss` and `huber_delta` then have no effect, and values other than the defaults are refused.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from omni_msa.config.sections import ReadoutOptions, added_later
from omni_msa.config.trial import TrialConfig, check_unused
from omni_msa.errors import Problem

if TYPE_CHECKING:
    from omni_msa.readouts._module import Readout
    from omni_msa.readouts._task import Task

uses = ("dataset", "modalities", "media", "backbone", "adapter", "readout", "training", "seed")
needs_output_layer = False
fit_as = "discriminative"
fit_fields = ("width", "dropout", "norm", "loss", "huber_delta")


def _none_is_linear(width: Any) -> Any:
    return 0 if width is None else width


class Options(ReadoutOptions):
    """The head: LayerNorm, Linear, ReLU, Dropout, Linear on labels standardised by the training split."""

    name: Literal["discriminative"] = "discriminative"
    width: Annotated[int, BeforeValidator(_none_is_linear, json_schema_input_type=int | None)] = Field(
        256, ge=0, description="width of the inner layer; 0 or null makes the head linear"
    )
    dropout: float = Field(0.2, ge=0, lt=1)
    norm: Literal["before", "inner", "after", "none"] = Field(
        "before", description="LayerNorm before the head, on the inner layer before or after its ReLU, or none"
    )
    loss: Literal["l1", "huber", "mse"] = "l1"
    huber_delta: float = added_later(
        1.0, gt=0, description="error from which the Huber loss is linear, in standard deviations of the label"
    )


def check(config: TrialConfig, num_layers: int) -> list[Problem]:
    """Return a problem for each option that was set although it has no effect on classes."""
    return check_unused(config, "loss", "huber_delta")


def build(options: Options, task: "Task") -> "Readout":
    """Return the readout; its initial weights come from torch's global generator."""
    from torch import Tensor, no_grad
    from torch.nn import functional

    from omni_msa.model.forward import Forward
    from omni_msa.model.heads import RegressionHead
    from omni_msa.model.prompt import Prompt
    from omni_msa.readouts._module import Readout
    from omni_msa.readouts._task import Prediction, clip_score

    kinds: dict[str, Callable[..., Tensor]] = {
        "l1": functional.l1_loss,
        "huber": partial(functional.huber_loss, delta=options.huber_delta),
        "mse": functional.mse_loss,
    }

    class Discriminative(Readout):
        def __init__(self) -> None:
            super().__init__()
            num_outputs = len(task.classes) or 1
            self.head = RegressionHead(task.hidden_size, options.width, options.dropout, options.norm, num_outputs)

        def losses(self, forward: Forward, prompts: list[Prompt], labels: Tensor) -> Tensor:
            output = self.head(forward.states(prompts)[:, 0])
            if task.classes:
                return functional.cross_entropy(output, labels.long(), reduction="none")
            target = (labels - task.label_mean) / task.label_std
            return kinds[options.loss](output, target, reduction="none")

        @no_grad()
        def predict(self, forward: Forward, prompts: list[Prompt]) -> list[Prediction]:
            outputs = self.head(forward.states(prompts)[:, 0])
            if task.classes:
                return [Prediction(float(number)) for number in outputs.argmax(-1).tolist()]
            raw = outputs * task.label_std + task.label_mean
            return [clip_score(score, task.label_range) for score in raw.tolist()]

    return Discriminative()
