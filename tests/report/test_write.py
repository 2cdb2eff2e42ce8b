"""From the ledger to tables and MLflow."""

import csv

import pytest

from helpers.stand_ins import complete
from omni_msa.ledger.ledger import Ledger
from omni_msa.planning.plan import make_plan
from omni_msa.report.write import write_report
from omni_msa.sweep.sweep import load_sweep
from omni_msa.system.files import read_json
from omni_msa.tracking._mirror import LedgerMirror


@pytest.fixture
def plan_of(tmp_path, write_sweep, own_cache):
    return lambda **keys: make_plan(load_sweep(write_sweep(**keys)), Ledger(tmp_path / "mlruns"))


def finish(plan, label, mae):
    (trial,) = [trial for trial in plan.trials if trial.name == label]
    folder = plan.ledger.trial(trial.trial_id)
    folder.begin(trial.config, {})
    complete(folder, mae)


def test_the_report_has_means_differences_and_what_is_missing(plan_of):
    keys = {"seeds": "[1, 2, 3]", "compare": "{against: {readout: constant}}"}
    plan = plan_of(**keys)
    finish(plan, "discriminative, seed 1", 0.5)
    finish(plan, "discriminative, seed 2", 0.7)
    finish(plan, "constant", 1.5)
    report = write_report(plan_of(**keys))
    folder = plan.ledger.report_folder("sweep")
    assert (report.folder, report.problem) == (folder, "")
    disc = report.evidence.summary.cells[0]
    assert disc.missing == [3] and disc.metrics["mae"].mean == pytest.approx(0.6)
    assert report.evidence.summary.human is None  # the clips have not been generated
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
        mirror = LedgerMirror(plan_of())
        mirror.close(plan_of(), write_report(plan_of()).evidence.summary)
        assert mirror.errors() == {}
    client = MlflowClient(mirror.how_to_look()[0].split()[-1])
    experiment = client.get_experiment_by_name("sweep")
    kinds = [run.data.tags["kind"] for run in client.search_runs([experiment.experiment_id])]
    assert sorted(kinds) == ["cell", "cell", "sweep", "trial"]


def test_an_error_of_mlflow_is_kept_and_ends_nothing(plan_of, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://nowhere")
    finish(plan_of(), "constant", 1.5)
    mirror = LedgerMirror(plan_of())
    mirror.trial(plan_of().trials[1], "complete")
    first = mirror.errors()["MLflow"]
    assert mirror.how_to_look() == []
    mirror.close(plan_of(), write_report(plan_of()).evidence.summary)
    assert mirror.errors() == {"MLflow": first}


def test_other_peoples_files_stay_in_the_folder_and_old_ones_of_ours_go(plan_of):
    finish(plan_of(), "constant", 1.5)
    folder = write_report(plan_of()).folder
    for name in ("data_check.csv", "diff_other.md", "pivot.md", "dropped_clips.csv"):
        (folder / name).write_text("from before")
    write_report(plan_of())
    assert (folder / "data_check.csv").read_text() == (folder / "diff_other.md").read_text() == "from before"
    assert not (folder / "pivot.md").exists() and not (folder / "dropped_clips.csv").exists()


def test_a_figure_that_fails_costs_no_numbers(plan_of, monkeypatch):
    from omni_msa.report.figures import draw

    def fail(evidence, folder):
        raise RuntimeError("no ink")

    monkeypatch.setattr(draw, "draw_all", fail)
    finish(plan_of(), "constant", 1.5)
    report = write_report(plan_of())
    assert report.problem == "RuntimeError: no ink"
    assert (report.folder / "table.md").is_file() and not (report.folder / "report.html").exists()


def test_a_report_that_is_killed_leaves_the_old_one(tmp_path):
    from helpers.kill_harness import KILLED, KillPlace, Moment
    from omni_msa.sweep.sweep import load_sweep

    place = KillPlace(tmp_path)
    plan = make_plan(load_sweep(place.sweep), Ledger(place.ledger))
    for trial in plan.trials[:3]:
        folder = plan.ledger.trial(trial.trial_id)
        folder.begin(trial.config, {})
        complete(folder, 1.0)
    report = write_report(make_plan(plan.sweep, plan.ledger)).folder
    before = {path: path.read_bytes() for path in report.rglob("*") if path.is_file()}
    for trial in plan.trials[3:]:
        folder = plan.ledger.trial(trial.trial_id)
        folder.begin(trial.config, {})
        complete(folder, 2.0)
    for pattern in (r"draft-[^/]+/trials\.csv$", r"draft-[^/]+/figures/bars\.svg$", r"draft-[^/]+/report\.html$"):
        with place.start("--report", moments=(Moment("rename", pattern),)) as process:
            process.communicate(timeout=120)
        assert process.returncode == KILLED, pattern
        assert {path: path.read_bytes() for path in report.rglob("*") if path.is_file()} == before
