"""The prompt: a literal chat template, the same for every readout; only the answer differs.

Order: video, audio, transcript, question with the label range or the classes, then the generation prompt. No system
turn. A modality that is not used is absent. Audio is a separate item, never interleaved with the video.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from omni_msa.data.clip import Clip
from omni_msa.data.inputs.clip_inputs import ClipInputs, TokenCounts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

QUESTION = (
    "How positive is the speaker's sentiment? "
    "Answer with one signed number from {low:+.1f} (most negative) to {high:+.1f} (most positive)."
)
CLASS_QUESTION = "How does the speaker feel? Answer with exactly one of these words: {classes}."
END_OF_TURN = "<|im_end|>"


@dataclass(frozen=True)
class Prompt:
    """The prompt of one clip.

    Args:
        clip_id: the clip.
        token_ids: the whole prompt including the generation prompt; a media token is repeated for every output of its
            tower.
        media: inputs of the modalities in use; or only their token counts, then a loader provides the arrays.
        address: content address of the media, "" without media.
        text_span: first and last (exclusive) index of the transcript's tokens; equal without a transcript.
    """

    clip_id: str
    token_ids: tuple[int, ...]
    media: ClipInputs | TokenCounts
    address: str = ""
    text_span: tuple[int, int] = (0, 0)


def build_prompt(
    clip: Clip,
    modalities: tuple[str, ...],
    media: ClipInputs | TokenCounts,
    address: str,
    tokenizer: "PreTrainedTokenizerFast",
    label_range: tuple[float, float],
    classes: tuple[str, ...] = (),
) -> Prompt:
    """Return the prompt of a clip.

    Args:
        clip: its transcript is used if "text" is among the modalities.
        modalities: which of text, audio, video the prompt has.
        media: inputs, or their token counts; None or 0 for a modality that is not used.
        address: content address of `media`.
        tokenizer: has the special tokens of the template.
        label_range: lowest and highest score, stated in the question.
        classes: stated instead of the range if labels are classes.
    """
    user = "<|im_start|>user\n"
    if "video" in modalities:
        user += "<|vision_bos|>" + "<|VIDEO|>" * media.num_video_tokens + "<|vision_eos|>"
    if "audio" in modalities:
        user += "<|audio_bos|>" + "<|AUDIO|>" * media.num_audio_tokens + "<|audio_eos|>"
    token_ids = _encode(tokenizer, user)
    start = len(token_ids)
    if "text" in modalities:
        token_ids += _encode(tokenizer, f"Transcript: {clip.transcript}\n", literal=True)
    text_span = (start, len(token_ids))
    low, high = label_range
    question = QUESTION.format(low=low, high=high)
    if classes:
        question = CLASS_QUESTION.format(classes=", ".join(classes))
    token_ids += _encode(tokenizer, f"{question}{END_OF_TURN}\n<|im_start|>assistant\n")
    return Prompt(clip.id, tuple(token_ids), media, address, text_span)


def _encode(tokenizer: "PreTrainedTokenizerFast", text: str, literal: bool = False) -> list[int]:
    """Return token ids; with `literal`, text that looks like a special token is encoded as plain characters."""
    return list(tokenizer.encode(text, add_special_tokens=False, split_special_tokens=literal))
