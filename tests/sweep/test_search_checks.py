"""What contradicts itself in a search, beside the shape of its section: one message for each cause."""

import pytest

from helpers.search_files import of_space, problems, text
from omni_msa.sweep.sweep import load_sweep

RULES = [
    ({"confirm": None}, "a key is missing", "search.confirm"),
    ({"confirm": {"seeds": [2, 7, 7]}}, "a seed is used both to search and to confirm", "search.confirm.seeds"),
    ({"confirm": {"seeds": [7, 7]}}, "seeds are listed twice: [7]", "search.confirm.seeds"),
    ({"confirm": {"seeds": [-7]}}, "a seed is outside", "search.confirm.seeds"),
    ({"budget": {}}, "proposals, hours or gpu_hours is needed", "search.budget"),
    ({"sampler": "tpee"}, "wrong value", "search.sampler"),
    ({"objectives": ["corr"]}, "this metric cannot be an objective", "search.objectives"),
    ({"objectives": ["mae", "mae"]}, "an objective is listed twice", "search.objectives"),
    ({"objectives": ["mae", "gpu_gb"]}, "unknown metric", "search.objectives.1"),
    (
        {"pruning": {"halving": {"epochs": [2, 1]}}},
        "epochs must be strictly increasing",
        "search.pruning.halving.epochs",
    ),
    (
        {"pruning": {"halving": {}}, "objectives": ["mae", "peak_memory_gb"]},
        "halving needs select.metric as its only objective",
        "search.pruning",
    ),
    ({"objectives": ["mae", "latency_s", "train_s"]}, "a search has one objective or two, not 3", "search.objectives"),
    (
        {"pruning": {"halving": {}}, "space": {"training.epochs": {"choice": [1, 2]}}},
        "so epochs cannot be searched",
        "search.space.training.epochs",
    ),
    (
        {"pruning": {"halving": {}}, "space": {"training": {"choice": [{"epochs": 1}, {"epochs": 2}]}}},
        "so epochs cannot be searched",
        "search.space.training",
    ),
    (
        {"pruning": {"halving": {}}, "sampler": "gp"},
        "this sampler learns from complete proposals only",
        "search.sampler",
    ),
    (
        {"sampler": "grid", "space": {"readout.width": {"int": [1, 5001]}, "adapter.rank": {"choice": [1, 2]}}},
        "too many points for a grid",
        "search.space",
    ),
    (
        {"sampler": "grid", "space": {"readout.width": {"int": [1, 10001]}}},
        "too many points for a grid",
        "search.space",
    ),
    (
        {"sampler": "grid", "space": {"adapter.dropout": {"uniform": [0.0, 0.5]}}},
        "a grid search needs a finite list of values",
        "search.space.adapter.dropout",
    ),
]


@pytest.mark.parametrize(("changes", "what", "where"), RULES)
def test_rules_that_contradict_each_other_are_refused(write_sweep, changes, what, where):
    found = problems(write_sweep, axes=None, search=text(**changes))
    assert what in found[0].what and found[0].where.endswith(where)
    assert len(found) <= 2


def test_a_sampler_whose_package_is_missing_is_refused_with_the_way_to_it(write_sweep, monkeypatch):
    monkeypatch.setattr("omni_msa.sweep.search_checks.find_spec", lambda name: None)
    (found,) = problems(write_sweep, axes=None, search=text(sampler="cmaes"))
    assert found.what == "this sampler needs a package that is not installed" and "[cmaes]" in found.next_step
    monkeypatch.setattr("omni_msa.sweep.search_checks.find_spec", lambda name: name)
    (found,) = problems(write_sweep, axes=None, search=text(sampler="cmaes", objectives=["mae", "latency_s"]))
    assert found.what == "this sampler takes one objective"


def test_a_sampler_of_whole_proposals_goes_with_none_and_a_grid_of_ten_thousand_points_with_everything(write_sweep):
    space = {"readout.width": {"int": [1, 5000]}, "adapter.rank": {"choice": [1, 2]}}
    assert load_sweep(write_sweep(axes=None, search=text(space=space, sampler="grid")))
    assert load_sweep(write_sweep(axes=None, search=text(sampler="gp")))
    assert load_sweep(write_sweep(axes=None, search=text(pruning={"halving": {}})))


def test_a_condition_mends_what_two_parameters_do_together(write_sweep):
    space = {
        "readout.name": {"choice": ["discriminative", "constant", "generative"]},
        "readout.loss": {"choice": ["l1", "huber"], "when": {"readout.name": "discriminative"}},
        "readout.huber_delta": {"uniform": [0.5, 2.0], "when": {"readout.loss": "huber"}},
        "readout.decimals": {"choice": [1, 2], "when": {"readout.name": "generative"}},
    }
    assert load_sweep(write_sweep(axes=None, search=text(space=space)))
    space["readout.decimals"] = {"choice": [1, 2], "when": {"readout.name": ["generative", "discriminative"]}}
    (found,) = of_space(write_sweep, **space)
    assert "give readout.decimals `when: {readout.name: generative}`" in found.next_step
    assert found.got == "readout.name=discriminative, readout.decimals=1: unknown key"


def test_what_a_readout_does_not_use_is_no_parameter(write_sweep):
    space = {"adapter.rank": {"choice": [2, 4]}, "training.epochs": {"choice": [1, 2]}}

    def whats(axes: str, **more) -> list[tuple[str, str]]:
        found = problems(write_sweep, axes=axes, search=text(space={**space, **more}))
        return [(problem.what, problem.where.partition(" search.space.")[2], problem.got) for problem in found]

    what = "this parameter has no effect"
    assert whats("{readout: [frozen_probe]}") == [
        (what, "adapter.rank", "readout frozen_probe"),
        (what, "training.epochs", "readout frozen_probe"),
    ]
    assert [where for _, where, _ in whats("{readout: [frozen_probe, constant]}")] == [
        "adapter.rank",
        "training.epochs",
    ]
    assert load_sweep(write_sweep(axes="{readout: [frozen_probe, discriminative]}", search=text(space=space)))
    named = {**space, "readout.name": {"choice": ["frozen_probe", "discriminative"]}}
    assert load_sweep(write_sweep(axes=None, readout="{name: frozen_probe}", search=text(space=named)))
