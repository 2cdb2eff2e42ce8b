"""The card of a trained trial: what it says, and that its recipe for loading the weights works as it stands."""

import hashlib
import json
import os
import re
import subprocess
import sys

import pandas as pd
import pytest

from helpers import tiny_trials
from omni_msa.config import plugins
from omni_msa.tracking._model_card import model_card, sha256, weights_of
from omni_msa.training.checkpoints import FitFolder


@pytest.fixture
def trained(text_clips, tmp_path):
    """A trial of the tiny backbone, with its configuration as plain values."""
    trial = tiny_trials.config()
    return tiny_trials.run(tmp_path, trial), trial.model_dump(mode="json")


def table(gpu, name):
    """Return the value beside a name in any of the card's tables."""
    (row,) = [line for line in gpu.splitlines() if line.startswith(f"| {name} |")]
    return row.removeprefix(f"| {name} | ").removesuffix(" |")


def test_the_gpu_says_what_was_done_with_what_and_how_good_it_is(trained):
    folder, config = trained
    gpu = model_card(folder, "discriminative", config, True)
    result, test = folder.result(), folder.test_metrics()
    assert gpu.startswith("# discriminative, seed 1\n")
    assert table(gpu, "backbone") == "tiny, frozen; quantisation none"
    assert table(gpu, "licence of its weights") == "none: they are random"
    assert (table(gpu, "readout"), table(gpu, "modalities")) == ("discriminative", "text")
    assert (table(gpu, "data"), table(gpu, "seed")) == ("vader_av", "1")
    assert table(gpu, "mae") == f"{result['valid']['mae']:.6g} | {test['mae']:.6g}"
    assert table(gpu, "hash of data_order") == f"`{result['hashes']['data_order']}`"
    assert table(gpu, "`training.epochs`") == "`2`"
    assert table(gpu, "code") == "commit not recorded"
    assert float(table(gpu, "trainable_parameters")) == pytest.approx(result["cost"]["trainable_parameters"], rel=1e-5)
    for line in (each for each in gpu.splitlines() if each.startswith("|")):
        assert line.endswith("|")


def test_it_names_the_file_of_the_weights_with_its_sum(trained):
    folder, config = trained
    path = weights_of(folder)
    fit = FitFolder(path.parents[1])
    assert set(fit.best(folder.result()["best_epoch"])) and path.is_file()
    content = path.read_bytes()
    assert sha256(path) == hashlib.sha256(content).hexdigest()
    for is_attached, words in ((True, "beside this card"), (False, "Not attached")):
        gpu = model_card(folder, "discriminative", config, is_attached)
        assert words in gpu and table(gpu, f"`{path}`") == f"{len(content)} | `{sha256(path)}`"


def test_weights_that_are_gone_are_said_to_be(trained):
    folder, config = trained
    weights_of(folder).unlink()
    gpu = model_card(folder, "discriminative", config, False)
    assert "is not there" in gpu and "SHA-256" not in gpu and "```" not in gpu


def test_a_trial_without_training_has_none(text_clips, tmp_path):
    trial = tiny_trials.config(readout={"name": "constant"}, seed=None)
    folder = tiny_trials.run(tmp_path, trial)
    gpu = model_card(folder, "constant", trial.model_dump(mode="json"), False)
    assert weights_of(folder) is None
    assert gpu.startswith("# constant\n") and table(gpu, "seed") == "none: no randomness"
    assert "Nothing was trained" in gpu and "undefined" in table(gpu, "corr")


def test_the_recipe_gives_the_predictions_that_were_recorded(trained, text_clips, tmp_path):
    folder, config = trained
    gpu = model_card(folder, "discriminative", config, True)
    (recipe,) = re.findall(r"```python\n(.*?)```", gpu, re.DOTALL)
    place = tmp_path / "elsewhere"
    place.mkdir()
    (place / "config.json").write_text(json.dumps(config))
    (place / "adapter.safetensors").write_bytes(weights_of(folder).read_bytes())
    recipe = recipe.replace(
        "print(model.predict(model.splits.valid))", "model.predict(model.splits.valid).to_parquet('p')"
    )
    environment = {**os.environ, "OMNI_MSA_CACHE": str(text_clips), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", recipe]
    ran = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    pd.testing.assert_frame_equal(
        pd.read_parquet(place / "p"), pd.read_parquet(folder.path / "predictions.valid.parquet")
    )


def test_a_foreign_result_breaks_nothing(trained):
    folder, config = trained
    result = folder.result()
    for change in ({"fit_id": 7}, {"best_epoch": "2"}, {"best_epoch": 0}, {"hashes": None}):
        (folder.path / "result.json").write_text(json.dumps({**result, **change}))
        assert "# discriminative, seed 1" in model_card(folder, "discriminative", config, False)
    (folder.path / "provenance.json").write_text('{"packages": 3, "commit": null}')
    assert table(model_card(folder, "a", config, False), "code") == "commit not recorded"


@pytest.mark.parametrize("name", plugins.names("backbones"))
def test_every_backbone_states_the_licence_of_its_weights(name):
    assert plugins.load("backbones", name).licence
