"""The patch layout of the Omni vision tower, in numpy (the original needs torchvision)."""

import numpy as np
from numpy.typing import NDArray

PATCH_PX, MERGE, TEMPORAL = 14, 2, 2
FACTOR_PX = PATCH_PX * MERGE
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def patches(frames: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Cut frames into normalised space-time patches, in the layout of Qwen2VLVideoProcessor.

    Args:
        frames: RGB, uint8 (T, H, W, 3); T even, H and W multiples of 28.

    Returns:
        pixel values, float32 (P, 1176), and the grid (T / 2, H / 14, W / 14) they come from, int64 (3,).

    Raises:
        ValueError: the shape does not fit.
    """
    cut, grid_thw = cut_patches(frames)
    return normalise_patches(cut), grid_thw


def cut_patches(frames: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Cut frames into patches without normalising them: a quarter of the bytes, for the cache.

    Args:
        frames: RGB, uint8 (T, H, W, 3); T even, H and W multiples of 28.

    Returns:
        patches, uint8 (P, 1176) with a row = (channel, 2 frames, 14, 14); rows run over time, then over 2x2 groups
        of patches, row by row; and the grid, int64 (3,).

    Raises:
        ValueError: the shape does not fit.
    """
    num_frames, height, width, channels = frames.shape
    if num_frames % TEMPORAL or height % FACTOR_PX or width % FACTOR_PX or channels != 3 or not frames.size:
        raise ValueError(f"frames must be (even, multiple of 28, multiple of 28, 3), got {frames.shape}")
    grid = (num_frames // TEMPORAL, height // PATCH_PX, width // PATCH_PX)
    split = (grid[0], TEMPORAL, grid[1] // MERGE, MERGE, PATCH_PX, grid[2] // MERGE, MERGE, PATCH_PX, 3)
    # (t, 2, h/2, 2, 14, w/2, 2, 14, 3) -> (t, h/2, w/2, 2, 2, 3, 2, 14, 14)
    ordered = frames.reshape(split).transpose(0, 2, 5, 3, 6, 8, 1, 4, 7)
    return ordered.reshape(int(np.prod(grid)), -1), np.array(grid, dtype=np.int64)


def normalise_patches(cut: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Scale patches to [0, 1], then normalise each channel by CLIP's mean and standard deviation.

    Args:
        cut: uint8 (P, 1176), the channel outermost in a row.

    Returns:
        pixel values, float32 (P, 1176).
    """
    mean = np.array(CLIP_MEAN, dtype=np.float32)[:, None]
    std = np.array(CLIP_STD, dtype=np.float32)[:, None]
    channels = cut.reshape(len(cut), 3, -1).astype(np.float32)  # (P, 3, 392)
    channels *= np.float32(1 / 255)
    channels -= mean
    channels /= std
    return channels.reshape(cut.shape)


def num_video_tokens(grid_thw: NDArray[np.int64]) -> int:
    """Return the number of tokens that the Omni vision tower outputs: one for each 2x2 group of patches.

    Args:
        grid_thw: number of patches along time, height and width, int64 (3,).
    """
    return int(np.prod(grid_thw)) // MERGE**2
