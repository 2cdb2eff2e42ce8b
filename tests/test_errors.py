"""Problems read well, and errors survive the way between processes."""

import pickle

import pytest

from omni_msa.errors import InputError, Interrupted, Problem, did_you_mean

FULL = Problem("unknown readout", "a.yaml axes.readout", "'generativ'", "constant, generative", "create a file")


def test_a_problem_is_one_line_and_one_line_for_each_thing_known() -> None:
    assert str(FULL).splitlines() == [
        "unknown readout",
        "    where:   a.yaml axes.readout",
        "    got:     'generativ'",
        "    allowed: constant, generative",
        "    next:    create a file",
    ]
    assert str(Problem("the axis is empty", next_step="add a value")).splitlines() == [
        "the axis is empty",
        "    next:    add a value",
    ]


def test_all_problems_of_an_error_are_numbered() -> None:
    lines = str(InputError(Problem("first"), Problem("second", got="2"))).splitlines()
    assert lines == ["1. first", "2. second", "    got:     2"]


@pytest.mark.parametrize("error", [InputError(FULL, Problem("another")), Interrupted("after step 3")])
def test_errors_are_picklable(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_the_nearest_name_is_proposed_and_nothing_far_away() -> None:
    existing = ["generative", "discriminative", "constant"]
    assert did_you_mean("generativ", existing) == 'did you mean "generative"?'
    assert did_you_mean("xyz", existing) == ""
    assert did_you_mean("", []) == ""
