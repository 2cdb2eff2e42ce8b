"""What must hold of a sweep that was killed and gone on with, next to one that never was."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd

from helpers.kill_harness import KillPlace, rows

LATENCIES = ("latency_s", "latency_p95_s", "latency_model_s", "latency_model_p95_s")
MEASURED = ("train_s", *LATENCIES, "peak_memory_gb")  # differ from run to run


def check(place: KillPlace, reference: KillPlace) -> None:
    """Every trial is there once, with the bits of the reference, in the ledger, in the tables and in MLflow."""
    names = {folder.name for folder in reference.ledger.glob("trials/*") if folder.is_dir()}
    assert {folder.name for folder in place.ledger.glob("trials/*") if folder.is_dir()} == names
    listed = json.loads(place.run("--status", "--json").stdout)["trials"]
    assert {trial["trial_id"]: trial["status"]["state"] for trial in listed} == dict.fromkeys(names, "complete")
    for name in names:
        check_trial(place.ledger / "trials" / name, reference.ledger / "trials" / name)
    check_fits(place, reference)
    check_reports(place, reference)
    check_mlflow(place)
    check_tidy(place)


def check_trial(folder: Path, reference: Path) -> None:
    """A trial's numbers are the reference's, bit for bit."""
    for split in ("valid", "test"):
        ours, theirs = (pd.read_parquet(each / f"predictions.{split}.parquet") for each in (folder, reference))
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    for file in ("test.json", "config.json"):
        assert (folder / file).read_bytes() == (reference / file).read_bytes()
    ours, theirs = ([file.read_bytes() for file in each.glob("states.test.npz")] for each in (folder, reference))
    assert ours == theirs
    ours, theirs = (json.loads((each / "result.json").read_text()) for each in (folder, reference))
    for result in (ours, theirs):
        result["cost"] = {name: value for name, value in result["cost"].items() if not name.startswith(MEASURED)}
        result["attempts"] = result["history"] = None
    assert ours == theirs
    assert rows(folder) == rows(reference)


def check_fits(place: KillPlace, reference: KillPlace) -> None:
    """Each fit is trained, its weights are the reference's, and no result was ever written twice."""
    fits = {file.parent.name: file for file in reference.ledger.glob("fits/*/fit.json")}
    assert {file.parent.name for file in place.ledger.glob("fits/*/fit.json")} == set(fits)
    for name in fits:
        ours, theirs = (each.ledger / "fits" / name / "checkpoint" for each in (place, reference))
        assert _weights(ours) == _weights(theirs)
    assert [path for path, times in place.written().items() if times > 1] == []


def _weights(checkpoint: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in checkpoint.glob("best*")}


def check_reports(place: KillPlace, reference: KillPlace) -> None:
    """The tables are the reference's but for times and memory."""
    ours, theirs = (_table(each) for each in (place, reference))
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    assert _aggregate(place) == _aggregate(reference)


def _table(place: KillPlace) -> pd.DataFrame:
    table = pd.read_csv(place.ledger / "reports" / "small" / "table.csv")
    return table[[column for column in table.columns if not column.startswith(MEASURED)]]


def _aggregate(place: KillPlace) -> dict[str, Any]:
    values = json.loads((place.ledger / "reports" / "small" / "aggregate.json").read_text())
    for cell in values["cells"]:
        cell["metrics"] = {name: value for name, value in cell["metrics"].items() if not name.startswith(MEASURED)}
    for control in values["controls"]:
        control["provenance"] = control["flags"] = None  # of the checkout: it may change while this runs
    return values


def check_mlflow(place: KillPlace) -> None:
    """One finished run for the sweep, each cell and each trial; its steps and final values are the ledger's, once."""
    with closing(sqlite3.connect(f"file:{place.ledger / 'mlflow.db'}?mode=ro", uri=True)) as base:
        runs = base.execute("select run_uuid, status from runs where lifecycle_stage = 'active'").fetchall()
        assert {status for _, status in runs} == {"FINISHED"}
        tags = {run: dict(base.execute("select key, value from tags where run_uuid = ?", [run])) for run, _ in runs}
        tags = {run: found for run, found in tags.items() if found["sweep"] == place.sweep.stem}
        trials = {found["trial_id"]: run for run, found in tags.items() if found["kind"] == "trial"}
        folders = {folder.name: folder for folder in place.ledger.glob("trials/*") if folder.is_dir()}
        assert set(trials) == set(folders)
        cells = [cell["label"] for cell in _aggregate(place)["cells"]]
        assert sorted(each["cell"] for each in tags.values() if each["kind"] == "cell") == sorted(cells)
        assert len(tags) == len(folders) + len(cells) + 1
        for name, run in trials.items():
            query = "select key, step, value, is_nan from metrics where run_uuid = ?"
            found = base.execute(query, [run]).fetchall()
            stored = [(key, step, None if nan else value) for key, step, value, nan in found if "/" not in key]
            machine = {key for key, _, _, _ in found if "/" in key}
            assert machine == ({"system/cpu_percent", "system/memory_gb"} if rows(folders[name]) else set())
            assert sorted(stored, key=repr) == sorted(_points(folders[name]), key=repr)


def _points(folder: Path) -> list[tuple[str, int, float | None]]:
    """Return every (metric, step, value) that MLflow must hold of a trial."""
    points = [
        (name, row["step"], value)
        for row in rows(folder)
        for name, value in row.items()
        if name not in ("step", "epoch")
    ]
    result, test = (json.loads((folder / name).read_text()) for name in ("result.json", "test.json"))
    for prefix, values in (("best_valid_", result["valid"]), ("test_", test), ("", result["cost"])):
        points += [(prefix + name, 0, value) for name, value in values.items()]
    return [(name, step, value if value is None else float(value)) for name, step, value in points]


def check_tidy(place: KillPlace) -> None:
    """Nothing temporary is left in the ledger, nor training states of fits that are finished."""
    found = [file for file in place.ledger.rglob(".*") if file.parent.name not in ("lease", "driver")]
    found += [*place.ledger.glob("stop"), *place.ledger.glob("fits/*/checkpoint/state*")]
    assert [str(file.relative_to(place.ledger)) for file in found] == []
