"""The network inputs of one clip, and the cache file of one modality."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omni_msa.config.trial import MediaConfig, media_options
from omni_msa.data.media import clip_media, decode, denoise
from omni_msa.data.media.mel import mel_features, num_audio_tokens
from omni_msa.data.media.patches import cut_patches, normalise_patches, num_video_tokens
from omni_msa.system.cache_folder import cache_folder
from omni_msa.system.files import write_atomic

PREPARE_VERSION = 1  # raise it when equal files and options would give other numbers


@dataclass(frozen=True, eq=False)
class ClipInputs:
    """The network inputs of one clip; None for a modality that is not used.

    Args:
        pixel_values: normalised patches, float32 (P, 1176).
        grid_thw: number of patches along time, height and width, int64 (3,).
        mel: log-mel features, float32 (num_mel_bins, num_mel_frames).
    """

    pixel_values: NDArray[np.float32] | None = None
    grid_thw: NDArray[np.int64] | None = None
    mel: NDArray[np.float32] | None = None

    @property
    def num_video_tokens(self) -> int:
        """Number of tokens that the vision tower outputs for the clip, 0 without video."""
        return 0 if self.grid_thw is None else num_video_tokens(self.grid_thw)

    @property
    def num_audio_tokens(self) -> int:
        """Number of tokens that the audio tower outputs for the clip, 0 without audio."""
        return 0 if self.mel is None else num_audio_tokens(self.mel.shape[1])


@dataclass(frozen=True)
class TokenCounts:
    """Number of tokens the towers output for one clip: enough to build its prompt without reading the arrays.

    Args:
        num_video_tokens, num_audio_tokens: 0 if the modality is not used.
    """

    num_video_tokens: int = 0
    num_audio_tokens: int = 0


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex.

    Raises:
        BadMedia: there is no such file, or it cannot be read.
    """
    if path.exists() and not path.is_file():  # reading a pipe could block forever
        raise clip_media.BadMedia(path, "not a file")
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise clip_media.BadMedia(
            path, "no such file" if isinstance(error, FileNotFoundError) else str(error)
        ) from error


def content_address(digest: str, path: Path, modality: str, options: MediaConfig) -> str:
    """Return the content address of a prepared input: a hash of everything its numbers depend on.

    Args:
        digest: SHA-256 of the source file.
        path: the source file; its extension determines the library that decodes it.
        modality: audio or video.
        options: only those of this modality enter; for denoised audio, also the version of the denoiser.

    Raises:
        InputError: the denoiser is needed and cannot be used.
    """
    used = media_options(options, modality)
    content = [PREPARE_VERSION, digest, modality, decode.library_of(path, modality), used]
    if "denoise" in used:
        content.append(denoise.version())
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def file_of(address: str) -> Path:
    """Return the cache file of a content address."""
    return cache_folder() / "prepared" / address[:2] / f"{address}.safetensors"


def compute(path: Path, modality: str, options: MediaConfig) -> dict[str, NDArray[Any]]:
    """Decode one file and compute one modality's input, without the cache.

    Args:
        path: the source file.
        modality: audio or video.
        options: sizes and rates.

    Returns:
        arrays by name; audio: `mel`; video: `patches`, uint8 (P, 1176), not yet normalised, and `grid_thw`.

    Raises:
        BadMedia: the file cannot be decoded or denoised, or is silent, black or too short.
    """
    if modality == "video":
        frames = clip_media.read_frames(path, options)
        _refuse(path, clip_media.check_video(frames))
        cut, grid_thw = cut_patches(frames)
        return {"patches": cut, "grid_thw": grid_thw}
    waveform = clip_media.read_audio(path, options)
    _refuse(path, clip_media.check_audio(waveform))
    if options.denoise != "none":
        waveform = clip_media.read_denoised(path, options)
        reason = clip_media.check_audio(waveform)
        _refuse(path, reason and f"{reason} after denoising")
    mel = mel_features(waveform, options)
    too_short = num_audio_tokens(mel.shape[1]) == 0
    _refuse(path, f"the audio lasts only {len(waveform) / options.sample_rate_hz:.3f} s" if too_short else None)
    return {"mel": mel}


def build_file(path: Path, modality: str, options: MediaConfig, target: Path) -> None:
    """Compute one modality's input of one file and write it atomically.

    Args:
        path, modality, options: as for `compute`.
        target: the file to write.

    Raises:
        BadMedia: as `compute`.
    """
    from safetensors.numpy import save_file

    arrays = compute(path, modality, options)
    write_atomic(target, lambda temporary: save_file(arrays, temporary))


def read_file(file: Path) -> ClipInputs:
    """Read a file written by `build_file`.

    Raises:
        ValueError: the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(file)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{file}: {error}") from error
    return as_inputs(arrays)


def as_inputs(arrays: dict[str, NDArray[Any]]) -> ClipInputs:
    """Return the network inputs of one modality from the arrays of `compute`."""
    if "mel" in arrays:
        return ClipInputs(mel=arrays["mel"])
    return ClipInputs(normalise_patches(arrays["patches"]), arrays["grid_thw"])


def read_sizes(file: Path) -> TokenCounts:
    """Return the number of tokens of a prepared input, reading little more than the file's header.

    Raises:
        ValueError: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "np") as arrays:
            if "mel" in arrays.keys():  # noqa: SIM118 (not a mapping)
                return TokenCounts(num_audio_tokens=num_audio_tokens(arrays.get_slice("mel").get_shape()[1]))
            return TokenCounts(num_video_tokens=num_video_tokens(arrays.get_tensor("grid_thw")))
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{file}: {error}") from error


def _refuse(path: Path, reason: str | None) -> None:
    if reason:
        raise clip_media.BadMedia(path, reason)
