"""Every point of a space that a configuration refuses is found before anything starts, each cause said once."""

from collections.abc import Callable

import pytest

from omni_msa.errors import InputError, Problem
from omni_msa.sweep.search_points import at_ends, check_points, drawn
from omni_msa.sweep.search_space import Parameter, is_in, read_space

LOSS = {"choice": ["l1", "huber"]}
RANK = {"int": [1, 64]}


def space_of(**parameters: dict) -> dict[str, Parameter]:
    return read_space({"space": {path.replace("__", "."): value for path, value in parameters.items()}})


def configure_that(refuses: Callable[[dict], bool], where: str = "adapter.rank") -> Callable[[dict], None]:
    """Return what makes configurations, and refuses some."""

    def configure(point: dict) -> None:
        if refuses(point):
            raise InputError(Problem("wrong value", where, "this"))

    return configure


def check(space: dict[str, Parameter], refuses: Callable[[dict], bool], where: str = "adapter.rank") -> list[Problem]:
    return check_points(space, [configure_that(refuses, where)])


def test_a_value_alone_is_said_once_however_many_points_have_it():
    space = space_of(adapter__rank=RANK, readout__loss=LOSS, adapter__dropout={"uniform": [0.0, 0.5]})
    (problem,) = check(space, lambda point: point.get("adapter.rank") == 64)
    assert (problem.what, problem.where) == ("wrong value", "search.space.adapter.rank")


def test_two_values_are_named_with_the_condition_that_mends_it():
    space = space_of(readout__loss=LOSS, adapter__rank={"choice": [1, 2]}, adapter__dropout={"uniform": [0.0, 0.5]})
    bad = {"readout.loss": "huber", "adapter.rank": 2}
    (problem,) = check(space, lambda point: bad.items() <= point.items())
    assert problem.what == "two parameters exclude each other" and problem.where == "search.space.adapter.rank"
    assert problem.got == "readout.loss=huber, adapter.rank=2: wrong value"
    assert problem.next_step == "give adapter.rank `when: {readout.loss: l1}`"


def test_a_pair_under_a_condition_is_tried_where_it_counts():
    space = space_of(
        readout__loss=LOSS,
        readout__huber_delta={"uniform": [0.5, 2.0], "when": {"readout.loss": "huber"}},
        readout__norm={"choice": ["before", "after"]},
    )
    bad = {"readout.huber_delta", "readout.norm"}
    (problem,) = check(space, lambda point: bad <= set(point) and point["readout.norm"] == "after", "readout.norm")
    assert "readout.huber_delta" in problem.got and problem.where == "search.space.readout.norm"
    assert all(is_in(space, point) or path == "readout.norm" or len(point) < 3 for path, point in at_ends(space))
    assert check(space, lambda point: point.get("readout.loss") == "l1" and "readout.huber_delta" in point) == []


def test_inside_of_a_range_is_sampled():
    (problem,) = check(space_of(adapter__rank=RANK), lambda point: 5 < point.get("adapter.rank", 0) < 60)
    assert (problem.what, problem.where) == ("wrong value", "search.space.adapter.rank")


@pytest.mark.parametrize("num", [2, 3])
def test_what_only_numbers_or_more_than_two_do_together_is_sampled(num):
    paths = ["adapter.rank", "readout.width", "training.batch_size"]
    space = read_space({"space": dict.fromkeys(paths, RANK)})
    (problem,) = check(space, lambda point: sum(1 < point.get(path, 1) < 60 for path in paths[:num]) == num)
    assert problem.what.endswith("parameters exclude each other") and problem.where == "search.space.adapter.rank"
    assert all((path in problem.got) == (path in paths[:num]) for path in paths)


def test_a_cell_that_is_wrong_by_itself_is_passed_over_and_the_others_are_tried():
    space = space_of(adapter__rank={"choice": [1, 2]})
    wrong = configure_that(lambda point: True)
    assert check_points(space, [wrong]) == [] and check_points(space, []) == []
    assert len(check_points(space, [wrong, configure_that(lambda point: point.get("adapter.rank") == 2)])) == 1


def test_points_are_drawn_from_the_space_and_the_same_ones_each_time():
    space = space_of(
        readout__loss=LOSS,
        readout__huber_delta={"log_uniform": [0.5, 2.0], "when": {"readout.loss": "huber"}},
        readout__width={"log_int": [1, 9]},
        adapter__dropout={"uniform": [0.0, 0.5]},
    )
    points = drawn(space)
    assert points == drawn(space) and all(is_in(space, point) for point in points)
    assert {point["readout.width"] for point in points} == set(range(1, 10))
    assert {len(point) for point in points} == {3, 4}
