"""The MLflow view against a real database and a recorded ledger."""

import math
import os
import shutil
import subprocess
import sys

import pytest

from helpers.tracked import CELLS, CONFIG, WEIGHTS, ledger, open_tracker, record, view, weights, write_rows
from omni_msa.tracking import mlflow
from omni_msa.tracking._base import TrialView
from omni_msa.tracking.mlflow import MlflowTracker


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """Making MLflow's tables takes seconds: once for all tests."""
    folder = tmp_path_factory.mktemp("mlflow")
    MlflowTracker(f"sqlite:///{folder}/mlflow.db", folder / "artifacts", "other sweep", "")
    return folder / "mlflow.db"


@pytest.fixture
def place(tmp_path, empty_database, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return tmp_path


def content(place):
    """All that a sweep's runs hold, by kind and key, ids and clock times left out, every point of every curve."""
    tracker = open_tracker(place)
    client, found = tracker._client, {}
    runs = list(client.search_runs([tracker.experiment_id]))
    keys = {
        run.info.run_id: (run.data.tags["kind"], run.data.tags.get("trial_id", run.data.tags.get("cell")))
        for run in runs
    }
    for run in runs:
        tags = dict(run.data.tags)
        parent = keys.get(tags.pop("mlflow.parentRunId", None))
        names = sorted(run.data.metrics)
        curves = {
            name: [(p.step, str(p.value)) for p in client.get_metric_history(run.info.run_id, name)] for name in names
        }
        key = keys[run.info.run_id]
        assert key not in found, "a run is there twice"
        artifacts = sorted(item.path for item in client.list_artifacts(run.info.run_id))
        found[key] = (run.info.status, run.info.run_name, parent, tags, dict(run.data.params), curves, artifacts)
    return found


def test_a_trial_is_recorded_whole(place):
    record(place, ledger(place))
    runs = content(place)
    assert set(runs) == {("sweep", None), ("cell", "disc"), ("cell", "gen")} | {
        ("trial", i) for i in ("a1", "a2", "f1")
    }
    status, name, parent, tags, params, curves, artifacts = runs["trial", "a1"]
    assert (status, name, parent, tags["sweep"]) == ("FINISHED", "disc, seed 1", ("cell", "disc"), "my sweep")
    settings = {"readout.name": "r", "adapter.rank": "4", "adapter.targets": '["q_proj"]', "seed": "1"}
    assert params == {**settings, "readout": "disc"}  # the axis of its cell, by its own name
    assert curves["train_loss"] == [(step, str(1 / step)) for step in range(1, 7)]
    assert curves["valid_corr"] == [(3, "nan"), (6, "nan")]
    finals = ("test_mae", "test_corr", "best_valid_mae", "best_valid_corr", "train_s")
    assert [curves[final] for final in finals] == [[(0, text)] for text in ("0.6", "0.7", "0.5", "nan", "12.5")]
    assert curves["system/cpu_percent"] == [(step, str(float(90 + step % 7))) for step in range(1, 7)]
    assert artifacts == ["adapter.safetensors", "config.json", "model_card.md", "predictions.test.parquet"]


def test_cells_sweep_and_failures(place):
    record(place, ledger(place))
    runs = content(place)
    _, _, parent, _, params, curves, _ = runs["cell", "disc"]
    assert (parent, params["readout"]) == (("sweep", None), "disc")
    assert [float(curves[f"mae_{part}"][0][1]) for part in ("mean", "std", "n")] == pytest.approx([0.7, 0.02**0.5, 2])
    assert float(curves["test_mae"][0][1]) == pytest.approx(0.7)  # the trials' own name for it
    assert "seeds 1, 2;" in runs["cell", "disc"][3]["mlflow.note.content"]
    assert runs["cell", "gen"][3]["missing_seeds"] == "None"
    status, name, _, tags, _, _, artifacts = runs["trial", "f1"]
    assert (status, name, tags["failure"], artifacts) == (
        "FAILED",
        "gen",
        "bug: it broke",
        ["config.json", "error.txt"],
    )
    assert (runs["cell", "disc"][0], runs["cell", "gen"][0], runs["sweep", None][0]) == ("FINISHED", "FAILED", "FAILED")
    assert runs["sweep", None][6] == ["reports"]


def test_again_changes_nothing_and_writes_nothing(place, monkeypatch):
    record(place, ledger(place))
    before = content(place)
    client = type(open_tracker(place)._client)
    for name in (
        "create_run",
        "log_batch",
        "log_artifact",
        "log_artifacts",
        "set_terminated",
        "update_run",
        "delete_run",
    ):
        monkeypatch.setattr(client, name, lambda *_, name=name, **__: pytest.fail(f"{name} was called"))
    record(place, ledger(place))
    assert content(place) == before


def test_the_database_can_be_rebuilt_from_the_ledger(place, empty_database):
    """Followed live, killed in the middle, or rebuilt at once: the same content."""
    running = view(place, "a1", "disc", 1, "running", steps=range(1, 3))
    tracker = open_tracker(place)
    tracker.start(CELLS)
    tracker.follow(running)
    write_rows(running.folder, range(1, 5))
    tracker.follow(running)
    again = open_tracker(place)  # as after a kill: nothing was closed
    again.start(CELLS)
    again.follow(running)
    record(place, ledger(place))
    live = content(place)
    shutil.copy(empty_database, place / "mlflow.db")
    shutil.rmtree(place / "artifacts")
    record(place, ledger(place))
    assert content(place) == live


def test_steps_taken_again_after_a_resume_are_not_sent_twice(place):
    trial = view(place, "a1", "disc", 1, "running", steps=range(1, 7))
    open_tracker(place).follow(trial)
    write_rows(trial.folder, range(1, 3))  # back to the checkpoint
    tracker = open_tracker(place)
    tracker.follow(trial)
    write_rows(trial.folder, range(1, 9), minute=30)  # done again at another time, which MLflow would keep beside
    tracker.follow(trial)
    curves = content(place)["trial", "a1"][5]
    assert [step for step, _ in curves["train_loss"]] == list(range(1, 9))
    assert [step for step, _ in curves["valid_mae"]] == [3, 6]


def test_nothing_runs_after_close_and_an_interrupted_trial_goes_on(place):
    trial = view(place, "a1", "disc", 1, "running")
    tracker = open_tracker(place)
    tracker.start(CELLS)
    tracker.follow(trial)
    assert content(place)["trial", "a1"][0] == "RUNNING"
    tracker.close()
    runs = content(place)
    assert {key: run[0] for key, run in runs.items()} == {
        ("trial", "a1"): "KILLED",
        ("cell", "disc"): "KILLED",
        ("cell", "gen"): "FINISHED",
        ("sweep", None): "KILLED",
    }
    open_tracker(place).follow(trial)
    assert content(place)["trial", "a1"][0] == "RUNNING"
    record(place, [view(place, "a1", "disc", 1)])
    assert {run[0] for run in content(place).values()} == {"FINISHED"}


def test_a_retried_trial_loses_its_failure(place):
    record(place, [view(place, "f1", "gen", 1, "failed")])
    (place / "trials" / "f1" / "error.txt").unlink()
    record(place, [view(place, "f1", "gen", 1)])
    runs = content(place)
    status, _, _, tags, _, curves, _ = runs["trial", "f1"]
    assert (runs["cell", "gen"][0], runs["sweep", None][0]) == ("FINISHED", "FINISHED")
    assert (status, tags["state"], tags["failure"]) == ("FINISHED", "complete", "")
    assert len(curves["train_loss"]) == 6


def test_of_two_runs_alike_the_later_goes(place):
    record(place, ledger(place))
    tracker = open_tracker(place)
    original = tracker._runs["trial", "a1"]
    twin = tracker._client.create_run(tracker.experiment_id, tags=original.tags)
    tracker = open_tracker(place)
    assert tracker._runs["trial", "a1"].run_id == original.run_id != twin.info.run_id
    assert len(content(place)) == 6


def test_one_trial_of_two_cells_is_one_run(place):
    trial = view(place, "c1", "disc", None)
    record(place, [trial, TrialView("c1", "gen", None, trial.folder, "complete", CONFIG)])
    runs = content(place)
    assert runs["trial", "c1"][2] == ("cell", "disc") and len(runs) == 4


def attached(place, kind, key):
    tracker = open_tracker(place)
    return tracker._runs[kind, key].folder(tracker._client.tracking_uri)


def test_the_weights_are_linked_in_each_trial_and_not_copied(place):
    record(place, ledger(place))
    linked = [attached(place, "trial", name) / "adapter.safetensors" for name in ("a1", "a2")]
    assert all(each.samefile(weights(place)) and not each.is_symlink() for each in linked)
    assert weights(place).stat().st_nlink == 3
    gpu = (linked[0].parent / "model_card.md").read_text()
    assert gpu.startswith("# disc, seed 1\n") and "is linked to" in gpu


def test_on_another_disk_they_are_linked_by_name(place, monkeypatch):
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("another disk")))
    record(place, ledger(place))
    link = attached(place, "trial", "a1") / "adapter.safetensors"
    assert link.is_symlink() and link.read_bytes() == WEIGHTS


def test_without_the_file_only_the_link_is_missing(place):
    trials = ledger(place)
    weights(place).unlink()
    record(place, trials)
    assert content(place)["trial", "a1"][6] == ["config.json", "model_card.md", "predictions.test.parquet"]
    assert "is not there" in (attached(place, "trial", "a1") / "model_card.md").read_text()


def test_a_server_gets_the_gpu_with_the_path(place, monkeypatch):
    """What a server keeps its files in is its own matter: a run's files then have an address, not a folder."""
    record(place, [])
    tracker = open_tracker(place)
    tracker.start({"disc": {"readout": "disc"}})
    monkeypatch.setattr(type(tracker._client), "tracking_uri", "http://localhost:5000")
    tracker.finish(view(place, "a1", "disc", 1))
    monkeypatch.undo()
    assert content(place)["trial", "a1"][6] == ["config.json", "model_card.md", "predictions.test.parquet"]
    gpu = (attached(place, "trial", "a1") / "model_card.md").read_text()
    assert "Not attached; they are in the file of the fit" in gpu and str(weights(place)) in gpu


def test_a_report_is_attached_once_and_nothing_of_a_former_one_stays(place, monkeypatch):
    record(place, [])
    folder, shown = place / "reports", attached(place, "sweep", "") / "reports"
    (folder / "figures").mkdir()
    (folder / "figures" / "old.svg").write_text("<svg/>")
    open_tracker(place).reports(folder)
    assert (shown / "figures" / "old.svg").exists()
    shutil.rmtree(folder / "figures")
    (folder / "report.html").write_text("<p>")
    open_tracker(place).reports(folder)
    assert sorted(path.name for path in shown.rglob("*")) == ["report.html", "table.md"]
    before = (shown / "report.html").stat().st_mtime_ns
    monkeypatch.setattr(type(open_tracker(place)._client), "log_artifacts", lambda *_: pytest.fail("sent again"))
    open_tracker(place).reports(folder)
    assert (shown / "report.html").stat().st_mtime_ns == before


def test_the_question_is_shown_and_kept_up_to_date(place):
    open_tracker(place, "Old?").start({})
    tracker = open_tracker(place, "New?")
    tracker.start({})
    experiment = tracker._client.get_experiment(tracker.experiment_id)
    assert experiment.tags["mlflow.note.content"] == "New?"
    assert content(place)["sweep", None][3]["mlflow.note.content"] == "New?"


def test_the_environment_variable_wins(place, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place}/mlflow.db")
    tracker = MlflowTracker("sqlite:////nowhere/mlflow.db", place / "artifacts", "elsewhere", "")
    assert tracker._client.tracking_uri == f"sqlite:///{place}/mlflow.db"


def test_a_new_database_is_made_without_a_word(tmp_path):
    code = (
        "from pathlib import Path; from omni_msa.tracking.mlflow import MlflowTracker;"
        f"tracker = MlflowTracker('sqlite:///{tmp_path}/new/mlflow.db', Path('{tmp_path}/artifacts'), 's', 'q');"
        "tracker.start({'a': {}}); tracker.close()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("", "")
    assert (tmp_path / "new" / "mlflow.db").exists()


def test_nan_reads_back_as_nan(place):
    record(place, ledger(place))
    tracker = open_tracker(place)
    run = tracker._runs["trial", "a1"]
    assert run.metrics == {}  # a run of a trial that has ended is asked for again only when it is needed
    tracker._load(run)
    assert math.isnan(run.metrics["best_valid_corr"])


def test_runs_come_in_pages_and_none_is_overlooked_or_sent_twice(place, monkeypatch):
    monkeypatch.setattr(mlflow, "_PAGE", 2)
    record(place, ledger(place))
    tracker = open_tracker(place)
    client = tracker._client
    runs = client.search_runs([tracker.experiment_id])
    assert len(tracker._runs) == len(runs) > 3 * mlflow._PAGE - 2
    parent = tracker._runs["sweep", ""]
    later = [client.create_run(tracker.experiment_id, tags=parent.tags).info.run_id for _ in range(3)]
    again = open_tracker(place)
    assert again._runs["sweep", ""].run_id == parent.run_id
    assert all(client.get_run(run_id).info.lifecycle_stage == "deleted" for run_id in later)
    before = content(place)
    record(place, ledger(place))
    assert content(place) == before
