import numpy as np
import pytest
import torch

from helpers import tiny_trials
from helpers.ridge import LABELS, ridge
from omni_msa.model.forward import Forward
from omni_msa.readouts import frozen_probe
from omni_msa.readouts._task import Task


@pytest.fixture(scope="module")
def backbone():
    return tiny_trials.tiny_backbone()


def fitted(backbone, prompts, valid=slice(6, 8), **options):
    task = Task((-3.0, 3.0), LABELS[:6].mean().item(), 1.0, 0.0, backbone.hidden_size, backbone.tokenizer)
    readout = frozen_probe.build(frozen_probe.Options(**options), task)
    readout.fit(Forward(backbone), (prompts[:6], LABELS[:6]), (prompts[valid], LABELS[valid]), batch=4)
    return readout


@pytest.mark.parametrize("strength", [1.0, 30.0, 1000.0])
def test_it_is_ridge_regression_on_the_last_tokens_state(backbone, strength):
    prompts = tiny_trials.make_prompts(backbone, num=8)
    features = torch.cat([Forward(backbone).states([prompt])[:, -1] for prompt in prompts]).double().numpy()
    expected = ridge(features[:6], LABELS[:6].numpy(), features, strength)
    found = fitted(backbone, prompts, strengths=(strength,)).predict(Forward(backbone), prompts)
    assert [each.score for each in found] == pytest.approx(np.clip(expected, -3, 3), abs=1e-4)


def test_the_strength_is_the_one_with_the_smallest_error_on_valid(backbone):
    prompts = tiny_trials.make_prompts(backbone, num=8)
    strengths = (0.1, 3.0, 1e5)
    errors = []
    for strength in strengths:
        found = fitted(backbone, prompts, strengths=(strength,)).predict(Forward(backbone), prompts[6:])
        errors.append(np.abs([each.score for each in found] - LABELS[6:].numpy()).mean())
    assert fitted(backbone, prompts, strengths=strengths).ridge.strength == strengths[int(np.argmin(errors))]
    # On the training clips themselves the weakest penalty always wins: so it is valid that is looked at.
    assert fitted(backbone, prompts, valid=slice(0, 6), strengths=strengths).ridge.strength == 0.1


def test_an_endless_penalty_leaves_the_training_mean(backbone):
    prompts = tiny_trials.make_prompts(backbone, num=8)
    found = fitted(backbone, prompts, strengths=(1e12,)).predict(Forward(backbone), prompts)
    assert [each.score for each in found] == pytest.approx([LABELS[:6].mean().item()] * 8, abs=1e-4)
