"""Pairs of cells by the trials behind them: shared ones count once, and both sides have the same seed."""

import numpy as np
import pytest
from scipy import stats

from helpers.made_cells import LABELS, cells_of, finish, made_plan, noisy
from omni_msa.evidence.comparisons.clip_scores import Resampler
from omni_msa.evidence.comparisons.compare import compare, pairs_of

PAIR = {"axes": "{readout: [discriminative, generative]}"}


def shared_trials(tmp_path, write_sweep, against):
    """Return comparisons in which the constant is one trial in three cells."""
    axes = "{readout: [constant, discriminative], modalities: [[text], [audio], [text, audio]]}"
    names = ("text", "audio", "text+audio")
    said = {
        f"discriminative, {name}": {seed: noisy(0.4 + 0.1 * place, 10 * place + seed) for seed in range(1, 9)}
        for place, name in enumerate(names)
    }
    said["constant, text"] = {None: np.zeros(120)}
    plan = made_plan(tmp_path / "m", write_sweep, said, axes=axes, seeds=str(list(range(1, 9))))
    assert len(plan.trials) == 3 * 8 + 1
    found = compare(pairs_of([*cells_of(plan).values()], against), ["mae", "corr"], Resampler(1))
    return {(one.name, one.metric): one for one in found}


def test_a_cell_is_not_tested_against_its_own_trial(tmp_path, write_sweep, own_cache):
    found = shared_trials(tmp_path, write_sweep, {"readout": "constant", "modalities": ["text"]})
    assert {one.family for one in found.values()} == {2 * 3}  # of 10 comparisons 4 are of one trial with itself
    for name in ("audio", "text+audio"):
        same = found[f"constant, {name}", "mae"]
        assert (same.pairing, same.p, same.p_clips, same.p_holm) == ("same trials", None, None, None)
        assert same.note == "the same trial" and same.improvement_clips is None and same.mcnemar == {}
    assert found["discriminative, text", "mae"].p_holm == 6 * 2 / 2**8


def test_the_same_test_counts_once(tmp_path, write_sweep, own_cache):
    found = shared_trials(tmp_path, write_sweep, {"readout": "discriminative", "modalities": ["text"]})
    constants = [found[f"constant, {name}", "mae"] for name in ("text", "audio", "text+audio")]
    assert {one.family for one in found.values()} == {2 * 3}  # of 10 comparisons 6 are 2 tests
    assert [one.p_holm for one in constants] == [6 * 2 / 2**8] * 3
    assert len({one.num_seeds_needed for one in constants}) == 1


def test_an_interval_over_clips_is_of_one_seed(tmp_path, write_sweep, own_cache):
    keys = {**PAIR, "seeds": "[1, 2]"}
    plan = made_plan(tmp_path / "o", write_sweep, {"discriminative": {1: noisy(0.5)}}, **keys)
    finish(plan, "generative", 1, metrics={"mae": 0.6})  # its predictions are gone
    finish(plan, "generative", 2, noisy(1.5, 3))
    cells = [*cells_of(made_plan(tmp_path / "o", write_sweep, **keys)).values()]
    (one,) = compare(pairs_of(cells, {"readout": "discriminative"}), ["mae"], Resampler(1))
    assert one.seeds == [1] and one.interval_clips is None and one.p_clips is None
    finish(plan, "generative", 1, noisy(0.6, 4))
    cells = [*cells_of(made_plan(tmp_path / "o", write_sweep, **keys)).values()]
    (one,) = compare(pairs_of(cells, {"readout": "discriminative"}), ["mae"], Resampler(1))
    assert one.seeds == [1] and one.interval_clips[0] < one.mean < one.interval_clips[1]
    errors = np.abs(noisy(0.6, 4) - LABELS) - np.abs(noisy(0.5) - LABELS)
    rival = stats.bootstrap((errors,), np.mean, n_resamples=4000, method="BCa", random_state=3).confidence_interval
    assert one.interval_clips == pytest.approx(tuple(rival), abs=0.1 * (rival.high - rival.low))
