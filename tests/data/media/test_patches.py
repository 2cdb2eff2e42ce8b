"""The patch layout against transformers on stills and against plain loops on videos."""

import numpy as np
import pytest

from omni_msa.data.media.patches import num_video_tokens, patches


def noise(num_frames: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (num_frames, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("height", "width"), [(56, 56), (84, 112), (140, 56)])
def test_a_still_shown_twice_is_what_transformers_makes_of_the_image(height, width):
    from PIL import Image
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    still = noise(1, height, width)[0]
    theirs = Qwen2VLImageProcessorPil()(Image.fromarray(still), return_tensors="np")
    pixel_values, grid_thw = patches(np.stack([still, still]))
    np.testing.assert_array_equal(grid_thw, theirs["image_grid_thw"][0])
    np.testing.assert_allclose(pixel_values, theirs["pixel_values"], atol=1e-6)


def test_a_video_is_laid_out_as_plain_loops_do_it():
    frames = noise(6, 56, 84)
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    rows = []
    for time in range(0, 6, 2):
        for top in range(0, 56, 28):
            for left in range(0, 84, 28):
                for y, x in ((0, 0), (0, 14), (14, 0), (14, 14)):
                    row = []
                    for channel in range(3):
                        for frame in frames[time : time + 2]:
                            block = frame[top + y : top + y + 14, left + x : left + x + 14, channel]
                            row += [(value / 255 - mean[channel]) / std[channel] for value in block.ravel().tolist()]
                    rows.append(row)
    pixel_values, grid_thw = patches(frames)
    assert pixel_values.dtype == np.float32 and grid_thw.dtype == np.int64
    assert grid_thw.tolist() == [3, 4, 6]
    assert pixel_values.shape == (72, 1176)
    np.testing.assert_allclose(pixel_values, rows, atol=1e-5)
    assert num_video_tokens(grid_thw) == 18


@pytest.mark.parametrize("shape", [(3, 56, 56), (2, 42, 56), (2, 56, 50), (0, 56, 56)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="multiple of 28"):
        patches(np.zeros((*shape, 3), np.uint8))
