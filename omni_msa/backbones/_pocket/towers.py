"""Shape and weights of the two small towers of the pocket backbone; the weights are part of this package."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from omni_msa.model.dimensions import AudioDimensions, Dimensions, TextDimensions, VisionDimensions

if TYPE_CHECKING:
    import torch
    from transformers import Qwen2_5OmniThinkerConfig

FILE = Path(__file__).with_name("towers.safetensors")
PREFIXES = ("model.audio_tower.", "model.visual.")
NUM_NEW_TOKENS = 7  # the special tokens that SmolLM2's vocabulary lacks
DIMENSIONS = Dimensions(
    TextDimensions(
        hidden_size=576,
        num_layers=30,
        num_heads=9,
        num_kv_heads=3,
        intermediate_size=1536,
        vocabulary_size=49_152 + NUM_NEW_TOKENS,
        tied_embeddings=True,
    ),
    AudioDimensions(hidden_size=128, num_layers=2, num_heads=4, intermediate_size=256),
    VisionDimensions(hidden_size=64, num_layers=2, num_heads=4, intermediate_size=192, full_attention_layers=(0, 1)),
)


def pocket_config(ids: Mapping[str, int] | None = None) -> "Qwen2_5OmniThinkerConfig":
    """Return the configuration of the pocket Thinker.

    Args:
        ids: id of each special token; not needed for the towers alone.
    """
    from omni_msa.model.thinker import thinker_config

    # Rotary base and norm are SmolLM2's; half a head has 32 channels.
    return thinker_config(DIMENSIONS, ids, rope_theta=1e5, mrope_section=(16, 8, 8), rms_norm_eps=1e-5)


def read_towers() -> dict[str, "torch.Tensor"]:
    """Return the weights of both towers by their names in the Thinker, float16."""
    from safetensors.torch import load_file

    return load_file(FILE)
