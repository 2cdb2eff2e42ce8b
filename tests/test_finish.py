"""From the ledger to tables and MLflow."""

import csv

import pytest
from stand_ins import complete

from omni_msa.files import read_json
from omni_msa.finish import Record, cell_results, write_report
from omni_msa.ledger import Ledger
from omni_msa.plan import make_plan
from omni_msa.sweep import load_sweep


@pytest.fixture
def plan_of(tmp_path, write_sweep, own_cache):
    return lambda **keys: make_plan(load_sweep(write_sweep(**keys)), Ledger(tmp_path / "mlruns"))


def finish(plan, label, mae):
    (trial,) = [trial for trial in plan.trials if trial.label == label]
    folder = plan.ledger.trial(trial.trial_id)
    folder.begin(trial.config, {})
    complete(folder, mae)


def test_values_go_to_their_cell_and_seed(plan_of):
    plan = plan_of()
    finish(plan, "discriminative, seed 2", 0.5)
    finish(plan, "constant", 1.5)
    disc, constant = cell_results(plan_of())
    assert dict(disc.values) == {2: {"mae": 0.5, "corr": 0.5, "train_s": 6.0}}
    assert constant.deterministic and list(constant.values) == [None]


def test_a_trial_that_cells_share_counts_in_each(plan_of):
    axes = "{readout: [constant, frozen_probe], adapter.rank: [2, 4]}"
    finish(plan_of(axes=axes), "constant, rank 2", 1.5)
    values = {cell.label: cell.values for cell in cell_results(plan_of(axes=axes))}
    assert values["constant, rank 2"] == values["constant, rank 4"] != {}
    assert values["frozen_probe, rank 2"] == {}


def test_the_report_has_means_differences_and_what_is_missing(plan_of):
    keys = {"seeds": "[1, 2, 3]", "compare": "{against: {readout: constant}}"}
    plan = plan_of(**keys)
    finish(plan, "discriminative, seed 1", 0.5)
    finish(plan, "discriminative, seed 2", 0.7)
    finish(plan, "constant", 1.5)
    summary, human = write_report(plan_of(**keys))
    folder = plan.ledger.report_folder("sweep")
    disc = summary["cells"][0]
    assert disc["missing"] == [3] and disc["metrics"]["mae"]["mean"] == pytest.approx(0.6)
    assert human is None  # the clips have not been generated
    assert "2/3" in (folder / "table.md").read_text()
    written = read_json(folder / "aggregate.json")
    assert written["differences"][0]["values"] == pytest.approx([-1.0, -0.8])
    states = [row["state"] for row in csv.DictReader((folder / "trials.csv").open())]
    assert sorted(states) == ["complete", "complete", "complete", "pending"]


def test_runs_are_recorded_once_however_often(plan_of, monkeypatch):
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for mae in (0.5, None):
        if mae:
            finish(plan_of(), "discriminative, seed 1", mae)
        record = Record(plan_of())
        record.close(plan_of(), write_report(plan_of())[0])
        assert record.error is None
    client = MlflowClient(record.uri)
    experiment = client.get_experiment_by_name("sweep")
    kinds = [run.data.tags["kind"] for run in client.search_runs([experiment.experiment_id])]
    assert sorted(kinds) == ["cell", "cell", "sweep", "trial"]


def test_an_error_of_mlflow_is_kept_and_ends_nothing(plan_of, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://nowhere")
    finish(plan_of(), "constant", 1.5)
    record = Record(plan_of())
    record.trial(plan_of().trials[1], "complete")
    first = record.error
    assert first is not None and record.uri == "nonsense://nowhere"
    record.close(plan_of(), write_report(plan_of())[0])
    assert record.error is first


def test_probes_of_every_layer_are_joined_and_drawn(plan_of):
    axes = "{readout: [constant, frozen_probe, {name: frozen_probe, layer: all}]}"
    for label in ("frozen_probe", "frozen_probe(layer=all)"):
        finish(plan_of(axes=axes), label, 0.5)
    plan = plan_of(axes=axes)
    (trial,) = [trial for trial in plan.trials if trial.label == "frozen_probe(layer=all)"]
    rows = [{"layer": n, "pooling": "last", "valid_mae": 0.5, "valid_corr": 0.1, "chosen": n == 1} for n in (0, 1)]
    plan.ledger.trial(trial.trial_id).write_table("probe", rows)
    summary, _ = write_report(plan)
    folder = plan.ledger.report_folder("sweep")
    assert any("probe.csv" in note for note in summary["notes"])
    with (folder / "probe.csv").open() as file:
        joined = list(csv.DictReader(file))
    assert [(row["cell"], row["layer"], row["chosen"]) for row in joined] == [
        ("frozen_probe(layer=all)", "0", "False"),
        ("frozen_probe(layer=all)", "1", "True"),
    ]
    drawn = {file.name for file in (folder / "figures").iterdir()}
    assert drawn == {f"probe_{trial.trial_id}.svg", f"probe_{trial.trial_id}.png"}
    damaged = plan.ledger.trial(trial.trial_id).path / "probe.csv"
    damaged.write_text("layer,pooling\nmany,last\n")
    write_report(plan)  # a file that somebody changed is left out
    assert not (folder / "probe.csv").exists() and not list((folder / "figures").glob("*"))
