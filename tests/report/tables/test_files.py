"""The files of a report's tables: which there are, what stands in them, in full precision where it is data."""

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from helpers.summaries import SEEDS, cell, pair, summary
from helpers.table_texts import balanced, tabulars
from omni_msa.data.faults import Fault
from omni_msa.evidence.comparisons.verdict import Verdict
from omni_msa.evidence.sweep_summary import DroppedClip
from omni_msa.report.tables.files import write_tables

LABELS = ("discriminative", "generative", "constant")
BASE = {"table.md", "table.csv", "table.tex", "table.html", "aggregate.json", "trials.csv"}


@pytest.fixture
def made():
    cells = [
        cell("discriminative", {seed: {"mae": 0.4 + seed / 10, "corr": 0.5, "train_s": 2.0} for seed in SEEDS}),
        cell("generative", {1: {"mae": 0.4, "corr": 0.5}, 3: {"mae": 0.2, "corr": 0.5}}, gap_share={"mae": 0.75}),
        cell("constant", {None: {"mae": 0.65, "corr": None}}),
    ]
    differences = [pair("generative", "discriminative", [-0.1, -0.5]), pair("constant", "discriminative", [0.15])]
    return summary(*cells, differences=differences)


def read(folder, made, **more):
    return {path.name: path.read_text() for path in write_tables(folder, made, **more)}


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_files_and_what_stands_in_those_that_are_data(tmp_path, made):
    trials = [{"readout": "a", "seed": 1, "trial_id": "ab12", "mae": 0.5}, {"readout": "b", "seed": None, "state": "x"}]
    texts = read(tmp_path / "reports", replace(made, human={"mae": 0.3}), trials=trials)
    assert set(texts) == BASE == {path.name for path in (tmp_path / "reports").iterdir()}
    rows = rows_of(texts["table.csv"])
    assert [(row["kind"], row["label"], row["missing_seeds"]) for row in rows[1:3]] == [
        ("cell", "generative", "2"),
        ("cell", "constant", ""),
    ]
    assert [row["mae_mean"] for row in rows] == ["0.6", "0.30000000000000004", "0.65", "0.3"]
    assert [row["mae_std"][:8] for row in rows] == ["0.099999", "0.141421", "", ""]
    assert [row["mae_best_of_n"] for row in rows] == ["0.5", "0.2", "0.65", ""]
    assert [row["mae_best_seed"] for row in rows[:2]] == ["1", "3"] and rows[1]["mae_gap_share"] == "0.75"
    assert texts["trials.csv"] == "readout,seed,trial_id,mae,state\na,1,ab12,0.5,\nb,,,,x\n"
    stored = json.loads(texts["aggregate.json"], parse_constant=pytest.fail)
    assert stored["cells"] == json.loads(json.dumps([one.as_json() for one in made.cells]))
    assert stored["human"] == {"mae": 0.3} and [one["label"] for one in stored["cells"]] == [*LABELS]
    assert [one["label"] for one in stored["differences"]] == ["generative", "constant"]


def test_markdown_has_the_answer_first_and_every_table_is_regular(tmp_path, made):
    selection = replace(made.selection, text=["3 cells.", "Best of 4 epochs."])
    exploratory = [pair("generative", "discriminative", [0.1], "corr")]
    verdict = Verdict("Not decided.", "not decided")
    made = replace(made, verdict=verdict, selection=selection, exploratory=exploratory)
    lines = read(tmp_path, made)["table.md"].splitlines()
    assert lines[0] == "# s" and lines.index("Which?") < lines.index("**Answer:** Not decided.") < 7
    assert "| discriminative | 3 | **0.600 ± 0.100** |" in "\n".join(lines)
    titles = [line for line in lines if line.startswith("## ")]
    assert titles == [
        "## MAE in detail",
        '## Paired differences in MAE against "discriminative"',
        "## Exploratory comparisons",
        "## Best of n beside the mean, MAE",
        "## What was tried and what was selected",
    ]
    assert lines[-2:] == ["- 3 cells.", "- Best of 4 epochs."]
    starts = [0, *(lines.index(title) for title in titles)]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        assert len({line.count("|") for line in lines[start:end] if line.startswith("|")}) <= 1


def test_a_bar_in_a_name_does_not_break_the_table(tmp_path):
    lines = read(tmp_path, summary(cell("a|b", {1: {"mae": 1.0}})))["table.md"].splitlines()
    assert all("a|b" not in line for line in lines) and any("a&#124;b" in line for line in lines)


def test_latex_has_quality_and_costs_in_tables_of_their_own(tmp_path, made):
    text = read(tmp_path, replace(made, human={"mae": 0.3}))["table.tex"]
    quality, costs = tabulars(text)
    assert balanced(text) and text.isascii()
    for columns, rows in (quality, costs):
        assert {len(row) for row in rows} == {len(columns)}
    assert "MAE" in quality[1][0][2] and "Training" in costs[1][0][2]
    assert len(quality[1]) == 5 and len(costs[1]) == 4  # the human row costs nothing


def test_numbers_of_papers_are_in_every_table_of_their_corpus(tmp_path, made):
    texts = read(tmp_path, replace(made, dataset="mosi"))
    assert "| TFN | 0.947 | 0.673 |" in texts["table.md"] and "arXiv 2005.03545" in texts["table.md"]
    rows = rows_of(texts["table.csv"])
    assert rows[0]["mae_paper_mean"] == "0.667"
    tfn = next(row for row in rows if row["label"] == "TFN")
    assert (tfn["kind"], tfn["mae_mean"]) == ("reported elsewhere", "0.947") and "1707.07250" in tfn["source"]
    assert "TFN" not in read(tmp_path, replace(made, dataset="vader_av"))["table.md"]


def test_two_axes_make_a_pivot_in_every_format_and_one_axis_makes_none(tmp_path, made):
    values = {seed: {"mae": seed / 10} for seed in SEEDS}
    axes = [{"readout": readout, "modalities": [modality]} for readout in "ab" for modality in ("text", "audio")]
    texts = read(tmp_path, summary(*(cell(str(place), values, axes=each) for place, each in enumerate(axes))))
    assert set(texts) == BASE | {"pivot.md", "pivot.csv", "pivot.tex", "pivot.html"}
    assert "| readout | text | audio |" in texts["pivot.md"] and texts["pivot.md"].splitlines()[2] in texts["table.md"]
    row = rows_of(texts["pivot.csv"])[1]
    assert list(row) == ["readout", *(f"{name} {part}" for name in ("text", "audio") for part in ("mean", "std", "n"))]
    assert row["readout"] == "b" and row["audio n"] == "3"
    assert [float(row[f"audio {part}"]) for part in ("mean", "std")] == pytest.approx([0.2, 0.1])
    assert tabulars(texts["pivot.tex"])[0][0] == "lrr" and "omni-msa pivot" in texts["pivot.html"]
    assert set(read(tmp_path / "one axis", made)) == BASE


def test_the_frameworks_convention_is_named_and_the_data_keep_the_standard_one(tmp_path, made):
    texts = read(tmp_path, replace(made, style="mmsa"))
    assert "60.00 ± 8.16" in texts["table.md"] and "convention of the MMSA framework" in texts["table.md"]
    assert "60.00" in texts["table.html"] and "MMSA framework" in texts["table.tex"]
    row = rows_of(texts["table.csv"])[0]
    assert row["mae_mean"] == "0.6" and (row["mae_mmsa_mean"], row["mae_mmsa_std"]) == ("60.0", "8.16")
    assert "0.600" in texts["table.md"]  # in detail, as everything that conclusions are drawn from


def test_clips_left_out_stand_below_every_table_and_in_a_file(made, tmp_path):
    clip = DroppedClip("mosi", Fault("c1", "test", "video", "cut [/off] | black", "/x/c1.mp4"))
    note = "1 of 9 clips left out: c1: video, cut [/off] | black."
    texts = read(tmp_path, replace(made, notes=[note], dropped_clips=[clip]))
    assert f"- {note}\n" in texts["table.md"] and "cut [/off]" in texts["table.tex"] and note in texts["table.html"]
    assert rows_of(texts["dropped_clips.csv"]) == [
        {"dataset": "mosi", "clip_id": "c1", "split": "test", "modality": "video"}
        | {"reason": "cut [/off] | black", "file": "/x/c1.mp4"}
    ]
    assert "dropped_clips.csv" not in read(tmp_path / "whole", made)


def test_a_sweep_of_which_nothing_is_done_has_tables_too(tmp_path):
    texts = read(tmp_path, summary(cell("a", {}), cell("b", {})))
    assert "| a | 0/3 | – |" in texts["table.md"] and set(texts) == BASE  # noqa: RUF001


def test_nothing_heavy_is_imported():
    heavy = "torch transformers ray mlflow optuna pandas scipy rich"
    code = f"import sys, omni_msa.report.tables.files; print(set('{heavy}'.split()) & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
