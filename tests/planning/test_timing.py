"""Expected time, by hand: 10 training clips, 4 + 4 tested, 3 epochs, half a second a clip."""

import pytest

from helpers.stand_ins import config, finished
from omni_msa import datasets
from omni_msa.ledger.ledger import Ledger
from omni_msa.planning.timing import (
    Cost,
    MeasuredCost,
    Timed,
    batches,
    costs,
    hardware_name,
    key,
    measured,
    total,
    warm_up,
    warm_up_file,
)
from omni_msa.system.files import write_json


def expect(trials, ledger, num_slots):
    return total(costs(trials, ledger), num_slots)


class Trial:
    def __init__(self, fit_id: str, **sections) -> None:
        self.fit_id, self.config = fit_id, config(**sections)


GENERATIVE, EXPECTED, ZERO_SHOT, CONSTANT = (
    {"readout": {"name": name}} for name in ("generative", "expected_value", "generative_zero_shot", "constant")
)


def test_nothing_to_run_takes_no_time(tmp_path):
    assert expect([], Ledger(tmp_path), 2).seconds == 0


def test_a_guess_is_clips_times_epochs_shared_out_over_the_slots(tmp_path):
    trials: list[Timed] = [Trial("a"), Trial("b"), Trial("c"), Trial("d")]
    one = expect(trials, Ledger(tmp_path), 1)
    assert one.seconds == pytest.approx(4 * 10 * 3 * 0.5)
    assert one.basis == "4 guessed from runtime.seconds_per_clip"
    assert expect(trials, Ledger(tmp_path), 2).seconds == pytest.approx(30)
    assert expect(trials[:1], Ledger(tmp_path), 8).seconds == pytest.approx(15)  # one trial is not split


def test_a_trial_that_is_stopped_early_costs_its_share_of_the_fit(tmp_path):
    trials = [Trial(name) for name in "abcd"]
    for trial, stops_after in zip(trials, (None, 1, 0, 7), strict=True):
        trial.config = trial.config.model_copy(update={"stops_after_epoch": stops_after})
    assert [cost.seconds for cost in costs(trials, Ledger(tmp_path))] == pytest.approx([15.0, 5.0, 0.0, 15.0])


def test_a_fit_that_two_trials_share_counts_once(tmp_path):
    both: list[Timed] = [Trial("a", **GENERATIVE), Trial("a", **EXPECTED)]
    assert expect(both, Ledger(tmp_path), 1).seconds == pytest.approx(15)
    write_json(Ledger(tmp_path).fit("a") / "fit.json", {})
    assert expect(both, Ledger(tmp_path), 1).seconds == pytest.approx(0)


def test_without_training_only_the_tested_clips_count(tmp_path):
    assert expect([Trial("a", **ZERO_SHOT)], Ledger(tmp_path), 1).seconds == pytest.approx(8 * 0.5 / 3)
    assert expect([Trial("a", **CONSTANT)], Ledger(tmp_path), 1).seconds == 0


def test_trials_alike_that_are_done_beat_the_guess(tmp_path):
    for number, train_s, attempt_s in ((1, 6.0, 8.0), (2, 7.0, 10.0), (3, 20.0, 21.0)):  # medians: 7 and 2
        folder = finished(tmp_path, f"t{number}", config(seed=number, repeat=1), train_s)
        write_json(folder.path / "provenance.json", {"attempt_s": attempt_s})
    finished(tmp_path, "other", config(training={"epochs": 50}), train_s=900.0)
    alike = expect([Trial("a", seed=9), Trial("b", seed=10)], Ledger(tmp_path), 1)
    assert alike.seconds == pytest.approx(2 * (7 + 2))
    assert alike.basis == "2 measured on trials done before"


def test_an_attempt_shorter_than_its_fit_has_only_read_it(tmp_path):
    folder = finished(tmp_path, "t1", config(**EXPECTED), train_s=100.0)
    write_json(folder.path / "provenance.json", {"attempt_s": 4.0})
    write_json(Ledger(tmp_path).fit("a") / "fit.json", {})
    assert expect([Trial("a", **EXPECTED)], Ledger(tmp_path), 1).seconds == pytest.approx(4)
    assert expect([Trial("b", **EXPECTED)], Ledger(tmp_path), 1).seconds == pytest.approx(104)


def test_a_corpus_of_published_size_is_counted(tmp_path):
    mosi = Trial("a", dataset={"name": "mosi", "root": "/nowhere"})
    assert expect([mosi], Ledger(tmp_path), 1).seconds == pytest.approx(1284 * 3 * 0.5)


def test_a_dataset_that_does_not_say_its_size_is_unknown(tmp_path, monkeypatch):
    source = "from omni_msa.config.sections import DatasetOptions as Options\n"
    functions = ("label_range(options)", "fingerprint(root, options)", "check(root, options)")
    lines = [f"def {name}: ...\n" for name in (*functions, "load(root, options, progress=None)")]
    (tmp_path / "unsized.py").write_text(source + "".join(lines))
    monkeypatch.setattr(datasets, "__path__", [*datasets.__path__, str(tmp_path)])
    monkeypatch.setattr(datasets.__spec__, "submodule_search_locations", datasets.__path__)
    unsized = Trial("a", dataset={"name": "unsized"})
    unknown = expect([unsized], Ledger(tmp_path), 1)
    assert unknown.seconds is None and unknown.basis == "1 unknown"
    assert expect([unsized, Trial("b")], Ledger(tmp_path), 1).seconds is None


def test_a_trial_with_another_learning_rate_takes_as_long(tmp_path):
    finished(tmp_path, "t1", config(training={"epochs": 3, "batch_size": 4, "learning_rate": 1e-5}), train_s=7.0)
    assert expect([Trial("a")], Ledger(tmp_path), 1).basis == "1 measured on trials done before"
    other = Trial("a", training={"epochs": 3, "batch_size": 2})
    assert expect([other], Ledger(tmp_path), 1).basis == "1 guessed from runtime.seconds_per_clip"


def test_what_ran_on_a_gpu_says_nothing_of_the_cpu(tmp_path):
    finished(tmp_path, "t1", config(runtime={"device": "cuda"}), train_s=7.0)
    on_cpu = Trial("a", runtime={"device": "cpu"})
    assert expect([on_cpu], Ledger(tmp_path), 1).basis == "1 guessed from runtime.seconds_per_clip"
    assert key(on_cpu.config, True) in measured(Ledger(tmp_path))


def test_the_highest_peak_of_trials_alike_is_known(tmp_path):
    for number, peak in ((1, 2.5), (2, 4.0), (3, "?")):
        folder = finished(tmp_path, f"t{number}", config(seed=number, runtime={"device": "cpu"}))
        cost = {"train_s": 6.0, "peak_memory_gb": peak}
        folder.complete({"valid": {"mae": 1.0}, "cost": cost})
    assert measured(Ledger(tmp_path)) == {
        key(config(), False): MeasuredCost(6.0, 0.0, {batches(vars(config().runtime)): 4.0})
    }


def test_work_is_the_sum_of_all_trials_and_time_the_share_of_a_slot():
    each = [Cost(10.0, "measured"), Cost(30.0, "guessed"), Cost(2.0, "warmed", "2026-01-02")]
    found = total(each, 2)
    assert (found.seconds, found.work_s) == (30.0, 42.0)  # the longest is not split
    guessed = "1 guessed from runtime.seconds_per_clip"
    assert found.basis == f"1 measured on trials done before, 1 measured by --measure on 2026-01-02, {guessed}"
    unknown = total([*each, Cost(None, "unknown")], 2)
    assert unknown.seconds is None and unknown.work_s is None


WARM_UP = {"step_s": 2.0, "eval_clip_s": 0.1, "num_train": 10, "num_valid": 4, "num_test": 5, "time": "2026-01-02T03"}


def keep_warm_up(ledger: Ledger, trial: Trial, **changes) -> None:
    values = {**WARM_UP, "hardware": hardware_name(False), **changes}
    write_json(warm_up_file(trial.config, False, ledger), values)


def test_a_warm_up_counts_steps_and_clips(tmp_path):
    ledger, trial = Ledger(tmp_path), Trial("a", runtime={"device": "cpu"})
    keep_warm_up(ledger, trial)
    found = expect([trial], ledger, 1)
    # 3 epochs of 3 steps (10 clips, 4 a step) and of 4 valid clips; then 4 + 5 clips are read.
    assert found.seconds == pytest.approx(9 * 2.0 + 3 * 4 * 0.1 + 9 * 0.1)
    assert found.basis == "1 measured by --measure on 2026-01-02"
    longer = Trial("b", runtime={"device": "cpu"}, training={"epochs": 6, "batch_size": 4})
    assert expect([longer], ledger, 1).seconds == pytest.approx(18 * 2.0 + 6 * 4 * 0.1 + 9 * 0.1)
    finished(tmp_path, "t1", trial.config, train_s=7.0)  # a whole trial is better
    assert expect([trial], ledger, 1).basis == "1 measured on trials done before"


def test_readouts_that_share_a_fit_share_the_warm_up(tmp_path):
    ledger, cpu = Ledger(tmp_path), {"runtime": {"device": "cpu"}}
    keep_warm_up(ledger, Trial("a", **GENERATIVE, **cpu))
    both = costs([Trial("a", **GENERATIVE, **cpu), Trial("a", **EXPECTED, **cpu)], ledger)
    assert [cost.seconds for cost in both] == [pytest.approx(20.1), pytest.approx(0.9)]


def test_untrained_readouts_read_what_they_need(tmp_path):
    ledger, cpu = Ledger(tmp_path), {"runtime": {"device": "cpu"}}
    zero_shot, probe = Trial("a", **ZERO_SHOT, **cpu), Trial("b", readout={"name": "frozen_probe"}, **cpu)
    keep_warm_up(ledger, zero_shot, step_s=0.0, closed_form=False)
    keep_warm_up(ledger, probe, step_s=0.0, closed_form=True)
    assert [cost.seconds for cost in costs([zero_shot, probe], ledger)] == [pytest.approx(0.9), pytest.approx(2.3)]


@pytest.mark.parametrize("change", [{"hardware": "another"}, {"step_s": "1"}, {"step_s": -1}, {"num_train": None}])
def test_a_warm_up_of_another_machine_or_a_torn_one_does_not_count(tmp_path, change):
    trial = Trial("a", runtime={"device": "cpu"})
    keep_warm_up(Ledger(tmp_path), trial)
    assert warm_up(trial.config, False, Ledger(tmp_path)) is not None
    keep_warm_up(Ledger(tmp_path), trial, **change)
    assert warm_up(trial.config, False, Ledger(tmp_path)) is None
