"""Our preparation of sound, picture and prompt against transformers' Qwen2_5OmniProcessor, as recorded."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from helpers.golden_media import CASES, EVERY_FRAME, EVERY_ROW, FIXTURE, frames_of, make_recording, sound_of
from helpers.tiny_trials import LABEL_RANGE, SENTENCES, tiny_backbone
from omni_msa.config.trial import MediaConfig
from omni_msa.data.clip import Clip
from omni_msa.data.inputs.clip_inputs import ClipInputs
from omni_msa.data.media.mel import mel_features
from omni_msa.data.media.patches import patches
from omni_msa.model.prompt import build_prompt

TOLERANCES = {"token_ids": 0, "grid_thw": 0, "pixel_values": 1e-3, "mel": 1e-4}


@pytest.fixture(scope="module")
def recorded():
    return load_file(FIXTURE)


def ours(name: str) -> dict[str, np.ndarray]:
    number, modalities = CASES[name]
    pixels, grid = patches(frames_of(number)) if "video" in modalities else (None, None)
    mel = mel_features(sound_of(number), MediaConfig()) if "audio" in modalities else None
    clip = Clip("one", "source", 0, "train", 1.0, SENTENCES[number][2], None, None)
    media, tokenizer = ClipInputs(pixels, grid, mel), tiny_backbone().tokenizer
    prompt = build_prompt(clip, tuple(modalities.split()), media, "", tokenizer, LABEL_RANGE)
    found = {"token_ids": np.array(prompt.token_ids), "grid_thw": grid}
    found |= {"pixel_values": None if pixels is None else pixels[::EVERY_ROW]}
    found |= {"mel": None if mel is None else mel[:, ::EVERY_FRAME]}
    return {f"{name}.{part}": values for part, values in found.items() if values is not None}


@pytest.mark.parametrize("name", CASES)
def test_inputs_are_those_of_the_omni_processor(recorded, name):
    found = ours(name)
    assert set(found) == {key for key in recorded if key.startswith(f"{name}.")}
    for key, values in found.items():
        tolerance = TOLERANCES[key.split(".")[1]]
        np.testing.assert_allclose(values, recorded[key], atol=tolerance, rtol=0, err_msg=key)


def test_the_recording_is_what_the_processor_still_does(recorded):
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        pytest.skip("torchvision is not here, or does not fit the build of torch")
    again = make_recording()
    assert set(again) == set(recorded)
    for key, values in again.items():
        np.testing.assert_allclose(values, recorded[key], atol=1e-6, rtol=0, err_msg=key)
