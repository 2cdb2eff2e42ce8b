"""Whisper's log-mel features in numpy, so that a decoding process need not import torch."""

from functools import cache
from math import ceil

import numpy as np
from numpy.typing import NDArray

from omni_msa.config.trial import MediaConfig

FFT_SAMPLES = 400


def mel_features(waveform: NDArray[np.float32], media: MediaConfig) -> NDArray[np.float32]:
    """Compute the log-mel features that the Omni audio tower expects.

    They equal those of Qwen2_5OmniProcessor for audio shorter than 30 s: the waveform is padded with silence, and the
    frames that start within the waveform are kept. Formula: Whisper, arXiv 2212.04356, section 2.2.

    Args:
        waveform: mono samples at 16 kHz, float32 (N,); samples beyond `audio_seconds_max` are cut off.
        media: `mel_hop_ms`, `num_mel_bins` and `audio_seconds_max` are used.

    Returns:
        features in about [-1.5, 1.5], float32 (num_mel_bins, ceil(N / hop)).
    """
    hop = media.mel_hop_ms * media.sample_rate_hz // 1000
    waveform = waveform[: round(media.audio_seconds_max * media.sample_rate_hz)]
    num_frames = ceil(len(waveform) / hop)
    # Frames that overlap only the end are computed too, because the floor depends on the loudest value of all.
    num_touching = ceil((len(waveform) + FFT_SAMPLES // 2) / hop)
    silence_after = np.pad(waveform.astype(np.float64), (0, FFT_SAMPLES))
    padded = np.pad(silence_after, (FFT_SAMPLES // 2, 0), mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT_SAMPLES)[::hop][:num_touching]  # (K, 400)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT_SAMPLES) / FFT_SAMPLES)
    power = np.abs(np.fft.rfft(frames * window)) ** 2  # (K, 201)
    log_mel = np.log10(np.maximum(power @ mel_filters(media.num_mel_bins), 1e-10))
    log_mel = (np.maximum(log_mel, log_mel.max() - 8.0) + 4.0) / 4.0
    return np.ascontiguousarray(log_mel[:num_frames].T, dtype=np.float32)


@cache
def mel_filters(num_mel_bins: int) -> NDArray[np.float64]:
    """Return triangular filters, equally spaced on Slaney's mel scale up to 8 kHz, each of equal area.

    Source: M. Slaney, Auditory Toolbox, 1998: linear below 1 kHz (15 mel), 27 mel per factor of 6.4 above.

    Args:
        num_mel_bins: number of filters.

    Returns:
        weights, float64 (201, num_mel_bins).
    """
    mels = np.linspace(0.0, 15.0 + 27.0 * np.log(8.0) / np.log(6.4), num_mel_bins + 2)
    edges_hz = np.where(mels < 15.0, mels * 200 / 3, 1000.0 * np.exp((mels - 15.0) * np.log(6.4) / 27.0))
    bins_hz = np.linspace(0.0, 8000.0, FFT_SAMPLES // 2 + 1)[:, None]  # (201, 1)
    low, centre, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rising, falling = (bins_hz - low) / (centre - low), (high - bins_hz) / (high - centre)
    filters: NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (high - low)
    return filters


def num_audio_tokens(num_mel_frames: int) -> int:
    """Return the number of tokens that the Omni audio tower outputs: a convolution and a pooling, each with stride 2.

    Args:
        num_mel_frames: number of mel frames, at least 0; fewer than 3 give no token.
    """
    num_after_convolution = (num_mel_frames - 1) // 2 + 1
    return max(0, (num_after_convolution - 2) // 2 + 1)
