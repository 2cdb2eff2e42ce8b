"""Figures of a search, on a known surface."""

import math
import re
from dataclasses import replace

import pytest

from helpers.searched import Searched
from helpers.summaries import findings
from helpers.surface import SPACE
from omni_msa.evidence.gather import Evidence, gather
from omni_msa.evidence.search_findings import find
from omni_msa.evidence.search_summary import Confirmed, FurtherObjective, ProposalSummary
from omni_msa.planning.plan import opened
from omni_msa.report.figures import search as figures
from omni_msa.report.figures.canvas import new_drawing, styled
from omni_msa.report.figures.search_space import choices_of, draw_slices, kind_of, log_ticks, place_of

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
    states = [row.state for row in one.history]
    best = min(row.values[0] for row in one.history if row.values)
    assert f"{states.count('pruned')} pruned" in found["search_history"].alt
    assert found["search_history"].alt.endswith(f"best: {best:.3f}.")
    assert "after less training" in found["search_history"].caption


def test_what_is_of_the_first_rung_says_so_and_only_that(drawn, tmp_path):
    evidence, found = drawn
    (one,) = evidence.searches
    assert one.first_rung == "after 2 of 8 epochs of one seed"
    for name in ("importance", "slices", "parallel"):
        assert one.first_rung in found[f"search_{name}"].caption
    for name in ("history", "confirmed"):
        assert one.first_rung not in found[f"search_{name}"].caption
    whole = replace(evidence, searches=(replace(one, first_rung=""),))
    for figure in figures.draw(whole, tmp_path):
        assert " rung" not in figure.caption and " of one seed" not in figure.caption


def test_search_value_and_fresh_value_are_read_of_each_that_was_confirmed(drawn):
    evidence, found = drawn
    text = found["search_confirmed"].alt
    for row in evidence.searches[0].confirmed:
        assert f"{row.search_value:.3f} in the search, {row.fresh_mean:.3f} with fresh seeds" in text
    assert "default: " in text and "2 fresh seeds" in found["search_confirmed"].caption


def test_both_values_are_read_against_the_default_with_the_same_seeds(drawn, tmp_path):
    evidence, found = drawn
    caption, drawing = found["search_confirmed"].caption, found["search_confirmed"].svg.read_text()
    assert (
        "winner's curse" in caption
        and "chosen by its blue value, which makes that value slightly optimistic" in caption
    )
    assert "no part" not in caption and "is what the choice flattered" not in caption
    assert ">default, in the search<" in drawing and ">default, fresh seeds<" in drawing
    single = replace(evidence, searches=(replace(evidence.searches[0], num_confirmed=1),))
    assert not any("slightly optimistic" in figure.caption for figure in figures.draw(single, tmp_path))
    once = replace(evidence, searches=(replace(evidence.searches[0], is_fresh=False),))
    assert "search_confirmed" not in [figure.name for figure in figures.draw(once, tmp_path)]


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
    (one,), (front, fresh) = evidence.searches, figure.alt.split(" With fresh seeds: ")
    numbers = list(map(int, re.findall(r"proposal (\d+):", front)))
    assert sorted(numbers) == sorted(one.pareto_front)
    history = {row.proposal: row.values for row in one.history}
    assert [history[number][1] for number in numbers] == sorted(history[number][1] for number in numbers)
    default, *others = one.confirmed
    assert f"default: MAE {default.fresh_mean:.3f}, Peak memory {default.further['peak_memory_gb'].fresh:.2f}" in fresh
    for row in others:
        assert f"proposal {row.configuration}: MAE {row.fresh_mean:.3f}, Peak memory " in fresh
    assert "The first objective, MAE, decides which one on the front is named." in figure.caption
    assert "A thin line leads from each confirmed configuration" in figure.caption
    assert ">with fresh seeds<" in figure.svg.read_text() and ">default<" in figure.svg.read_text()


def test_a_thin_line_joins_what_the_search_saw_with_fresh_seeds():
    found = findings(objectives=["corr", "peak_memory_gb"])
    further = {"peak_memory_gb": FurtherObjective(2.0, 3.0, None)}
    row = Confirmed("s", "4", search_value=0.75, fresh_mean=0.5, further=further)
    axes = new_drawing(3).subplots()
    figures.draw_again(axes, found, [row, replace(row, fresh_mean=None), replace(row, search_value=None)])
    lines = [list(zip(*line.get_data(), strict=True)) for line in axes.lines]
    assert lines == [[(2.0, 0.75), (3.0, 0.5)], [(3.0, 0.5)], [(3.0, 0.5)], [(3.0, 0.5)], []]


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


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1e-5, 1e-1, [1e-5, 1e-4, 1e-3, 1e-2, 1e-1][::2]),
        (5e-5, 5e-3, [1e-4, 1e-3]),
        (32, 512, [32, 128, 512]),
        (2, 8, [2, 4, 8]),
    ],
)
def test_a_logarithmic_axis_has_two_numbers_at_least(low, high, ticks):
    assert log_ticks(low, high) == pytest.approx(ticks)


LONG = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@pytest.mark.parametrize(
    ("choices", "names"),
    [
        ([4, 8, 16], ["4", "8", "16"]),
        (["before", "inner", "after", "none"], ["before", "inner", "after", "none"]),
        ([LONG, LONG[:2], LONG[:4]], ["a", "b", "c"]),
        ([LONG[:1] * num for num in range(1, 29)], [*"abcdefghijklmnopqrstuvwxyz", "aa", "ab"]),
        ([100 + number for number in range(16)], [str(100 + place) if place % 3 == 0 else "" for place in range(16)]),
    ],
)
def test_choices_that_are_too_long_are_letters(choices, names):
    assert choices_of({"choice": choices}) == names


def test_letters_are_explained_in_the_caption(tmp_path):
    space = {"adapter.targets": {"choice": [LONG, LONG[:2]]}, "readout.norm": {"choice": ["before", "after"]}}
    rows = [(ProposalSummary(0, "complete", parameters={"adapter.targets": LONG}), 0.5)]
    found = findings(space=space)
    with styled():
        figure = draw_slices(found, rows, list(space), "", tmp_path, "slices", "Slices")
    assert figure.caption.endswith(f"adapter.targets: a [{', '.join(LONG)}], b [q_proj, k_proj].")
    assert ">a<" in figure.svg.read_text() and ">before<" in figure.svg.read_text()
