"""Trials as rows of `trials.csv`."""

from helpers.made_cells import made_plan
from omni_msa.evidence.gather import gather
from omni_msa.report.tables.rows import trial_rows


def test_a_row_for_each_trial_of_each_cell(tmp_path, write_sweep, own_cache):
    axes = "{readout: [discriminative, constant], modalities: [[text, audio], [text]]}"
    keys = {"axes": axes, "seeds": "[1]"}
    said = {"discriminative, text+audio": {1: {"mae": 0.5, "corr": None}}}
    plan = made_plan(tmp_path, write_sweep, said, **keys)
    (failing,) = [trial for trial in plan.trials if "discriminative, text" in trial.cells]
    folder = plan.ledger.trial(failing.trial_id)
    folder.begin(failing.config, {})
    folder.fail("bug", "it broke", "trace")
    first, second, *constant = trial_rows(gather(made_plan(tmp_path, write_sweep, **keys)))
    assert list(first) == ["readout", "modalities", "seed", "trial_id", "state", "mae", "corr", "train_s"]
    assert (first["modalities"], first["seed"], first["state"]) == ("text+audio", 1, "complete")
    assert (first["mae"], first["corr"], first["train_s"]) == (0.5, "NaN", 6.0)
    assert second == {
        **{"readout": "discriminative", "modalities": "text", "seed": 1},
        **{"trial_id": failing.trial_id, "state": "failed"},
    }
    assert [(row["readout"], row["modalities"], row["seed"]) for row in constant] == [
        ("constant", "text+audio", None),
        ("constant", "text", None),
    ]
