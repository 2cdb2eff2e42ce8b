"""What a sweep expects against what the ledger has."""

import importlib.metadata
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.fake_nvml import FakeGpu, FakeNvml
from helpers.searched import Searched
from helpers.stand_ins import complete
from omni_msa.config import plugins
from omni_msa.config.identity import trial_id
from omni_msa.datasets import vader_av
from omni_msa.ledger.ledger import Ledger
from omni_msa.model.dimensions import num_base_parameters, num_lora_parameters
from omni_msa.planning import hardware
from omni_msa.planning.plan import Plan, make_plan
from omni_msa.planning.plan_json import as_json
from omni_msa.planning.slots import Slots
from omni_msa.sweep.sweep import load_sweep

READOUTS = "{readout: [discriminative, generative, expected_value, constant]}"


@pytest.fixture
def plan_of(tmp_path, write_sweep, own_cache):
    def plan(retry: bool = False, overrides=(), **keys) -> Plan:
        return make_plan(load_sweep(write_sweep(**keys), overrides), Ledger(tmp_path / "mlruns"), retry)

    return plan


def test_every_trial_stands_once_the_first_seed_of_all_cells_first(plan_of):
    plan = plan_of(axes=READOUTS)
    assert [trial.name for trial in plan.trials] == [
        *("discriminative, seed 1", "generative, seed 1", "expected_value, seed 1", "constant"),
        *("discriminative, seed 2", "generative, seed 2", "expected_value, seed 2"),
    ]
    assert len({trial.trial_id for trial in plan.trials}) == 7
    assert plan.counts() == {"trials": 7, "complete": 0, "failed": 0, "running": 0}
    assert plan.missing() == list(plan.trials)


def test_a_fit_is_shared_by_the_readouts_that_read_it(plan_of):
    fits = {trial.name: trial.fit_id for trial in plan_of(axes=READOUTS).trials}
    assert fits["generative, seed 1"] == fits["expected_value, seed 1"] != fits["generative, seed 2"]
    assert fits["discriminative, seed 1"] not in (fits["generative, seed 1"], fits["discriminative, seed 2"])


def test_cells_that_differ_in_what_a_readout_does_not_use_share_a_trial(plan_of):
    plan = plan_of(axes="{readout: [discriminative, constant], adapter.rank: [2, 4]}")
    shared = [trial for trial in plan.trials if len(trial.cells) > 1]
    assert [trial.cells for trial in shared] == [("constant, rank 2", "constant, rank 4")]
    assert len(plan.trials) == 2 * 2 + 1


def test_identity_is_that_of_the_configuration_and_the_data(plan_of):
    trial = plan_of().trials[0]
    fingerprint = plugins.load("datasets", "vader_av").fingerprint(None, trial.config.dataset)
    assert trial.trial_id == trial_id(trial.config, fingerprint)


def test_what_is_done_is_not_missing_and_what_failed_only_when_asked(plan_of):
    first, constant, last = plan_of().trials
    ledger = plan_of().ledger
    ledger.trial(first.trial_id).begin(first.config, {})
    complete(ledger.trial(first.trial_id))
    ledger.trial(last.trial_id).begin(last.config, {})
    ledger.trial(last.trial_id).fail("bug", "it broke", "trace")
    plan = plan_of()
    assert [trial.status.state for trial in plan.trials] == ["complete", "pending", "failed"]
    assert [trial.trial_id for trial in plan.missing()] == [constant.trial_id]
    assert [trial.trial_id for trial in plan_of(retry=True).missing()] == [constant.trial_id, last.trial_id]


def test_models_are_counted_with_plain_arithmetic(plan_of):
    (model,) = plan_of().models
    shape = plugins.load("backbones", "tiny").dimensions(plan_of().trials[0].config.backbone)
    adapter = plan_of().trials[0].config.adapter
    assert model.num_parameters == num_base_parameters(shape)
    assert model.num_trainable == num_lora_parameters(shape, 4, adapter.targets, ("text",), "last_2")
    ranks = plan_of(axes="{adapter.rank: [2, 4]}").models
    assert [rank.num_trainable for rank in ranks] == [model.num_trainable // 2, model.num_trainable]


def test_all_that_would_stop_a_run_is_listed_together(plan_of, tmp_path):
    overrides = [f"dataset.root={tmp_path / 'nowhere'}", "adapter.text_layers=last_9", "runtime.device=cpu"]
    plan = plan_of(overrides=overrides)
    text = "\n".join(map(str, plan.refusals))
    assert len(plan.refusals) == 2 and "nowhere" in text and "last_9" in text
    assert plan.is_readable


def test_data_that_cannot_be_read_hides_what_is_done_and_says_so(plan_of, tmp_path):
    plan = plan_of(overrides=["dataset={name: mosi}", f"dataset.root={tmp_path / 'nowhere'}"])
    assert not plan.is_readable and "nowhere" in str(plan.refusals[0])
    assert len(plan.trials) == 3 == len(plan.missing())
    values = as_json(plan)
    assert values["trials"][0]["trial_id"] is None and values["would_refuse"][0]["what"]


def test_as_json_is_json_and_names_folders(plan_of):
    plan = plan_of()
    values = json.loads(json.dumps(as_json(plan)))
    assert values["counts"] == {"trials": 3, "complete": 0, "failed": 0, "running": 0, "missing": 3}
    assert values["seeds"] == [1, 2] and values["num_cells"] == 2
    parts = values["memory_gb"]
    assert parts.pop("total") == pytest.approx(sum(parts.values())) and parts["adapter"] == 16 * 4096 / 1e9
    assert Path(values["trials"][0]["folder"]) == plan.ledger.trial(plan.trials[0].trial_id).path
    assert values["trials"][1]["seed"] is None and values["trials"][1]["cells"] == ["constant"]


def test_hours_are_those_of_trials_or_shared_gpus(plan_of):
    plan = plan_of(axes=READOUTS, overrides=["runtime.device=cpu"])
    # 16 clips, 2 epochs, half a second each: 16 s a fit; generative's is the only one of the pair.
    hours = {cell: round(value * 3600, 6) for cell, value in plan.cell_hours().items()}
    assert hours == {"discriminative": 32, "generative": 32, "expected_value": 0, "constant": 0}
    assert plan.hours_of == "core-hours" and plan.hours(plan.expected.work_s) == pytest.approx(64 / 3600)
    packed = replace(plan, slots=Slots(6, num_gpus=2))
    assert packed.hours_of == "GPU-hours" and packed.hours(3600.0) == pytest.approx(1 / 3)  # three on a card
    assert replace(plan, slots=Slots(2, num_gpus=2)).hours(3600.0) == 1.0
    assert plan.hours(None) is None


def test_costs_are_in_the_json(plan_of):
    plan = plan_of(overrides=["runtime.device=cpu"])
    values = as_json(plan)
    assert values["expected"]["hours"] == pytest.approx(32 / 3600) and values["expected"]["hours_of"] == "core-hours"
    assert values["cells"][0] == {"cell": "discriminative", "hours": pytest.approx(32 / 3600)}
    assert [trial["expected_s"] for trial in values["trials"]] == [pytest.approx(16), 0, pytest.approx(16)]
    assert values["slots"] == {"num_gpus": 0, "visible_devices": None}
    assert values["notes"] == vader_av.notes(None, vader_av.Options())


def test_a_gpu_that_is_busy_is_found_with_everything_else(plan_of, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(FakeGpu(24.0, 0.0, {77: 24.0})))
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.13.0")
    monkeypatch.setattr(hardware, "_DEVICES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "nvidia0").touch()
    text = "\n".join(map(str, plan_of(overrides=["adapter.text_layers=last_9"]).refusals))
    assert "last_9" in text and "pid 77" in text and "a GPU is busy" in text
    trial = plan_of().trials[0]
    folder = plan_of().ledger.trial(trial.trial_id)
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(FakeGpu(24.0, 0.0, {os.getpid(): 24.0})))
    folder.begin(trial.config, {})  # this process runs a trial of the sweep: its memory will be free
    assert plan_of().refusals == ()


def test_the_last_line_of_a_failure(plan_of):
    plan = plan_of()
    folder = plan.ledger.trial(plan.trials[0].trial_id)
    folder.begin(plan.trials[0].config, {})
    folder.fail("bug", "it broke", "Traceback\n  ...\nValueError: seven\n")
    assert as_json(plan_of())["trials"][0]["last_line"] == "ValueError: seven"
    (folder.path / "error.txt").unlink()
    assert [trial["last_line"] for trial in as_json(plan_of())["trials"]] == ["it broke", "", ""]


def test_what_a_search_is_expected_to_run_is_planned(tmp_path):
    halving = {"halving": {"epochs": [2], "keep": 0.5}}
    place = Searched(tmp_path, pruning=halving, budget={"proposals": 4}, confirm={"best": 1, "seeds": [11]})
    plan = place.plan()
    expected = [(one.detail, one.config.stops_after_epoch) for one in plan.ahead]
    # Of four two are stopped after epoch 2; of the two that go on, one has a second seed.
    assert expected == [("proposed", stop) for stop in (None, None, None, 2, 2)] + [("confirmed", None)]
    assert [one.name for one in plan.ahead] == ["to be proposed"] * 6
    seconds = [plan.costs[one.trial_id].seconds for one in plan.ahead]
    assert seconds == pytest.approx([32, 32, 32, 8, 8, 32])  # 8 clips, 8 or 2 epochs, half a second each
    assert len(plan.missing()) == 3 + 6 and not plan.is_complete()
    assert as_json(plan)["expected"]["open_ended"] is None


def test_proposals_have_their_parameters_in_the_plan(tmp_path):
    place = Searched(tmp_path, space={"adapter.rank": {"choice": [2, 8]}}, sampler="grid")
    place.run(num_jobs=3)
    details = {trial.cells: trial.detail for trial in place.plan().trials}
    assert details == {
        ("default, fresh",): "",
        ("default, search", "proposal 0, search"): "",  # it has the default's rank
        ("proposal 1, search",): "adapter.rank=8",
    }


def test_hours_that_end_a_search_are_in_the_json_in_place_of_a_time(tmp_path):
    place = Searched(tmp_path, budget={"hours": 2.0, "gpu_hours": 1.0, "proposals": 6})
    values = as_json(place.plan())
    assert values["expected"]["seconds"] is None and values["expected"]["hours"] is None
    assert values["expected"]["open_ended"] == {
        **{"trials_at_least": 8, "trials_at_most": 20, "num_searches": 1},
        **{"proposing_s": 7200.0, "proposing_hours": 1.0},
        "confirming_s": pytest.approx(6 * 32 / place.plan().num_slots),
    }
    place.set(budget={"gpu_hours": 1.0})
    assert as_json(place.plan())["expected"]["open_ended"]["trials_at_most"] is None
