"""The Thinker of Qwen2.5-Omni-7B, the backbone of arXiv 2606.05713."""

from typing import Literal

from omni_msa.backbones._qwen_omni import QwenOmni, QwenOmniOptions
from omni_msa.model.dimensions import TextDimensions

licence = "Apache-2.0"


class Options(QwenOmniOptions):
    """By default four-bit weights, computing in bfloat16."""

    name: Literal["qwen2_5_omni_7b"] = "qwen2_5_omni_7b"


PLUGIN = QwenOmni(
    "Qwen/Qwen2.5-Omni-7B",
    TextDimensions(
        hidden_size=3_584,
        num_layers=28,
        num_heads=28,
        num_kv_heads=4,
        intermediate_size=18_944,
        vocabulary_size=152_064,
        tied_embeddings=False,
    ),
)
