"""Optuna's side of a search, on a known surface."""

import pickle
import sqlite3
from pathlib import Path

import optuna
import pytest
from surface import height, lowest, search_of, told

from omni_msa.search import NUM_STARTUP, importances, publish, suggest
from omni_msa.search_rules import Score, Told, worse_p
from omni_msa.search_space import is_in, same
from omni_msa.statistics.paired import sign_flip_p


def one_by_one(search, num: int, known=(), begin=()) -> list[Told]:
    cells = [*known, *begin]
    for number in range(len(begin), num):
        cells.append(told(suggest(search, cells, number).parameters, number))
    return cells


def test_tpe_beats_random_at_equal_budget_over_20_repetitions():
    heights = [[lowest(one_by_one(search_of(name, seed), 40)) for name in ("random", "tpe")] for seed in range(20)]
    gained = [random - tpe for random, tpe in heights]
    assert sum(gained) > 0 and sign_flip_p(gained) < 0.05, heights
    assert worse_p(gained) < 0.05, heights


@pytest.mark.parametrize("name", ["tpe", "random", "grid"])
def test_one_by_one_a_seed_settles_every_proposal_also_across_a_kill(name):
    changes = {"space": {"adapter.rank": {"int": [1, 40]}, "readout.loss": {"choice": ["l1", "mse"]}}}
    search = search_of(name, 3, **changes)

    def cell(parameters, number) -> Told:
        value = abs(parameters["adapter.rank"] - 20) + number / 100
        return Told(parameters, Score("complete", (value,), {0: value}), number)

    whole: list[Told] = []
    for number in range(NUM_STARTUP + 4):
        whole.append(cell(suggest(search, whole, number).parameters, number))
    for number in (0, 3, NUM_STARTUP + 1, NUM_STARTUP + 3):  # all that is known then, read anew
        again = [Told(dict(each.parameters), each.score, each.number) for each in whole[:number]]
        assert suggest(search, again, number).parameters == whole[number].parameters
    other = suggest(search_of(name, 4, **changes), [], 0)
    assert name == "grid" or other.parameters != whole[0].parameters


def test_every_proposal_lies_in_the_space():
    search = search_of()
    for each in one_by_one(search, 15):
        assert is_in(search.space, each.parameters)


@pytest.mark.parametrize("name", ["tpe", "random", "grid"])
def test_proposals_that_run_together_are_no_duplicates(name):
    space = {"adapter.rank": {"choice": [1, 2, 3]}, "readout.loss": {"choice": ["l1", "mse"]}}
    search = search_of(name, space=space)
    cells: list[Told] = []
    while (found := suggest(search, cells, len(cells))) is not None:
        assert not any(same(found.parameters, each.parameters) for each in cells)
        cells.append(Told(found.parameters, Score("running"), len(cells)))
    assert len(cells) == 6  # the whole space, and then it waits


def test_a_sampler_that_insists_may_repeat_a_cell_when_nothing_runs():
    search = search_of("random", space={"adapter.rank": {"choice": [1]}})
    one = Told({"adapter.rank": 1}, Score("complete", (1.0,), {0: 1.0}), 0)
    assert suggest(search, [one], 1).parameters == {"adapter.rank": 1}
    assert suggest(search_of("grid", space={"adapter.rank": {"choice": [1]}}), [one], 1) is None


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


def told_at(dropout: float, number: int) -> Told:
    value = abs(dropout - 0.4)
    return Told({"adapter.dropout": dropout}, Score("complete", (value,), {0: value}), number)


def running(dropout: float, number: int) -> Told:
    return Told({"adapter.dropout": dropout}, Score("running"), number)


def test_lists_can_be_chosen():
    space = {"adapter.targets": {"choice": [["q_proj"], ["q_proj", "v_proj"]]}, "readout.width": {"choice": [1, None]}}
    found = suggest(search_of(space=space), [], 0).parameters
    assert found["adapter.targets"] in space["adapter.targets"]["choice"] and is_in(search_of(space=space).space, found)


def test_two_objectives_can_be_searched():
    search = search_of(objectives=["mae", "peak_memory_gb"])
    cells: list[Told] = []
    for number in range(10):
        found = suggest(search, cells, number).parameters
        cells.append(Told(found, Score("complete", (height(found), float(found["adapter.rank"]))), number))
    assert len({str(each.parameters) for each in cells}) == 10


def test_importances_name_what_mattered():
    cells = one_by_one(search_of("random"), 60)
    found = importances(search_of("random"), cells)
    assert next(iter(found)) == "training.learning_rate" and sum(found.values()) == pytest.approx(1)
    assert importances(search_of(), cells[:1]) == {} == importances(search_of(), [])


@pytest.fixture
def database(tmp_path):
    return tmp_path / "optuna.db"


def stored(database, name: str = "s") -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{database}").get_trials()


def test_the_database_holds_what_has_ended_once(database):
    cells = one_by_one(search_of(), 3)
    for _ in range(2):
        publish(database, "s", search_of(), [*cells[:2], Told(cells[2].parameters, Score("running"), 2)])
        assert [trial.value for trial in stored(database)] == [each.score.values[0] for each in cells[:2]]
    publish(database, "s", search_of(), [*cells, Told(cells[0].parameters, Score("failed"), 3)])
    assert [trial.user_attrs["proposal"] for trial in stored(database)] == [0, 1, 2, 3]
    assert stored(database)[3].state.name == "FAIL"


def test_a_study_that_holds_something_else_is_made_anew(database):
    search = search_of(pruning={"halving": {"epochs": [1]}})
    pruned = Told(told_at(0.1, 0).parameters, Score("pruned", None, {0: 0.9}), 0)
    space = {"adapter.dropout": {"uniform": [0.0, 1.0]}}
    search = search_of(space=space, pruning={"halving": {"epochs": [1]}})
    publish(database, "other", search_of(), one_by_one(search_of(), 1))
    publish(database, "s", search, [pruned])
    assert stored(database)[0].state.name == "PRUNED" and stored(database)[0].intermediate_values == {1: 0.9}
    publish(database, "s", search, [told_at(0.1, 0)])  # it was promoted
    assert [trial.state.name for trial in stored(database)] == ["COMPLETE"]
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{database}")
    study.ask()  # somebody else
    publish(database, "s", search, [told_at(0.1, 0)])
    assert [trial.state.name for trial in stored(database)] == ["COMPLETE"]
    assert len(stored(database, "other")) == 1
    with sqlite3.connect(database) as connection:
        assert connection.execute("select count(*) from trials where state = 'RUNNING'").fetchone() == (0,)


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def told_of_a_bowl(suggestion, number: int, **notes) -> Told:
    value = sum((each - 0.2) ** 2 for each in suggestion.parameters.values())
    return Told(suggestion.parameters, Score("complete", (value,), {0: value}), number, {**suggestion.notes, **notes})


BOWL = {"adapter.dropout": {"uniform": [0.0, 1.0]}, "training.warmup_fraction": {"uniform": [0.0, 1.0]}}


@pytest.mark.parametrize("name", ["tpe", "cmaes"])
def test_nothing_of_a_proposal_is_ever_unpickled(tmp_path, name):
    bomb, search = pickle.dumps(Bomb(tmp_path / "gone off")).hex(), search_of(name, space=BOWL)
    pickle.loads(bytes.fromhex(bomb))
    (tmp_path / "gone off").unlink()  # it works
    cells: list[Told] = []
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
    again = [Told(dict(each.parameters), each.score, each.number, dict(each.notes)) for each in cells[:30]]
    assert suggest(search, again, 30).parameters == cells[30].parameters  # after a kill
