"""The score decoded as text by the frozen backbone, without any training.

Where labels are classes, the answer is the name of the class, and the first name in the text counts. An answer without
one is unparsable and counts as wrong: a model that does not answer is no better for it. `decimals` and `sign` have no
meaning there, and another value than the default is refused.
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
    """Decoding is greedy; the first number in the text counts. `decimals` and `sign` are of constrained answers."""

    name: Literal["generative_zero_shot"] = "generative_zero_shot"
    num_tokens_max: int = Field(8, ge=1, le=64, description="of a decoded answer")
    constrained: bool = added_later(
        False, description="only numbers in the label range, or names of classes, can be written"
    )
    decimals: int = added_later(1, ge=0, le=3)
    sign: Literal["always", "negative"] = added_later("always", description='"+1.2" or "1.2" for a positive score')


def check(config: TrialConfig, num_layers: int) -> list[Problem]:
    """Return the options that were set although the dataset's classes have no use for them."""
    return check_unused(config, "decimals", "sign")


def build(options: Options, task: "Task") -> "Readout":
    """Return the readout; it has no weights of its own."""
    from omni_msa.readouts._generation import Generation

    return Generation(task, options.decimals, options.num_tokens_max, options.sign, options.constrained)
