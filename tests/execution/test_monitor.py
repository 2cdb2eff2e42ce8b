"""What is shown and recorded while trials run, from their files."""

import io
from dataclasses import replace

import pytest

from helpers.searched import NUM_EPOCHS, Searched, train
from helpers.stand_ins import complete
from omni_msa.execution.attempt import Job, run_attempt
from omni_msa.execution.job_queue import JobQueue
from omni_msa.execution.monitor import Monitor
from omni_msa.execution.progress import Progress
from omni_msa.execution.search_source import SearchSource
from omni_msa.ledger.ledger import Ledger
from omni_msa.planning.plan import make_plan
from omni_msa.search import optuna_sampler
from omni_msa.search.forecast import Outlook, lookout
from omni_msa.sweep.sweep import load_sweep


@pytest.fixture
def plan(tmp_path, write_sweep, own_cache):
    """Three trials: discriminative with seeds 1 and 2 (16 training clips in steps of 4, 2 epochs), and constant."""
    return make_plan(load_sweep(write_sweep()), Ledger(tmp_path / "mlruns"))


@pytest.fixture
def watched(plan):
    shown, recorded = [], []
    watch = Monitor(plan.trials, plan.ledger, shown.append, lambda trial, state: recorded.append((trial.name, state)))
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


def locked(plan, number, stops_after=None):
    """Return a trial of the plan as a search has it: test locked, stopped early where it says so."""
    trial = plan.trials[number]
    update = {"opens_test": False, "stops_after_epoch": stops_after}
    return replace(trial, config=trial.config.model_copy(update=update))


def test_a_trial_that_is_promoted_runs_again_and_is_not_done_meanwhile(plan):
    trials, shown, recorded = [locked(plan, 0, 1)], [], []
    watch = Monitor(trials, plan.ledger, shown.append, lambda trial, state: recorded.append(state))
    folder = begin(plan, 0)
    watch.look()
    (running,) = shown[-1].running
    assert (running.num_epochs, running.num_steps) == (2, 4)  # 16 clips in steps of 4, until it is stopped
    folder.write_metrics([{"step": 4, "epoch": 1, "valid_mae": 1.0}])
    folder.interrupt("pruned")
    for look in (watch.look, watch.look, watch.follow, watch.follow):
        look()
    name = "discriminative, seed 1"
    assert shown[-2].num_done == 1 and shown[-2].ends == {name: "stopped after epoch 1 of 2"} and not shown[-1].ends
    trials[0] = locked(plan, 0)  # promoted: it waits
    watch.look()
    assert shown[-1].num_done == 0 and not shown[-1].running
    begin(plan, 0)
    watch.look()
    assert shown[-1].num_done == 0 and [one.name for one in shown[-1].running] == [name]
    assert shown[-1].running[0].elapsed_s < running.elapsed_s + 60  # counted anew
    folder.complete({"valid": {"mae": 1.0}, "cost": {"train_s": 1.0}})
    watch.look()
    watch.follow()
    assert shown[-1].num_done == 1 and shown[-1].ends == {name: "done"} and recorded == ["pruned", "complete"]


def test_what_was_stopped_early_and_runs_again_is_seen_whatever_the_list_says(plan):
    shown = []
    watch = Monitor([locked(plan, 0, 1)], plan.ledger, shown.append, lambda *what: None)
    folder = begin(plan, 0)
    folder.write_metrics([{"step": 4, "epoch": 1, "valid_mae": 1.0}])
    folder.interrupt("pruned")
    watch.look()
    begin(plan, 0)
    watch.look()
    assert [(one.num_done, len(one.running)) for one in shown] == [(1, 0), (0, 1)]


def test_the_last_total_is_asked_for_when_nothing_runs(plan):
    shown, numbers = [], iter([4, 0])
    watch = Monitor(plan.trials, plan.ledger, shown.append, lambda *what: None, lambda: Outlook(next(numbers)))
    watch.look()
    watch.look()
    assert [one.num_trials for one in shown] == [7, 3]


def test_a_trial_whose_test_split_is_opened_later_is_done_when_test_is_read(plan):
    trials, shown, recorded = [locked(plan, 0)], [], []
    watch = Monitor(trials, plan.ledger, shown.append, lambda trial, state: recorded.append(state))
    folder = plan.ledger.trial(plan.trials[0].trial_id, opens_test=False)
    folder.begin(trials[0].config, {})
    folder.complete({"valid": {"mae": 1.0}, "cost": {"train_s": 1.0}})
    watch.look()
    watch.follow()
    assert shown[-1].num_done == 1
    trials.append(plan.trials[0])  # the same, with test open: the later one counts
    watch.look()
    assert shown[-1].num_done == 0
    complete(begin(plan, 0))
    watch.look()
    watch.follow()
    assert shown[-1].num_done == 1 and recorded == ["complete", "complete"]


def test_the_total_is_of_the_trials_known_of_those_nobody_had_to_run_and_of_those_to_come(plan):
    shown, found = [], [Outlook(5, frozenset({"known before", plan.trials[0].trial_id}), is_least=True)]
    watch = Monitor(plan.trials, plan.ledger, shown.append, lambda *what: None, lambda: found[-1])
    watch.look()
    assert (shown[-1].num_done, shown[-1].num_trials, shown[-1].is_least) == (1, 3 + 1 + 5, True)
    begin(plan, 0)
    watch.look()
    found.append(Outlook())
    watch.look()
    assert shown[-1].num_trials == 9  # nothing has changed: it is not asked for again
    complete(folder_of(plan, 0))
    watch.look()
    assert (shown[-1].num_done, shown[-1].num_trials, shown[-1].is_least) == (1, 3, False)


def test_an_outlook_that_knows_more_than_the_list_waits_for_it(plan):
    trials, shown, numbers = list(plan.trials[:2]), [], iter([1, 0, 0])

    def look() -> Outlook:
        number = next(numbers)
        if number == 0 and len(trials) == 2:
            trials.append(plan.trials[2])
        return Outlook(number)

    watch = Monitor(trials, plan.ledger, shown.append, lambda *what: None, look)
    for _ in range(3):
        watch.look()
    assert [snapshot.num_trials for snapshot in shown] == [3, 3, 3]


def test_a_whole_search_in_lines(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda number: None)
    changes = {"pruning": {"halving": {"epochs": [2], "keep": 0.5}}, "budget": {"proposals": 4}}
    place = Searched(tmp_path, confirm={"best": 1, "seeds": [11]}, **changes)
    plan, shown, out = place.plan(), [], io.StringIO()
    trials, progress = list(plan.trials), Progress(0, stream=out)

    def show(snapshot):
        shown.append((snapshot.num_done, snapshot.num_trials))
        progress.update(snapshot)

    watch = Monitor(trials, plan.ledger, show, lambda *what: None, lookout(plan.studies))
    queue = JobQueue([], lambda: False, source=SearchSource(plan, optuna_sampler.suggest, trials))

    def looked_at(*arguments):
        watch.look()
        train(*arguments)

    watch.look()
    while isinstance(job := queue.take(), Job):
        run_attempt(job, None, looked_at)
        queue.done(job.trial_id)
        watch.look()
    assert all(done <= total for done, total in shown) and shown[-1] == (len(place.plan().trials),) * 2
    lines = [line.partition("  ")[2] for line in out.getvalue().splitlines()]
    first = lines.index("proposal 0, search, seed 1 started")
    assert lines[first - 1].startswith("proposal 0: adapter.dropout=") and "training.learning_rate=" in lines[first - 1]
    assert sum(line.startswith("proposal 0: adapter") for line in lines) == 1
    opened = [line.partition(": ")[0] for line in lines if line.endswith(": its test split is opened")]
    assert sorted(opened) == ["default", f"proposal {place.winner()['candidate']}"]
    stopped = [line for line in lines if f"stopped after epoch 2 of {NUM_EPOCHS} (0 s)" in line]
    done = [line for line in lines if line.startswith("proposal") and " done after " in line]
    whole = list(plan.ledger.root.glob("trials/*/result.json"))
    assert len(stopped) == 4  # each once, whether promoted later or not
    assert len(done) == len(whole) - 3 + 1  # without the default's; the best fresh one is opened for test
    total = shown[-1][1]
    assert lines[-1] == f"{len(whole)}/{total} trials done, {total - len(whole)} stopped early, 0 running, 0 failed"
