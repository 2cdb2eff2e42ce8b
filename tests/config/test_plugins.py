"""Plug-ins are found by listing a folder; all of them hold the contract of their kind."""

import importlib.util
import inspect
from pathlib import Path

import pytest

from helpers.least_options import least
from omni_msa.config import plugins
from omni_msa.config.sections import BackboneOptions, DatasetOptions, ReadoutOptions
from omni_msa.config.trial import TrialConfig, classes_of, conventions_of
from omni_msa.errors import InputError

BASES = {"datasets": DatasetOptions, "backbones": BackboneOptions, "readouts": ReadoutOptions}
FUNCTIONS = {
    "datasets": ("label_range", "fingerprint", "check", "load", "human_row"),
    "backbones": ("dimensions", "check", "build"),
    "readouts": ("build",),
}
ALL = [(kind, name) for kind in plugins.KINDS for name in plugins.names(kind)]


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_contract_of_every_plug_in(kind: str, name: str) -> None:
    plugin = plugins.load(kind, name)
    options = plugin.Options(**least(kind, name))
    assert isinstance(options, BASES[kind])
    assert options.name == name
    assert plugin.__doc__
    assert plugin.Options.__doc__
    assert plugin.Options.model_validate(options.model_dump(mode="json")) == options
    for function in FUNCTIONS[kind]:
        assert inspect.isroutine(getattr(plugin, function)), function  # a function or a bound method


@pytest.mark.parametrize("name", plugins.names("readouts"))
def test_contract_of_every_readout(name: str) -> None:
    readout = plugins.load("readouts", name)
    assert {"dataset", "readout"} <= set(readout.uses) <= set(TrialConfig.model_fields) - {"runtime", "repeat"}
    assert readout.deterministic is ("seed" not in readout.uses)
    assert readout.trained is ("training" in readout.uses)
    assert set(readout.fit_fields) <= set(readout.Options.model_fields)
    leader = plugins.load("readouts", readout.fit_as)  # the readout whose training this one shares
    assert leader.fit_as == readout.fit_as
    assert (leader.uses, leader.fit_fields) == (readout.uses, readout.fit_fields)


@pytest.mark.parametrize("name", plugins.names("datasets"))
def test_contract_of_every_dataset(name: str, own_cache: Path) -> None:
    dataset = plugins.load("datasets", name)
    options = dataset.Options(**least("datasets", name))
    lowest, highest = dataset.label_range(options)
    if names := classes_of(options):
        assert (lowest, highest) == (0, len(names) - 1) and len({name.lower() for name in names}) == len(names)
    else:
        assert lowest < 0 < highest
    assert bool(names) is (conventions_of(options) == "classes")
    assert dataset.check(own_cache / "nowhere", options), "a folder that is not there would stop load()"


def test_listing_imports_nothing_and_skips_private_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shout.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "_helper.py").write_text("")
    (tmp_path / "notes.txt").write_text("")
    before = plugins.names("readouts")
    spec = importlib.util.find_spec("omni_msa.readouts")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folders = [*spec.submodule_search_locations, str(tmp_path)]
    monkeypatch.setattr(spec, "submodule_search_locations", folders)
    assert plugins.names("readouts") == sorted([*before, "shout"])


@pytest.mark.parametrize(
    ("kind", "name", "nearest", "file"),
    [
        ("readouts", "generativ", "generative", "omni_msa/readouts/generativ.py"),
        ("datasets", "vader-av", "vader_av", ""),
        ("backbones", "tyni", "tiny", "omni_msa/backbones/tyni.py"),
        ("readouts", "__init__", "", ""),
        ("readouts", "../errors", "", ""),
        ("readouts", "", "", ""),
    ],
)
def test_an_unknown_name(kind: str, name: str, nearest: str, file: str) -> None:
    with pytest.raises(InputError) as info:
        plugins.load(kind, name, where="a.yaml")
    (problem,) = info.value.problems
    assert problem.what == f"unknown {kind[:-1]}"
    assert (problem.where, problem.got) == ("a.yaml", repr(name))
    assert problem.allowed == ", ".join(plugins.names(kind))
    assert (f'"{nearest}"' in problem.next_step) if nearest else "did you mean" not in problem.next_step
    assert (file in problem.next_step) if file else "create" not in problem.next_step
