"""The probability-weighted mean of all answers that could be written, read from a generative fit. Nothing is parsed."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from omni_msa.config.sections import ReadoutOptions, added_later
from omni_msa.config.trial import TrialConfig, classes_of
from omni_msa.errors import Problem

if TYPE_CHECKING:
    from omni_msa.readouts._module import Readout
    from omni_msa.readouts._task import Task

uses = ("dataset", "modalities", "media", "backbone", "adapter", "readout", "training", "seed")
fit_as = "generative"
fit_fields = ("decimals", "sign")


class Options(ReadoutOptions):
    """The grid has every score of the label range with this many decimals, and one zero."""

    name: Literal["expected_value"] = "expected_value"
    decimals: int = Field(1, ge=0, le=2)
    sign: Literal["always", "negative"] = added_later("always", description='"+1.2" or "1.2" for a positive score')


def num_logits(options: Options) -> int:
    """Return the number of tokens of all answers in -3 to 3, one per character, each prefix once."""
    return {0: 3, 1: 19, 2: 81}[options.decimals]


def check(config: TrialConfig, num_layers: int) -> list[Problem]:
    """Return a problem if labels are classes: their numbers have no mean."""
    if not (classes := classes_of(config.dataset)):
        return []
    what = "this readout has no meaning for classes: they have no mean"
    got, allowed = f"expected_value, of the classes {', '.join(classes)}", "any other readout"
    return [Problem(what, "readout.name", got, allowed, "take generative, which has the same fit")]


def build(options: Options, task: "Task") -> "Readout":
    """Return the readout; it has no weights of its own."""
    from omni_msa.readouts._generation import ExpectedValue

    return ExpectedValue(task, options.decimals, options.sign)
