"""The score decoded as text by the frozen backbone, without any training.

If labels are classes, the answer is the name of the class, and the first class name in the text counts. An answer
without one is unparsable and counts as wrong, so that a model gains nothing by not answering. `decimals` and `sign`
then have no effect, and values other than the defaults are refused.
"""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from omni_msa.config.sections import ReadoutOptions, added_later
from omni_msa.config.trial import TrialConfig, check_unused
from omni_msa.errors import Problem

if TYPE_CHECKING:
    from omni_msa.readouts._module import Readout
    from omni_msa.readouts._task import Task

uses = ("dataset", "modalities", "media", "backbone", "readout")
fit_as = "generative_zero_shot"
fit_fields = ("num_tokens_max", "constrained", "decimals", "sign")


class Options(ReadoutOptions):
    """Decoding is greedy; the first number in the text counts. `decimals` and `sign` apply to constrained answers."""

    name: Literal["generative_zero_shot"] = "generative_zero_shot"
    num_tokens_max: int = Field(8, ge=1, le=64, description="longest decoded answer in tokens")
    constrained: bool = added_later(False, description="decode only numbers in the label range, or class names")
    decimals: int = added_later(1, ge=0, le=3)
    sign: Literal["always", "negative"] = added_later("always", description='"+1.2" or "1.2" for a positive score')


def check(config: TrialConfig, num_layers: int) -> list[Problem]:
    """Return a problem for each option that was set although it has no effect on classes."""
    return check_unused(config, "decimals", "sign")


def build(options: Options, task: "Task") -> "Readout":
    """Return the readout; it has no weights of its own."""
    from omni_msa.readouts._generation import Generation

    return Generation(task, options.decimals, options.num_tokens_max, options.sign, options.constrained)
