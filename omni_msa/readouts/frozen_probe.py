"""Ridge regression on hidden states of the frozen backbone: how well a layer predicts the label without training.

If labels are classes, each class is a target of 0 or 1, the class with the highest score is predicted, and the error is
the share of misclassified clips.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from omni_msa.config.sections import ReadoutOptions, added_later
from omni_msa.errors import Problem

if TYPE_CHECKING:
    from omni_msa.config.trial import TrialConfig
    from omni_msa.readouts._module import Readout
    from omni_msa.readouts._task import Task

uses = ("dataset", "modalities", "media", "backbone", "readout")
needs_output_layer = False
fit_as = "frozen_probe"
fit_fields = ("strengths", "layer", "pooling")


def _known_layer(layer: Any) -> Any:
    """Check the layer with one message; pydantic would give one for each type of the union."""
    if layer not in ("last", "all") and not (type(layer) is int and layer >= 0):
        raise ValueError("a layer must be a whole number from 0, last, or all")
    return layer


class Options(ReadoutOptions):
    """Penalties, layers and poolings; if there are several, the error on valid decides."""

    name: Literal["frozen_probe"] = "frozen_probe"
    strengths: tuple[float, ...] = Field(
        (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0),
        min_length=1,
        strict=False,
        description="penalties on the squared weights of standardised features",
    )
    layer: Annotated[int | Literal["last", "all"], BeforeValidator(_known_layer)] = added_later(
        "last", description='layer whose output is used, 0 for the input of the first one; "last" or "all"'
    )
    pooling: Literal["last", "mean", "text", "audio", "video", "all"] = added_later(
        "last", description="last token, mean over all tokens or over those of one modality; all: choose among these"
    )


def check(config: "TrialConfig", num_layers: int) -> list[Problem]:
    """Return a problem for a layer that the backbone lacks, and for a pooling over a modality that is not used."""
    options, problems = config.readout, []
    assert isinstance(options, Options)
    if isinstance(options.layer, int) and options.layer > num_layers:
        allowed = f"0 to {num_layers}, last, all"
        problems.append(Problem("the backbone has no such layer", "readout.layer", str(options.layer), allowed))
    if options.pooling in ("text", "audio", "video") and options.pooling not in config.modalities:
        allowed = ", ".join(("last", "mean", *config.modalities, "all"))
        problems.append(Problem("this modality is not used", "readout.pooling", options.pooling, allowed))
    return problems


def build(options: Options, task: "Task") -> "Readout":
    """Return the readout; `fit` solves for its weights."""
    from omni_msa.readouts._probe import FrozenProbe

    return FrozenProbe(task, options.strengths, options.layer, options.pooling)
