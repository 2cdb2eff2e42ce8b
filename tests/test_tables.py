"""Tables: what is written, what is bold, what stays visible when seeds are missing."""

import csv
import io
import json
import math
import subprocess
import sys

import pytest
from rich.console import Console

from omni_msa import reported
from omni_msa.aggregate import CellResults, TrialRow, aggregate, compare
from omni_msa.tables import build_grid, latex, terminal_table, write_tables

SEEDS = (1, 2, 3)


def cell(name, maes, deterministic=False, corr=0.5, **more):
    values = {seed: {"mae": mae, "corr": corr, **more} for seed, mae in maes.items()}
    return CellResults({"readout": name}, name, deterministic, (None,) if deterministic else SEEDS, values)


def build(*cells, **options):
    return build_grid(aggregate("s", cells), **options)


def column(grid, heading):
    place = next(place for place, text in enumerate(grid.headings) if text.startswith(heading))
    return [f"*{row[place].text}*" if row[place].bold else row[place].text for row in grid.rows]


@pytest.fixture
def cells():
    return [
        cell("discriminative", {1: 0.5, 2: 0.6, 3: 0.7}, acc7=0.5, trainable_parameters=3_100_000),
        cell("generative", {1: 0.4, 3: 0.2}, unparsable_rate=0.125, zero_rate=0.25),
        cell("constant", {None: 0.65}, deterministic=True, corr=None),
    ]


def test_mean_spread_seeds_and_bold(cells):
    grid = build(*cells)
    assert column(grid, "MAE") == ["*0.600 ± 0.100*", "0.300 ± 0.141", "0.650"]  # two of three seeds do not compete
    assert column(grid, "seeds") == ["3", "2/3", "1 (det.)"]
    assert column(grid, "Corr") == ["0.500 ± 0.000", "0.500 ± 0.000", "NaN (0/1)"]
    assert column(grid, "Unparsable") == ["–", "12.5 ± 0.0", "–"]  # noqa: RUF001
    assert column(grid, "Trainable") == ["3.1 M", "–", "–"]  # noqa: RUF001


def test_ties_are_both_bold_and_one_cell_alone_is_no_best():
    same = {1: 0.5, 2: 0.5, 3: 0.5}
    grid = build(cell("a", same), cell("b", same), cell("c", {1: 0.5, 2: 0.5, 3: 0.6}))
    assert column(grid, "MAE")[:2] == ["*0.500 ± 0.000*"] * 2
    assert column(build(cell("a", same)), "MAE") == ["0.500 ± 0.000"]


def test_a_collapsed_seed_is_counted_and_takes_no_prize():
    one = CellResults({"readout": "a"}, "a", False, SEEDS, {1: {"corr": 0.9}, 2: {"corr": math.nan}, 3: {"corr": 0.8}})
    grid = build(one, cell("b", dict.fromkeys(SEEDS, 1.0)), cell("c", dict.fromkeys(SEEDS, 1.0), corr=0.4))
    assert column(grid, "Corr") == ["0.850 ± 0.071 (2/3)", "*0.500 ± 0.000*", "0.400 ± 0.000"]
    assert any("undefined" in note for note in grid.notes)


def test_human_row_is_labelled_and_not_bold(cells):
    grid = build(*cells, human={"mae": 0.1})
    assert [entry.text for entry in grid.rows[-1]][:4] == ["human rater", "–", "0.100", "–"]  # noqa: RUF001
    assert not any(entry.bold for entry in grid.rows[-1])


@pytest.mark.parametrize("dataset", ["vader_av", ""])
def test_reported_numbers_only_for_the_papers_corpora(cells, dataset):
    assert not any("paper" in heading for heading in build(*cells, dataset=dataset).headings)
    grid = build(*cells, dataset="mosi", human={"mae": 0.1})
    assert column(grid, "MAE (paper)") == ["0.667", "1.521", "–", ""]  # noqa: RUF001
    assert reported.CITATION in grid.notes[-1]


def test_reported_rows_go_by_axes():
    def mae(axes, dataset="mosi"):
        row = reported.lookup(dataset, axes)
        return row and row.metrics["mae"]

    assert mae({"modalities": ["text"]}) == (0.552, None)
    assert mae({"modalities": ["text"], "readout": "discriminative"}) == (0.552, None)
    assert mae({"modalities": ["audio"]}) is None
    assert mae({"modalities": ["text"], "readout": "generative"}) is None
    assert mae({"adapter.rank": 32}) == (0.570, 0.014)
    assert mae({"adapter.rank": 4}) is None
    assert mae({"dataset": {"name": "mosei"}, "readout": "generative_zero_shot"}) == (1.431, None)


def test_reported_denoising_stands_beside_its_own_axis_alone():
    def metrics(axes, dataset="mosi"):
        row = reported.lookup(dataset, axes)
        return row and (row.setting, *row.metrics.items())

    as_it_is = ("denoising", ("mae", (0.598, None)), ("corr", (0.878, None)), ("acc2_non0", (0.8963, None)))
    denoised = ("denoising", ("mae", (0.551, None)), ("corr", (0.888, None)), ("acc2_non0", (0.8952, None)))
    assert metrics({"media.denoise": "none"}) == as_it_is
    assert metrics({"media.denoise": "deepfilternet", "readout": "discriminative"}) == denoised
    assert metrics({"media.denoise": "deepfilternet"}, "mosei") is None
    assert metrics({"media.denoise": "none", "modalities": ["text"]}) is None
    assert metrics({"media.denoise": "none", "readout": "generative"}) is None
    assert metrics({"media.denoise": "none", "adapter.rank": 4}) is None
    assert metrics({"adapter.rank": 32})[0] == "main result"


def test_reported_denoising_is_shown_in_the_table():
    values = {seed: {"mae": 0.5} for seed in SEEDS}
    both = [CellResults({"media.denoise": name}, name, False, SEEDS, values) for name in ("none", "deepfilternet")]
    grid = build(*both, dataset="mosi")
    assert column(grid, "MAE (paper)") == ["0.598", "0.551"]
    assert "(denoising)" in grid.notes[-1]


def test_reported_main_result_is_the_one_printed(pytestconfig):
    seeds = json.loads((pytestconfig.rootpath / "tests/fixtures/paper_seeds.json").read_text())
    metrics = reported.lookup("mosi", {}).metrics
    for name, printed in zip(seeds["columns"], seeds["printed"], strict=True):
        scale = 1 if name in ("mae", "corr") else 100
        assert metrics[name] == pytest.approx([float(number) / scale for number in printed.split("+-")]), name


def test_files(tmp_path, cells):
    data = aggregate("my_sweep", cells, "Which | wins?")
    trials = [
        TrialRow({"readout": "a", "modalities": ["text", "audio"]}, 1, "ab12", "complete", {"mae": 0.5, "corr": None}),
        TrialRow({"readout": "a", "modalities": ["text"]}, None, "cd34", "failed", {}),
    ]
    differences = compare(cells, {"readout": "discriminative"})
    written = write_tables(tmp_path / "reports", data, trials, differences, {"mae": 0.3})
    names = {"table.md", "table.csv", "table.tex", "aggregate.json", "trials.csv"}
    assert {path.name for path in written} == names == {path.name for path in (tmp_path / "reports").iterdir()}

    read = {path.name: path.read_text() for path in written}
    rows = list(csv.DictReader(io.StringIO(read["table.csv"])))
    assert [(row["kind"], row["label"], row["missing_seeds"]) for row in rows[1:3]] == [
        ("cell", "generative", "2"),
        ("cell", "constant", ""),
    ]
    assert [row["mae_mean"] for row in rows] == ["0.6", "0.30000000000000004", "0.65", "0.3"]
    assert [row["mae_std"][:8] for row in rows] == ["0.099999", "0.141421", "", ""]
    first, second = csv.DictReader(io.StringIO(read["trials.csv"]))
    assert first == {
        "readout": "a",
        "modalities": "text+audio",
        "seed": "1",
        "trial_id": "ab12",
        "state": "complete",
        "mae": "0.5",
        "corr": "NaN",
    }
    assert (second["seed"], second["mae"], second["state"]) == ("", "", "failed")

    stored = json.loads(read["aggregate.json"], parse_constant=pytest.fail)
    assert stored["cells"] == data["cells"] and stored["human"] == {"mae": 0.3}
    assert [difference["label"] for difference in stored["differences"]] == ["generative", "constant"]


def test_markdown_is_a_regular_table_with_paired_differences(tmp_path, cells):
    differences = compare(cells, {"readout": "discriminative"})
    write_tables(tmp_path, aggregate("my_sweep", cells, "Which?"), (), differences)
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert lines[0] == "# my_sweep" and "| **0.600 ± 0.100** |" in lines[6]
    start = lines.index('## Paired differences in MAE against "discriminative"')
    for part in (lines[:start], lines[start:]):
        assert len({line.count("|") for line in part if line.startswith("|")}) == 1
    generative = [text.strip() for text in lines[start + 4].split("|")]
    assert generative[1:4] == ["generative", "-0.300 ± 0.283", "2"] and generative[5:7] == ["0.5", "0.5"]
    assert "not testable at 0.05 with n = 2 < 6 pairs" in generative[7]


def test_a_bar_in_a_name_does_not_break_the_table(tmp_path):
    write_tables(tmp_path, aggregate("s", [cell("a|b", {1: 1.0}), cell("c", {1: 1.0})]))
    lines = [line for line in (tmp_path / "table.md").read_text().splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1


def test_latex_is_escaped():
    text = latex(build(cell("a_b&c%", dict.fromkeys(SEEDS, 0.5)), cell(r"x\y~^{}<", dict.fromkeys(SEEDS, 0.6))))
    assert r"a\_b\&c\% & 3 & \textbf{0.500 $\pm$ 0.000}" in text
    assert r"x\textbackslash{}y\textasciitilde{}\textasciicircum{}\{\}$<$" in text
    assert text.isascii() and text.count(r"\toprule") == text.count(r"\bottomrule") == 1
    body = [line for line in text.splitlines() if " & " in line]
    assert len({line.replace(r"\&", "").count("&") for line in body}) == 1


def test_terminal_table_fits_eighty_columns(cells):
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(terminal_table(aggregate("my_sweep", cells), {"mae": 0.1}))
    text = console.export_text()
    assert "0.600±0.100" in text and "2/3" in text and "0.100" in text


def test_nothing_heavy_is_imported():
    heavy = "torch transformers ray mlflow optuna pandas scipy rich"
    code = f"import sys, omni_msa.tables; print(set('{heavy}'.split()) & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_clips_left_out_stand_below_every_table_and_in_a_file_that_goes_with_them(cells, tmp_path):
    clip = {"clip_id": "c1", "split": "test", "modality": "video", "reason": "cut [/off] | black", "file": "/x/c1.mp4"}
    note = "1 of 9 clips left out: c1: video, cut [/off] | black."
    made = {**aggregate("s", cells), "notes": [note], "dropped_clips": [clip]}
    written = {path.name: path.read_text() for path in write_tables(tmp_path, made)}
    assert f"- {note}\n" in written["table.md"] and "cut [/off]" in written["table.tex"]
    assert list(csv.DictReader(io.StringIO(written["dropped_clips.csv"]))) == [clip]
    assert json.loads(written["aggregate.json"])["dropped_clips"] == [clip]
    console = Console(width=200, file=io.StringIO())
    console.print(terminal_table(made))
    assert note in console.file.getvalue()
    assert "dropped_clips.csv" not in {path.name for path in write_tables(tmp_path, aggregate("s", cells))}
    assert not (tmp_path / "dropped_clips.csv").exists()
