"""Test predictions of a cell in one order, and which clips are right."""

import numpy as np
import pytest
from scipy import stats

from helpers.made_cells import CLIPS, LABELS, NUM_CLIPS, cells_of, finish, made_plan, noisy, shifted
from omni_msa.evidence.comparisons.clip_scores import ClipScores, Resampler, common_seeds, correctness
from omni_msa.stats.intervals import MIN_CLIPS
from omni_msa.stats.metrics import compute


@pytest.fixture
def make(tmp_path, write_sweep, own_cache):
    return lambda said=None: made_plan(tmp_path, write_sweep, said, seeds="[1, 2, 3]")


def test_metrics_of_each_trial_in_the_order_of_the_seeds(make):
    scores = {seed: noisy(0.5, seed) for seed in (1, 2, 3)}
    tested = cells_of(make({"discriminative": scores}))["discriminative"].tested
    assert tested.seeds == (1, 2, 3) and tested.num_clips == NUM_CLIPS
    for place, seed in enumerate(tested.seeds):
        expected = compute(LABELS, scores[seed])
        assert {name: values[place] for name, values in tested.metrics.items()} == pytest.approx(expected)
    assert tested.influences("mae").mean(0) == pytest.approx(0, abs=1e-12)


def test_a_trial_on_other_clips_is_left_out_and_named(make):
    plan = make({"discriminative": {seed: shifted(0.5) for seed in (1, 2)}})
    finish(plan, "discriminative", 3, shifted(0.5), clips=[f"{name}_b" for name in CLIPS])
    trials = cells_of(make())["discriminative"]
    assert trials.tested.seeds == (1, 2) and trials.seeds == [1, 2, 3]
    (note,) = trials.notes
    assert note.startswith("discriminative, seed 3: it was tested on other clips than the rest of its cell;")


def test_missing_predictions_are_told(make):
    trials = cells_of(make({"discriminative": {1: {"mae": 0.5}}}))["discriminative"]
    assert trials.tested is None
    assert trials.notes == (
        "discriminative, seed 1: its test predictions cannot be read; what is said over clips leaves it out.",
    )


@pytest.mark.parametrize("conventions", ["mosi", "sims", "plain", "classes"])
def test_right_and_counted_clips_give_the_accuracies(conventions):
    generator = np.random.default_rng(4)
    labels = generator.integers(-3, 4, 60) / (3 if conventions == "sims" else 1)
    scores = np.stack([labels + generator.normal(0, 0.7, 60), generator.permutation(labels)])
    if conventions == "classes":
        labels, scores = labels + 3, np.round(scores) + 3
    found = correctness(ClipScores("c", (1, 2), labels.astype(float), scores, conventions))
    for place in range(2):
        expected = compute(labels, scores[place], conventions=conventions)
        accuracies = {name: value for name, value in expected.items() if name.startswith("acc")}
        got = {name: right[1, place][right[0, place]].mean() for name, right in found.items() if name.startswith("acc")}
        assert got == pytest.approx(accuracies)
    assert {name for name in expected if name.startswith("acc")} == set(found)  # F1 is not a share of right clips


def test_equal_clips_are_resampled_alike_and_again():
    first, second = (ClipScores("c", (1,), LABELS, noisy(0.5, seed)[None], "mosi") for seed in (1, 2))
    resampler = Resampler(3)
    assert resampler.weights(first) is resampler.weights(second)
    assert np.array_equal(Resampler(3).weights(first), resampler.weights(second))
    other = ClipScores("d", (1,), LABELS, noisy(0.5)[None], "mosi")
    assert not np.array_equal(resampler.weights(other), resampler.weights(first))


def test_intervals_of_one_trial_and_of_a_difference():
    first, second = (
        ClipScores("c", (1,), LABELS, noisy(noise, seed)[None], "mosi") for noise, seed in ((0.5, 1), (0.8, 2))
    )
    found = Resampler(3).intervals(first)
    z = np.arctanh(compute(LABELS, noisy(0.5, 1))["corr"]) + np.array([-1.96, 1.96]) / np.sqrt(NUM_CLIPS - 3)
    assert found["corr"] == pytest.approx(np.tanh(z), abs=0.02)  # Fisher's transform of a correlation
    errors = np.abs(noisy(0.5, 1) - LABELS) - np.abs(noisy(0.8, 2) - LABELS)
    rival = stats.bootstrap((errors,), np.mean, n_resamples=4000, method="BCa", random_state=3).confidence_interval
    low, high = Resampler(3).intervals(first, second)["mae"]
    assert (low, high) == pytest.approx(tuple(rival), abs=0.1 * (rival.high - rival.low))
    correlations = [compute(LABELS, noisy(noise, seed))["corr"] for noise, seed in ((0.5, 1), (0.8, 2))]
    low, high = Resampler(3).intervals(first, second)["corr"]
    assert (low + high) / 2 == pytest.approx(correlations[0] - correlations[1])  # no BCa: it lies around the estimate


def test_few_clips_have_no_intervals():
    num = MIN_CLIPS - 1
    few = ClipScores("c", (1,), LABELS[:num], noisy(0.5)[None, :num], "mosi")
    assert Resampler(3).intervals(few) == {}


def test_seeds_in_common():
    assert common_seeds([1, 2, 3], [3, 1]) == [1, 3]
    assert common_seeds([None], [3, 1]) == common_seeds([3, 1], [None]) == [3, 1]
    assert common_seeds([None], [None]) == [None] and common_seeds([], [1]) == common_seeds([None], []) == []
