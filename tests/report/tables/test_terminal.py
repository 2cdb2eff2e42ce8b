"""The table in a terminal: whole numbers whatever its width, and the answer below."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from helpers.summaries import NOTHING_SAID, cell, summary
from omni_msa.evidence.comparisons.verdict import Verdict
from omni_msa.report.tables.files import terminal_table

NAMES = ("mae", "corr", "acc7", "acc2_non0", "f1_non0", "unparsable_rate", "zero_rate", "train_s", "latency_s")


@pytest.fixture
def made():
    values = {seed: dict.fromkeys(NAMES, 0.123 * seed) for seed in (1, 2, 3)}
    short = {None: dict.fromkeys(NAMES, 0.5) | {"corr": None}}
    cells = [cell("generative_zero_shot", values), cell("constant", short)]
    return summary(*cells, notes=["cut [/off]"], verdict=Verdict("Not decided: it needs 5 more seeds.", "not decided"))


def printed(made, width, human=None):
    console = Console(width=width, file=io.StringIO())
    console.print(terminal_table(replace(made, human=human)))
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    return text


@pytest.mark.parametrize("width", [50, 60, 80, 100, 160, 240])
def test_every_quality_number_is_whole_at_any_width(made, width):
    text = printed(made, width, {"mae": 0.1})
    for number in ("0.246±0.123", "24.6±12.3", "NaN (0/1)", "1 (det.)", "0.100"):
        assert number in text, number
    assert "…" not in text and text.count("Acc-7") == text.count("F1 non0") == 1
    assert "generative_zero_shot" in text  # not folded either


def test_a_wide_terminal_shows_rates_and_costs_too_as_far_as_there_is_room(made):
    assert [name in printed(made, 240) for name in ("Unparsable", "Exact zeros", "Latency")] == [True] * 3
    narrow = printed(made, 90)
    assert "Latency" not in narrow and "Latency: one clip at a time" not in narrow
    assert printed(made, 240).count("generative_zero_shot") == 1 < printed(made, 60).count("generative_zero_shot")


def test_the_answer_and_the_notes_stand_below(made):
    lines = printed(made, 80).splitlines()
    assert lines[-1] == "Not decided: it needs 5 more seeds." and "cut [/off]" in lines
    assert printed(replace(made, verdict=NOTHING_SAID), 80).splitlines()[-1] == "cut [/off]"


def test_long_words_are_folded_not_cut():
    name = "a_readout_with_a_name_that_is_longer_than_any_table"
    text = printed(summary(cell(name, {None: {"mae": 0.5}})), 120)
    assert "…" not in text and "".join(line[1:29].strip() for line in text.splitlines() if "_" in line) == name
