"""However a batch is split, padded or recomputed: the same losses, gradients and scores but for rounding."""

import pytest
import torch

from helpers import tiny_trials
from omni_msa.config import plugins
from omni_msa.config.trial import AdapterConfig
from omni_msa.model.adapter import attached
from omni_msa.model.forward import Forward

MODALITIES = [("text",), ("text", "audio", "video")]
NUM = 8


@pytest.fixture(scope="module", params=["none", "nf4"])
def backbone(request):
    return tiny_trials.tiny_backbone(quantization=request.param)


def step(backbone, name, modalities, micro_batch, checkpointing, order=None):
    """One optimiser step's losses in the order of clips, and its gradients, as `train` accumulates them."""
    plugin = plugins.load("readouts", name)
    prompts = tiny_trials.make_prompts(backbone, modalities, num=NUM)
    labels = torch.tensor([label for _, label, _ in tiny_trials.SENTENCES[:NUM]])
    assert len({len(prompt.token_ids) for prompt in prompts}) > 2  # so that a batch has padding on the left
    torch.manual_seed(0)
    readout = plugin.build(plugin.Options(), tiny_trials.tiny_task(backbone)).eval()
    order, losses = order or list(range(NUM)), torch.zeros(NUM)
    with attached(backbone, AdapterConfig(rank=2, dropout=0.0), seed=1) as adapter:
        tiny_trials.move(adapter)
        forward = Forward(backbone, checkpointing=checkpointing)
        for start in range(0, NUM, micro_batch):
            part = order[start : start + micro_batch]
            found = readout.losses(forward, [prompts[place] for place in part], labels[part])
            losses[part] = found.detach()
            (found.sum() / NUM).backward()
        gradients = {name: tensor.grad for name, tensor in adapter.state_dict().items()}
        gradients |= {name: tensor.grad for name, tensor in readout.named_parameters()}
        with torch.no_grad():
            scores = [
                each.score
                for start in range(0, NUM, micro_batch)
                for each in readout.predict(forward, [prompts[place] for place in order[start : start + micro_batch]])
            ]
    return losses, gradients, torch.tensor(scores)[torch.tensor(order).argsort()]


@pytest.mark.parametrize("modalities", MODALITIES, ids="+".join)
@pytest.mark.parametrize("name", ["discriminative", "generative"])
def test_one_by_one_and_all_at_once_are_the_same_step(backbone, name, modalities):
    losses, gradients, scores = step(backbone, name, modalities, 1, False)
    adapted = [value for key, value in gradients.items() if "lora" in key and "language_model" in key]
    assert len(set(losses.tolist())) == NUM and min(value.abs().max() for value in adapted) > 0
    backwards = list(range(NUM))[::-1]
    for variant in [(8, False), (1, True), (8, True), (3, True), (8, False, backwards)]:
        others = step(backbone, name, modalities, *variant)
        torch.testing.assert_close(others[0], losses, atol=2e-5, rtol=2e-5)
        torch.testing.assert_close(others[2], scores, atol=2e-5, rtol=2e-5)
        for key, value in others[1].items():
            if value is None:
                assert gradients[key] is None  # an encoder that has nothing to read
                continue
            scale = gradients[key].abs().max().item()
            torch.testing.assert_close(value, gradients[key], atol=2e-4 * scale + 1e-7, rtol=1e-3, msg=key)


def test_recomputing_one_clip_changes_no_bit(backbone):
    plain, again = (step(backbone, "discriminative", MODALITIES[1], 1, on) for on in (False, True))
    assert torch.equal(plain[0], again[0]) and torch.equal(plain[2], again[2])
    assert all(torch.equal(value, again[1][key]) for key, value in plain[1].items())
