"""Plug-ins are found by listing a folder; all of them hold the contract of their kind."""

import importlib
import importlib.util
import inspect
import re
import sys
from pathlib import Path

import pytest

from helpers.least_options import least
from omni_msa import readouts
from omni_msa.config import plugins
from omni_msa.config.plugin_facts import READOUTS
from omni_msa.config.sections import BackboneOptions, DatasetOptions, ReadoutOptions
from omni_msa.config.trial import TrialConfig, classes_of, conventions_of
from omni_msa.errors import InputError

BASES = {"datasets": DatasetOptions, "backbones": BackboneOptions, "readouts": ReadoutOptions}
ALL = [(kind, name) for kind in BASES for name in plugins.names(kind)]


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_contract_of_every_plug_in(kind: str, name: str) -> None:
    plugin = plugins.load(kind, name)
    options = plugin.Options(**least(kind, name))
    assert isinstance(options, BASES[kind])
    assert options.name == plugin.name == name
    assert plugin.__doc__
    assert plugin.Options.__doc__
    assert plugin.Options.model_validate(options.model_dump(mode="json")) == options
    assert plugins.package(kind, name) is None


@pytest.mark.parametrize("kind", BASES)
def test_every_member_of_a_contract_is_explained(kind: str) -> None:
    contract = importlib.import_module(f"omni_msa.{kind}._base").CONTRACT
    texts = "".join(inspect.getsource(base) for base in contract.__mro__ if base.__module__.startswith("omni_msa"))
    for name, may_be_left_out in plugins._members(contract).items():
        asked = getattr(contract, name, None)
        if inspect.isfunction(asked):
            assert asked.__doc__, name
            assert ("Optional: " in asked.__doc__) is may_be_left_out, name
        else:
            assert re.search(rf"    {name}: .*\n    \"\"\"", texts), name


READOUT = """
from typing import Literal
from omni_msa.config.sections import ReadoutOptions
uses, fit_as, fit_fields = ("dataset", "readout"), "mine", ()
class Options(ReadoutOptions):
    name: Literal["mine"] = "mine"
def build(options, task): ...
"""


def _mine(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Have the folder of readouts hold one more file, mine.py."""
    (folder / "mine.py").write_text(text)
    spec = importlib.util.find_spec("omni_msa.readouts")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folders = [*spec.submodule_search_locations, str(folder)]
    monkeypatch.setattr(spec, "submodule_search_locations", folders)
    monkeypatch.setattr(readouts, "__path__", folders)
    monkeypatch.setattr(readouts.__spec__, "submodule_search_locations", folders)
    monkeypatch.delitem(sys.modules, "omni_msa.readouts.mine", raising=False)
    monkeypatch.delitem(plugins._loaded, ("readouts", "mine"), raising=False)
    importlib.invalidate_caches()


def test_what_a_plug_in_leaves_out_is_the_contract_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _mine(tmp_path, monkeypatch, READOUT)
    plugin = plugins.load(READOUTS, "mine")
    assert plugin.needs_output_layer is True
    assert plugin.deterministic is True
    assert plugin.trained is False
    assert plugin.check(None, 4) == []


@pytest.mark.parametrize(
    ("change", "what", "got", "hint"),
    [
        (("", "def chek(config, num_layers): return []"), "has an unknown public name", "chek", '"check"'),
        (
            ("", "needs_output_laier = False"),
            "has an unknown public name",
            "needs_output_laier",
            '"needs_output_layer"',
        ),
        (("fit_as,", "_fit_as,"), "lacks required members", "no fit_as", "ReadoutPlugin"),
        (
            ("def build(options, task)", "def build(options)"),
            "takes other arguments",
            "build(options)",
            "ReadoutPlugin",
        ),
        (("def build(options, task): ...", "build = 7"), "takes other arguments", "build = 7", "ReadoutPlugin"),
    ],
)
def test_a_plug_in_that_breaks_its_contract_is_refused_by_name(
    change: tuple[str, str], what: str, got: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = change
    _mine(tmp_path, monkeypatch, READOUT.replace(before, after) if before else f"{READOUT}\n{after}\n")
    with pytest.raises(InputError) as info:
        plugins.load(READOUTS, "mine")
    (problem,) = info.value.problems
    assert problem.what.endswith(what)
    assert problem.where == str(tmp_path / "mine.py")
    assert problem.got == got
    assert hint in problem.next_step


def test_a_misspelt_method_of_a_plug_in_object_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = READOUT.replace("def build(options, task): ...", "class _Mine:\n  def build(self, options, task): ...\n")
    _mine(tmp_path, monkeypatch, f"{text}  def chek(self, config, num_layers): ...\nPLUGIN = _Mine()\n")
    with pytest.raises(InputError, match="chek"):
        plugins.load(READOUTS, "mine")


@pytest.mark.parametrize("name", plugins.names("readouts"))
def test_contract_of_every_readout(name: str) -> None:
    readout = plugins.load("readouts", name)
    assert {"dataset", "readout"} <= set(readout.uses) <= set(TrialConfig.model_fields) - {"runtime", "repeat"}
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
        ("backbones", "tinny", "tiny", "omni_msa/backbones/tinny.py"),
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
