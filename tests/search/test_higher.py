"""A search by a metric of which higher values are better, from the first proposal to the report."""

import os
from itertools import accumulate
from pathlib import Path

import pytest

from helpers.searched import NUM_EPOCHS, Searched, parameters_of
from helpers.surface import curve, measured, shown
from omni_msa.evidence.search_findings import describe
from omni_msa.evidence.search_verdict import REAL
from omni_msa.search import confirmation
from omni_msa.search.study import Study
from omni_msa.search.study_folder import DEFAULT

FRESH = list(range(11, 19))


def searched(folder: Path, **changes) -> Searched:
    place = Searched(folder, metric="corr", confirm={"best": 3, "seeds": FRESH}, **changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda number: None)
        place.run()
    return place


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Searched:
    return searched(tmp_path_factory.mktemp("higher"), budget={"proposals": 8})


def highs(study: Study, name: int | str, seeds: list[int]) -> list[float]:
    """Return what the surface says of a configuration, seed by seed."""
    parameters = parameters_of(study.fresh_cell(name, False).config)
    return [shown(measured(parameters, seed), "corr") for seed in seeds]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def test_the_highest_with_fresh_seeds_wins_against_a_default_that_is_lower(place):
    study, winner = place.study(), place.winner()
    found = {number: mean(highs(study, number, [1, 2])) for number in range(8)}
    assert confirmation.candidates(study) == sorted(found, key=found.__getitem__, reverse=True)[:3]
    fresh = {number: mean(highs(study, number, FRESH)) for number in confirmation.candidates(study)}
    default = mean(highs(study, DEFAULT, FRESH))
    assert winner["valid"] == pytest.approx({DEFAULT: default, **{str(number): fresh[number] for number in fresh}})
    assert winner["winner"] == winner["candidate"] == max(fresh, key=fresh.__getitem__)
    assert fresh[winner["winner"]] > default


def test_what_is_better_than_the_default_has_gained(place):
    study = place.study()
    found = describe(study, {})
    best, compared = found.winner, found.comparison
    pairs = zip(highs(study, best, FRESH), highs(study, DEFAULT, FRESH), strict=True)
    gained = [ours - theirs for ours, theirs in pairs]
    assert compared.gained == pytest.approx(gained) and min(gained) > 0
    row = next(row for row in found.confirmed if row.configuration == str(best))
    assert row.fresh_gain == pytest.approx(mean(gained))
    assert row.search_gain == pytest.approx(mean(highs(study, best, [1, 2])) - mean(highs(study, DEFAULT, [1, 2])))
    assert found.verdict.state == REAL and ": better by " in found.verdict.text


def test_the_best_so_far_rises(place):
    rows = describe(place.study(), {}).history
    best = [row.best_so_far for row in rows]
    assert best == list(accumulate((row.values[0] for row in rows), max)) and best[-1] > best[0]


def test_with_halving_the_highest_goes_on(tmp_path):
    place = searched(tmp_path, pruning={"halving": {"epochs": [1, 2], "keep": 0.5}})
    rows = describe(place.study(), {}).history
    for row in rows:
        values = curve(row.parameters, 1, NUM_EPOCHS)
        early = {rung: 1 - values[epoch] for rung, epoch in enumerate((1, 2)) if rung <= row.rung}
        assert {rung: row.by_rung[rung] for rung in early} == pytest.approx(early)
    ranked = sorted(rows, key=lambda row: row.by_rung[0])
    assert ranked[-1].rung > 0 == ranked[0].rung and place.winner()["candidate"] != ranked[0].proposal
