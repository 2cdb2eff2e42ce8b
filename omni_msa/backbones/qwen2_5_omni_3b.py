"""The Thinker of Qwen2.5-Omni-3B, a smaller version of the paper's backbone (arXiv 2606.05713)."""

from typing import Literal

from omni_msa.backbones._qwen_omni import QwenOmni, QwenOmniOptions
from omni_msa.model.dimensions import TextDimensions

licence = "Qwen Research License: not for commercial use"


class Options(QwenOmniOptions):
    """By default four-bit weights, computing in bfloat16."""

    name: Literal["qwen2_5_omni_3b"] = "qwen2_5_omni_3b"


PLUGIN = QwenOmni(
    "Qwen/Qwen2.5-Omni-3B",
    TextDimensions(
        hidden_size=2_048,
        num_layers=36,
        num_heads=16,
        num_kv_heads=2,
        intermediate_size=11_008,
        vocabulary_size=151_936,
        tied_embeddings=False,
    ),
)
