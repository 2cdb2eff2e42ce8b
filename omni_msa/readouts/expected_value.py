"""The mean of all possible scores, weighted by the probability of their answers; uses the fit of `generative`."""

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
    """The grid of possible scores: every score of the label range with so many decimals."""

    name: Literal["expected_value"] = "expected_value"
    decimals: int = Field(1, ge=0, le=2)
    sign: Literal["always", "negative"] = added_later("always", description='"+1.2" or "1.2" for a positive score')


def num_logits(options: Options) -> int:
    """Return the number of tokens of all answers in -3 to 3, one per character, each prefix once."""
    return {0: 3, 1: 19, 2: 81}[options.decimals]


def check(config: TrialConfig, num_layers: int) -> list[Problem]:
    """Return a problem if labels are classes, whose numbers have no meaningful mean."""
    if not (classes := classes_of(config.dataset)):
        return []
    what = "this readout cannot predict classes: their numbers have no meaningful mean"
    got, allowed = f"expected_value, with the classes {', '.join(classes)}", "any other readout"
    return [Problem(what, "readout.name", got, allowed, "use generative, which shares its fit")]


def build(options: Options, task: "Task") -> "Readout":
    """Return the readout; it has no weights of its own."""
    from omni_msa.readouts._generation import ExpectedValue

    return ExpectedValue(task, options.decimals, options.sign)
