"""What every dataset plug-in must do, run over the folder: a new file there is tested without a change here."""

import inspect
import subprocess
import sys

import pytest

from helpers.least_options import least
from omni_msa.config import plugins
from omni_msa.config.sections import DatasetOptions
from omni_msa.config.trial import conventions_of
from omni_msa.errors import InputError, Problem
from omni_msa.stats.metrics import HEADLINES

NAMES = plugins.names("datasets")
PARAMETERS = {
    "label_range": ["options"],
    "fingerprint": ["root", "options"],
    "check": ["root", "options"],
    "load": ["root", "options", "progress"],
    "human_row": ["root", "options"],
}
OPTIONAL = {
    "conventions": ["options"],
    "classes": ["options"],
    "notes": ["root", "options"],
    "is_here": ["root", "options"],
}


def options_of(name):
    """The options of a dataset with only what it must be told."""
    return plugins.load("datasets", name).Options(**least("datasets", name))


@pytest.mark.parametrize("name", NAMES)
def test_options_name_the_plug_in_and_are_strict(name):
    model = plugins.load("datasets", name).Options
    options = options_of(name)
    assert isinstance(options, DatasetOptions)
    assert (options.name, options.root) == (name, None)
    assert model.model_validate(options.model_dump(mode="json")) == options
    with pytest.raises(ValueError, match="no_such_key"):
        model(**least("datasets", name), no_such_key=1)
    with pytest.raises(ValueError, match="name"):
        model(**{**least("datasets", name), "name": "another"})


@pytest.mark.parametrize("name", NAMES)
def test_functions_take_what_the_contract_says(name):
    plugin = plugins.load("datasets", name)
    assert {
        function: list(inspect.signature(getattr(plugin, function)).parameters) for function in PARAMETERS
    } == PARAMETERS
    assert inspect.signature(plugin.load).parameters["progress"].default is None
    for function in OPTIONAL.keys() & vars(plugin):
        assert list(inspect.signature(getattr(plugin, function)).parameters) == OPTIONAL[function]


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_judged_by_conventions_there_are(name):
    assert conventions_of(options_of(name)) in HEADLINES


@pytest.mark.parametrize("name", NAMES)
def test_label_range_is_a_range(name):
    plugin = plugins.load("datasets", name)
    low, high = plugin.label_range(options_of(name))
    assert low < high


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_folder_is_a_problem_and_nothing_is_created(name, tmp_path, monkeypatch):
    monkeypatch.setenv("OMNI_MSA_CACHE", str(tmp_path / "cache"))
    plugin = plugins.load("datasets", name)
    options = options_of(name)
    [problem] = plugin.check(tmp_path / "nowhere", options)
    assert isinstance(problem, Problem)
    assert problem.where == "dataset.root"
    assert str(tmp_path / "nowhere") in problem.got
    assert plugin.human_row(tmp_path / "nowhere", options) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_fingerprint_is_64_hex_digits_or_names_the_problem(name, tmp_path):
    plugin = plugins.load("datasets", name)
    options = options_of(name)
    try:
        fingerprint = plugin.fingerprint(tmp_path / "nowhere", options)
    except InputError as error:
        assert list(error.problems) == plugin.check(tmp_path / "nowhere", options)
        return
    assert len(bytes.fromhex(fingerprint)) == 32
    assert plugin.fingerprint(tmp_path / "nowhere", options) == fingerprint


def test_plug_ins_and_their_checks_need_no_heavy_library(tmp_path):
    least_of = {name: least("datasets", name) for name in NAMES}
    code = f"""
import sys
from pathlib import Path
from omni_msa.config import plugins
for name in {NAMES}:
    plugin = plugins.load("datasets", name)
    options = plugin.Options(**{least_of}[name])
    plugin.check(None, options)
    plugin.check(Path({str(tmp_path)!r}), options)
heavy = {{"torch", "transformers", "av", "decord", "librosa", "pandas", "scipy"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
