"""What the ledger holds of trials: whole, torn, foreign."""

import numpy as np
import pandas as pd
import pytest

from helpers.made_cells import CLIPS, LABELS, NUM_CLIPS, finish, made_plan, noisy
from omni_msa.evidence.records import read_predictions, read_records, read_texts
from omni_msa.ledger.trial_folder import TrialFolder

KEYS = {"seeds": "[1, 2]"}


@pytest.fixture
def plan(tmp_path, write_sweep, own_cache):
    plan = made_plan(tmp_path, write_sweep, **KEYS)
    finish(plan, "discriminative", 1, noisy(0.5), hashes={"inputs": "abc"}, provenance={"commit": "c"})
    return made_plan(tmp_path, write_sweep, **KEYS)


def test_every_trial_of_the_plan_has_a_record(plan):
    done, constant, second = read_records(plan)
    assert [record.trial.name for record in (done, constant, second)] == [
        "discriminative, seed 1",
        "constant",
        "discriminative, seed 2",
    ]
    assert (done.seed, constant.seed, done.is_complete, second.is_complete) == (1, None, True, False)
    assert done.metrics == {**done.test, "train_s": 6.0} and done.cost == {"train_s": 6.0}
    assert done.hashes == {"inputs": "abc"} and done.provenance["commit"] == "c"
    assert done.config["training"]["epochs"] == 2 and second.config == {}
    assert (second.test, second.metrics, second.hashes, second.test_predictions, second.curve) == ({}, {}, {}, None, [])


def test_predictions_in_the_order_of_the_file(plan):
    found = read_records(plan)[0].test_predictions
    assert found.clip_ids.tolist() == CLIPS and len(found.scores) == NUM_CLIPS
    assert np.array_equal(found.labels, LABELS) and np.array_equal(found.scores, noisy(0.5))
    assert found.parsed.all() and found.in_range.dtype == bool
    folder = read_records(plan)[0].folder
    assert read_texts(folder, "test") == dict.fromkeys(CLIPS, "") and read_texts(folder, "valid") == {}


@pytest.mark.parametrize("read", [read_predictions, read_texts])
def test_predictions_and_texts_of_a_locked_trial_are_those_on_valid_alone(plan, read):
    locked = TrialFolder(read_records(plan)[0].folder.path, opens_test=False)
    with pytest.raises(PermissionError, match="until its winner has been named"):
        read(locked, "test")
    assert not read(locked, "valid")  # none was written


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.drop(columns="score"),
        lambda frame: frame.assign(score=np.nan),
        lambda frame: frame.assign(label="good"),
        lambda frame: frame.assign(clip_id="the same"),
        lambda frame: frame.iloc[:0],
    ],
)
def test_predictions_that_cannot_be_used(plan, change):
    record = read_records(plan)[0]
    path = record.folder.path / "predictions.test.parquet"
    change(pd.read_parquet(path)).to_parquet(path)
    assert record.test_predictions is None and read_predictions(record.folder, "test") is None
    assert record.is_complete  # its numbers still count


def test_a_torn_file_has_no_predictions(plan):
    record = read_records(plan)[0]
    path = record.folder.path / "predictions.test.parquet"
    path.write_bytes(path.read_bytes()[:200])
    assert record.test_predictions is None and read_texts(record.folder, "test") == {}


def test_hashes_of_another_shape_are_none(plan):
    record = read_records(plan)[0]
    path = record.folder.path / "result.json"
    path.write_text(path.read_text().replace('{\n  "inputs": "abc"\n }', '"abc"'))
    assert read_records(plan)[0].result["hashes"] == "abc" and read_records(plan)[0].hashes == {}
