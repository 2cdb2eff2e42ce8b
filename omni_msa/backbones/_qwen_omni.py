"""The shared part of the Qwen2.5-Omni backbones: all but the shape of the text tower and the name of the checkpoint."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from omni_msa.config.sections import BackboneOptions
from omni_msa.errors import Problem
from omni_msa.model.dimensions import AudioDimensions, Dimensions, TextDimensions, VisionDimensions
from omni_msa.model.hub import build_from_checkpoint, find_checkpoint, require_checkpoint
from omni_msa.system.downloads import ReportProgress

if TYPE_CHECKING:
    from omni_msa.model.thinker import Backbone


_AUDIO = AudioDimensions(hidden_size=1280, num_layers=32, num_heads=20, intermediate_size=5120)
_VISION = VisionDimensions(
    hidden_size=1280, num_layers=32, num_heads=16, intermediate_size=3420, full_attention_layers=(7, 15, 23, 31)
)


class QwenOmniOptions(BackboneOptions):
    """By default four-bit weights, computing in bfloat16."""

    quantization: Literal["none", "nf4"] = "nf4"
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    attention: Literal["sdpa", "eager"] = "sdpa"


@dataclass(frozen=True)
class QwenOmni:
    """One size of the family; its methods are those of a backbone plug-in.

    Args:
        repository: name on the hub.
        text, audio, vision: shape of the three towers; both encoders are the same in all sizes.
    """

    repository: str
    text: TextDimensions
    audio: AudioDimensions = _AUDIO
    vision: VisionDimensions = _VISION

    def dimensions(self, options: BackboneOptions) -> Dimensions:
        """Return the shape of the backbone."""
        return Dimensions(self.text, self.audio, self.vision)

    def check(self, options: BackboneOptions) -> list[Problem]:
        """Return a problem if the checkpoint is missing, damaged or of another model."""
        checkpoint = find_checkpoint(self.repository, options.weights, self.dimensions(options))
        return [checkpoint] if isinstance(checkpoint, Problem) else []

    def fetch(self, options: BackboneOptions, progress: ReportProgress | None = None) -> None:
        """Check that the weights are on this machine; they are too large to be downloaded automatically.

        Raises:
            InputError: they are missing; the message has the command that downloads them.
        """
        require_checkpoint(self.repository, options.weights, self.dimensions(options))

    def build(self, options: BackboneOptions, device: str, progress: ReportProgress | None = None) -> "Backbone":
        """Build the backbone.

        Args:
            options: of the plug-in.
            device: "cpu" or "cuda".
            progress: not called.

        Raises:
            InputError: as `fetch`.
        """
        return build_from_checkpoint(self.repository, options, device, self.dimensions(options))
