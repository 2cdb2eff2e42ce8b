"""The recorded trials: whole, found by the present ids, and silent about the machine."""

import zipfile

import pytest

from helpers import recorded
from omni_msa.evidence.records import read_records

NUM_TRIALS = 12


@pytest.mark.parametrize("sweep", recorded.SWEEPS)
def test_every_trial_is_complete_under_the_present_ids(sweep, tmp_path, own_cache):
    plan = recorded.recorded_plan(sweep, tmp_path)
    assert plan.counts()["complete"] == len(plan.trials) == NUM_TRIALS
    for record in read_records(plan):
        assert record.result["fit_id"] == record.trial.fit_id
        assert record.test_predictions is not None and len(record.test_predictions.labels) == 120
        assert record.provenance["packages"]["torch"]


def test_trials_come_back_to_their_cell_and_seed(tmp_path, own_cache):
    records = read_records(recorded.recorded_plan("readout_comparison", tmp_path))
    found = {record.trial.name: record.test["mae"] for record in records}
    assert found["discriminative, seed 1112"] == pytest.approx(0.6030992392678394)
    assert found["frozen_probe"] == pytest.approx(0.816, abs=5e-4)
    shared = {
        record.trial.name: record for record in read_records(recorded.recorded_plan("modality_ablation", tmp_path))
    }
    assert shared["text+audio+video, seed 1112"].test["mae"] == found["discriminative, seed 1112"]


def test_recording_what_was_restored_changes_nothing(tmp_path, own_cache):
    for sweep in recorded.SWEEPS:
        recorded.recorded_plan(sweep, tmp_path / "ledger")
    recorded.record(tmp_path / "ledger", tmp_path / "again")
    for sweep in recorded.SWEEPS:
        first, second = (zipfile.ZipFile(folder / f"{sweep}.zip") for folder in (recorded.FOLDER, tmp_path / "again"))
        assert first.namelist() == second.namelist()
        for name in first.namelist():
            if not name.endswith("result.json"):  # ids may have changed since
                assert first.read(name) == second.read(name), name


def test_fixtures_are_small_and_name_no_machine():
    assert sum(file.stat().st_size for file in recorded.FOLDER.iterdir()) < 1_000_000
    for sweep in recorded.SWEEPS:
        with zipfile.ZipFile(recorded.FOLDER / f"{sweep}.zip") as archive:
            for name in archive.namelist():
                if name.endswith(("provenance.json", "status.json")):
                    assert b'"host"' not in archive.read(name) and b'"pid' not in archive.read(name)
