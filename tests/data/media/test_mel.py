"""Log-mel features against transformers, token counts against the Omni audio tower."""

import numpy as np
import pytest

from helpers.media_files import tone
from omni_msa.config.trial import MediaConfig
from omni_msa.data.media.mel import mel_features, num_audio_tokens


def sound(num_samples: int) -> np.ndarray:
    rng = np.random.default_rng(num_samples)
    loud_at_the_end = np.linspace(0, 1, num_samples) ** 2 * rng.normal(0, 0.2, num_samples)
    return (loud_at_the_end + tone(num_samples / 16_000 + 1)[:num_samples]).astype(np.float32)


def burst_at_the_end(num_samples: int) -> np.ndarray:
    # Seen whole only by the frame centred on the end, which is not kept but whose maximum counts.
    return np.where(np.arange(num_samples) < num_samples - 100, 1e-6, 1.0).astype(np.float32) * sound(num_samples)


@pytest.mark.parametrize("hop_ms", [10, 20, 40])
@pytest.mark.parametrize("num_mel_bins", [80, 128])
@pytest.mark.parametrize("make", [sound, burst_at_the_end])
@pytest.mark.parametrize("num_samples", [150, 1_000, 16_000, 31_999, 32_001, 100_000])
def test_features_are_those_of_the_omni_processor(num_samples, make, num_mel_bins, hop_ms):
    from transformers import WhisperFeatureExtractor

    extractor = WhisperFeatureExtractor(feature_size=num_mel_bins, hop_length=16 * hop_ms)
    waveform = make(num_samples)
    # As Qwen2_5OmniProcessor calls it: filled up to 30 s, with the mask that its model then cuts by.
    theirs = extractor(waveform, sampling_rate=16_000, return_attention_mask=True, return_tensors="np")
    expected = theirs["input_features"][0][:, theirs["attention_mask"][0].astype(bool)]
    ours = mel_features(waveform, MediaConfig(mel_hop_ms=hop_ms, num_mel_bins=num_mel_bins))
    assert ours.dtype == np.float32 and ours.flags.c_contiguous
    assert ours.shape == expected.shape == (num_mel_bins, -(-num_samples // (16 * hop_ms)))
    np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_sound_beyond_the_limit_has_no_influence():
    media = MediaConfig(audio_seconds_max=1.0)
    np.testing.assert_array_equal(mel_features(sound(40_000), media), mel_features(sound(40_000)[:16_000], media))


def test_token_counts_by_hand():
    assert [num_audio_tokens(frames) for frames in range(10)] == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2]


def test_token_counts_are_those_of_the_audio_tower():
    import torch
    from transformers import Qwen2_5OmniAudioEncoderConfig
    from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniAudioEncoder

    config = Qwen2_5OmniAudioEncoderConfig(
        d_model=16, encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=16, output_dim=8, num_mel_bins=80
    )
    tower = Qwen2_5OmniAudioEncoder(config).eval()
    for num_mel_frames in (3, 4, 5, 6, 7, 99, 100, 101, 199, 200, 201, 202, 203, 399, 401, 403, 777):
        features, length = torch.zeros(80, num_mel_frames), torch.tensor([num_mel_frames])
        with torch.no_grad():
            tokens = tower(features, feature_lens=length, aftercnn_lens=(length - 1) // 2 + 1).last_hidden_state
        assert len(tokens) == num_audio_tokens(num_mel_frames), num_mel_frames
