"""Profile, file and command line laid over each other; whatever they hold, the outcome is a sweep or problems."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.sweep_files import KEYS, WriteSweep
from omni_msa.config import plugins
from omni_msa.config.trial import TrialConfig
from omni_msa.errors import InputError, Problem
from omni_msa.sweep.sweep import Sweep, SweepFile, find_cell, load_sweep

NAMES = [*SweepFile.model_fields, *TrialConfig.model_fields, "name", "rank", "metric", "against", "split", "a.b", ""]
PATHS = [*NAMES, "adapter.rank", "readout.name", "axes.readout", "compare.against.readout", "training.epochs.x", "."]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 40)
    | st.floats()
    | st.sampled_from([*NAMES, *plugins.names("readouts"), "tiny"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(PATHS), inner, max_size=3),
    max_leaves=6,
)


def problems_of(path: Path, *overrides: str) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as info:
        load_sweep(path, overrides)
    assert str(info.value).startswith("1. ")
    return info.value.problems


def test_the_profile_lies_below_the_file_and_both_below_the_command_line(write_sweep: WriteSweep) -> None:
    path = write_sweep(adapter="{rank: 8}", training="{learning_rate: 2e-4}")
    config = load_sweep(path, ["adapter.alpha=16", "training={epochs: 3}"]).cells[0].config
    assert (config.adapter.rank, config.adapter.alpha, config.adapter.text_layers) == (8, 16.0, "last_2")
    assert (config.training.epochs, config.training.batch_size, config.training.learning_rate) == (3, 4, 2e-4)


def test_overrides_reach_everything(write_sweep: WriteSweep) -> None:
    overrides = [
        "question=Other?",
        "seeds=[9]",
        "axes={readout: [generative]}",
        "axes.adapter.rank=[1, 2]",
        "compare={against: {readout: generative, adapter.rank: 1}}",
        "compare.against.adapter.rank=2",
        "select.metric=corr",
        "training.epochs=1",
        "training.epochs=7",
    ]
    sweep = load_sweep(write_sweep(), overrides)
    assert sweep.file.question == "Other?"
    assert [cell.axes for cell in sweep.cells] == [
        {"readout": "generative", "adapter.rank": 1},
        {"readout": "generative", "adapter.rank": 2},
    ]
    assert sweep.cells[0].seeds == (9,)
    assert sweep.file.compare is not None
    assert find_cell(sweep.cells, sweep.file.compare.against) is sweep.cells[1]
    assert sweep.cells[0].config.training.select_metric == "corr"
    assert sweep.cells[0].config.training.epochs == 7


def test_compare_against_another_readout_from_the_command_line(write_sweep: WriteSweep) -> None:
    path = write_sweep(compare="{against: {readout: discriminative}}")
    sweep = load_sweep(path, ["compare.against.readout=constant"])
    assert sweep.file.compare is not None
    assert sweep.file.compare.against == {"readout": "constant"}
    assert load_sweep(path, ["compare=null"]).file.compare is None


def test_another_profile_from_the_command_line(write_sweep: WriteSweep) -> None:
    path = write_sweep()
    (path.parent / "profiles" / "large.yaml").write_text(
        "dataset: vader_av\nbackbone: {name: tiny, weights_seed: 3}\nreadout: discriminative\n"
    )
    config = load_sweep(path, ["profile=large"]).cells[0].config
    assert config.backbone.weights_seed == 3  # type: ignore[attr-defined]
    assert config.adapter.rank == 32


@pytest.mark.parametrize("override", ["readout=constant", "readout.name=constant", "readout={name: constant}"])
def test_another_plug_in_drops_the_options_of_the_one_before(override: str, write_sweep: WriteSweep) -> None:
    path = write_sweep(readout="{name: discriminative, width: 16}", axes="{adapter.rank: [2]}")
    assert load_sweep(path).cells[0].config.readout.model_dump()["width"] == 16
    assert load_sweep(path, [override]).cells[0].config.readout.model_dump() == {"name": "constant"}
    overrides = ["readout.decimals=2", "readout=generative", "readout.decimals=3"]  # in the order they are written
    assert load_sweep(path, overrides).cells[0].config.readout.model_dump()["decimals"] == 3
    kept = load_sweep(path, ["readout=discriminative", "readout.dropout=0.5"]).cells[0].config.readout.model_dump()
    assert (kept["width"], kept["dropout"]) == (16, 0.5)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x89PNG\x00\xff", b"- a", b"a: &a [1]\nb: *a", b"question: a\nquestion: b\n", b"a: [", b"{{{{", None],
)
def test_files_that_are_no_sweep(content: bytes | None, write_sweep: WriteSweep) -> None:
    path = write_sweep()
    path = path if content is not None else path.parent
    if content is not None:
        path.write_bytes(content)
    (problem,) = problems_of(path)
    assert problem.where == str(path)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[1]", b"a: [", b"{a: 1, a: 2}"])
def test_profiles_that_are_none(content: bytes, write_sweep: WriteSweep) -> None:
    path = write_sweep(profile="torn")
    torn = path.parent / "profiles" / "torn.yaml"
    torn.write_bytes(content)
    (problem,) = problems_of(path)
    assert problem.where == str(torn)


def is_read_or_refused(path: Path, overrides: list[str]) -> None:
    try:
        sweep = load_sweep(path, overrides)
    except InputError as error:
        assert error.problems
        assert str(error).startswith("1. ")
    else:
        assert isinstance(sweep, Sweep)
        assert sweep.trials()
        json.dumps([config.model_dump(mode="json") for _, config in sweep.trials()], allow_nan=False)


@settings(max_examples=200, deadline=None)
@given(data=st.dictionaries(st.sampled_from(PATHS), VALUES, min_size=1, max_size=3), bare=st.booleans())
def test_any_file(data: dict[str, Any], bare: bool, write_sweep: WriteSweep) -> None:
    path = write_sweep()
    mapping = data if bare else {**KEYS, "axes": {"readout": ["discriminative"]}, "seeds": [1, 2], **data}
    path.write_text(json.dumps(mapping).replace("NaN", ".nan").replace("Infinity", ".inf"))
    is_read_or_refused(path, [])


@settings(max_examples=200, deadline=None)
@given(
    data=st.lists(st.tuples(st.sampled_from(PATHS), VALUES), max_size=3),
    text=st.text(alphabet="axes.=[]{}:,'readout 12", max_size=12),
)
def test_any_overrides(data: list[tuple[str, Any]], text: str, write_sweep: WriteSweep) -> None:
    is_read_or_refused(write_sweep(), [*(f"{key}={json.dumps(value)}" for key, value in data), text])
