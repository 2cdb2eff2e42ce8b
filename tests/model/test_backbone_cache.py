import pytest
import torch

from helpers import tiny_trials
from omni_msa.config import plugins
from omni_msa.model.backbone_cache import Resident
from omni_msa.model.thinker import parameter_hash

OPTIONS = plugins.load("backbones", "tiny").Options


def test_the_backbone_is_kept_for_the_same_options():
    resident = Resident()
    first = resident.backbone(OPTIONS(), "cpu")
    assert resident.backbone(OPTIONS(), "cpu") is first
    assert resident.weights == parameter_hash(first.model)


def test_other_options_load_another_backbone():
    resident = Resident()
    first, weights = resident.backbone(OPTIONS(), "cpu"), resident.weights
    assert resident.backbone(OPTIONS(weights_seed=1), "cpu") is not first
    assert resident.weights != weights
    resident.backbone(OPTIONS(), "cpu")
    assert resident.weights == weights


@pytest.mark.parametrize("options", [{}, {"quantization": "nf4"}], ids=str)
def test_a_trial_that_changes_one_bit_is_found_out_and_its_backbone_dropped(options):
    resident = Resident()
    backbone = resident.backbone(OPTIONS(**options), "cpu")
    resident.check_unchanged()
    weight = backbone.model.model.language_model.layers[0].mlp.up_proj.weight
    with torch.no_grad():
        weight.view(-1).view(torch.uint8)[-1] ^= 1
    with pytest.raises(RuntimeError, match="changed the frozen weights"):
        resident.check_unchanged()
    assert resident.weights == ""
    assert resident.backbone(OPTIONS(**options), "cpu") is not backbone
    resident.check_unchanged()


def test_an_empty_resident_has_nothing_to_check():
    Resident().check_unchanged()


def test_a_build_that_fails_leaves_it_empty():
    resident = Resident()
    resident.backbone(OPTIONS(), "cpu")
    with pytest.raises(RuntimeError):
        resident.backbone(OPTIONS(weights_seed=1), "no_such_device")
    assert resident.weights == ""
    resident.backbone(OPTIONS(), "cpu")


def test_nothing_leaks_from_trial_to_trial(text_clips, tmp_path):
    """A trial after others in one process gives the bits it gives in a process of its own."""
    resident = Resident()
    weights = []
    for seed, readout in enumerate(("discriminative", "generative", "frozen_probe", "expected_value")):
        tiny_trials.run(tmp_path / "many", tiny_trials.config(readout={"name": readout}, seed=seed), resident)
        weights.append(resident.weights)
    last = tiny_trials.run(tmp_path / "many", tiny_trials.config(seed=9), resident)
    alone = tiny_trials.run(tmp_path / "one", tiny_trials.config(seed=9))
    assert len(set(weights)) == 1
    assert tiny_trials.scores(last) == tiny_trials.scores(alone)
