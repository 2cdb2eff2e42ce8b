"""What the ledger tells a search before it begins: cells that are whole, with the seeds of its proposals alone."""

import os
from pathlib import Path

import pytest

from helpers.searched import Searched
from helpers.stand_ins import complete
from omni_msa.config.identity import trial_id
from omni_msa.search import confirmation
from omni_msa.search.study_folder import PriorResult
from omni_msa.search.warm_start import look_up_known
from omni_msa.sweep.sweep import proposed
from omni_msa.system.files import read_json, write_json

SPACE = {"adapter.alpha": {"choice": [8, 16]}, "adapter.rank": {"choice": [2, 4]}}
POINT = {"adapter.alpha": 8, "adapter.rank": 4}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda number: None)


@pytest.fixture
def place(tmp_path) -> Searched:
    """A ledger without trials; the seeds of proposals are 1 and 2."""
    return Searched(tmp_path, space=SPACE)


def run(place: Searched, seed: int | None, mae: float | None, **changes) -> Path:
    """Put a trial at `POINT` into the ledger, complete or (without a value) failed; return its folder."""
    study = place.study()
    config = proposed(study.sweep, study.cell, {**POINT, **changes}).config.model_copy(update={"seed": seed})
    folder = place.ledger.trial(trial_id(config, study.fingerprint))
    folder.begin(config, {})
    if mae is None:
        folder.fail("MemoryError", "no memory", "")
    else:
        complete(folder, mae)
    return folder.path


def test_a_cell_is_told_when_all_seeds_of_the_search_are_complete(place):
    run(place, 1, 0.5)
    assert look_up_known(place.study()) == []
    run(place, 2, 0.7)
    (one,) = look_up_known(place.study())
    assert one == PriorResult(POINT, (pytest.approx(0.6),))
    assert type(one.parameters["adapter.alpha"]) is int  # as the space writes it, though the ledger has 8.0


def test_other_seeds_do_not_count_and_a_failed_one_takes_the_cell_out(place):
    run(place, 1, 0.5)
    for seed in (3, 4, 11):
        run(place, seed, 0.1)
    assert look_up_known(place.study()) == []
    run(place, 2, None)
    assert look_up_known(place.study()) == []
    for seed in (1, 2):
        run(place, seed, 0.9, **{"adapter.rank": 2})
    assert [one.values for one in look_up_known(place.study())] == [(0.9,)]


def test_a_cell_whose_readout_is_deterministic_has_one_trial(tmp_path):
    place = Searched(tmp_path, space={"readout.name": {"choice": ["constant", "frozen_probe"]}})
    study = place.study()
    config = proposed(study.sweep, study.cell, {"readout.name": "constant"}).config
    folder = place.ledger.trial(trial_id(config, study.fingerprint))
    folder.begin(config, {})
    complete(folder, 0.8)
    assert look_up_known(study) == [PriorResult({"readout.name": "constant"}, (0.8,))]


def test_what_is_no_trial_of_the_study_is_left_out(place):
    for seed in (1, 2):
        path = run(place, seed, 0.5)
    assert len(look_up_known(place.study())) == 1
    config = read_json(path / "config.json")
    other = place.ledger.root / "trials" / "other"
    write_json(other / "config.json", {**config, "adapter": {**config["adapter"], "rank": 2}})
    write_json(other / "result.json", {"valid": {"mae": 0.1}, "cost": {}})
    (place.ledger.root / "trials" / "torn").mkdir()
    (place.ledger.root / "trials" / "torn" / "config.json").write_text("{")
    assert [one.parameters for one in look_up_known(place.study())] == [POINT]


def test_a_value_that_is_no_number_takes_the_cell_out(place):
    run(place, 1, 0.5)
    path = run(place, 2, 0.5)
    result = (path / "result.json").read_text()
    (path / "result.json").write_text(result.replace("0.5", "NaN", 1))
    assert look_up_known(place.study()) == []


@pytest.mark.parametrize("pruning", [None, {"halving": {"epochs": [1, 2], "keep": 0.5}}])
def test_the_best_known_cells_are_proposed_first_at_no_cost_and_can_win(tmp_path, pruning):
    confirm = {"best": 2, "seeds": [11, 12]}
    place = Searched(tmp_path, space=SPACE, sampler="grid", confirm=confirm)
    place.run()
    scores = sorted((one.values[0], number) for number, one in enumerate(place.study().scores()))
    best = [place.parameters()[number] for _, number in scores[:2]]
    place.set(space=SPACE, sampler="random", budget={"proposals": 3}, transfer=True, confirm=confirm, pruning=pruning)
    num_epochs = place.num_epochs()
    assert place.run() <= 2 and place.num_epochs() == num_epochs  # the winner may be opened, nothing is trained
    study = place.study()
    assert (
        place.parameters()[:2] == best
        and confirmation.candidates(study) == [0, 1]
        and confirmation.winner(study)["candidate"] in (0, 1)
    )
