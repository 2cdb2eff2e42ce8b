"""A trial that somebody ran stays found: ids of commit 9616bb6, whose configurations are spelled out in full."""

import json

import pytest

from helpers.paths import FIXTURES
from omni_msa.config.identity import fit_id, trial_id
from omni_msa.config.trial import parse_trial

TRIALS = json.loads((FIXTURES / "recorded_ids.json").read_text())["trials"]


def test_there_are_enough_of_every_kind():
    assert len({trial["trial_id"] for trial in TRIALS}) == len(TRIALS) >= 10
    assert len({trial["config"]["readout"]["name"] for trial in TRIALS}) == 6


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: f"{trial['sweep']}-{trial['config']['readout']['name']}")
def test_a_recorded_trial_keeps_its_ids(trial):
    config = parse_trial(trial["config"])
    assert trial_id(config, trial["fingerprint"]) == trial["trial_id"]
    assert fit_id(config, trial["fingerprint"]) == trial["fit_id"]
