"""A made-up ledger of a few trials, and the sweep it belongs to as MLflow shows it: for tests of that view."""

import json
from dataclasses import replace

from omni_msa.evidence.summary import CellSummary, MetricSummary
from omni_msa.tracking._base import TrialView
from omni_msa.tracking.mlflow import MlflowTracker

CONFIG = {
    "readout": {"name": "r"},
    "adapter": {"rank": 4, "targets": ["q_proj"]},
    "runtime": {"device": "cpu"},
    "seed": 1,
}
WEIGHTS = b"stand-in for weights"
CELLS = {"disc": {"readout": "disc"}, "gen": {"readout": "gen"}}


def write_rows(folder, steps, minute=0):
    """Write `metrics.jsonl` of a trial that has done these steps, at that minute of each hour."""
    rows = [
        {
            "step": s,
            "epoch": s // 3,
            "time": f"2026-01-01T{s // 60:02}:{minute:02}:{s % 60:02}+00:00",
            "train_loss": 1 / s,
            "system_cpu_percent": 90 + s % 7,
            "system_memory_gb": 1.5,
        }
        for s in steps
    ]
    for row in rows:
        if row["step"] % 3 == 0:
            row |= {"valid_mae": row["train_loss"] + 1, "valid_corr": None}
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def weights(root):
    """Return the file of the weights that all complete trials share, made if missing."""
    path = root / "fits" / "shared" / "checkpoint" / "best.2.safetensors"
    if not path.exists():
        path.parent.mkdir(parents=True)
        path.write_bytes(WEIGHTS)
    return path


def view(root, trial_id, cell, seed, state="complete", steps=range(1, 7)):
    """Make a trial's folder."""
    folder = root / "trials" / trial_id
    folder.mkdir(parents=True, exist_ok=True)
    status = {"state": state, "attempt": 1, "since": "2026-01-01T00:01:00+00:00", "epoch": 2, "step": 6}
    if state == "failed":
        status["failure"] = {"kind": "bug", "message": "it broke"}
        (folder / "error.txt").write_text("Traceback ...")
    if state == "complete":
        weights(root)
        result = {"trial_id": trial_id, "valid": {"mae": 0.5, "corr": None}, "cost": {"train_s": 12.5}}
        result |= {"fit_id": "shared", "best_epoch": 2}
        (folder / "result.json").write_text(json.dumps(result))
        (folder / "test.json").write_text(json.dumps({"mae": 0.6, "corr": 0.7}))
        (folder / "predictions.test.parquet").write_bytes(b"stand-in")
    (folder / "status.json").write_text(json.dumps(status))
    (folder / "config.json").write_text(json.dumps(CONFIG))
    write_rows(folder, steps)
    return TrialView(trial_id, cell, seed, folder, state, CONFIG)


def open_tracker(place, question="Which?"):
    """Open the sweep's place in the database of a folder."""
    return MlflowTracker(f"sqlite:///{place}/mlflow.db", place / "artifacts", "my sweep", question)


def ledger(place):
    """Make two complete trials of a cell and a failed one of another."""
    return [view(place, "a1", "disc", 1), view(place, "a2", "disc", 2), view(place, "f1", "gen", None, "failed")]


def record(place, trials, is_whole=False):
    """Record trials that have ended, their cells and a report, as a driver does at its end.

    Args:
        place: holds `mlflow.db` and all else.
        trials: views of them.
        is_whole: the cell of readout `gen` is complete, too.
    """
    tracker = open_tracker(place)
    tracker.start(CELLS)
    for trial in trials:
        tracker.finish(trial)
    two = {"mae": MetricSummary(0.7, 0.02**0.5, 2), "train_s": MetricSummary(12.5, 0.0, 2)}
    one = {name: replace(each, n=1, std=None) for name, each in two.items()} if is_whole else {}
    tracker.cell_metrics(CellSummary("disc", CELLS["disc"], False, [1, 2], metrics=two))
    missing = [] if is_whole else [None]
    tracker.cell_metrics(CellSummary("gen", CELLS["gen"], True, [], missing, metrics=one))
    (place / "reports").mkdir(exist_ok=True)
    (place / "reports" / "table.md").write_text("| a |\n")
    tracker.reports(place / "reports")
    tracker.close()
    return tracker
