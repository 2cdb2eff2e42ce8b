"""Optuna's side of a search, on a known surface."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.surface import height, search_of, told
from omni_msa.search import optuna_sampler as service
from omni_msa.search.optuna_sampler import NUM_STARTUP, importances, suggest
from omni_msa.search.rules import Observation, ProposalValue
from omni_msa.sweep.search_space import is_in, text

SAMPLERS = ["tpe", "random", "grid", "gp", "cmaes"]


def one_by_one(search, num: int) -> list[Observation]:
    cells: list[Observation] = []
    for number in range(num):
        cells.append(told(suggest(search, cells, number).parameters, number))
    return cells


@pytest.mark.parametrize("name", SAMPLERS)
def test_one_by_one_a_seed_settles_every_proposal_also_across_a_kill(name):
    changes = {"space": {"adapter.rank": {"int": [1, 40]}, "readout.loss": {"choice": ["l1", "mse"]}}}
    search = search_of(name, 3, **changes)

    def cell(suggestion, number) -> Observation:
        value = abs(suggestion.parameters["adapter.rank"] - 20) + number / 100
        score = ProposalValue("failed") if number == 2 else ProposalValue("complete", (value,), {0: value})
        return Observation(suggestion.parameters, score, number, suggestion.notes)

    whole: list[Observation] = []
    for number in range(NUM_STARTUP + 4):
        whole.append(cell(suggest(search, whole, number), number))
    for number in (0, 3, NUM_STARTUP + 1, NUM_STARTUP + 3):  # all that is known then, read anew
        again = [
            Observation(dict(each.parameters), each.score, each.number, dict(each.notes)) for each in whole[:number]
        ]
        assert suggest(search, again, number).parameters == whole[number].parameters
    other = suggest(search_of(name, 4, **changes), [], 0)
    assert name == "grid" or other.parameters != whole[0].parameters


def test_every_proposal_lies_in_the_space():
    search = search_of()
    for each in one_by_one(search, 15):
        assert is_in(search.space, each.parameters)


@pytest.mark.parametrize("name", SAMPLERS)
def test_proposals_that_run_together_are_no_duplicates(name):
    """In a space that can be counted every point is proposed once, whatever the sampler insists on; then it is over."""
    space = {"adapter.rank": {"int": [1, 5]}, "readout.loss": {"choice": ["l1", "mse"]}}
    search = search_of(name, space=space)
    cells: list[Observation] = []
    while (found := suggest(search, cells, len(cells))) is not None:
        assert text(found.parameters) not in [text(dict(each.parameters)) for each in cells]
        score = (
            ProposalValue("running")
            if len(cells) % 4 == 3
            else ProposalValue("complete", (float(found.parameters["adapter.rank"]),))
        )
        cells.append(Observation(found.parameters, score, len(cells), found.notes))
    assert len(cells) == 10


def test_a_countable_space_in_which_the_sampler_insists_goes_on_at_random(monkeypatch):
    search = search_of(space={"adapter.rank": {"int": [1, 9]}})
    one = Observation({"adapter.rank": 1}, ProposalValue("complete", (1.0,), {0: 1.0}), 0)
    monkeypatch.setattr(service, "_draw", lambda space, trial: {"adapter.rank": 1})
    found = [suggest(search, [one], number).parameters["adapter.rank"] for number in range(1, 12)]
    assert 1 not in found and len(set(found)) > 3
    assert found == [suggest(search, [one], number).parameters["adapter.rank"] for number in range(1, 12)]


def test_a_space_without_end_in_which_the_sampler_insists_goes_on_at_random(monkeypatch):
    search, made = search_of(space={"adapter.dropout": {"uniform": [0.0, 1.0]}}), service._sampler
    monkeypatch.setattr(service, "_sampler", lambda name, seed: made("random", seed if name == "random" else 1))
    cells: list[Observation] = []
    for number in range(4):
        cells.append(told_at(suggest(search, cells, number).parameters["adapter.dropout"], number))
    assert len({each.parameters["adapter.dropout"] for each in cells}) == 4


def test_an_old_cell_is_proposed_again_only_where_nothing_else_is_found_and_nothing_runs(monkeypatch):
    search = search_of(space={"adapter.dropout": {"uniform": [0.0, 1.0]}})
    monkeypatch.setattr(service, "_draw", lambda space, trial: {"adapter.dropout": 0.5})
    assert suggest(search, [told_at(0.5, 0)], 1).parameters == {"adapter.dropout": 0.5}
    assert suggest(search, [running(0.5, 0)], 1) is None


@pytest.mark.parametrize("name", ["grid", "tpe"])
def test_each_proposal_is_compared_once(monkeypatch, name):
    search, asked = search_of(name, space={"adapter.rank": {"int": [1, 200]}}), []
    cells = [Observation({"adapter.rank": rank}, ProposalValue("complete", (1.0,)), rank) for rank in range(1, 151)]
    monkeypatch.setattr(service, "text", lambda value: asked.append(value) or text(value))
    assert suggest(search, cells, 151).parameters["adapter.rank"] > 150
    assert len(asked) <= 400 + 20


@pytest.mark.parametrize(("name", "num_seeds"), [("tpe", 8), ("gp", 1), ("cmaes", 4)])
def test_after_failures_in_a_corner_proposals_leave_it(name, num_seeds):
    """The surface falls towards where everything fails: told of no failures, samplers would go there for ever."""
    num_failed = 0
    for seed in range(num_seeds):
        search, cells = search_of(name, seed + 2, space=BOWL), []
        for number in range(18):
            suggestion = suggest(search, cells, number)
            dropout, warmup = suggestion.parameters.values()
            score = ProposalValue("complete", (dropout + warmup / 3,)) if dropout > 0.4 else ProposalValue("failed")
            cells.append(Observation(suggestion.parameters, score, number, suggestion.notes))
        num_failed += sum(each.score.state == "failed" for each in cells[10:])
    assert num_failed <= num_seeds * 8 / 2, num_failed


def test_with_halving_what_failed_ranks_below_what_was_cut():
    search = search_of(space=BOWL, pruning={"halving": {"epochs": [1]}})
    rest = [
        Observation({}, ProposalValue("complete", (1.0,)), 0),
        Observation({}, ProposalValue("pruned", None, {0: 9.0}), 1),
    ]
    heard = service._as_poor(search, [*rest, Observation({}, ProposalValue("failed"), 2)])
    assert heard == [
        *rest,
        Observation({}, ProposalValue("pruned"), 2),
    ]  # TPE: complete, then by the last value, then those without


@pytest.mark.parametrize("pruning", [None, {"halving": {"epochs": [1]}}])
def test_of_failures_alone_none_is_taken_for_good(pruning):
    search = search_of(space=BOWL, pruning=pruning)
    points = [{"adapter.dropout": 0.1, "training.warmup_fraction": place / 20} for place in range(9)]
    failed = [Observation(point, ProposalValue("failed"), place) for place, point in enumerate(points)]
    assert service._as_poor(search, failed) == failed
    assert suggest(search, failed, 9) == suggest(search_of("random", space=BOWL), failed, 9)


def test_a_failed_proposal_has_the_worst_value_of_each_objective():
    search = search_of("gp", objectives=["acc7", "peak_memory_gb"])
    values = [(0.3, 2.0), (0.1, 1.0), (0.2, 4.0)]
    every = [
        *(Observation({}, ProposalValue("complete", each), place) for place, each in enumerate(values)),
        Observation({}, ProposalValue("failed"), 3),
    ]
    assert service._as_poor(search, every)[3].score.values == pytest.approx((0.1, 4.0))
    assert service._as_poor(search, every)[3].score.values[0] < 0.1  # never before the one it is made of


def test_running_proposals_are_not_neighbours(recwarn):
    """The constant liar: as long as a proposal runs, the sampler keeps away from it."""
    search = search_of(space={"adapter.dropout": {"uniform": [0.0, 1.0]}})
    known = [told_at(place / 8, place) for place in range(8)]
    first = suggest(search, known, 8).parameters["adapter.dropout"]
    spread = [suggest(search, [*known, running(first, 8)], number).parameters for number in range(9, 19)]
    alone = [suggest(search, known, number).parameters for number in range(9, 19)]

    def near(cells) -> int:
        return sum(abs(each["adapter.dropout"] - first) < 0.05 for each in cells)

    assert near(spread) < near(alone)
    assert not recwarn.list


def test_tpe_learns_of_parameters_together_and_hears_of_what_runs(monkeypatch):
    found: dict = {}
    monkeypatch.setattr("optuna.samplers.TPESampler", lambda **options: found.update(options))
    service._sampler("tpe", 3)
    assert found.pop("seed") == 3 and found.pop("n_startup_trials") == NUM_STARTUP
    assert found == {"multivariate": True, "group": True, "constant_liar": True}


@pytest.mark.parametrize("name", ["tpe", "gp", "cmaes"])
def test_where_higher_is_better_a_sampler_climbs_as_it_goes_down_elsewhere(name):
    down, up = (search_of(name, 1, space=BOWL, objectives=[metric]) for metric in ("mae", "corr"))
    lows: list[Observation] = []
    highs: list[Observation] = []
    for number in range(NUM_STARTUP + 10):
        suggestion = suggest(up, highs, number)
        assert suggestion == suggest(down, lows, number)
        lows.append(told_of_a_bowl(suggestion, number))
        highs.append(replace(lows[-1], score=ProposalValue("complete", (-lows[-1].score.values[0],))))
    values = [each.score.values[0] for each in highs]
    assert sum(values[-6:]) / 6 > sum(values[:NUM_STARTUP]) / NUM_STARTUP


def told_at(dropout: float, number: int) -> Observation:
    value = abs(dropout - 0.4)
    return Observation({"adapter.dropout": dropout}, ProposalValue("complete", (value,), {0: value}), number)


def running(dropout: float, number: int) -> Observation:
    return Observation({"adapter.dropout": dropout}, ProposalValue("running"), number)


def test_lists_can_be_chosen():
    space = {"adapter.targets": {"choice": [["q_proj"], ["q_proj", "v_proj"]]}, "readout.width": {"choice": [1, None]}}
    found = suggest(search_of(space=space), [], 0).parameters
    assert found["adapter.targets"] in space["adapter.targets"]["choice"] and is_in(search_of(space=space).space, found)


def test_two_objectives_can_be_searched():
    search = search_of(objectives=["mae", "peak_memory_gb"])
    cells: list[Observation] = []
    for number in range(10):
        found = suggest(search, cells, number).parameters
        cells.append(
            Observation(found, ProposalValue("complete", (height(found), float(found["adapter.rank"]))), number)
        )
    assert len({str(each.parameters) for each in cells}) == 10


def test_importances_name_what_mattered():
    cells = one_by_one(search_of("random"), 60)
    found = importances(search_of("random"), cells)
    assert next(iter(found)) == "training.learning_rate" and sum(found.values()) == pytest.approx(1)
    assert importances(search_of(), cells[:1]) == {} == importances(search_of(), [])


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def told_of_a_bowl(suggestion, number: int, **notes) -> Observation:
    value = sum((each - 0.2) ** 2 for each in suggestion.parameters.values())
    return Observation(
        suggestion.parameters, ProposalValue("complete", (value,), {0: value}), number, {**suggestion.notes, **notes}
    )


BOWL = {"adapter.dropout": {"uniform": [0.0, 1.0]}, "training.warmup_fraction": {"uniform": [0.0, 1.0]}}


@pytest.mark.parametrize("name", ["tpe", "cmaes"])
def test_nothing_of_a_proposal_is_ever_unpickled(tmp_path, name):
    bomb, search = pickle.dumps(Bomb(tmp_path / "gone off")).hex(), search_of(name, space=BOWL)
    pickle.loads(bytes.fromhex(bomb))
    (tmp_path / "gone off").unlink()  # it works
    cells: list[Observation] = []
    for number in range(NUM_STARTUP + 8):
        notes = {"cma:optimizer:0": bomb, "cma:generation": 0, "x": "y"}
        cells.append(told_of_a_bowl(suggest(search, cells, number), number, **notes))
    assert not (tmp_path / "gone off").exists()


def test_cmaes_learns_from_generation_to_generation_and_notes_only_their_numbers():
    search, cells = search_of("cmaes", 1, space=BOWL), []
    for number in range(NUM_STARTUP + 8 * 6):
        suggestion = suggest(search, cells, number)
        assert set(suggestion.notes) <= {"cma:generation"}
        cells.append(told_of_a_bowl(suggestion, number))
    generations = [each.notes["cma:generation"] for each in cells[NUM_STARTUP:]]
    assert generations == sorted(generations) and generations[-1] >= 6  # of six proposals each, with two parameters
    values = [each.score.values[0] for each in cells]
    assert sum(values[-12:]) < sum(values[NUM_STARTUP : NUM_STARTUP + 12]) / 3
    again = [Observation(dict(each.parameters), each.score, each.number, dict(each.notes)) for each in cells[:30]]
    assert suggest(search, again, 30).parameters == cells[30].parameters  # after a kill
