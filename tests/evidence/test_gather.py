"""The evidence of recorded sweeps and of made ones: all that a report reads, in strict JSON, the same each time."""

import json
from dataclasses import replace

import numpy as np
import pytest

from helpers.made_cells import finish, made_plan, noisy, shifted
from helpers.recorded import recorded_plan
from omni_msa.evidence.comparisons.verdict import Verdict
from omni_msa.evidence.gather import gather

COMPARE = "{against: {readout: discriminative}}"


@pytest.fixture
def make(tmp_path, write_sweep, own_cache):
    def make(said=None, **keys):
        keys = {"seeds": "[1, 2, 3]", "compare": COMPARE, **keys}
        return made_plan(tmp_path / "mlruns", write_sweep, said, **keys)

    return make


@pytest.fixture
def readouts(tmp_path, own_cache):
    return gather(recorded_plan("readout_comparison", tmp_path))


def test_the_recorded_readouts(readouts):
    summary = readouts.summary
    assert (summary.metric, summary.style, summary.floor) == ("mae", "standard", "constant")
    assert len(summary.cells) == 6 and len(summary.differences) == len(summary.controls) == 5
    assert summary.cells[0].metrics["mae"].mean == pytest.approx(0.6417452537)
    assert (summary.cells[0].metrics["mae"].best_seed, summary.dataset) == (1112, "vader_av")
    assert summary.cells[5].metrics["corr"].num_collapsed == 1
    assert all(one.controlled and one.n == 3 and one.p == 0.25 for one in summary.differences)
    assert all(control.flags == [] for control in summary.controls)
    generative = summary.controls[0]
    assert [each.state for each in generative.hashes] == ["identical"] * 4 + ["explained"]
    assert {one.metric for one in summary.exploratory} == {"corr", "acc7", "acc2_non0", "f1_non0"}
    assert len(summary.exploratory) == 20
    assert summary.verdict.state == "not decided" and summary.verdict.num_seeds_more == 5
    assert summary.verdict.text == (
        "Not decided: on MAE, discriminative leads all 5 other cells, but 3 seeds are too few to show any difference: "
        "5 more seeds are needed."
    )
    assert [record.seed for record in readouts.of_cell("generative")] == [1111, 1112, 1113]


def test_aggregate_json_has_its_keys_in_their_order(readouts):
    """Other people's scripts read this file: a field that is renamed here must not rename a key there."""
    values = json.loads(json.dumps(readouts.summary.as_json(), allow_nan=False))
    assert list(values) == [
        *("sweep", "question", "style", "metric", "cells", "differences", "exploratory", "controls", "selection"),
        *("verdict", "floor", "human", "notes", "dropped_clips", "dataset"),
    ]
    cell, control = values["cells"][0], values["controls"][0]
    assert list(cell) == ["label", "axes", "deterministic", "seeds", "missing", "failed", "metrics", "gap_share"]
    assert cell["label"] == "discriminative" and cell["axes"] == {"readout": "discriminative"}
    assert list(cell["metrics"]["mae"]) == [
        *("mean", "std", "n", "num_collapsed", "median", "min", "max", "interval_95", "best", "best_seed", "values"),
        *("interval_clips_95", "interval_two_level_95"),
    ]
    assert list(values["selection"]) == [
        *("num_cells", "num_seeds", "num_trials", "num_complete", "num_failed", "num_proposals", "num_confirmed"),
        *("num_comparisons", "checkpoint", "text"),
    ]
    assert list(values["verdict"]) == ["text", "state", "num_seeds_more"]
    assert control["hashes"][0] == {"what": "adapter_init", "state": "identical", "seeds": 3, "why": ""}


def test_the_recorded_modalities(tmp_path, own_cache):
    summary = gather(recorded_plan("modality_ablation", tmp_path)).summary
    inputs = {control.name: {each.what: each.state for each in control.hashes} for control in summary.controls}
    assert all(found == {**dict.fromkeys(found, "identical"), "inputs": "explained"} for found in inputs.values())
    assert all(one.better == "label" for one in summary.differences)  # anything is better than the text alone
    assert summary.verdict.text == (
        "Not decided: on MAE, text trails all 3 other cells, but 3 seeds are too few to show any difference: "
        "4 more seeds are needed."
    )


def test_gathered_again_it_is_the_same(readouts, tmp_path):
    assert gather(recorded_plan("readout_comparison", tmp_path)).summary == readouts.summary


def test_nothing_is_written(tmp_path, own_cache):
    plan = recorded_plan("modality_ablation", tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    gather(plan)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_sweep_of_which_nothing_has_run(make):
    summary = gather(make()).summary
    assert summary.verdict == Verdict("No trial is finished yet.", "incomplete", None)
    assert [one.n for one in summary.differences] == [0]
    assert summary.human is None and summary.floor == "constant"
    assert [cell.missing for cell in summary.cells] == [[1, 2, 3], [None]]
    assert summary.selection.num_complete == 0


def test_eight_seeds_decide(make):
    seeds = range(1, 9)
    said = {"discriminative": {seed: noisy(0.5, seed) for seed in seeds}, "constant": {None: np.zeros(120)}}
    summary = gather(make(said, seeds=str(list(seeds)))).summary
    (one,) = summary.differences
    assert one.p == one.p_holm == 2 / 2**8 and one.p_clips < 0.001
    assert summary.verdict.state == "supported" and summary.verdict.num_seeds_more is None
    assert summary.verdict.text.startswith("On MAE, discriminative is ahead of constant by ")
    assert summary.verdict.text.endswith(" (p = 0.0078, 8 seeds).")


def test_a_failed_seed_is_named(make):
    said = {"discriminative": {seed: shifted(0.5) for seed in (1, 2)}, "constant": {None: shifted(0.9)}}
    plan = make(said)
    (failing,) = [trial for trial in plan.trials if trial.name == "discriminative, seed 3"]
    folder = plan.ledger.trial(failing.trial_id)
    folder.begin(failing.config, {})
    folder.fail("bug", "it broke", "trace")
    summary = gather(make()).summary
    assert summary.cells[0].failed == (3,) and summary.selection.num_failed == 1
    assert summary.verdict.text.endswith(" more seeds are needed (seed 3 of discriminative failed).")
    described = gather(make(compare=None)).summary.verdict.text
    assert "the only mean MAE among cells with every seed is that of constant (0.900); seed 3" in described


def test_seeds_alone_do_not_decide_what_clips_do_not_tell(make):
    """Two models equally noisy, each with its own errors on the clips, and hardly any spread over seeds."""
    seeds, axes = range(1, 9), "{readout: [discriminative, generative]}"
    said = {
        name: {seed: noisy(0.9, first) + 0.002 * np.random.default_rng(seed).standard_normal(120) for seed in seeds}
        for name, first in (("discriminative", 0), ("generative", 8))
    }
    summary = gather(make(said, seeds=str(list(seeds)), axes=axes)).summary
    (one,) = summary.differences
    low, high = one.interval_two_level
    assert one.p_holm == 2 / 2**8 and one.p_clips > 0.05 and low < 0 < high
    assert summary.verdict.state == "not decided"
    assert f"but on other test clips it could turn: {low:+.3f} to {high:+.3f}" in summary.verdict.text


def test_cells_on_other_test_clips_are_not_compared_over_seeds(make):
    keys = {"axes": "{readout: [discriminative, generative]}", "seeds": "[1, 2, 3, 4, 5, 6]"}
    plan = make({"discriminative": {seed: noisy(0.5, seed) for seed in range(1, 7)}}, **keys)
    for seed in range(1, 7):
        finish(plan, "generative", seed, noisy(1.5, seed), clips=[f"other_{place}" for place in range(120)])
    summary = gather(make(**keys)).summary
    assert summary.differences[0].p is None and summary.differences[0].pairing == "other clips"
    assert summary.verdict.state == "not decided"
    assert "generative was tested on other clips than discriminative" in summary.verdict.text


def test_further_seeds_are_to_be_fixed_once(make):
    said = {"discriminative": {seed: shifted(0.5) for seed in (1, 2, 3)}, "constant": {None: shifted(0.9)}}
    summary = gather(make(said)).summary
    assert summary.verdict.num_seeds_more == 3
    assert summary.selection.text[-1].startswith("Fix the number of further seeds once")
    assert summary.selection.num_comparisons == 1


def test_without_a_comparison_what_leads_is_described(make):
    said = {"discriminative": {1: shifted(0.5)}, "constant": {None: shifted(0.9)}}
    summary = gather(make(said, compare=None, seeds="[1]", select="{metric: mae, split: valid}")).summary
    assert summary.differences == summary.exploratory == summary.controls == []
    assert summary.verdict.state == "no comparison"
    assert "is that of discriminative (0.500), before constant (0.900)" in summary.verdict.text


def test_predictions_that_do_not_give_the_recorded_metrics_are_left_out(make):
    plan = make({"discriminative": {1: shifted(0.5)}}, seeds="[1]")
    finish(plan, "discriminative", 1, shifted(0.5), metrics={"mae": 0.4})
    summary = gather(make(seeds="[1]")).summary
    assert summary.cells[0].metrics["mae"].interval_clips_95 is None
    assert any(
        "discriminative, seed 1: its test predictions give another mae (0.5) than" in note for note in summary.notes
    )


def test_people_are_the_ceiling_where_the_data_is_there(make, own_cache):
    dataset = "{name: vader_av, num_train: 8, num_valid: 4, num_test: 4}"
    from helpers import tiny_trials  # imports torch, which the other tests do without

    tiny_trials.make_clips(own_cache, with_media=False)
    said = {"discriminative": {1: {"mae": 1.0}}, "constant": {None: {"mae": 2.0}}}
    found = gather(make(said, dataset=dataset, seeds="[1]"))
    ceiling = found.summary.human["mae"]
    share = found.summary.cells[0].gap_share["mae"]
    assert share == pytest.approx((2.0 - 1.0) / (2.0 - ceiling))
    assert found.summary.cells[1].gap_share["mae"] == 0.0


def test_the_style_of_the_sweep_changes_no_number(tmp_path, own_cache):
    plain, old = (gather(recorded_plan("modality_ablation", tmp_path, *more)).summary for more in ((), ("style=mmsa",)))
    assert old.notes[0] == plain.notes[0].removesuffix(".") + " style=mmsa."  # the recorded cells are also named
    assert old == replace(plain, style="mmsa", notes=[old.notes[0], *plain.notes[1:]])


def test_several_datasets_have_no_common_name_or_people(make):
    axes = "{dataset.num_test: [4, 8]}"
    found = gather(make(axes=axes, compare="{against: {dataset.num_test: 4}}"))
    assert (found.summary.human, found.summary.dataset) == (None, "")
