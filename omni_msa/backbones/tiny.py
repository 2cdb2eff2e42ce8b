"""A random Thinker for tests: all three towers, a byte-level tokenizer, built in milliseconds."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from omni_msa.config.sections import BackboneOptions
from omni_msa.model.dimensions import AudioDimensions, Dimensions, TextDimensions, VisionDimensions
from omni_msa.model.thinker import SPECIAL_TOKENS
from omni_msa.system.downloads import ReportProgress

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from omni_msa.model.thinker import Backbone

licence = "none: they are random"


class Options(BackboneOptions):
    """The tiny backbone has random weights, drawn from `weights_seed`."""

    name: Literal["tiny"] = "tiny"
    quantization: Literal["none", "nf4"] = "none"
    dtype: Literal["float32", "bfloat16"] = "float32"
    attention: Literal["sdpa", "eager"] = "sdpa"
    num_mel_bins: Literal[80, 128] = 128
    weights_seed: int = Field(0, ge=0, description="seed of the random weights; enters trial ids")


def dimensions(options: Options) -> Dimensions:
    """Return the shape of the backbone."""
    return Dimensions(
        TextDimensions(
            hidden_size=32,
            num_layers=4,
            num_heads=4,
            num_kv_heads=2,
            intermediate_size=64,
            vocabulary_size=256 + len(SPECIAL_TOKENS),
            tied_embeddings=True,
        ),
        AudioDimensions(32, num_layers=2, num_heads=2, intermediate_size=64, num_mel_bins=options.num_mel_bins),
        VisionDimensions(32, num_layers=2, num_heads=2, intermediate_size=64, full_attention_layers=(1,)),
    )


def build(options: Options, device: str, progress: ReportProgress | None = None) -> "Backbone":
    """Build the backbone without changing the global random state.

    Args:
        options: this plug-in's options.
        device: "cpu" or "cuda".
        progress: not called.
    """
    from omni_msa.model.thinker import Backbone, load_thinker, random_thinker, special_ids, thinker_config

    tokenizer = _byte_tokenizer()
    # The initialisation is wide enough for every input, however distant, to change the last hidden state.
    config = thinker_config(
        dimensions(options), special_ids(tokenizer), mrope_section=(2, 1, 1), initializer_range=0.15
    )
    state = random_thinker(config, options.weights_seed)
    model = load_thinker(options, device, config=config, state=state)
    return Backbone(model, tokenizer, device, options.quantization)


def _byte_tokenizer() -> "PreTrainedTokenizerFast":
    """Return a tokenizer with one symbol per byte and the special tokens, so that any text round-trips."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    from omni_msa.model.thinker import wrap_tokenizer

    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={symbol: number for number, symbol in enumerate(symbols)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return wrap_tokenizer(tokenizer)
