"""What was ever confirmed counts against the winner's curse, and each opening of the test split is told."""

import os

import pytest

from helpers.searched import Searched, train
from omni_msa.errors import NotFinite
from omni_msa.evidence.search_findings import describe
from omni_msa.evidence.search_summary import SearchFindings
from omni_msa.evidence.search_verdict import DEFAULT_FAILED
from omni_msa.search import confirmation

GRID = {"adapter.rank": {"choice": [4, 8, 16]}}


@pytest.fixture
def place(tmp_path, monkeypatch) -> Searched:
    """A search that is over: a winner has been named."""
    monkeypatch.setattr(os, "fsync", lambda number: None)
    place = Searched(tmp_path, space=GRID, sampler="grid", confirm={"best": 2, "seeds": [11, 12]})
    place.run()
    return place


def described(place: Searched) -> SearchFindings:
    return describe(place.study(), {})


def test_the_same_seeds_in_another_order_or_again_are_no_further_confirmation(place):
    first, found = place.winner(), described(place)
    for seeds in ([12, 11], [21, 22], [11, 12]):
        place.set(space=GRID, sampler="grid", confirm={"best": 2, "seeds": seeds})
        place.run()
        if seeds == [21, 22]:
            assert described(place).times_test_was_opened == 2 and described(place).num_confirmed == 4
    assert place.run() == 0 and described(place).times_test_was_opened == 2
    assert confirmation.winner(place.study())["time"] == first["time"] and found.num_confirmed == 2


@pytest.mark.parametrize(
    "change", [{"seed": 5}, {"space": {"adapter.rank": {"choice": [4, 8, 12]}}}, {"sampler": "random"}]
)
def test_another_search_for_the_same_configuration_counts_what_was_confirmed_before(place, change):
    place.set(**{"space": GRID, "sampler": "grid", "confirm": {"best": 2, "seeds": [21, 22]}, **change})
    place.run()
    found = described(place)
    assert len(list(place.ledger.root.glob("searches/*/winner.json"))) == 2  # it is a study of its own
    assert found.times_test_was_opened == 2 and found.num_confirmed == found.comparison.best_of == 4


def test_another_configuration_under_the_same_name_counts_for_itself(place):
    profile = place.folder / "profiles" / "small.yaml"
    profile.write_text(profile.read_text().replace("dropout: 0.4", "dropout: 0.3"))
    place.run()
    assert described(place).times_test_was_opened == 1 and described(place).num_confirmed == 2


def test_what_was_confirmed_but_never_named_counts(place):
    def failing(config, folder, *others):
        if config.adapter.rank == 2 and config.seed == 22:
            raise NotFinite({"loss": "nan", "gradient_norm": "nan", "step": "1", "clips": "a"})
        train(config, folder, *others)

    place.train = failing
    place.set(space=GRID, sampler="grid", confirm={"best": 2, "seeds": [21, 22]})
    place.run()
    assert described(place).verdict.state == DEFAULT_FAILED
    place.train = train
    place.set(space=GRID, sampler="grid", confirm={"best": 2, "seeds": [31, 32]})
    place.run()
    assert described(place).num_confirmed == 6 and described(place).times_test_was_opened == 2
