"""The Thinker of Qwen2.5-Omni-3B, the smaller sister of the paper's backbone."""

from typing import TYPE_CHECKING, Literal

from omni_msa.errors import Problem
from omni_msa.fetch import Progress
from omni_msa.hub import build_from_checkpoint, find_checkpoint, require_checkpoint
from omni_msa.options import BackboneOptions
from omni_msa.sizes import AudioDimensions, Dimensions, TextDimensions, VisionDimensions

if TYPE_CHECKING:
    from omni_msa.thinker import Backbone

REPOSITORY = "Qwen/Qwen2.5-Omni-3B"


class Options(BackboneOptions):
    """Four-bit weights and bfloat16 products, unless said otherwise."""

    name: Literal["qwen2_5_omni_3b"] = "qwen2_5_omni_3b"
    quantization: Literal["none", "nf4"] = "nf4"
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"


def dimensions(options: Options) -> Dimensions:
    """Return the backbone's shape."""
    return Dimensions(
        TextDimensions(
            hidden_size=2_048,
            num_layers=36,
            num_heads=16,
            num_kv_heads=2,
            intermediate_size=11_008,
            vocabulary_size=151_936,
            tied_embeddings=False,
        ),
        AudioDimensions(hidden_size=1280, num_layers=32, num_heads=20, intermediate_size=5120),
        VisionDimensions(
            1280, num_layers=32, num_heads=16, intermediate_size=3420, full_attention_layers=(7, 15, 23, 31)
        ),
    )


def check(options: Options) -> list[Problem]:
    """Return what would stop `build`, without downloading: the checkpoint is not on this machine."""
    found = find_checkpoint(REPOSITORY, options.weights)
    return [found] if isinstance(found, Problem) else []


def fetch(options: Options, progress: Progress | None = None) -> None:
    """Make sure that the weights are on this machine; they are too large to be downloaded without being asked for.

    Raises:
        InputError: they are not; says the command that downloads them.
    """
    require_checkpoint(REPOSITORY, options.weights)


def build(options: Options, device: str, progress: Progress | None = None) -> "Backbone":
    """Build the backbone.

    Args:
        options: this plug-in's options.
        device: "cpu" or "cuda".
        progress: not called.

    Raises:
        InputError: as `fetch`.
    """
    return build_from_checkpoint(REPOSITORY, options, device)
