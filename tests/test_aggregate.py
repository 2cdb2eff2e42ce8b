"""Statistics of cells against the paper's four seeds, hand-worked numbers and independent implementations."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from omni_msa.aggregate import CellResults, aggregate, compare, sign_flip_p, summarise

PAPER = json.loads((Path(__file__).parent / "fixtures" / "paper_seeds.json").read_text())


def cell(name, values, seeds=(1, 2, 3), deterministic=False, **axes):
    metrics = {seed: {"mae": value} for seed, value in values.items()}
    return CellResults({"readout": name, **axes}, name, deterministic, seeds, metrics)


def test_the_papers_four_seeds():
    for place, name in enumerate(PAPER["columns"]):
        summary = summarise([row[place] for row in PAPER["seeds"]])
        assert summary["mean"] == pytest.approx(PAPER["mean"][place], abs=1e-9), name
        assert summary["std"] == pytest.approx(PAPER["std"][place], abs=1e-5), name


def test_summary_against_scipy():
    values = np.random.default_rng(0).normal(1, 0.1, 7).tolist()
    summary = summarise(values)
    t = stats.t(df=6, loc=np.mean(values), scale=stats.sem(values))
    assert summary["interval_95"] == pytest.approx(t.interval(0.95))
    assert (summary["std"], summary["median"]) == pytest.approx((stats.tstd(values), sorted(values)[3]))
    assert (summary["min"], summary["max"], summary["n"]) == (min(values), max(values), 7)


def test_one_value_has_no_spread_and_none_no_mean():
    one = summarise([0.5])
    assert (one["mean"], one["std"], one["interval_95"], one["n"]) == (0.5, None, None, 1)
    nothing = summarise([])
    assert (nothing["mean"], nothing["median"], nothing["min"], nothing["n"]) == (None, None, None, 0)


def test_equal_values_have_no_spread_at_all():
    assert summarise([0.1 + 0.2] * 3)["std"] == 0.0


def test_collapsed_values_are_counted_not_averaged():
    summary = summarise([0.5, math.nan, None, 0.7])
    assert (summary["mean"], summary["n"], summary["num_collapsed"]) == (0.6, 2, 2)
    assert summary["values"] == [0.5, None, None, 0.7]


def test_structure_is_strict_json_with_missing_seeds():
    cells = [
        cell("a", {1: 0.5, 3: math.nan}, modalities=("text", "audio")),
        cell("b", {None: 1.0}, seeds=(None,), deterministic=True),
        cell("c", {}),
    ]
    data = json.loads(json.dumps(aggregate("s", cells, "why?"), allow_nan=False))
    first, second, third = data["cells"]
    assert (data["sweep"], data["question"], first["axes"]) == (
        "s",
        "why?",
        {"readout": "a", "modalities": ["text", "audio"]},
    )
    assert (first["seeds"], first["missing"], first["deterministic"]) == ([1, 2, 3], [2], False)
    assert first["metrics"]["mae"]["values"] == [0.5, None]
    assert (second["seeds"], second["missing"], second["metrics"]["mae"]["std"]) == ([None], [], None)
    assert (third["missing"], third["metrics"]) == ([1, 2, 3], {})


def test_a_metric_that_one_trial_lacks_is_counted():
    results = CellResults({}, "a", False, (1, 2), {1: {"mae": 0.5, "corr": 0.9}, 2: {"mae": 0.6}})
    assert aggregate("s", [results])["cells"][0]["metrics"]["corr"]["num_collapsed"] == 1


def test_pairs_go_by_seed():
    cells = [cell("base", {1: 1.0, 2: 2.0, 3: 4.0}), cell("new", {3: 3.0, 1: 0.5})]
    (difference,) = compare(cells, {"readout": "base"})
    assert (difference.label, difference.against) == ("new", "base")
    assert (difference.seeds, difference.values, difference.n) == ([1, 3], [-0.5, -1.0], 2)
    assert (difference.mean, difference.std) == pytest.approx((-0.75, 0.5 / math.sqrt(2)))
    assert difference.interval == pytest.approx((-0.75 - 12.7062 * 0.25, -0.75 + 12.7062 * 0.25), abs=1e-4)
    assert (difference.p, difference.p_floor) == (0.5, 0.5)
    assert "not testable at 0.05 with n = 2 < 6 pairs" in difference.note


@pytest.mark.parametrize("reverse", [False, True])
def test_a_deterministic_cell_pairs_with_every_seed(reverse):
    fixed = cell("fixed", {None: 1.0}, seeds=(None,), deterministic=True)
    varied = cell("varied", {1: 1.5, 2: 2.0, 3: 0.5})
    (difference,) = compare([fixed, varied], {"readout": "varied" if reverse else "fixed"})
    assert difference.seeds == [1, 2, 3]
    assert difference.values == [(-1 if reverse else 1) * value for value in (0.5, 1.0, -0.5)]


def test_two_deterministic_cells_make_one_pair():
    cells = [cell(name, {None: value}, (None,), True) for name, value in (("a", 1.0), ("b", 3.0))]
    (difference,) = compare(cells, {"readout": "a"})
    assert (difference.values, difference.std, difference.p, difference.p_floor) == ([2.0], None, 1.0, 1.0)


def test_axes_not_named_stay_those_of_each_cell():
    cells = [
        cell(name, {1: value}, rank=rank)
        for name, rank, value in (("a", 4, 1), ("b", 4, 3), ("a", 8, 10), ("b", 8, 15))
    ]
    assert [difference.values for difference in compare(cells, {"readout": "a"})] == [[2], [5]]
    assert [difference.values for difference in compare(cells, {"readout": "a", "rank": 4})] == [[2], [9], [14]]


def test_collapsed_and_absent_partners():
    cells = [cell("a", {1: math.nan, 2: 1.0}), cell("b", {1: 0.5, 2: 0.5}), cell("c", {3: 1.0})]
    collapsed, absent = compare(cells, {"readout": "a"})
    assert (collapsed.values, collapsed.num_collapsed) == ([-0.5], 1)
    assert (absent.n, absent.mean, absent.p) == (0, None, None)
    assert all("no such cell" in difference.note for difference in compare(cells, {"readout": "z"}))


@pytest.mark.parametrize("n", range(1, 9))
def test_sign_flip_against_scipy_and_its_floor(n):
    values = np.random.default_rng(n).normal(0.5, 1, n)
    flips = [abs(np.dot(signs, values)) for signs in itertools.product((1, -1), repeat=n)]
    assert sign_flip_p(values) == pytest.approx(np.mean([flip >= abs(values.sum()) - 1e-12 for flip in flips]))
    if n > 1:
        options = {"permutation_type": "samples", "n_resamples": np.inf, "alternative": "two-sided"}
        assert sign_flip_p(values) == pytest.approx(stats.permutation_test((values,), np.mean, **options).pvalue)
    assert sign_flip_p(np.arange(1, n + 1)) == 2 / 2**n
    floors = PAPER["smallest_two_sided_sign_flip_p"]
    assert floors.get(str(n), 2 / 2**n) == 2 / 2**n


def test_no_difference_is_no_evidence():
    assert sign_flip_p([0.0] * 6) == 1.0
    assert sign_flip_p([0.1, -0.3, 0.2]) == 1.0  # the sum is 0 but for rounding


def test_testable_from_six_pairs_on_and_enumerated_up_to_sixteen():
    def difference(n):
        cells = [cell("a", dict.fromkeys(range(n), 1.0), range(n)), cell("b", dict.fromkeys(range(n), 2.0), range(n))]
        return compare(cells, {"readout": "a"})[0]

    assert (difference(6).note, difference(6).p) == ("", 0.03125)
    assert difference(16).p == 2 / 2**16
    assert difference(17).p is None and "interval" in difference(17).note
