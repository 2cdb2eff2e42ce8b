"""The headline table: what is shown, what is bold, what stays visible when seeds are missing."""

import math
import statistics

import pytest

from helpers.summaries import SEEDS, cell, summary
from omni_msa.evidence import published
from omni_msa.report.tables.grid import build_grid, default_columns
from omni_msa.stats.metrics import METRICS

THREE = dict.fromkeys(SEEDS, 0.5)


def seeds(metric="mae", **values):
    """The metrics of some seeds: `seeds(s1=0.5)`."""
    return {int(name[1:]): {metric: value} for name, value in values.items()}


def with_corr(maes, corr=0.5, **more):
    return {seed: {"mae": mae, "corr": corr, **more} for seed, mae in maes.items()}


@pytest.fixture
def cells():
    return [
        cell("discriminative", with_corr({1: 0.5, 2: 0.6, 3: 0.7}, acc7=0.5, trainable_parameters=3_100_000)),
        cell("generative", with_corr({1: 0.4, 3: 0.2}, unparsable_rate=0.125, zero_rate=0.25)),
        cell("constant", with_corr({None: 0.65}, corr=None)),
    ]


def column(grid, heading):
    place = next(place for place, text in enumerate(grid.headings) if text.startswith(heading))
    return [f"*{row[place].text}*" if row[place].bold else row[place].text for row in grid.rows]


def test_mean_spread_seeds_and_bold(cells):
    grid = build_grid(summary(*cells))
    assert column(grid, "MAE") == ["*0.600 ± 0.100*", "0.300 ± 0.141", "0.650"]  # two of three seeds do not compete
    assert column(grid, "seeds") == ["3", "2/3", "1 (det.)"]
    assert column(grid, "Corr") == ["0.500 ± 0.000", "0.500 ± 0.000", "NaN (0/1)"]
    assert column(grid, "Unparsable") == ["–", "12.5 ± 0.0", "–"]  # noqa: RUF001
    assert column(grid, "Trainable") == ["3.1 M", "–", "–"]  # noqa: RUF001


def test_numbers_keep_their_unrounded_value(cells):
    grid = build_grid(summary(*cells))
    place = grid.headings.index("MAE ↓")
    assert [row[place].value for row in grid.rows] == pytest.approx([0.6, 0.3, 0.65])
    assert [row[1].value for row in grid.rows] == [3, 2, 1] and grid.rows[0][0].value is None
    assert grid.num_axes == 1 and grid.align == "l" + "r" * (len(grid.headings) - 1)


def test_ties_are_both_bold_and_what_is_not_better_than_another_is_no_best():
    same = with_corr(THREE)
    grid = build_grid(summary(cell("a", same), cell("b", same), cell("c", with_corr({1: 0.5, 2: 0.5, 3: 0.6}))))
    assert column(grid, "MAE")[:2] == ["*0.500 ± 0.000*"] * 2
    assert column(grid, "Corr") == ["0.500 ± 0.000"] * 3
    assert column(build_grid(summary(cell("a", same))), "MAE") == ["0.500 ± 0.000"]


def test_a_collapsed_seed_is_counted_and_takes_no_prize():
    one = cell("a", seeds("corr", s1=0.9, s2=math.nan, s3=0.8))
    grid = build_grid(summary(one, cell("b", with_corr(THREE)), cell("c", with_corr(THREE, corr=0.4))))
    assert column(grid, "Corr") == ["0.850 ± 0.071 (2/3)", "*0.500 ± 0.000*", "0.400 ± 0.000"]
    assert any("undefined" in note for note in grid.notes)


@pytest.mark.parametrize("style", ["standard", "mmsa"])
def test_a_seed_that_is_missing_is_not_called_undefined(style):
    one = cell("a", seeds("corr", s1=0.975, s3=math.nan))
    grid = build_grid(summary(one, style=style))
    assert column(grid, "seeds") == ["2/3"]
    assert column(grid, "Corr") == ["0.975 (1/2)" if style == "standard" else "NaN (1/2)"]
    assert any("of two finished seeds one has a value" in note for note in grid.notes)


def test_human_row_is_labelled_and_not_bold(cells):
    grid = build_grid(summary(*cells, human={"mae": 0.1}))
    assert [entry.text for entry in grid.rows[-1]][:4] == ["human rater", "–", "0.100", "–"]  # noqa: RUF001
    assert not any(entry.bold for entry in grid.rows[-1]) and grid.kinds == ["cell"] * 3 + ["human"]


@pytest.mark.parametrize("dataset", ["vader_av", ""])
def test_the_papers_numbers_stand_beside_their_corpora_alone(cells, dataset):
    assert not any("paper" in heading for heading in build_grid(summary(*cells, dataset=dataset)).headings)
    grid = build_grid(summary(*cells, dataset="mosi", human={"mae": 0.1}))
    assert column(grid, "MAE (paper)") == ["0.667", "1.521", "–", ""]  # noqa: RUF001
    assert published.CITATION in grid.notes[-1]
    assert {len(row) for row in grid.rows} == {len(grid.headings)} == {len(grid.align)}


def test_the_papers_denoising_is_shown_beside_its_own_axis():
    both = [cell(name, with_corr(THREE), axes={"media.denoise": name}) for name in ("none", "deepfilternet")]
    grid = build_grid(summary(*both, dataset="mosi"))
    assert column(grid, "MAE (paper)") == ["0.598", "0.551"]
    assert "(denoising)" in grid.notes[-1]


def test_in_the_frameworks_convention_quality_is_in_hundredths_with_population_deviation():
    values = {1: 0.55149, 2: 0.56901, 3: 0.57611, 4: 0.58449}
    made = {seed: {"mae": mae, "latency_s": 0.25} for seed, mae in values.items()}
    grid = build_grid(summary(cell("a", made, seeds=(1, 2, 3, 4)), style="mmsa", human={"mae": 0.5}))
    rounded = [round(mae, 4) for mae in values.values()]
    mean, std = 100 * statistics.fmean(rounded), 100 * statistics.pstdev(rounded)
    assert column(grid, "MAE (x100)") == [f"{mean:.2f} ± {std:.2f}", "50.00"] and "57.03" in f"{mean:.2f}"
    assert column(grid, "Latency") == ["0.250 ± 0.000", "–"]  # noqa: RUF001
    assert "convention of the MMSA framework" in grid.notes[0] and "ddof 0" in grid.notes[0]
    assert grid.rows[0][2].value == pytest.approx(statistics.fmean(values.values()))
    standard = build_grid(summary(cell("a", made, seeds=(1, 2, 3, 4))))
    assert f"{statistics.stdev(values.values()):.3f}" in column(standard, "MAE ↓")[0]
    assert not any("MMSA" in note for note in standard.notes)


def test_an_undefined_seed_makes_a_mean_of_the_framework_nan():
    one = cell("a", {1: {"mae": 0.5, "corr": None}, 2: {"mae": 0.5, "corr": 0.5}, 3: {"mae": 0.5, "corr": 0.5}})
    assert column(build_grid(summary(one, style="mmsa")), "Corr") == ["NaN (2/3)"]


def test_columns_are_quality_and_what_any_cell_has(cells):
    assert default_columns(cells)[:2] == ["mae", "corr"]
    assert default_columns(cells)[-3:] == ["unparsable_rate", "zero_rate", "trainable_parameters"]


def test_of_the_costs_only_the_main_ones_are_columns_and_notes_explain_only_these():
    costs = dict.fromkeys((name for name, metric in METRICS.items() if metric.kind == "cost"), 1.0)
    cells = [cell("a", with_corr({1: 0.5}, zero_rate=0.0, acc7=0.5, acc2_non0=0.5, f1_non0=0.5, **costs))]
    assert default_columns(cells)[-4:] == ["train_s", "latency_s", "peak_memory_gb", "trainable_parameters"]
    grid = build_grid(summary(*cells))
    assert "Latency: one clip at a time, from files to score." in grid.notes
    assert "Exact zeros: scores that are 0; non0 metrics count them as negative." in grid.notes
    notes = build_grid(summary(*cells), columns=["acc2_has0", "zero_rate", "latency_s", "latency_model_p95_s"]).notes
    assert "Exact zeros: scores that are 0; has0 metrics count them as positive." in notes
    assert "Latency: one clip at a time, from files to score. p95: 95th percentile." in notes
    notes = build_grid(summary(*cells), columns=["latency_s", "latency_model_s"]).notes
    assert "Latency: one clip at a time, from files to score; model: from prompt to score." in notes


def test_notes_on_the_data_stand_below():
    grid = build_grid(summary(cell("a", with_corr(THREE)), notes=["1 of 9 clips left out."]))
    assert grid.notes[-1] == "1 of 9 clips left out."
