"""Trials, failures, machines and settings, as the page lists them."""

import pytest

from helpers.page_trials import finish, finished_plan
from helpers.recorded import recorded_plan
from omni_msa.evidence.gather import gather
from omni_msa.planning.plan import make_plan
from omni_msa.report.page import facts

SAID = {"discriminative": {1: [0.0, 0.1, 0.2, 0.3], 2: [0.0, 0.1, 0.2, 0.3]}, "constant": {None: [0.0, 0.0, 0.0, 0.0]}}


@pytest.fixture
def plan(tmp_path, write_sweep, own_cache):
    return finished_plan(tmp_path, write_sweep, SAID)


def again(plan):
    return gather(make_plan(plan.sweep, plan.ledger))


def test_every_trial_of_every_cell_has_a_row(plan):
    table = facts.trial_table(gather(plan))
    names = [heading.text for heading in table.headings]
    assert names[:4] == ["readout", "seed", "state", "MAE"] and names[-3:] == ["attempts", "trial", "failure"]
    rows = [dict(zip(names, row, strict=True)) for row in table.rows]
    assert [(row["readout"].text, row["seed"].text, row["state"].text) for row in rows] == [
        ("discriminative", "1", "complete"),
        ("constant", "–", "complete"),  # noqa: RUF001
        ("discriminative", "2", "complete"),
    ]
    assert rows[0]["MAE"].text == "1.600" and float(rows[0]["MAE"].key) == pytest.approx((2.5 + 0.7 + 1.7 + 1.5) / 4)
    assert rows[1]["Corr"] == facts.SortableText("NaN", "", True)  # sorts last
    assert rows[1]["seed"].key == "" and rows[0]["seed"].key == "1"
    assert table.states == {"complete": 3}


def test_a_cell_that_shares_its_trials_has_its_own_rows(tmp_path, write_sweep, own_cache):
    axes = "{readout: [constant], adapter.rank: [2, 4]}"
    evidence = gather(finished_plan(tmp_path, write_sweep, {"constant, rank 2": {None: [0.0] * 4}}, axes=axes))
    rows = facts.trial_table(evidence).rows
    assert [(row[0].text, row[1].text, row[3].text) for row in rows] == [
        ("constant", "2", "complete"),
        ("constant", "4", "complete"),
    ]


def test_failures_are_told_with_what_was_done(plan):
    assert facts.failures(gather(plan)) == []
    first, second = (trial for trial in plan.trials if trial.config.seed)
    folder = plan.ledger.trial(first.trial_id)
    folder.begin(first.config, {})
    folder.fail("out of memory", "3 GB asked for", "a trace", reaction="halve the micro-batch")
    folder.begin(first.config, {})
    folder.fail("bug", "index 4 is out of range", "Traceback\nIndexError: index 4 is out of range", {"where": "loss"})
    found = facts.failures(again(plan))
    assert [(one.label, one.state) for one in found] == [("discriminative, seed 1", "failed")]
    assert found[0].message == "bug: IndexError: index 4 is out of range" and found[0].details == "where: loss"
    assert [(one["attempt"], one["kind"], one["reaction"]) for one in found[0].history] == [
        ("2", "out of memory", "halve the micro-batch"),
        ("3", "bug", ""),
    ]
    folder = plan.ledger.trial(second.trial_id)
    folder.begin(second.config, {})
    folder.fail("killed", "signal 9", "", reaction="once more")
    finish(plan, second, SAID["discriminative"][2])
    retried = facts.failures(again(plan))[1]
    assert (retried.state, retried.message) == ("complete", "") and retried.history[0]["kind"] == "killed"


def test_one_environment(plan):
    found = facts.environment(gather(plan).records)
    assert len(found.groups) == 1 and found.groups[0].values == {}
    assert found.common["commit"] == "c0ffee" and found.common["packages.torch"] == "2.13.0"
    assert not {"host", "pid", "ended"} & found.common.keys()
    assert found.ended == ("2026-01-02", "2026-01-02") and found.attempt_s == 3 * 1800


def test_environments_are_grouped_by_what_they_say(plan):
    last = plan.trials[-1]
    packages = {"packages": {"torch": "2.14.0", "extra": "1"}}
    finish(plan, last, SAID["discriminative"][2], **packages, ended="2026-01-09T00:00:00+00:00")
    found = facts.environment(again(plan).records)
    assert [(len(group.trials), group.values) for group in found.groups] == [
        (2, {"packages.torch": "2.13.0"}),
        (1, {"packages.extra": "1", "packages.torch": "2.14.0"}),
    ]
    assert found.groups[1].trials == ["discriminative, seed 2"] and "packages.torch" not in found.common
    assert found.ended == ("2026-01-02", "2026-01-09")


def test_no_environment_where_nothing_is_complete(tmp_path, write_sweep, own_cache):
    found = facts.environment(gather(finished_plan(tmp_path, write_sweep, {})).records)
    assert (found.groups, found.common, found.ended) == ([], {}, ("", ""))


def test_settings_are_split_into_common_and_differing(tmp_path, own_cache):
    found = facts.configuration(gather(recorded_plan("modality_ablation", tmp_path)))
    assert found.headings == ["cell", "modalities"]  # one column is fewer than four
    assert [label for label, _ in found.rows] == ["text", "audio", "video", "text+audio+video"]
    assert found.rows[0][1] == ['["text"]']
    assert found.common["training.epochs"] == "4" and "seed" not in found.common


def test_many_settings_of_few_cells_are_rows(tmp_path, own_cache):
    found = facts.configuration(gather(recorded_plan("readout_comparison", tmp_path)))
    assert found.headings == [
        "setting",
        *[cell.name for cell in recorded_plan("readout_comparison", tmp_path).sweep.cells],
    ]
    rows = dict(found.rows)
    assert rows["readout.name"][:2] == ["discriminative", "generative"]
    assert rows["readout.decimals"][:3] == ["", "1", "1"] and len(rows) > 6


def test_what_mappings_have_in_common():
    assert facts.split_common([{"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}]) == ({"a": "1"}, ["b", "c"])
    assert facts.split_common([]) == ({}, [])
