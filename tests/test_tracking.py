"""The MLflow view against a real database and a recorded ledger."""

import json
import math
import shutil
import subprocess
import sys

import pytest

from omni_msa import tracking
from omni_msa.aggregate import CellResults, aggregate
from omni_msa.tracking import Tracker, TrialView

CONFIG = {
    "readout": {"name": "r"},
    "adapter": {"rank": 4, "targets": ["q_proj"]},
    "runtime": {"device": "cpu"},
    "seed": 1,
}
CELLS = {"disc": {"readout": "disc"}, "gen": {"readout": "gen"}}


def write_rows(folder, steps, minute=0):
    rows = [
        {
            "step": s,
            "epoch": s // 3,
            "time": f"2026-01-01T{s // 60:02}:{minute:02}:{s % 60:02}+00:00",
            "train_loss": 1 / s,
        }
        for s in steps
    ]
    for row in rows:
        if row["step"] % 3 == 0:
            row |= {"valid_mae": row["train_loss"] + 1, "valid_corr": None}
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def view(root, trial_id, cell, seed, state="complete", steps=range(1, 7)):
    folder = root / "trials" / trial_id
    folder.mkdir(parents=True, exist_ok=True)
    status = {"state": state, "attempt": 1, "since": "2026-01-01T00:01:00+00:00", "epoch": 2, "step": 6}
    if state == "failed":
        status["failure"] = {"kind": "bug", "message": "it broke"}
        (folder / "error.txt").write_text("Traceback ...")
    if state == "complete":
        result = {"trial_id": trial_id, "valid": {"mae": 0.5, "corr": None}, "cost": {"train_s": 12.5}}
        (folder / "result.json").write_text(json.dumps(result))
        (folder / "test.json").write_text(json.dumps({"mae": 0.6, "corr": 0.7}))
        (folder / "predictions.test.parquet").write_bytes(b"stand-in")
    (folder / "status.json").write_text(json.dumps(status))
    (folder / "config.json").write_text(json.dumps(CONFIG))
    write_rows(folder, steps)
    return TrialView(trial_id, cell, seed, folder, state, CONFIG)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """Making MLflow's tables takes seconds: once for all tests."""
    folder = tmp_path_factory.mktemp("mlflow")
    Tracker(f"sqlite:///{folder}/mlflow.db", folder / "artifacts", "other sweep", "")
    return folder / "mlflow.db"


@pytest.fixture
def place(tmp_path, empty_database, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return tmp_path


def open_tracker(place, question="Which?"):
    return Tracker(f"sqlite:///{place}/mlflow.db", place / "artifacts", "my sweep", question)


def ledger(place):
    return [view(place, "a1", "disc", 1), view(place, "a2", "disc", 2), view(place, "f1", "gen", None, "failed")]


def record(place, trials):
    tracker = open_tracker(place)
    tracker.start(CELLS)
    for trial in trials:
        tracker.finish(trial)
    done = {1: {"mae": 0.6}, 2: {"mae": 0.8}}
    cells = [
        CellResults(CELLS["disc"], "disc", False, (1, 2), done),
        CellResults(CELLS["gen"], "gen", True, (None,), {}),
    ]
    for cell in aggregate("my sweep", cells)["cells"]:
        tracker.cell_metrics(cell)
    (place / "reports").mkdir(exist_ok=True)
    (place / "reports" / "table.md").write_text("| a |\n")
    tracker.reports(place / "reports")
    tracker.close()
    return tracker


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
    assert params == {"readout.name": "r", "adapter.rank": "4", "adapter.targets": '["q_proj"]', "seed": "1"}
    assert curves["train_loss"] == [(step, str(1 / step)) for step in range(1, 7)]
    assert curves["valid_corr"] == [(3, "nan"), (6, "nan")]
    finals = ("test_mae", "test_corr", "best_valid_mae", "best_valid_corr", "train_s")
    assert [curves[final] for final in finals] == [[(0, text)] for text in ("0.6", "0.7", "0.5", "nan", "12.5")]
    assert artifacts == ["predictions.test.parquet"]


def test_cells_sweep_and_failures(place):
    record(place, ledger(place))
    runs = content(place)
    _, _, parent, _, params, curves, _ = runs["cell", "disc"]
    assert (parent, params["readout"]) == (("sweep", None), "disc")
    assert [float(curves[f"mae_{part}"][0][1]) for part in ("mean", "std", "n")] == pytest.approx([0.7, 0.02**0.5, 2])
    assert runs["cell", "gen"][3]["missing_seeds"] == "None"
    status, name, _, tags, _, _, artifacts = runs["trial", "f1"]
    assert (status, name, tags["failure"], artifacts) == ("FAILED", "gen", "bug: it broke", ["error.txt"])
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


def test_the_question_is_shown_and_kept_up_to_date(place):
    open_tracker(place, "Old?").start({})
    tracker = open_tracker(place, "New?")
    tracker.start({})
    experiment = tracker._client.get_experiment(tracker.experiment_id)
    assert experiment.tags["mlflow.note.content"] == "New?"
    assert content(place)["sweep", None][3]["mlflow.note.content"] == "New?"


def test_the_environment_variable_wins(place, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place}/mlflow.db")
    tracker = Tracker("sqlite:////nowhere/mlflow.db", place / "artifacts", "elsewhere", "")
    assert tracker._client.tracking_uri == f"sqlite:///{place}/mlflow.db"


def test_a_new_database_is_made_without_a_word(tmp_path):
    code = (
        "from pathlib import Path; from omni_msa.tracking import Tracker;"
        f"tracker = Tracker('sqlite:///{tmp_path}/new/mlflow.db', Path('{tmp_path}/artifacts'), 's', 'q');"
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
    monkeypatch.setattr(tracking, "_PAGE", 2)
    record(place, ledger(place))
    tracker = open_tracker(place)
    client = tracker._client
    runs = client.search_runs([tracker.experiment_id])
    assert len(tracker._runs) == len(runs) > 3 * tracking._PAGE - 2
    parent = tracker._runs["sweep", ""]
    later = [client.create_run(tracker.experiment_id, tags=parent.tags).info.run_id for _ in range(3)]
    again = open_tracker(place)
    assert again._runs["sweep", ""].run_id == parent.run_id
    assert all(client.get_run(run_id).info.lifecycle_stage == "deleted" for run_id in later)
    before = content(place)
    record(place, ledger(place))
    assert content(place) == before
