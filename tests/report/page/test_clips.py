"""Which clips are shown, and what is said of them."""

import numpy as np
import pandas as pd
import pytest

from helpers.page_trials import finished_plan
from helpers.recorded import recorded_plan
from omni_msa.evidence.gather import gather
from omni_msa.report.page import clips

AXES = "{readout: [discriminative, generative, constant]}"
COMPARE = "{against: {readout: discriminative}}"
SAID = {  # labels: -2.5, 0.8, 1.9, -1.2
    "discriminative": {1: [-2.0, 0.8, 0.9, 1.0], 2: [-1.0, 0.8, 1.9, 0.8]},
    "generative": {1: [(2.5, "+2.5"), (0.8, "+0.8"), (1.9, "+1.9"), (1.2, "+1.2")], 2: [(0.5, "0.5"), 0.6, 1.7, 1.0]},
    "constant": {None: [0.0, 0.0, 0.0, 0.0]},
}


@pytest.fixture
def evidence(tmp_path, write_sweep, own_cache):
    return gather(finished_plan(tmp_path, write_sweep, SAID, axes=AXES, compare=COMPARE))


def test_the_worst_clips_come_first_then_the_disputed_ones(evidence, monkeypatch):
    # Mean errors over seeds: discriminative 1.0, 0, 0.5, 2.1; generative 4.0, 0.1, 0.1, 2.3: means 2.5, .05, .3, 2.2.
    # The best other cell is the constant: mean scores 1.5, 0.8, 1.4, 0.9 apart.
    monkeypatch.setattr(clips, "NUM_WORST", 2)
    monkeypatch.setattr(clips, "NUM_DISPUTED", 1)
    found = clips.choose(evidence)
    assert [(one.clip_id, one.why) for one in found] == [
        ("clip_12", clips.WORST),
        ("clip_15", clips.WORST),
        ("clip_14", clips.DISPUTED),
    ]
    assert [one.error for one in found] == pytest.approx([2.5, 2.2, 0.3])


def test_every_cell_answers_the_compared_pair_first(evidence):
    first = clips.choose(evidence)[0]
    assert (first.clip_id, first.label) == ("clip_12", "-2.50")
    roles = [(answer.cell, answer.role) for answer in first.answers]
    assert roles == [("discriminative", "compared with"), ("constant", "best other cell"), ("generative", "")]
    said = {answer.cell: answer for answer in first.answers}
    assert said["discriminative"].scores == ["-2.00", "-1.00"]
    assert said["discriminative"].texts == [] and said["generative"].texts == ["“+2.5”", "“0.5”"]
    assert {cell: answer.error for cell, answer in said.items()} == pytest.approx(
        {"discriminative": 1.0, "generative": 4.0, "constant": 2.5}
    )


def test_the_text_of_an_expected_value_is_named_the_most_probable_one(tmp_path, write_sweep, own_cache):
    said = {"expected_value": {1: [(2.2, "+2.4")] * 4, 2: [(2.1, "+2.2")] * 4}, "generative": {1: [(2.0, "+2.0")] * 4}}
    keys = {"axes": "{readout: [expected_value, generative]}"}
    first = clips.choose(gather(finished_plan(tmp_path, write_sweep, said, **keys)))[0]
    texts = {answer.cell: answer.texts for answer in first.answers}
    assert texts == {"expected_value": ["most probable: “+2.4”", "“+2.2”"], "generative": ["“+2.0”"]}


def test_the_pair_is_the_compared_cell_and_the_best_other(evidence, tmp_path, write_sweep):
    # MAE: discriminative 0.9, generative 1.625, constant 1.6
    assert clips.compared_pair(evidence) == ("discriminative", "constant")
    alone = gather(finished_plan(tmp_path, write_sweep, SAID, axes=AXES))
    assert clips.compared_pair(alone) == ("discriminative", "constant")
    other = gather(finished_plan(tmp_path, write_sweep, SAID, axes=AXES, compare="{against: {readout: generative}}"))
    assert clips.compared_pair(other) == ("generative", "discriminative")


def test_repeated_texts_are_counted(tmp_path, write_sweep, own_cache):
    said = {"generative": {seed: [(0.0, "what?"), 0.0, 0.0, 0.0] for seed in (1, 2)}}
    plan = finished_plan(tmp_path, write_sweep, said, axes="{readout: [generative, constant]}")
    (first, *_) = clips.choose(gather(plan))
    assert first.answers[0].texts == ["“what?” (2 times)"]


def test_nothing_is_chosen_where_nothing_was_said(tmp_path, write_sweep, own_cache):
    assert clips.choose(gather(finished_plan(tmp_path, write_sweep, {}, axes=AXES, compare=COMPARE))) == []


def test_without_a_trained_cell_all_cells_count(tmp_path, write_sweep, own_cache):
    said = {"constant": SAID["constant"], "frozen_probe": {None: [0.5, 0.8, 1.9, -1.2]}}
    plan = finished_plan(tmp_path, write_sweep, said, axes="{readout: [constant, frozen_probe]}")
    assert clips.choose(gather(plan))[0].error == pytest.approx((2.5 + 3.0) / 2)


def test_the_recorded_sweep_agrees_with_a_plain_loop(tmp_path, own_cache):
    plan = recorded_plan("readout_comparison", tmp_path)
    errors = []
    for cell in ("discriminative", "generative", "expected_value"):
        frames = [
            pd.read_parquet(plan.ledger.trial(trial.trial_id).path / "predictions.test.parquet").set_index("clip_id")
            for trial in plan.trials
            if cell in trial.cells
        ]
        errors.append(pd.concat([(frame["score"] - frame["label"]).abs() for frame in frames], axis=1).mean(axis=1))
    overall = pd.concat(errors, axis=1).mean(axis=1).sort_values(ascending=False)
    found = clips.choose(gather(plan))
    assert [one.clip_id for one in found[: clips.NUM_WORST]] == overall.index[: clips.NUM_WORST].tolist()
    assert np.allclose([one.error for one in found[: clips.NUM_WORST]], overall[: clips.NUM_WORST])
    assert len({one.clip_id for one in found}) == clips.NUM_WORST + clips.NUM_DISPUTED


def test_of_classes_the_share_of_wrong_seeds_counts():
    labels = np.array([0.0, 2.0])
    scores = clips._Scores(None, ["a", "b"], labels, ("negative", "neutral", "positive"))
    scores.scores = {"x": np.array([[0.0, 2.0], [1.0, 2.0]]), "y": np.array([[0.0, -1.0]])}
    assert scores.error("x").tolist() == [0.5, 0.0] and scores.error("y").tolist() == [0.0, 1.0]
    assert scores.distance("x", "y").tolist() == [0.5, 1.0]
    assert [scores.text(value) for value in (2.0, -1.0)] == ["positive", "no class"]
