"""Figures of a search, on a known surface."""

import math
import re
from dataclasses import replace

import pytest
from searched import Searched
from surface import SPACE

from omni_msa.evidence import Evidence, gather
from omni_msa.figures import search as figures
from omni_msa.figures.search_space import kind_of, place_of
from omni_msa.finish_search import find
from omni_msa.plan import opened

ALL = ["history", "confirmed", "importance", "slices", "parallel"]


def evidence_of(place: Searched) -> Evidence:
    plan = place.plan()
    return replace(gather(opened(plan)), searches=find(plan))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A finished search with halving, its evidence and its figures by name."""
    folder = tmp_path_factory.mktemp("search")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda number: None)
        pruning = {"halving": {"epochs": [2], "keep": 0.5}}
        place = Searched(folder, budget={"proposals": 10}, pruning=pruning)
        place.run()
        evidence = evidence_of(place)
    return evidence, {figure.name: figure for figure in figures.draw(evidence, folder / "figures")}


def test_all_figures_of_a_search_are_drawn(drawn):
    _, found = drawn
    assert list(found) == [f"search_{name}" for name in ALL]
    for figure in found.values():
        assert figure.svg.stat().st_size and figure.png.stat().st_size and figure.caption and figure.alt


def test_the_history_tells_what_was_cut_and_what_is_best(drawn):
    evidence, found = drawn
    (one,) = evidence.searches
    states = [row["state"] for row in one["history"]]
    best = min(row["values"][0] for row in one["history"] if row["values"])
    assert f"{states.count('pruned')} pruned" in found["search_history"].alt
    assert found["search_history"].alt.endswith(f"best: {best:.3f}.")
    assert "after less training" in found["search_history"].caption


def test_search_value_and_fresh_value_are_read_of_each_that_was_confirmed(drawn):
    evidence, found = drawn
    text = found["search_confirmed"].alt
    for row in evidence.searches[0]["confirmed"]:
        searched = "\N{EN DASH}" if row["search_value"] is None else f"{row['search_value']:.3f}"
        assert f"{searched} in the search, {row['fresh_mean']:.3f} with fresh seeds" in text
    assert "default: " in text and "2 fresh seeds" in found["search_confirmed"].caption


def test_slices_and_lines_show_every_parameter_and_choice(drawn):
    _, found = drawn
    for name in ("search_slices", "search_parallel"):
        texts = re.findall(r">([^<>]+)</text>", found[name].svg.read_text())
        assert set(SPACE) <= set("".join(texts).split()) | set(texts), name
        assert {"l1", "huber", "2", "32"} <= set(texts)
        assert not any("$" in text for text in texts)


def test_the_same_search_gives_the_same_bytes(drawn, tmp_path):
    evidence, found = drawn
    for figure in figures.draw(evidence, tmp_path):
        assert figure.svg.read_bytes() == found[figure.name].svg.read_bytes()


def test_two_objectives_have_a_front(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda number: None)
    place = Searched(tmp_path, objectives=["mae", "peak_memory_gb"], budget={"proposals": 6}, confirm={"seeds": [11]})
    place.run()
    evidence = evidence_of(place)
    (figure,) = [each for each in figures.draw(evidence, tmp_path / "figures") if each.name == "search_pareto"]
    numbers = list(map(int, re.findall(r"proposal (\d+):", figure.alt)))
    assert sorted(numbers) == sorted(evidence.searches[0]["pareto_front"])
    history = {row["proposal"]: row["values"] for row in evidence.searches[0]["history"]}
    assert [history[number][1] for number in numbers] == sorted(history[number][1] for number in numbers)


def test_searches_of_several_cells_have_figures_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda number: None)
    place = Searched(tmp_path, axes={"training.epochs": [4, 8]}, budget={"proposals": 3}, confirm={"seeds": [11]})
    place.run()
    found = {figure.name: figure.title for figure in figures.draw(evidence_of(place), tmp_path / "figures")}
    assert "search_history" in found and "search_history_2" in found
    assert found["search_history"] != found["search_history_2"]


def test_before_anything_has_a_value_nothing_is_drawn(tmp_path):
    place = Searched(tmp_path)
    assert figures.draw(evidence_of(place), tmp_path / "figures") == []
    assert figures.draw(replace(evidence_of(place), searches=()), tmp_path / "figures") == []


@pytest.mark.parametrize(
    ("parameter", "value", "place"),
    [
        ({"uniform": [1.0, 3.0]}, 1.5, 0.25),
        ({"int": [0, 10]}, 10, 1.0),
        ({"log_uniform": [1e-4, 1e-2]}, 1e-3, 0.5),
        ({"log_int": [1, 16], "when": {"a": 1}}, 2, 0.25),
        ({"choice": ["a", ["b", "c"], None]}, ["b", "c"], 0.5),
        ({"choice": [4]}, 4, 0.5),
    ],
)
def test_places_in_a_range_by_hand(parameter, value, place):
    assert math.isclose(place_of(parameter, value), place)
    assert kind_of(parameter) in parameter
