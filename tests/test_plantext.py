"""A plan in words."""

import re

import pytest
from stand_ins import complete

from omni_msa.ledger import Ledger
from omni_msa.plan import make_plan
from omni_msa.plantext import failures_text, plan_text, status_text
from omni_msa.sweep import load_sweep


@pytest.fixture
def plan(tmp_path, write_sweep, own_cache):
    """Return a function that makes the plan of discriminative (seeds 1 and 2) and constant anew."""
    return lambda *overrides: make_plan(load_sweep(write_sweep(), overrides), Ledger(tmp_path / "mlruns"))


def rows_of(text: str) -> dict[str, list[str]]:
    return {words[0]: words[1:] for line in text.splitlines() if (words := re.split(r"\s{2,}", line.strip()))}


def test_the_plan_counts_cells_seeds_trials_and_time(plan):
    text = plan_text(plan())
    assert "2 cells, 2 seeds (1, 2), 3 trials: 0 done, 0 failed, 0 running" in text
    assert rows_of(text)["discriminative"] == ["2", "0", "0", "0", "2"]
    assert rows_of(text)["constant"] == ["any", "0", "0", "0", "1"]
    assert "4,096 trainable parameters" in text and "guessed from runtime.seconds_per_clip" in text
    assert "would refuse" not in text


def test_what_is_done_is_not_to_run(plan):
    for trial in plan().trials[:2]:
        folder = plan().ledger.trial(trial.trial_id)
        folder.begin(trial.config, {})
        complete(folder)
    text = plan_text(plan())
    assert rows_of(text)["discriminative"] == ["2", "1", "0", "0", "1"]
    assert rows_of(text)["constant"] == ["any", "1", "0", "0", "0"]
    assert "to run: 1 trial," in text


def test_refusals_are_numbered(plan, tmp_path):
    text = plan_text(plan(f"dataset.root={tmp_path / 'nowhere'}"))
    assert "a run would refuse:\n1. " in text and "nowhere" in text


def test_status_says_where_each_trial_stands_and_why_one_failed(plan):
    trials = plan().trials
    folders = [plan().ledger.trial(trial.trial_id) for trial in trials]
    for trial, folder in zip(trials, folders, strict=True):
        folder.begin(trial.config, {})
    complete(folders[0])
    folders[1].fail("not finite", "the loss is nan", "Traceback\n  ...\nFloatingPointError: the loss is nan\n")
    folders[2].heartbeat(2, 7)
    text = status_text(plan())
    rows = rows_of(text)
    assert rows["discriminative, seed 1"] == ["complete", "1", trials[0].trial_id]
    assert rows["discriminative, seed 2"][0] == "running epoch 2, step 7"
    assert "failed: constant (not finite)\n    FloatingPointError: the loss is nan\n" in text
    assert str(folders[1].path / "error.txt") in text


def test_a_failure_without_its_file_is_told_from_the_status(plan):
    folder = plan().ledger.trial(plan().trials[0].trial_id)
    folder.begin(plan().trials[0].config, {})
    folder.fail("bug", "one line", "")
    assert "one line" in "\n".join(failures_text(plan()))
