"""Statistics of cells against the paper's four seeds, hand-worked numbers and independent implementations."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from helpers.made_cells import LABELS, cells_of, finish, made_plan, noisy, shifted
from helpers.paths import FIXTURES
from omni_msa.evidence.comparisons.clip_scores import Resampler
from omni_msa.evidence.summary import MetricSummary, cell_summary, floor_of, gap_shares, summarise, within_range
from omni_msa.stats.intervals import two_level_interval
from omni_msa.sweep.labels import axis_text

PAPER = json.loads((FIXTURES / "paper_seeds.json").read_text())
DATASET = {"seeds": "[1, 2, 3]"}


@pytest.fixture
def make(tmp_path, write_sweep, own_cache):
    return lambda said, **keys: made_plan(tmp_path / "mlruns", write_sweep, said, **{**DATASET, **keys})


def summary_of(plan, label):
    return cell_summary(cells_of(plan)[label], Resampler(1))


def test_the_papers_four_seeds():
    for place, name in enumerate(PAPER["columns"]):
        summary = summarise([row[place] for row in PAPER["seeds"]])
        assert summary.mean == pytest.approx(PAPER["mean"][place], abs=1e-9), name
        assert summary.std == pytest.approx(PAPER["std"][place], abs=1e-5), name


def test_summary_against_scipy():
    values = np.random.default_rng(0).normal(1, 0.1, 7).tolist()
    summary = summarise(values)
    t = stats.t(df=6, loc=np.mean(values), scale=stats.sem(values))
    assert summary.interval_95 == pytest.approx(t.interval(0.95))
    assert (summary.std, summary.median) == pytest.approx((stats.tstd(values), sorted(values)[3]))
    assert (summary.min, summary.max, summary.n) == (min(values), max(values), 7)


def test_one_value_has_no_spread_and_none_no_mean():
    one = summarise([0.5])
    assert (one.mean, one.std, one.interval_95, one.n) == (0.5, None, None, 1)
    nothing = summarise([], [], "lower")
    assert (nothing.mean, nothing.median, nothing.best, nothing.n) == (None, None, None, 0)


def test_equal_values_have_no_spread_at_all():
    found = summarise([0.1 + 0.2] * 3)
    assert (found.std, found.interval_95) == (0.0, None)


def test_intervals_end_where_the_metric_does(make):
    for values, name, expected in (
        ([1.0, 0.2], "latency_s", [0.0, None]),
        ([0.99, 0.95], "corr", [None, 1.0]),
        ([-0.99, -0.95], "corr", [-1.0, None]),
        ([0.0, 0.01, 0.0], "unparsable_rate", [0.0, None]),
        ([1.0, 0.99, 1.0], "acc2_non0", [None, 1.0]),
        ([0.5, 1.9], "mae", [0.0, None]),
    ):
        plain = summarise(values).interval_95
        cut = within_range(plain, name)
        assert cut == tuple(end if end is not None else old for end, old in zip(expected, plain, strict=True)), name
        assert cut != plain
    assert within_range(None, "mae") is None
    assert within_range((0.4, 0.6), "acc7") == (0.4, 0.6)
    said = {"discriminative": {1: {"mae": 0.1, "corr": 0.99}, 2: {"mae": 0.9, "corr": 0.95}}}
    metrics = summary_of(make(said), "discriminative").metrics
    assert metrics["mae"].interval_95[0] == 0.0 and metrics["corr"].interval_95[1] == 1.0


def test_collapsed_values_are_counted_not_averaged():
    summary = summarise([0.5, math.nan, None, 0.7])
    assert (summary.mean, summary.n, summary.num_collapsed) == (0.6, 2, 2)
    assert summary.values == [0.5, None, None, 0.7]


def test_the_best_seed_is_named():
    values, seeds = [0.5, None, 0.4, 0.7], [11, 12, 13, 14]
    lowest, highest = (summarise(values, seeds, better) for better in ("lower", "higher"))
    assert (lowest.best, lowest.best_seed) == (0.4, 13)
    assert (highest.best, highest.best_seed) == (0.7, 14)
    assert summarise(values, seeds, "none").best is None


def test_a_cell_in_strict_json_with_missing_and_failed_seeds(make):
    plan = make({"discriminative": {2: {"mae": 0.5, "corr": None}}})
    (failing,) = [trial for trial in plan.trials if trial.name == "discriminative, seed 3"]
    folder = plan.ledger.trial(failing.trial_id)
    folder.begin(failing.config, {})
    folder.fail("bug", "it broke", "trace")
    plan = make({})
    data = json.loads(json.dumps(summary_of(plan, "discriminative").as_json(), allow_nan=False))
    assert (data["axes"], data["deterministic"]) == ({"readout": "discriminative"}, False)
    assert (data["seeds"], data["missing"], data["failed"]) == ([1, 2, 3], [1, 3], [3])
    assert data["metrics"]["mae"]["values"] == [0.5]
    assert (data["metrics"]["corr"]["n"], data["metrics"]["corr"]["num_collapsed"]) == (0, 1)
    assert data["metrics"]["train_s"]["mean"] == 6.0
    constant = summary_of(plan, "constant")
    assert (constant.seeds, constant.missing, constant.metrics) == ((None,), [None], {})


def test_several_seeds_have_an_interval_over_seeds_and_clips(make):
    scores = [noisy(0.5, seed) for seed in (1, 2, 3)]
    said = {"discriminative": dict(zip((1, 2, 3), scores, strict=True))}
    metrics = summary_of(make(said), "discriminative").metrics
    errors = np.abs(np.array(scores) - LABELS).T  # (N, S)
    order = two_level_interval(errors.mean(0), errors - errors.mean(0))
    assert metrics["mae"].interval_two_level_95 == pytest.approx(order)
    # Student's interval over seeds, as it stands beside it, is not wider
    assert order[0] <= metrics["mae"].interval_95[0] and order[1] >= metrics["mae"].interval_95[1]
    assert metrics["mae"].interval_clips_95 is None
    assert metrics["train_s"].interval_two_level_95 is None  # no metric over clips


def test_one_trial_has_an_interval_over_clips(make):
    scores = noisy(0.8, 5)
    found = summary_of(make({"constant": {None: scores}}), "constant").metrics["mae"]
    errors = np.abs(scores - LABELS)
    rival = stats.bootstrap((errors,), np.mean, n_resamples=4000, method="BCa", random_state=3).confidence_interval
    half = (rival.high - rival.low) / 2
    assert found.interval_clips_95 == pytest.approx(list(rival), abs=0.15 * half)
    assert (found.interval_95, found.interval_two_level_95, found.std) == (None, None, None)


def test_seeds_without_predictions_leave_no_interval_over_clips(make):
    said = {"discriminative": {1: noisy(0.5, 1), 2: noisy(0.5, 2), 3: {"mae": 0.4}}}
    found = summary_of(make(said), "discriminative")
    assert found.metrics["mae"].n == 3 and found.metrics["mae"].interval_two_level_95 is None


def test_a_trial_that_cells_share_counts_in_each(make):
    axes = "{readout: [constant, frozen_probe], adapter.rank: [2, 4]}"
    plan = make({"constant, rank 2": {None: shifted(0.25)}}, axes=axes)
    cells = cells_of(plan)
    assert cells["constant, rank 4"].at(None, "mae") == pytest.approx(0.25)
    assert cells["constant, rank 4"].at(3, "mae") == pytest.approx(0.25)  # a deterministic cell is the same at any seed
    assert cells["frozen_probe, rank 2"].at(None, "mae") is None


def test_share_of_the_gap_between_constant_and_people(make):
    def of(**means):
        return {name: MetricSummary(mean) for name, mean in means.items()}

    shares = gap_shares(of(mae=0.8, acc7=0.5, corr=0.9), of(mae=1.2, acc7=0.2, corr=None), {"mae": 0.4, "acc7": 0.8})
    assert shares["mae"] == pytest.approx(0.5) and shares["acc7"] == pytest.approx(0.5) and shares["corr"] is None
    assert gap_shares(of(mae=1.6), of(mae=1.2), {"mae": 0.4}) == {"mae": pytest.approx(-0.5)}
    assert gap_shares(of(mae=0.8), of(mae=0.4), {"mae": 0.4}) == {"mae": None}  # people are no better than a constant
    assert gap_shares(of(mae=0.8), {}, {"mae": 0.4}) == gap_shares(of(mae=0.8), of(mae=1), {}) == {"mae": None}
    assert gap_shares(of(mae=0.8, train_s=3.0), of(mae=1.0), {"mae": 0.5}) == {"mae": pytest.approx(0.4)}  # no cost


def test_the_floor_is_the_constant_on_the_same_data(make):
    axes = "{readout: [discriminative, constant], num_train_clips: [4, 8]}"
    cells = cells_of(make({}, axes=axes))
    assert floor_of([*cells.values()], cells["discriminative, num_train_clips 8"]).name == "constant, num_train_clips 8"
    alone = cells["discriminative, num_train_clips 4"]
    assert floor_of([alone], alone) is None


def test_a_failed_attempt_that_was_made_again_is_no_failed_seed(make):
    plan = make({})
    finish(plan, "discriminative", 1, shifted(0.5), history=[{"kind": "lost process", "retried": True}])
    assert summary_of(make({}), "discriminative").failed == ()


def test_axis_values_as_text():
    assert axis_text(["text", "audio"]) == "text+audio"
    assert axis_text({"name": "generative", "decimals": 2}) == "generative(decimals=2)"
    assert axis_text(8) == "8"
