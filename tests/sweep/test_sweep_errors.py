"""Every mistake a user will make in a sweep file or on the command line: one problem each, all of them at once."""

import os
from pathlib import Path

import pytest

from helpers.sweep_files import WriteSweep
from omni_msa.config import plugins
from omni_msa.errors import InputError, Problem
from omni_msa.sweep.sweep import load_sweep

READOUTS, DATASETS, BACKBONES = (plugins.names(kind) for kind in ("readouts", "datasets", "backbones"))
FILE, PROFILE, COMMAND = "sweep.yaml", "small.yaml", "command line"
Expected = tuple[str, str, str, str, str]  # what, file, key, got, and a word of allowed or next
ONE: list[tuple[dict[str, str | None], list[str], Expected]] = [
    ({"sedes": "[1]"}, [], ("unknown key", FILE, "sedes", "'sedes'", 'did you mean "seeds"?')),
    ({"traning": "{}"}, [], ("unknown key", FILE, "traning", "'traning'", 'did you mean "training"?')),
    ({"select": "{metrik: mae}"}, [], ("unknown key", FILE, "select.metrik", "'metrik'", 'did you mean "metric"?')),
    (
        {"compare": "{againts: {readout: constant}, against: {readout: constant}}"},
        [],
        ("unknown key", FILE, "compare.againts", "'againts'", 'did you mean "against"?'),
    ),
    ({"adapter": "{rnk: 4}"}, [], ("unknown key", FILE, "adapter.rnk", "'rnk'", 'did you mean "rank"?')),
    (
        {"dataset": "{num_trian: 4}"},
        [],
        ("unknown key", FILE, "dataset.num_trian", "'num_trian'", 'did you mean "num_train"?'),
    ),
    (
        {"axes": "{readout: [{name: generative, decimal: 2}]}"},
        [],
        ("unknown key", FILE, "axes.readout.decimal", "'decimal'", 'did you mean "decimals"?'),
    ),
    (
        {"axes": "{readout: [generativ]}"},
        [],
        ("unknown readout", FILE, "axes.readout", "'generativ'", "create omni_msa/readouts/generativ.py"),
    ),
    ({"axes": "{readout: [generativ]}"}, [], ("unknown readout", FILE, "axes.readout", "'generativ'", READOUTS[0])),
    (
        {"axes": "{readout: [generativ]}"},
        [],
        ("unknown readout", FILE, "axes.readout", "'generativ'", 'did you mean "generative"?'),
    ),
    ({"dataset": "vader"}, [], ("unknown dataset", FILE, "dataset.name", "'vader'", 'did you mean "vader_av"?')),
    ({"backbone": "{name: tinny}"}, [], ("unknown backbone", FILE, "backbone.name", "'tinny'", 'did you mean "tiny"?')),
    ({"backbone": "{name: tinny}"}, [], ("unknown backbone", FILE, "backbone.name", "'tinny'", "backbones/tinny.py")),
    ({"profile": "smal"}, [], ("unknown profile", FILE, "profile", "'smal'", 'did you mean "small"?')),
    ({"profile": "smal"}, [], ("unknown profile", FILE, "profile", "'smal'", "profiles/smal.yaml")),
    ({}, ["profile=smal"], ("unknown profile", COMMAND, "profile", "'smal'", 'did you mean "small"?')),
    ({"profile": "7"}, [], ("wrong value", FILE, "profile", "7", "text")),
    ({"select": "{metric: maee}"}, [], ("unknown metric", FILE, "select.metric", "'maee'", 'did you mean "mae"?')),
    ({"select": "{metric: 7}"}, [], ("wrong value", FILE, "select.metric", "7", "text")),
    (
        {"select": "{metric: zero_rate}"},
        [],
        ("this metric has no better direction", FILE, "select.metric", "'zero_rate'", "mae, corr"),
    ),
    (
        {"compare": "{against: {readout: constant}, metric: cor}"},
        [],
        ("unknown metric", FILE, "compare.metric", "'cor'", 'did you mean "corr"?'),
    ),
    ({"select": "{split: test}"}, [], ("wrong value", FILE, "select.split", "'test'", "'valid'")),
    ({"select": "mae"}, [], ("wrong value", FILE, "select", "'mae'", "a mapping")),
    ({"training": "{select_metric: corr}"}, [], ("select.metric", FILE, "training.select_metric", "'corr'", "select:")),
    ({"axes": "{}"}, [], ("wrong value", FILE, "axes", "{}", "at least one axis")),
    ({"axes": "{readout: []}"}, [], ("axis is empty", FILE, "axes.readout", "[]", "add a value")),
    ({}, ["axes.adapter.rank=[]"], ("axis is empty", COMMAND, "axes.adapter.rank", "[]", "add a value")),
    ({"axes": "[readout]"}, [], ("wrong value", FILE, "axes", "['readout']", "a mapping")),
    ({"axes": "readout"}, [], ("wrong value", FILE, "axes", "'readout'", "a mapping")),
    ({"axes": "null"}, [], ("wrong value", FILE, "axes", "None", "a mapping")),
    ({"axes": None}, [], ("key is missing", FILE, "axes", "", "add axes")),
    ({"axes": "{readout: constant}"}, [], ("wrong value", FILE, "axes.readout", "'constant'", "a list")),
    ({"axes": "{readout: {name: constant}}"}, [], ("wrong value", FILE, "axes.readout", "{'name'", "a list")),
    ({"axes": "{adapter.rank: 8}"}, [], ("wrong value", FILE, "axes.adapter.rank", "8", "a list")),
    ({"axes": "{redout: [constant]}"}, [], ("unknown axis", FILE, "axes.redout", "'redout'", '"readout"')),
    (
        {"axes": "{seed: [1, 2]}"},
        [],
        ("unknown axis", FILE, "axes.seed", "'seed'", "list the seeds under the key seeds"),
    ),
    ({"axes": "{runtime.device: [cpu]}"}, [], ("unknown axis", FILE, "axes.runtime.device", "'runtime.device'", "")),
    ({"axes": "{adapter..rank: [1]}"}, [], ("unknown axis", FILE, "axes.adapter..rank", "'adapter..rank'", "path")),
    ({"axes": "{'': [1]}"}, [], ("unknown axis", FILE, "axes.", "''", "adapter")),
    ({"axes": "{adapter.rnk: [1]}"}, [], ("unknown key", FILE, "axes.adapter.rnk", "'rnk'", 'did you mean "rank"?')),
    ({"axes": "{adapter.rank: [4, '16']}"}, [], ("wrong value", FILE, "axes.adapter.rank", "'16'", "a valid integer")),
    ({"axes": "{adapter.rank: [4, 3.5]}"}, [], ("wrong value", FILE, "axes.adapter.rank", "3.5", "a valid integer")),
    ({"axes": "{adapter.rank: [4, null]}"}, [], ("wrong value", FILE, "axes.adapter.rank", "None", "a valid integer")),
    (
        {"axes": "{adapter.rank.x: [4]}"},
        [],
        ("a plain value has no keys below", FILE, "axes.adapter.rank.x", "rank: 4", ""),
    ),
    ({"axes": "{modalities.x: [4]}"}, [], ("wrong value", FILE, "axes.modalities.x", "{'x': 4}", "a list")),
    ({"axes": "{adapter: [7]}"}, [], ("wrong value", FILE, "axes.adapter", "7", "a mapping")),
    ({"axes": "{adapter: [null]}"}, [], ("wrong value", FILE, "axes.adapter", "None", "a mapping")),
    ({"axes": "{readout: [7]}"}, [], ("not the name of a plug-in", FILE, "axes.readout", "7", READOUTS[0])),
    ({"axes": "{readout: [null]}"}, [], ("not the name of a plug-in", FILE, "axes.readout", "None", READOUTS[0])),
    ({"axes": "{readout.name: [7]}"}, [], ("not the name of a plug-in", FILE, "axes.readout.name", "7", READOUTS[0])),
    ({"axes": "{modalities: [text]}"}, [], ("wrong value", FILE, "axes.modalities", "'text'", "a list")),
    ({"axes": "{modalities: [[txt]]}"}, [], ("wrong value", FILE, "axes.modalities", "'txt'", 'did you mean "text"?')),
    ({"axes": "{modalities: [[]]}"}, [], ("wrong value", FILE, "axes.modalities", "[]", "at least 1")),
    ({"axes": "{readout: [constant, constant]}"}, [], ("twice", FILE, "axes.readout", '"constant"', "each value once")),
    ({"axes": "{readout: [constant, {name: constant}]}"}, [], ("same", FILE, "axes", "constant; constant", "once")),
    ({"axes": "{modalities: [[text, audio], [audio, text]]}"}, [], ("same", FILE, "axes", "text+audio; ", "once")),
    ({"axes": "{adapter.alpha: [16, 16.0]}"}, [], ("same", FILE, "axes", "alpha 16; alpha 16.0", "once")),
    (
        {"axes": "{adapter: [{rank: 2}], adapter.rank: [4, 8]}"},
        [],
        ("two axes set the same key", FILE, "axes.adapter.rank", "adapter and adapter.rank", "one of them"),
    ),
    (
        {"axes": "{readout: [constant], readout.name: [generative]}"},
        [],
        ("two axes", FILE, "axes.readout.name", "", ""),
    ),
    ({"seeds": "[1, 2, 1]"}, [], ("twice: [1]", FILE, "seeds", "[1, 2, 1]", "")),
    ({"seeds": "[]"}, [], ("wrong value", FILE, "seeds", "[]", "at least 1")),
    (
        {"axes": f"{{adapter.rank: {list(range(1, 401))}}}", "seeds": str(list(range(300)))},
        [],
        ("too many trials", FILE, "seeds", "120000", "at most 100000"),
    ),
    ({"dataset": '{root: "a\\0b"}'}, [], ("too long for a path", FILE, "dataset.root", "'a\\x00b'", "")),
    ({"dataset": f"{{root: {'x' * 256}}}"}, [], ("too long for a path", FILE, "dataset.root", "'xxx", "")),
    ({"backbone": f"{{weights: {'x/' * 1001}}}"}, [], ("too long for a path", FILE, "backbone.weights", "'x/x", "")),
    ({"seeds": "5"}, [], ("wrong value", FILE, "seeds", "5", "a list")),
    ({}, ["seeds=5"], ("wrong value", COMMAND, "seeds", "5", "a list")),
    ({"seeds": "[a]"}, [], ("wrong value", FILE, "seeds.0", "'a'", "a valid integer")),
    ({"seeds": "[true]"}, [], ("wrong value", FILE, "seeds.0", "True", "a valid integer")),
    ({"seeds": "[1.0]"}, [], ("wrong value", FILE, "seeds.0", "1.0", "a valid integer")),
    ({"seeds": "[-1]"}, [], ("outside 0 to", FILE, "seeds", "[-1]", "")),
    ({"seeds": "[2147483648]"}, [], ("outside 0 to", FILE, "seeds", "[2147483648]", "")),
    ({"seeds": "[0111]"}, [], ("not valid YAML", FILE, "", "0111", "")),
    ({"question": None}, [], ("key is missing", FILE, "question", "", "add question")),
    ({"question": "''"}, [], ("at least 1 character", FILE, "question", "''", "")),
    ({"adapter": "7"}, [], ("wrong value", FILE, "adapter", "7", "a mapping of names to values")),
    ({"training": "null"}, [], ("wrong value", FILE, "training", "None", "a mapping of names to values")),
    ({"training": "[1]"}, [], ("wrong value", FILE, "training", "[1]", "a mapping of names to values")),
    ({"dataset": "null"}, [], ("wrong value", FILE, "dataset", "None", "a name")),
    ({"dataset": "[a]"}, [], ("wrong value", FILE, "dataset", "['a']", "a name")),
    ({"dataset": "{name: null}"}, [], ("not the name of a plug-in", FILE, "dataset.name", "None", DATASETS[0])),
    ({"modalities": "text"}, [], ("wrong value", FILE, "modalities", "'text'", "a list")),
    ({"modalities": "null"}, [], ("wrong value", FILE, "modalities", "None", "a list")),
    ({"adapter": "{rank: '16'}"}, [], ("wrong value", FILE, "adapter.rank", "'16'", "a valid integer")),
    ({"adapter": "{rank: 3.5}"}, [], ("wrong value", FILE, "adapter.rank", "3.5", "a valid integer")),
    ({"adapter": "{alpha: .inf}"}, [], ("wrong value", FILE, "adapter.alpha", "inf", "a finite number")),
    ({"adapter": "{alpha: .nan}"}, [], ("wrong value", FILE, "adapter.alpha", "nan", "a finite number")),
    ({"adapter": "{text_layers: upper}"}, [], ("wrong value", FILE, "adapter.text_layers", "'upper'", "^(all|last_")),
    (
        {"compare": "{against: {readout: generative}}"},
        [],
        ("does not name exactly one cell", FILE, "compare.against", "gen", '"constant"'),
    ),
    (
        {"compare": "{against: {redout: constant}}"},
        [],
        ("does not name exactly one cell", FILE, "compare.against", "red", '"readout"'),
    ),
    ({"compare": "{against: {}}"}, [], ("does not name exactly one cell", FILE, "compare.against", "{}", '"readout"')),
    ({"compare": "{against: [constant]}"}, [], ("wrong value", FILE, "compare.against", "['constant']", "a mapping")),
    ({"compare": "discriminative"}, [], ("wrong value", FILE, "compare", "'discriminative'", "a mapping")),
    ({"compare": "{metric: mae}"}, [], ("key is missing", FILE, "compare.against", "", "add against")),
    ({"runtime": "{micro_batch: 0}"}, [], ("wrong value", FILE, "runtime.micro_batch", "0", "than or equal to 1")),
    (
        {},
        ["readout=generative"],
        ("an axis of the sweep replaces", COMMAND, "readout", "'generative'", "write axes.readout=[...]"),
    ),
    (
        {},
        ["readout.name=constant"],
        ("an axis of the sweep replaces", COMMAND, "readout.name", "'constant'", "axes.readout"),
    ),
    (
        {},
        ["readout={name: constant}"],
        ("an axis of the sweep replaces", COMMAND, "readout", "{'name'", "axes.readout"),
    ),
    ({}, ["runtime.device=gpu"], ("wrong value", COMMAND, "runtime.device", "'gpu'", 'did you mean "cuda"?')),
    ({}, ["training.lr=1e-4"], ("unknown key", COMMAND, "training.lr", "'lr'", 'did you mean "learning_rate"?')),
    ({}, ["select.metric=MAE"], ("unknown metric", COMMAND, "select.metric", "'MAE'", 'did you mean "mae"?')),
    ({}, ["training.epochs"], ("not a setting", COMMAND, "", "'training.epochs'", "key=value")),
    ({}, ["=3"], ("not a setting", COMMAND, "", "'=3'", "key=value")),
    ({}, ["training..epochs=3"], ("not a setting", COMMAND, "", "'training..epochs=3'", "key=value")),
    ({}, ["training.epochs="], ("wrong value", COMMAND, "training.epochs", "None", "a valid integer")),
    ({}, ["training.epochs=two"], ("wrong value", COMMAND, "training.epochs", "'two'", "a valid integer")),
    ({}, ["training.epoch=2"], ("unknown key", COMMAND, "training.epoch", "'epoch'", 'did you mean "epochs"?')),
    ({}, ["training.epochs.x=2"], ("a plain value has no keys", COMMAND, "training.epochs.x", "epochs: 2", "")),
    ({}, ["question.x=2"], ("a plain value has no keys", COMMAND, "question.x", "question: 'Does", "")),
    ({}, ["training=2"], ("wrong value", COMMAND, "training", "2", "a mapping")),
    ({}, ["traning.epochs=2"], ("unknown key", COMMAND, "traning", "'traning'", 'did you mean "training"?')),
    ({}, ["seed=2"], ("unknown key", COMMAND, "seed", "'seed'", 'did you mean "seeds"?')),
    ({}, ["seeds=[1, 2"], ("not valid YAML", COMMAND, "seeds", "expected ',' or ']'", "")),
    ({}, ["axes.readout=[nonsense]"], ("unknown readout", COMMAND, "axes.readout", "'nonsense'", READOUTS[0])),
    ({}, ["axes.readout=constant"], ("wrong value", COMMAND, "axes.readout", "'constant'", "a list")),
    ({"style": "mma"}, [], ("wrong value", FILE, "style", "'mma'", 'did you mean "mmsa"?')),
    ({}, ["embed_media=perhaps"], ("wrong value", COMMAND, "embed_media", "'perhaps'", "a valid boolean")),
    ({"pivot": "readout"}, [], ("wrong value", FILE, "pivot", "'readout'", "a list in square brackets")),
    ({"pivot": "[readout]"}, [], ("two different axes", FILE, "pivot", "['readout']", "")),
    ({"pivot": "[readout, readout]"}, [], ("two different axes", FILE, "pivot", "['readout', 'readout']", "")),
    ({"pivot": "[a, b, c]"}, [], ("pivot needs two different axes", FILE, "pivot", "['a', 'b', 'c']", "")),
    (
        {"axes": "{readout: [constant], adapter.rank: [2]}"},
        ["pivot=[readout, rank]"],
        ("not an axis of this sweep", COMMAND, "pivot", "rank", "readout, adapter.rank"),
    ),
    (
        {"compare": "{against: {readout: constant}, smallest_difference: 0}"},
        [],
        ("wrong value", FILE, "compare.smallest_difference", "0", "greater than 0"),
    ),
    (
        {"compare": "{against: {readout: constant}, metric: zero_rate}"},
        [],
        ("this metric has no better direction", FILE, "compare.metric", "zero_rate", "mae, corr"),
    ),
    (
        {"compare": "{against: {readout: constant}, metric: acc7, smallest_difference: 2}"},
        [],
        ("the difference is too large", FILE, "compare.smallest_difference", "2", "write 0.02 for 2 points"),
    ),
    (
        {"readout": "generative"},
        ["readout.width=8", "axes={repeat: [0]}"],
        ("unknown key", COMMAND, "readout.width", "", ""),
    ),
]


def problems_of(path: Path, *overrides: str) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as info:
        load_sweep(path, overrides)
    assert str(info.value).startswith("1. ")
    return info.value.problems


@pytest.mark.parametrize(("changes", "overrides", "expected"), ONE, ids=lambda value: str(value)[:60])
def test_one_mistake_gives_one_problem(
    changes: dict[str, str | None], overrides: list[str], expected: Expected, write_sweep: WriteSweep
) -> None:
    (problem,) = problems_of(write_sweep(**changes), *overrides)
    what, file, key, got, hint = expected
    assert what in problem.what
    place, _, path = problem.where.rpartition(file)
    assert path.strip() == key, problem.where
    assert place == "" or place.endswith("/"), problem.where
    assert problem.got.startswith(got) if got.startswith("'") else got in problem.got
    assert hint in f"{problem.allowed} {problem.next_step}"


def test_all_mistakes_of_all_places_are_reported_together(write_sweep: WriteSweep) -> None:
    path = write_sweep(
        profile="broken",
        axes="{readout: [generativ, constant, {name: generative, decimal: 1}], adapter.rank: [], seed: [1]}",
        seeds="[1, 1]",
        select="{metric: maee}",
        training="5",
        bogus="1",
    )
    profile = path.parent / "profiles" / "broken.yaml"
    profile.write_text("dataset: {name: vader_av, num_test: 0}\nbackbone: tinny\nnonsense: 1\nadapter: {alpha: '4'}\n")
    found = problems_of(path, "media.mel_hop_ms=15", "nothing")
    assert {problem.where.replace(f"{path.parent}/", "") for problem in found} == {
        "sweep.yaml axes.readout",
        "sweep.yaml axes.readout.decimal",
        "sweep.yaml axes.adapter.rank",
        "sweep.yaml axes.seed",
        "sweep.yaml seeds",
        "sweep.yaml select.metric",
        "sweep.yaml training",
        "sweep.yaml bogus",
        "profiles/broken.yaml dataset.num_test",
        "profiles/broken.yaml backbone.name",
        "profiles/broken.yaml nonsense",
        "profiles/broken.yaml adapter.alpha",
        "command line media.mel_hop_ms",
        "command line",
    }
    assert len(found) == 14


def test_an_unknown_profile_does_not_hide_the_rest(write_sweep: WriteSweep) -> None:
    path = write_sweep(profile="smal", axes="{readout: [generativ]}", adapter="{rank: '16'}")
    found = {problem.what for problem in problems_of(path)}
    assert found == {"unknown profile", "unknown readout", "wrong value"}


def test_a_file_whose_name_could_not_name_a_report(write_sweep: WriteSweep) -> None:
    path = write_sweep()
    for name in ("a\nb.yaml", "\x1b[31m.yaml", os.fsdecode(b"\xff.yaml")):
        odd = path.with_name(name)
        odd.write_bytes(path.read_bytes())
        (problem,) = problems_of(odd)
        assert problem.what == "this cannot be the name of a sweep" and problem.where.isprintable()


def test_messages_stay_short_whatever_was_written(write_sweep: WriteSweep) -> None:
    long = "x" * 50_000
    for changes in (
        {long: "1"},
        {"axes": f"{{{long}: [1]}}"},
        {"adapter": f"{{{long}: 1}}"},
        {"profile": long},
        {"dataset": long},
    ):
        assert len(str(InputError(*problems_of(write_sweep(**changes))))) < 5000
