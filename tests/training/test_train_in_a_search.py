"""Trials of a search: stopped after some epochs and promoted, with the test split locked and then opened."""

import os

import pytest
import torch

from helpers import tiny_trials
from helpers.searched import Searched
from omni_msa.cli.run import orphans
from omni_msa.config import plugins
from omni_msa.errors import Pruned
from omni_msa.execution.attempt import Job, run_attempt
from omni_msa.model.backbone_cache import Resident
from omni_msa.planning.plan import opened
from omni_msa.search.study_folder import DEFAULT
from omni_msa.training.checkpoints import FitFolder

TRAINED = [name for name in plugins.names("readouts") if plugins.load("readouts", name).trained]


def asked(trial, **fields):
    return trial.model_copy(update=fields)


@pytest.mark.parametrize("name", TRAINED)
def test_pruned_after_each_epoch_and_promoted_a_trial_has_the_same_bits(name, text_clips, tmp_path):
    trial = tiny_trials.config(readout={"name": name}, training={"epochs": 3})
    whole = tiny_trials.run(tmp_path / "whole", trial)
    for epoch in (1, 2):
        with pytest.raises(Pruned, match=f"after step {2 * epoch} of 6"):
            tiny_trials.run(tmp_path / "part", asked(trial, stops_after_epoch=epoch))
        folder = next((tmp_path / "part" / "trials").iterdir())
        assert not list(folder.glob("predictions.*")) and not (folder / "result.json").exists()
        begun = FitFolder(tiny_trials.fit_folder(tmp_path / "part", trial)).state()
        assert begun is not None and begun[0].step == 2 * epoch
        last, same = begun[0].rows[-1], whole.metrics()[2 * epoch - 1]
        assert {key: last[key] for key in last if key.startswith(("valid_", "train_loss"))} == {
            key: same[key] for key in same if key.startswith(("valid_", "train_loss"))
        }
    resumed = tiny_trials.run(tmp_path / "part", asked(trial, stops_after_epoch=None))
    assert tiny_trials.outcome(resumed) == tiny_trials.outcome(whole)


def test_a_trial_that_is_further_than_asked_stays_there(text_clips, tmp_path):
    trial = tiny_trials.config(training={"epochs": 3})
    for epoch in (2, 1):
        with pytest.raises(Pruned, match="after step 4 of 6"):
            tiny_trials.run(tmp_path, asked(trial, stops_after_epoch=epoch))
    for epoch in (3, 7):  # all there are
        folder = tiny_trials.run(tmp_path / str(epoch), asked(trial, stops_after_epoch=epoch))
        assert folder.result() is not None


@pytest.mark.parametrize("name", plugins.names("readouts"))
def test_locked_and_then_opened_a_trial_has_the_same_bits_and_is_trained_once(name, text_clips, tmp_path):
    trial = tiny_trials.config(readout={"name": name})
    whole = tiny_trials.run(tmp_path / "whole", trial)
    ledger, resident = tmp_path / "part", Resident()

    def job(opens_test: bool) -> Job:
        config = asked(trial, opens_test=opens_test).model_dump(mode="json")
        return Job(str(ledger), whole.trial_id, tiny_trials.fit_folder(ledger, trial).name, config, "t")

    assert run_attempt(job(False), resident) == "complete"
    locked = job(False).folder()
    assert not list(locked.path.glob("*test*")) and locked.status().state == "complete"
    assert locked.result()["valid"] == whole.result()["valid"]
    assert job(True).folder().status().state == "pending" and job(True).folder().result() is None
    fits = {file: file.stat().st_mtime_ns for file in ledger.glob("fits/*/fit.json")}
    assert run_attempt(job(False), resident) == "complete" and locked.status().attempt == 1  # nothing to do
    assert run_attempt(job(True), resident) == "complete" and locked.status().attempt == 2
    opened = job(True).folder()
    assert opened.test_metrics() == whole.test_metrics() and tiny_trials.scores(opened) == tiny_trials.scores(whole)
    if (whole.path / "states.test.npz").exists():
        assert tiny_trials.outcome(opened) == tiny_trials.outcome(whole)
    assert {file: file.stat().st_mtime_ns for file in ledger.glob("fits/*/fit.json")} == fits


def test_with_the_test_split_locked_a_readout_that_goes_for_it_fails(text_clips, tmp_path, assembled):
    def spy(built):
        built.readout.predict = lambda *arguments: built.splits.test

    assembled.change = spy
    with pytest.raises(PermissionError, match="locked"):
        tiny_trials.run(tmp_path, asked(tiny_trials.config(), opens_test=False))
    assert torch.get_num_threads() == 1 and not list(tmp_path.rglob("result.json"))


def test_a_pruned_attempt_is_closed_as_pruned_and_goes_on_when_asked_for_more(text_clips, tmp_path):
    trial, resident = tiny_trials.config(training={"epochs": 3}), Resident()
    name = tiny_trials.run(tmp_path / "whole", trial).trial_id

    def job(epochs) -> Job:
        config = asked(trial, stops_after_epoch=epochs, opens_test=False).model_dump(mode="json")
        return Job(str(tmp_path / "part"), name, tiny_trials.fit_folder(tmp_path, trial).name, config, "t")

    assert [run_attempt(job(epochs), resident) for epochs in (1, 2, None)] == ["pruned", "pruned", "complete"]
    assert job(None).folder().status().attempt == 3


def test_an_attempt_that_opens_test_is_waited_for_also_when_a_larger_budget_has_locked_it_again(tmp_path):
    place = Searched(tmp_path)
    place.run(num_jobs=6 * 2 + 4 * 2 + 1)  # a winner is named, and the first of four trials has opened test
    trial = next(each for each in opened(place.plan()).trials if each.config.seed == 12 and DEFAULT in each.cells[0])
    assert trial.status.state == "pending"
    place.ledger.trial(trial.trial_id).begin(trial.config, {})
    place.set(budget={"proposals": 9})
    plan = place.plan()
    assert not any(each.config.opens_test for each in plan.trials)
    assert orphans(plan) == [os.getpid()]
