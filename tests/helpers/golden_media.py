"""What transformers' own Qwen2_5OmniProcessor makes of made-up clips, recorded once for machines without torchvision.

    pip install torchvision; python tests/helpers/golden_media.py

writes tests/fixtures/golden_media.safetensors. The processor needs torchvision's Python part only: where its compiled
part does not fit the build of torch, what registers its operators is left out.
"""

import json
import sys
from types import ModuleType

import numpy as np

from helpers.paths import FIXTURES

if __name__ == "__main__":
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in ("_meta_registrations", "_autograd_registrations"):
            sys.modules[f"torchvision.{name}"] = ModuleType(name)

import torch
from safetensors.numpy import save_file

from helpers.media_files import moving_picture, tone
from helpers.tiny_trials import SENTENCES, tiny_backbone

FIXTURE = FIXTURES / "golden_media.safetensors"
QUESTION = (
    "How positive is the speaker's sentiment? "
    "Answer with one signed number from -3.0 (most negative) to +3.0 (most positive)."
)
CASES = {"text": (0, "text"), "audio": (1, "audio"), "video": (2, "video"), "all": (3, "text audio video")}
EVERY_ROW, EVERY_FRAME = 16, 8  # so that the recording stays small
_EXTRA = {
    "image_token": "<|IMAGE|>",
    "audio_token": "<|AUDIO|>",
    "video_token": "<|VIDEO|>",
    "vision_bos_token": "<|vision_bos|>",
    "vision_eos_token": "<|vision_eos|>",
    "audio_bos_token": "<|audio_bos|>",
    "audio_eos_token": "<|audio_eos|>",
}


def frames_of(number: int) -> np.ndarray:
    """Return frames whose size needs no scaling, uint8 (T, H, W, 3)."""
    return moving_picture(4 + 2 * number, height=56 + 28 * (number % 2), width=84)


def sound_of(number: int) -> np.ndarray:
    """Return a tone over noise at 16 kHz, float32 (N,)."""
    clean = tone(1.0 + 0.37 * number, hz=200.0 + 100 * number)
    return clean + np.random.default_rng(number).normal(0, 0.02, len(clean)).astype(np.float32)


def chat_text(transcript: str, modalities: str) -> str:
    """Return the conversation with one token for each medium, as the processor takes it; written out by hand."""
    text = "<|im_start|>user\n"
    if "video" in modalities:
        text += "<|vision_bos|><|VIDEO|><|vision_eos|>"
    if "audio" in modalities:
        text += "<|audio_bos|><|AUDIO|><|audio_eos|>"
    if "text" in modalities:
        text += f"Transcript: {transcript}\n"
    return f"{text}{QUESTION}<|im_end|>\n<|im_start|>assistant\n"


def load_processor():
    """Return the processor, with the tiny backbone's tokenizer."""
    from transformers import (
        PreTrainedTokenizerFast,
        Qwen2_5OmniProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
        WhisperFeatureExtractor,
    )

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tiny_backbone().tokenizer.backend_tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        clean_up_tokenization_spaces=False,
        extra_special_tokens=_EXTRA,
    )
    return Qwen2_5OmniProcessor(
        image_processor=Qwen2VLImageProcessor(),
        video_processor=Qwen2VLVideoProcessor(),
        feature_extractor=WhisperFeatureExtractor(feature_size=128),
        tokenizer=tokenizer,
    )


def make_recording() -> dict[str, np.ndarray]:
    """Return token ids, grids, every sixteenth patch and every eighth mel frame of each case."""
    processor, found = load_processor(), {}
    for name, (number, modalities) in CASES.items():
        inputs = {"text": [chat_text(SENTENCES[number][2], modalities)], "return_tensors": "np"}
        if "video" in modalities:
            frames = torch.from_numpy(frames_of(number)).permute(0, 3, 1, 2)
            sizes = {"shortest_edge": 28 * 28, "longest_edge": 10**7}
            inputs |= {"videos": [frames], "videos_kwargs": {"do_sample_frames": False, "size": sizes}}
        if "audio" in modalities:
            inputs |= {"audio": [sound_of(number)]}
        outputs = processor(**inputs)
        found[f"{name}.token_ids"] = np.asarray(outputs["input_ids"][0], dtype=np.int64)
        if "video" in modalities:
            found[f"{name}.grid_thw"] = np.asarray(outputs["video_grid_thw"][0], dtype=np.int64)
            found[f"{name}.pixel_values"] = np.array(outputs["pixel_values_videos"][::EVERY_ROW], dtype=np.float32)
        if "audio" in modalities:
            heard = np.asarray(outputs["feature_attention_mask"][0]).astype(bool)
            found[f"{name}.mel"] = np.array(outputs["input_features"][0][:, heard][:, ::EVERY_FRAME], dtype=np.float32)
    return {name: np.ascontiguousarray(values) for name, values in found.items()}


if __name__ == "__main__":
    import transformers

    versions = {"transformers": transformers.__version__, "torch": torch.__version__}
    save_file(make_recording(), FIXTURE, metadata={"versions": json.dumps(versions)})
    print(f"{FIXTURE}: {FIXTURE.stat().st_size:,} bytes")
