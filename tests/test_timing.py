"""Expected time, by hand: 10 training clips, 4 + 4 tested, 3 epochs, half a second a clip."""

import pytest
from stand_ins import config, finished

from omni_msa import datasets
from omni_msa.files import write_json
from omni_msa.ledger import Ledger
from omni_msa.timing import Timed, expect


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
    source = "from omni_msa.options import DatasetOptions as Options\n"
    (tmp_path / "unsized.py").write_text(source)
    monkeypatch.setattr(datasets, "__path__", [*datasets.__path__, str(tmp_path)])
    monkeypatch.setattr(datasets.__spec__, "submodule_search_locations", datasets.__path__)
    unsized = Trial("a", dataset={"name": "unsized"})
    unknown = expect([unsized], Ledger(tmp_path), 1)
    assert unknown.seconds is None and unknown.basis == "1 unknown"
    assert expect([unsized, Trial("b")], Ledger(tmp_path), 1).seconds is None
