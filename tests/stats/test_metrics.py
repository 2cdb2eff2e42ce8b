"""Metrics against known answers and against independent implementations."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from helpers.paths import FIXTURES
from omni_msa.stats.metrics import METRICS, compute

CASES = json.loads((FIXTURES / "metric_cases.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_known_answers(case):
    values = compute(case["labels"], case["predictions"])
    for name, expected in case["expected"].items():
        assert values[name] == pytest.approx(math.nan if expected is None else expected, nan_ok=True, abs=1e-12), name
    assert set(values) == set(case["expected"])


def slow_f1(true: list[bool], score: list[bool]) -> float:
    """Weighted F1 from precision and recall, item by item."""
    total = 0.0
    for positive in (True, False):
        pairs = list(zip(true, score, strict=True))
        hits = sum(t == s == positive for t, s in pairs)
        named, there = sum(s == positive for _, s in pairs), sum(t == positive for t, _ in pairs)
        precision, recall = (hits / named if named else 0.0), (hits / there if there else 0.0)
        total += there / len(true) * (2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return total


@pytest.mark.parametrize("seed", range(8))
def test_against_independent_implementations(seed):
    generator = np.random.default_rng(seed)
    labels = np.round(generator.uniform(-3, 3, 57) * 5) / 5
    scores = np.round((labels + generator.normal(0, 1 + seed, 57)) * 2) / 2  # half steps: rounding matters
    values = compute(labels, scores)
    pairs = list(zip(labels.tolist(), scores.tolist(), strict=True))
    assert values["mae"] == pytest.approx(sum(abs(a - b) for a, b in pairs) / 57)
    assert values["corr"] == pytest.approx(stats.pearsonr(labels, scores).statistic)
    for name, bound in (("acc7", 3), ("acc5", 2)):
        hits = [round(max(-bound, min(bound, a))) == round(max(-bound, min(bound, b))) for a, b in pairs]
        assert values[name] == pytest.approx(sum(hits) / 57)
    has0 = [(a >= 0, b >= 0) for a, b in pairs]
    non0 = [(a > 0, b > 0) for a, b in pairs if a != 0]
    for suffix, chosen in (("has0", has0), ("non0", non0)):
        assert values[f"acc2_{suffix}"] == pytest.approx(sum(a == b for a, b in chosen) / len(chosen))
        assert values[f"f1_{suffix}"] == pytest.approx(slow_f1([a for a, _ in chosen], [b for _, b in chosen]))


def test_half_steps_round_to_even_and_f1_takes_true_labels_first():
    assert compute([0.0, 2.0], [0.5, 1.5])["acc7"] == 1.0
    assert compute([0.0, 2.0], [1.5, 0.5])["acc7"] == 0.0
    three, one = [1, 1, 1, -1, -1], [1, -1, -1, -1, -1]  # F1 is 1/2 for positive, 2/3 for negative either way
    assert compute(three, one)["f1_non0"] == pytest.approx(3 / 5 * 1 / 2 + 2 / 5 * 2 / 3)
    assert compute(one, three)["f1_non0"] == pytest.approx(1 / 5 * 1 / 2 + 4 / 5 * 2 / 3)


def test_undefined_is_nan():
    values = compute([0.0, 0.0], [0.1, 0.2], parsed=[False, False])
    assert [name for name, value in values.items() if math.isnan(value)] == [
        "corr",
        "acc2_non0",
        "f1_non0",
        "mae_parsable",
    ]


def test_rates_of_decoded_answers():
    values = compute([1, 1, -1, 3], [0, 0, -1.5, 3], parsed=[1, 0, 1, 1], in_range=[1, 0, 1, 0])
    rates = {name: values[name] for name in ("unparsable_rate", "out_of_range_rate", "zero_rate", "mae_parsable")}
    assert rates == {"unparsable_rate": 0.25, "out_of_range_rate": 0.25, "zero_rate": 0.5, "mae_parsable": 0.5}
    assert "zero_rate" not in compute([1.0], [1.0])


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([], [], "at least one"),
        ([1, 2], [1], "as many"),
        ([1, 2], [1, math.nan], "1 of 2 scores are not finite"),
        ([math.inf], [1], "1 of 1 labels"),
    ],
)
def test_bad_input_is_refused(labels, scores, message):
    with pytest.raises(ValueError, match=message):
        compute(labels, scores)


def test_every_metric_is_described_and_shown():
    assert set(compute([1, -1], [1, 1], parsed=[1, 1], in_range=[1, 1])) < set(METRICS)
    assert METRICS["acc2_non0"].heading == "Acc-2 non0 (%)"
    assert METRICS["acc2_non0"].show(0.8912) == "89.1"
    assert METRICS["mae"].show(0.5, signed=True) == "+0.500"
    assert METRICS["acc7"].show(-0.0002) == "0.0" and METRICS["acc7"].show(-0.0002, signed=True) == "+0.0"
    assert METRICS["acc7"].show(-0.0005001) == "-0.1" and METRICS["trainable_parameters"].show(-0.3) == "0"
    assert METRICS["trainable_parameters"].show(3_145_728) == "3.1 M"
    assert METRICS["corr"].show(math.nan) == "NaN"
