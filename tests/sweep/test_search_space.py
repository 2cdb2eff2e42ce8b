"""The space of a search, and every mistake in one: one message for each, all at once."""

import pytest

from helpers.paths import SWEEPS
from helpers.search_files import SPACE, of_space, problems, text
from omni_msa.config.identity import trial_id
from omni_msa.sweep import search_space
from omni_msa.sweep.search_space import Parameter, read_space
from omni_msa.sweep.sweep import load_sweep, proposed


def test_a_search_needs_no_axes(write_sweep):
    sweep = load_sweep(write_sweep(axes=None, search=text()))
    assert [cell.axes for cell in sweep.cells] == [{}]
    assert sweep.file.search.space["readout.width"].kind == "log_int"
    two = load_sweep(write_sweep(axes="{modalities: [[text], [audio]]}", search=text()))
    assert len(two.cells) == 2


def test_a_proposal_is_configured_as_axes_are(write_sweep):
    sweep = load_sweep(write_sweep(axes="{modalities: [[text], [audio]]}", search=text()))
    cell = proposed(sweep, sweep.cells[1], {"adapter.rank": 8, "readout.loss": "huber", "readout.huber_delta": 0.7})
    config = cell.config
    assert (config.modalities, config.adapter.rank, config.readout.huber_delta) == (("audio",), 8, 0.7)
    assert config.readout.width == sweep.cells[1].config.readout.width and cell.axes == sweep.cells[1].axes


ONE = [
    ({"adapter.rank": {"choice": []}}, "wrong value", "adapter.rank.choice", "at least 1"),
    ({"adapter.rank": {"choice": [4, 4]}}, "values are listed twice: 4", "adapter.rank", ""),
    ({"readout.width": {"int": [64, 32]}}, "the range is empty: 64 is not below 32", "readout.width", ""),
    ({"readout.width": {"int": [64, 64]}}, "the range is empty", "readout.width", ""),
    (
        {"training.learning_rate": {"log_uniform": [-1e-5, 1e-3]}},
        "-1e-05 has no logarithm",
        "training.learning_rate",
        "",
    ),
    ({"readout.width": {"log_int": [0, 4]}}, "0 has no logarithm", "readout.width", ""),
    ({"readout.width": {"int": [1.5, 4]}}, "wrong value", "readout.width.int.0", "a valid integer"),
    ({"adapter.rank": {"choice": [4], "int": [1, 2]}}, "exactly one of choice, int", "adapter.rank", ""),
    ({"adapter.rank": {}}, "not none", "adapter.rank", ""),
    ({"adapter.rank": {"chioce": [4]}}, "unknown key", "adapter.rank.chioce", 'did you mean "choice"?'),
    ({"adapter.rnk": {"choice": [4]}}, "unknown key", "adapter.rnk", 'did you mean "rank"?'),
    ({"adaptr.rank": {"choice": [4]}}, "unknown parameter", "adaptr.rank", 'did you mean "adapter"?'),
    ({"dataset.num_train": {"choice": [4]}}, "unknown parameter", "dataset.num_train", "a path into adapter"),
    ({"seed": {"int": [1, 4]}}, "unknown parameter", "seed", "a path into adapter"),
    ({"training.select_metric": {"choice": ["corr"]}}, "select.metric sets this", "training.select_metric", ""),
    ({"adapter.dropout": {"uniform": [0.5, 1.5]}}, "wrong value", "adapter.dropout", "less than 1"),
    ({"adapter.rank": {"uniform": [1.0, 2.0]}}, "wrong value", "adapter.rank", "a valid integer"),
    ({"readout.loss": {"choice": ["l1", "l3"]}}, "wrong value", "readout.loss", 'did you mean "l1"?'),
    (
        {"readout.width": {"int": [1, 9], "when": {"readout.los": "l1"}}, "readout.loss": {"choice": ["l1"]}},
        "a condition names an unknown parameter",
        "readout.width.when.readout.los",
        'did you mean "readout.loss"?',
    ),
    (
        {"readout.width": {"int": [1, 9], "when": {"readout.loss": "mse"}}, "readout.loss": {"choice": ["l1"]}},
        "the other parameter never has this value",
        "readout.width.when.readout.loss",
        "['l1']",
    ),
    (
        {
            "readout.width": {"choice": [1, 9], "when": {"readout.loss": "l1"}},
            "readout.loss": {"choice": ["l1"], "when": {"readout.width": 9}},
        },
        "the conditions form a circle",
        "",
        "remove one",
    ),
    ({}, "wrong value", "", "at least 1"),
    ({"adapter.alpha": {"choice": [8, 8.0]}}, "values are listed twice: 8", "adapter.alpha", ""),
    ({"adapter.rank": {"int": [1, 2, 3]}}, "a range is two numbers", "adapter.rank.int", ""),
    ({"adapter.dropout": {"uniform": [0.1]}}, "the lowest and the highest, not 1", "adapter.dropout.uniform", ""),
    (
        {"adapter.rank": {"choice": [2], "when": {"adapter.rank": 2}}},
        "a condition names an unknown parameter",
        "adapter.rank.when.adapter.rank",
        "remove the condition",
    ),
    (
        {"adapter.rank": {"choice": [2], "when": {"readout.loss": []}}, "readout.loss": {"choice": ["l1"]}},
        "a condition without values never holds",
        "adapter.rank.when.readout.loss",
        "['l1']",
    ),
    (
        {
            "readout.name": {"choice": ["discriminative", "constant"]},
            "readout.loss": {"choice": ["l1", "huber"]},
        },
        "two parameters exclude each other",
        "readout.loss",
        "give readout.loss `when: {readout.name: discriminative}`",
    ),
]


@pytest.mark.parametrize(("space", "what", "where", "hint"), ONE)
def test_a_bad_space_is_one_message(write_sweep, space, what, where, hint):
    found = of_space(write_sweep, **space)
    assert len(found) == 1, found
    assert what in found[0].what and found[0].where.endswith(f"sweep.yaml search.space.{where}".rstrip("."))
    assert hint in f"{found[0].allowed} {found[0].next_step}"


def test_numbers_that_a_configuration_makes_equal_are_one_value(write_sweep):
    space = read_space({"space": {"adapter.alpha": {"choice": [8, 16.0]}, "readout.norm": {"choice": [True, 1]}}})
    assert search_space.is_in(space, {"adapter.alpha": 8.0, "readout.norm": True})
    assert search_space.is_in(space, {"adapter.alpha": 16, "readout.norm": 1})
    assert not search_space.is_in(space, {"adapter.alpha": True, "readout.norm": 1})
    assert search_space.text({"a": [8.0, {"b": 2}]}) == search_space.text({"a": [8, {"b": 2.0}]})
    assert search_space.text({"a": 1}) != search_space.text({"a": True})
    assert space["adapter.alpha"].own(8.0) == 8 and type(space["adapter.alpha"].own(8.0)) is int
    assert [space["readout.norm"].own(value) for value in (True, 1)] == [True, 1]
    sweep = load_sweep(write_sweep(axes=None, search=text(space={"adapter.alpha": {"choice": [8, 16.5]}})))
    one, other = (proposed(sweep, sweep.cells[0], {"adapter.alpha": value}).config for value in (8, 8.0))
    assert trial_id(one, "x") == trial_id(other, "x")


def test_a_parameter_that_is_also_an_axis_is_refused(write_sweep):
    for axis in ("adapter.rank: [4]", "readout: [discriminative]"):
        found = problems(write_sweep, axes=f"{{{axis}}}", search=text())
        assert {problem.what for problem in found} == {"a parameter is also an axis"}


def test_all_problems_are_told_at_once(write_sweep):
    space = {
        "adapter.rank": {"choice": []},
        "adapter.dropout": {"uniform": [0.5, 0.1]},
        "adapter.alphaa": {"choice": [1.0]},
        "readout.width": {"log_int": [-4, 4]},
        "modalities": {"choice": [["text"]]},
    }
    found = problems(write_sweep, axes="{modalities: [[text]]}", seeds="[]", search=text(space=space, sampler="x"))
    places = {problem.where.partition(" ")[2] for problem in found}
    named = {"adapter.rank.choice", "adapter.dropout", "adapter.alphaa", "readout.width", "modalities"}
    assert places == {f"search.space.{name}" for name in named} | {"seeds", "search.sampler"}


def test_a_parameter_can_be_set_on_the_command_line(write_sweep):
    path = write_sweep(axes=None, search=text())
    setting = "search.space.adapter.rank={choice: [2]}"
    assert load_sweep(path, [setting, "search.budget.proposals=9"]).file.search.budget.proposals == 9
    assert load_sweep(path, [setting]).file.search.space["adapter.rank"].choice == (2,)
    (found,) = problems(write_sweep, ["search.space.adapter.rank.choice=[2,4]"], axes=None, search=text())
    assert found.what.endswith("set as a whole, for example search.space.adapter.rank={choice: [2, 4]}")
    found = problems(write_sweep, ["search.space.adapter.rank={choice: [0]}"], axes=None, search=text())
    assert found[0].where == "command line search.space.adapter.rank"


def test_what_counts_depends_on_the_others():
    space = read_space({"space": SPACE})
    order = search_space.ordered(space)
    assert order.index("readout.loss") < order.index("readout.huber_delta") and set(order) == set(SPACE)
    base = {"adapter.rank": 4, "readout.width": 64, "training.learning_rate": 1e-4}
    assert search_space.is_in(space, {**base, "readout.loss": "l1"})
    assert not search_space.is_in(space, {**base, "readout.loss": "l1", "readout.huber_delta": 1.0})
    assert not search_space.is_in(space, {**base, "readout.loss": "huber"})
    assert search_space.is_in(space, {**base, "readout.loss": "huber", "readout.huber_delta": 1.0})
    assert not search_space.is_in(space, {**base, "readout.loss": "l1", "adapter.rank": 5})
    assert not search_space.is_in(space, {**base, "readout.loss": "l1", "readout.width": 64.5})


def test_a_grid_has_every_point_once():
    space = read_space(
        {
            "space": {
                "readout.huber_delta": {"choice": [1, 2], "when": {"readout.loss": ["huber"]}},
                "readout.loss": {"choice": ["l1", "huber"]},
                "adapter.rank": {"int": [1, 2]},
            }
        }
    )
    points = search_space.grid(space)
    assert len(points) == 6 and len({search_space.label(point) for point in points}) == 6
    assert all(search_space.is_in(space, point) for point in points)


def test_the_shipped_search_is_valid():
    path = SWEEPS / "head_lora_search.yaml"
    search = load_sweep(path).file.search
    assert {"adapter.rank", "readout.norm", "training.warmup_fraction"} <= set(search.space)
    assert Parameter(choice=("a",)).has("a") and not Parameter(choice=(1,)).has("1")
