"""Memory by parts, by hand."""

import pytest
import torch

from helpers import tiny_trials
from helpers.stand_ins import config
from helpers.tiny_trials import tiny_backbone
from omni_msa.config import plugins
from omni_msa.model.forward import Forward
from omni_msa.planning.disk import num_trained
from omni_msa.planning.memory import Lengths, Memory, clip_lengths, host_memory_gb, memory_gb, plan_memory

PAPER = {
    "dataset": {"name": "mosi"},
    "media": {"num_frames_max": 16, "frame_rate_hz": 2.0, "frame_pixels_max": 100_352, "mel_hop_ms": 10},
    "backbone": {"name": "qwen2_5_omni_7b", "quantization": "nf4", "dtype": "bfloat16"},
    "adapter": {"rank": 32},
    "training": {"batch_size": 8},
}
ALL = ("text", "audio", "video")


def paper(readout="discriminative", **runtime):
    return config(**PAPER, readout={"name": readout}, runtime={"micro_batch": 1, **runtime})


def test_lengths_of_a_clip_by_hand():
    # 4 s: 200 mel frames after the convolutions and 100 tokens; 8 frames of 512 patches, four of two frames a token.
    assert clip_lengths(paper(), 4.0) == Lengths(45 + 16 + 100 + 512, 200, 2048)
    assert clip_lengths(paper(), 60.0) == Lengths(45 + 240 + 750 + 1024, 1500, 4096)  # sound and frames have a limit
    assert clip_lengths(config(**PAPER, modalities=("text",)), 4.0) == Lengths(61, 0, 0)


def test_parts_of_the_papers_trial_by_hand():
    assert plan_memory(config(readout={"name": "constant"})) == Memory() and memory_gb(
        config(readout={"name": "constant"})
    ) == pytest.approx(0.0)
    found = plan_memory(paper("generative"), 4.0)
    assert found.adapter == pytest.approx(103_043_072 * 16 / 1e9)
    # 673 tokens of 28 layers: of the width twice 4 bytes for norms and four times 2 for attention, six adapted inputs
    # of 5 bytes; of the inner width three times 2, and one adapted input; 7 low-rank products of 32 float32.
    block = 16 * 3584 + 6 * 18_944 + 5 * (6 * 3584 + 18_944) + 7 * 128
    assert found.text_states == pytest.approx(673 * 28 * block / 1e9)
    # Sound, 200 frames of 32 layers, q, k and v adapted; picture, 2048 patches of 32 layers, gate, up and down.
    audio = (4 + 8) * 1280 + 2 * 5120 + 5 * 3 * 1280 + 3 * 128
    video = (8 + 8) * 1280 + 6 * 3420 + 5 * (2 * 1280 + 3420) + 3 * 128
    assert found.tower_states == pytest.approx(32 * (200 * audio + 2048 * video) / 1e9)
    assert found.logits == pytest.approx(6 * 152_064 * (2 + 12) / 1e9)
    assert found.working == pytest.approx((18_944 * 3584 * 2 + 12 * 673 * 18_944) / 1e9)
    silent = plan_memory(paper(), 4.0)
    assert found.weights - silent.weights == pytest.approx(2 * 152_064 * 3584 / 1e9)  # lm_head
    assert silent.logits == 0.0


def test_checkpointing_keeps_what_goes_into_layers_and_one_layer_for_a_moment():
    plain, saving = (plan_memory(paper(gradient_checkpointing=on), 4.0) for on in (False, True))
    assert saving.text_states == pytest.approx(673 * 28 * 3584 * 2 / 1e9)
    assert saving.tower_states == pytest.approx((200 + 2048) * 32 * 1280 * 2 / 1e9)
    assert saving.working - plain.working == pytest.approx(plain.text_states / 28)
    assert saving.total < 0.6 * plain.total


def test_clips_in_a_pass_multiply_states_but_not_weights():
    one, four, many = (plan_memory(paper(micro_batch=size), 4.0) for size in (1, 4, 99))
    assert four.text_states == pytest.approx(4 * one.text_states) and four.weights == one.weights
    assert many == plan_memory(paper(micro_batch=8), 4.0)  # not more than a batch
    frozen = [plan_memory(paper("frozen_probe", eval_batch=size), 4.0) for size in (1, 4)]
    assert frozen[0].text_states == frozen[0].adapter == 0.0 and frozen[1].working > frozen[0].working


def test_layers_below_a_text_adapter_keep_no_states():
    text = {"rank": 4, "towers": ["text"]}
    low, high = (plan_memory(config(adapter={**text, "text_layers": layers})) for layers in ("all", "last_1"))
    assert low.text_states == pytest.approx(4 * high.text_states) and low.tower_states == 0.0
    with_sound = plan_memory(config(adapter={"rank": 4, "text_layers": "last_1"}, modalities=ALL))
    assert with_sound.text_states > 2 * high.text_states  # gradients to the encoders pass through every layer
    without = plan_memory(config(adapter={"rank": 4, "text_layers": "last_1"}, modalities=("text",)))
    assert without.tower_states == 0.0


def test_the_bound_is_below_the_plan():
    assert memory_gb(paper()) < plan_memory(paper(), 4.0).total < plan_memory(paper()).total
    assert host_memory_gb(config()) == pytest.approx(0.4 + memory_gb(config()))
    assert num_trained(paper()) == 103_043_072


def test_the_text_names_the_parts():
    assert str(Memory(weights=5.56, adapter=1.65, logits=0.01)) == "7.2 GB = weights 5.6 + adapter 1.6"
    saving = plan_memory(paper(gradient_checkpointing=True))
    assert 8.0 < saving.total < 10.8  # the paper reports a peak of 10.78 GB
    assert "text states" in str(saving)


@pytest.mark.parametrize("name", plugins.names("readouts"))
def test_a_readout_that_says_it_writes_no_text_never_asks_for_scores_of_tokens(name, monkeypatch):
    plugin, backbone = plugins.load("readouts", name), tiny_backbone()
    if "backbone" not in plugin.uses:
        return
    asked = []
    monkeypatch.setattr(
        Forward, "logits", lambda self, states, real=Forward.logits: asked.append(1) or real(self, states)
    )
    prompts, labels = tiny_trials.make_prompts(backbone), torch.tensor([2.4, -2.1, 0.3])
    readout, forward = plugin.build(plugin.Options(), tiny_trials.tiny_task(backbone)).eval(), Forward(backbone)
    if readout.closed_form:
        readout.fit(forward, (prompts, labels), (prompts, labels), 2)
    readout.predict(forward, prompts)
    assert bool(asked) == plugin.needs_output_layer
