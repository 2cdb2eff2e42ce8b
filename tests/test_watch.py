"""What is shown and recorded while trials run, from their files."""

import pytest
from stand_ins import complete

from omni_msa.ledger import Ledger
from omni_msa.plan import make_plan
from omni_msa.sweep import load_sweep
from omni_msa.watch import Watch


@pytest.fixture
def plan(tmp_path, write_sweep, own_cache):
    """Three trials: discriminative with seeds 1 and 2 (16 training clips in steps of 4, 2 epochs), and constant."""
    return make_plan(load_sweep(write_sweep()), Ledger(tmp_path / "mlruns"))


@pytest.fixture
def watched(plan):
    shown, recorded = [], []
    watch = Watch(plan.trials, plan.ledger, shown.append, lambda trial, state: recorded.append((trial.label, state)))
    return watch, shown, recorded


def folder_of(plan, number):
    return plan.ledger.trial(plan.trials[number].trial_id)


def begin(plan, number):
    folder_of(plan, number).begin(plan.trials[number].config, {})
    return folder_of(plan, number)


def test_nothing_has_begun(watched):
    watch, shown, recorded = watched
    watch.look()
    watch.follow()
    assert shown[0].num_done == 0 and not shown[0].running and not shown[0].failures
    assert recorded == []


def test_a_running_trial_is_shown_with_its_latest_numbers(plan, watched):
    watch, shown, _ = watched
    folder = begin(plan, 0)
    rows = [
        {"step": 2, "epoch": 1, "train_loss": 0.9},
        {"step": 4, "epoch": 1, "train_loss": 0.8, "valid_mae": 1.1},
        {"step": 6, "epoch": 2, "train_loss": 0.7},
    ]
    folder.write_metrics(rows)
    folder.heartbeat(2, 6)
    watch.look()
    (running,) = shown[0].running
    assert (running.name, running.epoch, running.num_epochs) == ("discriminative, seed 1", 1, 2)
    assert (running.step, running.num_steps, running.share) == (6, 8, 0.75)
    assert (running.train_loss, running.valid, running.valid_metric) == (0.7, 1.1, "mae")


def test_a_trial_without_training_has_no_length(plan, watched):
    watch, shown, _ = watched
    begin(plan, 1)
    watch.look()
    (running,) = shown[0].running
    assert (running.num_epochs, running.num_steps, running.share) == (0, 0, 0.0)


def test_done_and_failed_are_counted(plan, watched):
    watch, shown, _ = watched
    complete(begin(plan, 0))
    begin(plan, 1).fail("bug", "it broke", "trace")
    watch.look()
    assert shown[0].num_done == 1 and shown[0].failures == {"constant": "it broke"}


def test_each_end_is_recorded_once_and_a_running_trial_again_and_again(plan, watched):
    watch, _, recorded = watched
    folder = begin(plan, 0)
    watch.follow()
    watch.follow()
    complete(folder)
    watch.follow()
    watch.follow()
    name = "discriminative, seed 1"
    assert recorded == [(name, "running"), (name, "running"), (name, "complete")]


def test_a_failed_trial_that_is_tried_again_is_recorded_again(plan, watched):
    watch, shown, recorded = watched
    begin(plan, 1).fail("bug", "it broke", "trace")
    watch.follow()
    begin(plan, 1)
    watch.look()
    watch.follow()
    assert shown[0].failures == {} and len(shown[0].running) == 1
    begin(plan, 1).fail("bug", "it broke again", "trace")
    watch.follow()
    assert [state for _, state in recorded] == ["failed", "running", "failed"]
