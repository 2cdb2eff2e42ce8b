"""From a sweep file to cells and trials."""

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.paths import SWEEPS
from helpers.sweep_files import WriteSweep
from omni_msa.errors import InputError
from omni_msa.sweep.labels import value_label
from omni_msa.sweep.sweep import find_cell, load_sweep


def test_cells_seeds_and_trials(write_sweep: WriteSweep) -> None:
    axes = "{readout: [discriminative, constant], adapter.rank: [2, 4]}"
    sweep = load_sweep(write_sweep(axes=axes, seeds="[5, 6, 7]"))
    assert sweep.name == "sweep"
    assert [cell.name for cell in sweep.cells] == [
        "discriminative, rank 2",
        "discriminative, rank 4",
        "constant, rank 2",
        "constant, rank 4",
    ]
    assert [cell.config.adapter.rank for cell in sweep.cells] == [2, 4, 2, 4]
    assert [cell.seeds for cell in sweep.cells] == [(5, 6, 7), (5, 6, 7), (None,), (None,)]
    assert [cell.deterministic for cell in sweep.cells] == [False, False, True, True]
    trials = [(cell.name, config.seed) for cell, config in sweep.trials()]
    assert len(trials) == 2 * 3 + 2
    first = [("discriminative, rank 2", 5), ("discriminative, rank 4", 5), ("constant, rank 2", None)]
    assert trials[:3] == first  # the first seed of all cells comes first
    assert trials[-1] == ("discriminative, rank 4", 7)
    assert all(cell.config.model_copy(update={"seed": config.seed}) == config for cell, config in sweep.trials())


def test_axis_values_with_options_and_axes_inside_axes(write_sweep: WriteSweep) -> None:
    axes = "{readout.decimals: [1, 2], readout: [generative, {name: expected_value}]}"
    sweep = load_sweep(write_sweep(axes=axes))
    found = [(cell.config.readout.name, cell.config.readout.model_dump()["decimals"]) for cell in sweep.cells]
    assert found == [("generative", 1), ("expected_value", 1), ("generative", 2), ("expected_value", 2)]


def test_cells_share_nothing_that_can_change(write_sweep: WriteSweep) -> None:
    axes = "{adapter: [{rank: 2}, {rank: 4, dropout: 0.0}, {rank: 8}], modalities: [[text], [audio, text]]}"
    sweep = load_sweep(write_sweep(axes=axes))
    ranks = [(cell.config.adapter.rank, cell.config.adapter.dropout, cell.config.adapter.alpha) for cell in sweep.cells]
    assert ranks[::2] == ranks[1::2] == [(2, 0.1, 4.0), (4, 0.0, 4.0), (8, 0.1, 4.0)]
    assert [cell.config.modalities for cell in sweep.cells[:2]] == [("text",), ("text", "audio")]


def test_the_axis_repeat(write_sweep: WriteSweep) -> None:
    sweep = load_sweep(write_sweep(axes="{repeat: [0, 1]}"))
    assert [cell.name for cell in sweep.cells] == ["repeat 0", "repeat 1"]


@pytest.mark.parametrize(
    ("axis", "value", "label"),
    [
        ("modalities", ["text", "audio"], "text+audio"),
        ("adapter.rank", 8, "rank 8"),
        ("training.learning_rate", 2e-4, "learning_rate 0.0002"),
        ("readout", {"name": "generative", "decimals": 2}, "generative(decimals=2)"),
        ("readout", {"name": "generative"}, "generative"),
        ("adapter.text_layers", "last_8", "last_8"),
    ],
)
def test_value_labels(axis: str, value: Any, label: str) -> None:
    assert value_label(axis, value) == label


def test_find_cell(write_sweep: WriteSweep) -> None:
    cells = load_sweep(write_sweep(axes="{readout: [discriminative, constant], adapter.rank: [2, 4]}")).cells
    assert find_cell(cells, {"readout": "constant", "adapter.rank": 4}) is cells[3]
    assert find_cell(cells, {"readout": "constant"}) is None  # two
    assert find_cell(cells, {"readout": "generative", "adapter.rank": 4}) is None
    assert find_cell(cells, {"readout": "constant", "adapter.rank": 4, "seed": 1}) is None


@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_sweeps_of_the_repository(path: Path) -> None:
    sweep = load_sweep(path)
    assert sweep.file.compare is None or find_cell(sweep.cells, sweep.file.compare.against)
    header = path.read_text(encoding="utf-8").split("\nquestion:")[0]
    assert header.startswith("#")
    assert sweep.file.search or f"{len(sweep.trials())} trials" in header
    assert f"python orchestrate.py sweeps/{path.name}" in header


def test_too_many_cells_are_counted_not_made(write_sweep: WriteSweep) -> None:
    values = list(range(1, 101))
    axes = json.dumps({"adapter.rank": values, "training.epochs": values, "training.batch_size": values})
    with pytest.raises(InputError) as info:
        load_sweep(write_sweep(axes=axes))
    (problem,) = info.value.problems
    assert (problem.what, problem.got) == ("too many cells", "1000000")


def test_what_the_report_reads_is_no_part_of_a_cell(write_sweep: WriteSweep) -> None:
    axes = "{readout: [discriminative, constant], adapter.rank: [2, 4]}"
    against = "against: {readout: discriminative, adapter.rank: 2}"
    plain = load_sweep(write_sweep(axes=axes, compare=f"{{{against}}}"))
    assert (plain.file.style, plain.file.pivot, plain.file.embed_media) == ("standard", None, True)
    assert plain.file.compare is not None and plain.file.compare.smallest_difference is None
    path = write_sweep(axes=axes, compare=f"{{{against}, smallest_difference: 0.02}}", pivot="[adapter.rank, readout]")
    other = load_sweep(path, ["style=mmsa", "embed_media=false"])
    assert (other.file.style, other.file.embed_media) == ("mmsa", False)
    assert other.file.pivot == ("adapter.rank", "readout")
    assert other.file.compare is not None and other.file.compare.smallest_difference == 0.02
    assert other.cells == plain.cells
