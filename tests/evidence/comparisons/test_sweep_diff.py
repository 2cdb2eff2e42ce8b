"""Two sweeps side by side: which cells are the same, what differs in their settings, and by how much they differ."""

import statistics

import pytest
from scipy import stats

from helpers.made_cells import finish, made_plan, noisy
from omni_msa.errors import InputError
from omni_msa.evidence.comparisons.sweep_diff import diff
from omni_msa.ledger.ledger import Ledger
from omni_msa.planning.plan import make_plan
from omni_msa.sweep.sweep import load_sweep

VALUES = {1: (0.5, 0.9), 2: (0.6, 0.8), 3: (0.9, 1.0)}  # of each seed, in the first sweep and in the second


@pytest.fixture
def plan_of(tmp_path, write_sweep, own_cache):
    def make(*settings, finished=(), **keys):
        """Return a plan; `finished`: which label at which seed has which error."""
        path = write_sweep(**{"seeds": "[1, 2, 3]", **keys})
        plan = make_plan(load_sweep(path, settings), Ledger(tmp_path / "mlruns"))
        for label, mae in dict(finished).items():
            (trial,) = [trial for trial in plan.trials if trial.name == label]
            folder = plan.ledger.trial(trial.trial_id)
            folder.begin(trial.config, {})
            folder.write_test_metrics({"mae": mae, "corr": 0.5})
            folder.complete({"valid": {"mae": mae}, "cost": {"train_s": 1.0}})
        return make_plan(load_sweep(path, settings), Ledger(tmp_path / "mlruns"))

    return make


def trained(side):
    return {f"discriminative, seed {seed}": values[side] for seed, values in VALUES.items()}


def test_cells_with_equal_axis_values_are_subtracted_seed_by_seed(plan_of):
    first = plan_of(finished=trained(0) | {"constant": 1.5})
    second = plan_of("training.epochs=7", finished=trained(1))
    found = diff(first, second)
    discriminative, constant = found.cells
    mae = discriminative.metrics[0]
    values = [a - b for a, b in VALUES.values()]
    assert (mae.metric, mae.seeds) == ("mae", [1, 2, 3]) and mae.values == pytest.approx(values)
    assert (mae.mean, mae.other_mean) == pytest.approx((2 / 3, 0.9))
    assert mae.difference == pytest.approx(-0.7 / 3) and mae.std == pytest.approx(statistics.stdev(values))
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mae.interval == pytest.approx((low, high))
    assert (mae.p, mae.p_floor) == (0.25, 0.25)  # all three of one sign
    assert discriminative.note(mae) == "not testable at 0.05 with n = 3 < 6 pairs"
    assert discriminative.settings == {"training.epochs": [2, 7]} and discriminative.controlled
    assert constant.same_trials and constant.settings == {} and constant.note(constant.metrics[0]) == "the same trials"
    assert constant.metrics[0].values == [0.0]  # what it does not depend on is not another trial


def test_cells_on_other_test_clips_are_not_tested(tmp_path, write_sweep, own_cache):
    seeds, axes = range(1, 7), "{readout: [discriminative]}"
    plans = []
    for epochs, prefix in (("{epochs: 2}", "a"), ("{epochs: 3}", "b"), ("{epochs: 4}", "a")):
        keys = {"seeds": str(list(seeds)), "axes": axes, "training": epochs, "compare": None}
        plan = made_plan(tmp_path / "m", write_sweep, **keys)
        for seed in seeds:
            finish(plan, "discriminative", seed, noisy(0.5, seed), clips=[f"{prefix}{place}" for place in range(120)])
        plans.append(made_plan(tmp_path / "m", write_sweep, **keys))
    cell, same = diff(plans[0], plans[1]).cells[0], diff(plans[0], plans[2]).cells[0]
    mae = cell.metrics[0]
    assert cell.other_clips and (len(mae.values), mae.p, mae.p_floor) == (6, None, None)
    assert cell.note(mae) == "tested on other clips, so the difference is also one of clips"
    assert not same.other_clips and same.metrics[0].p == 1.0 and same.note(same.metrics[0]) == ""


def test_only_seeds_that_both_have_make_pairs(plan_of):
    first = plan_of(finished=trained(0))
    second = plan_of("training.epochs=7", finished={"discriminative, seed 2": 0.8})
    mae = diff(first, second).cells[0].metrics[0]
    assert mae.seeds == [2] and mae.values == pytest.approx([-0.2]) and mae.interval is None and mae.p == 1.0
    assert mae.mean == pytest.approx(2 / 3) and mae.other_mean == 0.8


def test_several_settings_at_once_are_not_controlled(plan_of):
    found = diff(plan_of(), plan_of("training.epochs=7", "adapter.rank=8"))
    cell = found.cells[0]
    assert set(cell.settings) == {"training.epochs", "adapter.rank"} and not cell.controlled
    assert cell.metrics[0].difference is None and cell.metrics[0].p is None  # nothing has been run


def test_hashes_that_follow_from_the_setting_that_differs_do_not_speak_against_control(plan_of):
    def with_hash(plan, value):
        for trial in plan.trials:
            if trial.config.seed is not None:
                folder = plan.ledger.trial(trial.trial_id)
                folder.begin(trial.config, {})
                folder.write_test_metrics({"mae": 0.5})
                folder.complete(
                    {
                        "valid": {"mae": 0.5},
                        "cost": {"train_s": 1.0},
                        "hashes": {"adapter_init": value, "data_order": "same"},
                    }
                )
        return plan_of(*(["adapter.rank=8"] if value == "b" else []))

    first, second = with_hash(plan_of(), "a"), with_hash(plan_of("adapter.rank=8"), "b")
    cell = diff(first, second).cells[0]
    assert cell.controlled and not any("initial adapter weights: not the same" in flag for flag in cell.flags)


def test_recorded_data_order_that_differs_though_no_setting_explains_it_is_flagged(plan_of):
    def run(order, *settings):
        plan = plan_of(*settings)
        for trial in (trial for trial in plan.trials if trial.config.seed is not None):
            folder = plan.ledger.trial(trial.trial_id)
            folder.begin(trial.config, {})
            folder.write_test_metrics({"mae": 0.5})
            folder.complete({"valid": {"mae": 0.5}, "cost": {"train_s": 1.0}, "hashes": {"data_order": order}})
        return plan_of(*settings)

    cell = diff(run("a"), run("b", "adapter.rank=8")).cells[0]
    assert not cell.controlled and any("order of the training clips" in flag for flag in cell.flags)


def test_an_axis_of_one_sweep_is_looked_up_in_the_settings_of_the_other(plan_of):
    axes = "{readout: [discriminative], adapter.rank: [4, 8]}"
    first, second = plan_of(axes=axes), plan_of("adapter.rank=8", axes="{readout: [discriminative, constant]}")
    found = diff(first, second)
    assert [(cell.label, cell.other_label) for cell in found.cells] == [("discriminative, rank 8", "discriminative")]
    assert found.only == ["discriminative, rank 4"] and found.only_other == ["constant"]
    assert found.cells[0].settings == {}


def test_a_plug_in_with_options_is_found_by_its_name(plan_of):
    first = plan_of(axes="{readout: [{name: discriminative}, constant]}")
    second = plan_of(axes="{adapter.rank: [4, 2]}")
    found = diff(first, second)
    assert [cell.other_label for cell in found.cells] == ["rank 4"] and found.only == ["constant"]
    by_default = diff(first, plan_of(axes="{readout: [discriminative, constant]}"))
    assert [cell.label for cell in by_default.cells] == ["discriminative", "constant"]


def test_another_plug_in_is_one_setting_with_all_its_options(plan_of):
    first = plan_of(axes="{adapter.rank: [4]}")
    found = diff(first, plan_of("readout=generative", axes="{adapter.rank: [4]}"))
    assert found.cells[0].settings == {"readout": ["discriminative", "generative"]} and found.cells[0].controlled
    untrained = diff(first, plan_of("readout=frozen_probe", axes="{adapter.rank: [4]}"))
    assert list(untrained.cells[0].settings) == ["readout"]  # that it has no adapter follows


def test_sweeps_without_a_cell_in_common_are_refused(plan_of):
    with pytest.raises(InputError) as caught:
        diff(plan_of(axes="{readout: [constant]}"), plan_of(axes="{readout: [frozen_probe]}"))
    [problem] = caught.value.problems
    assert problem.what == "the two sweeps have no cell in common" and "sweep has readout" in problem.got


def test_an_undefined_value_makes_no_pair(plan_of):
    plan = plan_of(finished=trained(0))
    for trial in plan.trials:
        folder = plan.ledger.trial(trial.trial_id)
        if trial.config.seed == 2:
            folder.write_test_metrics({"mae": 0.6, "corr": float("nan")})
    second = plan_of("training.epochs=7", finished=trained(1))
    metrics = {one.metric: one for one in diff(plan, second).cells[0].metrics}
    assert metrics["corr"].seeds == [1, 3] and metrics["mae"].seeds == [1, 2, 3]
