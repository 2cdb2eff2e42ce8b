"""A constant baseline: the median label of the training split, or its most frequent class."""

from typing import TYPE_CHECKING, Literal

from omni_msa.config.sections import ReadoutOptions

if TYPE_CHECKING:
    from omni_msa.readouts._module import Readout
    from omni_msa.readouts._task import Task

uses = ("dataset", "readout")
needs_output_layer = False
fit_as = "constant"
fit_fields = ()


class Options(ReadoutOptions):
    """No options: the median has the smallest mean absolute error of all constants."""

    name: Literal["constant"] = "constant"


def build(options: Options, task: "Task") -> "Readout":
    """Return the readout; it needs no backbone."""
    from omni_msa.model.forward import Forward
    from omni_msa.model.prompt import Prompt
    from omni_msa.readouts._module import Readout
    from omni_msa.readouts._task import Prediction, clip_score

    class Constant(Readout):
        def predict(self, forward: Forward, prompts: list[Prompt]) -> list[Prediction]:
            if task.classes:
                return [Prediction(task.label_mode) for _ in prompts]
            return [clip_score(task.label_median, task.label_range) for _ in prompts]

    return Constant()
