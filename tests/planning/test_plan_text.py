"""A plan in words."""

import os
import re
from dataclasses import replace

import pytest

from helpers.searched import Searched
from helpers.stand_ins import complete
from omni_msa.ledger.ledger import Ledger
from omni_msa.planning.plan import make_plan
from omni_msa.planning.plan_text import closing_text, failures_text, plan_text, status_text
from omni_msa.planning.slots import Slots
from omni_msa.sweep.sweep import load_sweep
from omni_msa.text import duration


@pytest.fixture
def plan(tmp_path, write_sweep, own_cache):
    """Return a function that makes the plan of discriminative (seeds 1 and 2) and constant anew."""
    return lambda *overrides: make_plan(load_sweep(write_sweep(), overrides), Ledger(tmp_path / "mlruns"))


def rows_of(text: str) -> dict[str, list[str]]:
    return {words[0]: words[1:] for line in text.splitlines() if (words := re.split(r"\s{2,}", line.strip()))}


def test_the_plan_counts_cells_seeds_trials_and_time(plan):
    text = plan_text(plan())
    assert "2 cells, 2 seeds (1, 2), 3 trials: 0 done, 0 failed, 0 running" in text
    assert rows_of(text)["discriminative"] == ["2", "0", "0", "0", "2", "<0.01"]
    assert rows_of(text)["constant"] == ["any", "0", "0", "0", "1", "0"]
    assert "4,096 trainable parameters" in text and "guessed from runtime.seconds_per_clip" in text
    assert "would refuse" not in text


def test_what_is_done_is_not_to_run(plan):
    for trial in plan().trials[:2]:
        folder = plan().ledger.trial(trial.trial_id)
        folder.begin(trial.config, {})
        complete(folder)
    text = plan_text(plan())
    assert rows_of(text)["discriminative"] == ["2", "1", "0", "0", "1", "<0.01"]
    assert rows_of(text)["constant"] == ["any", "1", "0", "0", "0", "0"]
    assert "to run: 1 trial," in text


def test_refusals_are_numbered(plan, tmp_path):
    text = plan_text(plan(f"dataset.root={tmp_path / 'nowhere'}"))
    assert "a run would be refused:\n1. " in text and "nowhere" in text


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
    status = folders[2].status()
    where = f"running on {status.host}:{os.getpid()} since {status.since}, epoch 2, step 7"
    assert rows["discriminative, seed 2"][0] == f"{where}, last heartbeat {status.heartbeat}"
    assert rows["constant"][0] == "failed (not finite)"
    assert text.endswith("1 done, 1 running, 1 failed, 0 missing")
    assert "failed: constant (not finite)\n    FloatingPointError: the loss is nan\n" in text
    assert str(folders[1].path / "error.txt") in text


def test_a_failure_without_its_file_is_told_from_the_status(plan):
    folder = plan().ledger.trial(plan().trials[0].trial_id)
    folder.begin(plan().trials[0].config, {})
    folder.fail("bug", "one line", "")
    assert "one line" in "\n".join(failures_text(plan()))


def test_a_trial_that_was_stopped_is_missing_and_says_how_far_it_came(plan):
    trials = plan().trials
    folder = plan().ledger.trial(trials[0].trial_id)
    folder.begin(trials[0].config, {})
    folder.heartbeat(1, 3)
    folder.interrupt()
    rows = rows_of(status_text(plan()))
    assert rows["discriminative, seed 1"] == ["missing, stopped at epoch 1, step 3", "1", trials[0].trial_id]
    assert rows["discriminative, seed 2"][:2] == ["missing", "0"]
    assert status_text(plan()).endswith("0 done, 0 running, 0 failed, 3 missing")
    folder.fail("hang", "no sign of life", "stacks", reaction="tried again")
    row = rows_of(status_text(plan()))["discriminative, seed 1"]
    assert row[0] == "missing, stopped at epoch 1, step 3, again after: hang"


def test_cost_is_shown_with_what_it_rests_on(plan):
    text = plan_text(plan("runtime.seconds_per_clip=900", "runtime.device=cpu", "runtime.trials_at_once=2"))
    # Two fits of 16 clips, 2 epochs and a quarter of an hour a clip: 8 hours each, one after the other on a core.
    assert rows_of(text)["discriminative"][-1] == "16.00" and "core-hours" in text
    assert "2 at once; expected time 8 h 00 min, cost 16.00 core-hours (3 guessed" in text.replace("about ", "")


def test_notes_on_gpus_follow_the_time(plan):
    noted = replace(plan("runtime.device=cpu"), slots=Slots(2, 1, notes=("card 1 is not used",)))
    text = plan_text(noted)
    assert "\nnote: card 1 is not used" in text and "GPU-hours" in text


def test_memory_is_shown_by_parts_for_the_cell_that_takes_most(plan):
    [line] = [line for line in plan_text(plan()).splitlines() if line.startswith("memory")]
    assert re.fullmatch(
        r"memory per trial on the host: at most 0\.\d GB = .*libraries 0\.6, "
        r"with clips of 30 s and micro_batch 4 \(cell discriminative\)",
        line,
    )
    assert "trial on the GPU: at most" in plan_text(plan("runtime.device=cuda", "runtime.gradient_checkpointing=true"))
    assert not any(line.startswith("memory") for line in plan_text(plan("axes.readout=[constant]")).splitlines())


def to_run(place: Searched, **changes) -> str:
    place.set(**changes)
    [line] = [line for line in plan_text(place.plan()).splitlines() if line.startswith("to run: ")]
    return line


GUESSED = "guessed from runtime.seconds_per_clip"


def test_a_search_that_a_number_ends_says_how_long_it_takes(tmp_path):
    # 8 clips, 8 epochs, half a second each: 32 s a trial. Both seeds of the default, twice; 6 proposals; the best 2.
    line = to_run(Searched(tmp_path), budget={"proposals": 6})
    assert line.startswith("to run: 20 trials,") and line.endswith(f"(20 {GUESSED})") and "cost 0.18" in line


def test_a_search_that_hours_end_says_what_is_known(tmp_path):
    place = Searched(tmp_path)
    # Confirming are the default twice and one with fresh seeds, of 2 trials each, 32 s a trial.
    confirming_s = 6 * 32 / place.plan().num_slots
    text = f"confirming takes about {duration(confirming_s)} more (8 {GUESSED})"
    at_once = f"{place.plan().num_slots} at once; proposing ends after"
    assert to_run(place, budget={"hours": 2}) == f"to run: 8 trials at least, {at_once} 2 h 00 min, {text}"
    first = f"to run: 8 to 20 trials, {at_once}"
    line = to_run(place, budget={"proposals": 6, "gpu_hours": 0.5})
    assert line == f"{first} 0.50 core-hours at the latest, {text}"
    line = to_run(place, budget={"proposals": 6, "gpu_hours": 0.5, "hours": 0.01})
    assert line == f"{first} 36 s or 0.50 core-hours at the latest, {text}"
    line = to_run(place, budget={"hours": 0.01}, axes={"training.batch_size": [4, 8]})
    assert line.startswith("to run: 16 trials at least,") and "ends after 36 s in each of 2 searches, conf" in line


def test_a_grid_that_hours_end_does_not_count_all_its_points(tmp_path):
    space = {"adapter.rank": {"int": [1, 64]}, "training.batch_size": {"int": [1, 64]}}
    line = to_run(Searched(tmp_path), space=space, sampler="grid", budget={"hours": 0.001})
    assert line.startswith("to run: 8 to 8200 trials, ") and "proposing ends after 4 s at the latest" in line


def test_the_last_line_of_a_run_counts_all_trials(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda number: None)
    changes = {"pruning": {"halving": {"epochs": [2], "keep": 0.5}}, "confirm": {"best": 1, "seeds": [11]}}
    place = Searched(tmp_path, budget={"proposals": 4}, **changes)
    place.run(num_jobs=2)
    # 3 of the default; 4 proposals; a second seed; a fresh one.
    assert closing_text(place.plan()) == "0 of 9 trials complete, 2 stopped early, 0 failed"
    place.run()
    plan = place.plan()
    num, stopped = len(plan.trials), sum(trial.status.state == "pruned" for trial in plan.trials)
    assert closing_text(plan) == f"{num - stopped} of {num} trials complete, {stopped} stopped early, 0 failed"
    assert stopped
    place.set(budget={"hours": 1.0, "proposals": 9}, **changes)
    assert " of at least " in closing_text(place.plan())


def test_the_last_line_of_an_ordinary_run(plan):
    assert closing_text(plan()) == "0 of 3 trials complete, 0 failed"
