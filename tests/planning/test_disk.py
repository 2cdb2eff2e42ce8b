"""What trials take, by hand: the tiny backbone's adapter and the 7B's protocol."""

import pytest

from helpers.stand_ins import config
from omni_msa.config.lookups import num_clips, uses
from omni_msa.planning.disk import best_gb, inputs_gb, num_trained, reserve_gb, state_gb

PAPER = {
    "dataset": {"name": "mosi"},
    "media": {"num_frames_max": 16, "frame_rate_hz": 2.0, "frame_pixels_max": 100_352, "mel_hop_ms": 10},
    "backbone": {"name": "qwen2_5_omni_7b", "quantization": "nf4", "dtype": "bfloat16"},
    "adapter": {"rank": 32},
    "training": {"batch_size": 8},
}
FROZEN = {"readout": {"name": "frozen_probe"}}


def paper(**runtime):
    return config(**PAPER, runtime=runtime)


def test_needed_disk_grows_with_clips_and_frames():
    one = {"name": "vader_av", "num_train": 1, "num_valid": 1, "num_test": 1}
    small = config(dataset=one, media={"num_frames_max": 2})
    large = config(dataset={**one, "num_train": 4}, media={"num_frames_max": 2})
    assert inputs_gb([large]) == pytest.approx(2 * inputs_gb([small]))
    assert inputs_gb([small, small]) == inputs_gb([small])
    longer = config(dataset=one, media={"num_frames_max": 16})
    # 14 frames of 100,352 pixels of three bytes more, for each of three clips.
    assert inputs_gb([longer]) - inputs_gb([small]) == pytest.approx(3 * 14 * 100_352 * 3 / 1e9)


def test_clips_are_counted_from_the_options_or_the_corpus():
    assert num_clips(config().dataset) == 18 and num_clips(config().dataset, "train") == 10
    assert num_clips(config(dataset={"name": "mosi"}).dataset, "train") == 1284


def test_a_readout_says_what_it_uses():
    assert uses(config(), "adapter") and not uses(config(readout={"name": "constant"}), "backbone")


def test_weights_that_are_trained():
    assert num_trained(paper()) == 103_043_072  # counted on the meta device, too
    assert num_trained(config(**FROZEN)) == 0
    assert num_trained(config(adapter={"rank": 4, "text_layers": "last_9"})) == 0  # refused elsewhere


def test_checkpoints_hold_float32_weights_and_two_moments():
    assert best_gb(paper()) == pytest.approx(0.412172288) and state_gb(paper()) == pytest.approx(3 * 0.412172288)
    assert best_gb(config(**FROZEN)) == 0.0


def test_the_reserve_is_room_for_what_runs_twice():
    assert reserve_gb([config(**FROZEN)], 4) == 0.5
    assert reserve_gb([config(**FROZEN), paper()], 2) == pytest.approx(2 * 2 * 4 * 0.412172288 + 0.5)
    assert reserve_gb([], 2) == 0.5
    assert reserve_gb([paper(disk_reserve_gb=7.0)], 2) == 7.0
    assert reserve_gb([paper(disk_reserve_gb=0.0)], 2) == 0.0


def test_prepared_inputs_take_no_more_disk_than_their_limit(monkeypatch):
    monkeypatch.delenv("OMNI_MSA_CACHE_GB", raising=False)
    whole = inputs_gb([paper()])  # some GB of frames, and 2 MB for each of 2199 clips
    monkeypatch.setenv("OMNI_MSA_CACHE_GB", "1.5")
    assert inputs_gb([paper()]) == pytest.approx(1.5 + 2199 * 2e-3)
    assert whole > 7
    monkeypatch.setenv("OMNI_MSA_CACHE_GB", "1000")
    assert inputs_gb([paper()]) == whole
