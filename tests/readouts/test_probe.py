"""Ridge regressions on every layer and pooling."""

import dataclasses

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from helpers import tiny_trials
from helpers.ridge import LABELS, ridge
from helpers.tiny_trials import model_inputs
from omni_msa.errors import InputError
from omni_msa.model.forward import Forward
from omni_msa.model.prefix_cache import PrefixStore
from omni_msa.planning import disk
from omni_msa.readouts import frozen_probe
from omni_msa.readouts._probe import POOLINGS, FrozenProbe

ALL = ("text", "audio", "video")
STRENGTHS = (1.0, 30.0, 1000.0)


@pytest.fixture(scope="module")
def backbone():
    return tiny_trials.tiny_backbone()


@pytest.fixture(scope="module")
def prompts(backbone):
    return tiny_trials.make_prompts(backbone, num=8)


def fitted(backbone, prompts, forward=None, layer="all", pooling="all", strengths=STRENGTHS):
    task = dataclasses.replace(tiny_trials.tiny_task(backbone), label_mean=LABELS[:6].mean().item())
    probe = FrozenProbe(task, strengths, layer, pooling)
    probe.fit(forward or Forward(backbone), (prompts[:6], LABELS[:6]), (prompts[6:], LABELS[6:]), batch=4)
    return probe


def pooled_by_hand(backbone, prompt, layer, pooling):
    """One prompt through transformers' own forward, and the mean over the tokens in question."""
    with torch.no_grad():
        states = backbone.model(**model_inputs([prompt]), output_hidden_states=True).hidden_states[layer][0]
    text = backbone.tokenizer.decode(prompt.token_ids)
    ids, vocabulary = np.array(prompt.token_ids), backbone.tokenizer.get_vocab()
    start = len(backbone.tokenizer.encode(text.partition("Transcript")[0], add_special_tokens=False))
    end = len(backbone.tokenizer.encode(text.partition("How positive")[0], add_special_tokens=False))
    chosen = {
        "last": [len(ids) - 1],
        "mean": range(len(ids)),
        "text": range(start, end),
        "audio": np.flatnonzero(ids == vocabulary["<|AUDIO|>"]),
        "video": np.flatnonzero(ids == vocabulary["<|VIDEO|>"]),
    }[pooling]
    return states[list(chosen)].mean(0)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_each_layer_and_pooling_is_ridge_regression_on_the_models_own_states(backbone, prompts, pooling):
    for layer in range(pooling == "last", backbone.num_text_layers + 1):
        states = [pooled_by_hand(backbone, prompt, layer, pooling) for prompt in prompts]
        features = torch.stack(states).double().numpy()
        expected = ridge(features[:6], LABELS[:6].numpy(), features, 30.0)
        probe = fitted(backbone, prompts, layer=layer, pooling=pooling, strengths=(30.0,))
        found = probe.predict(Forward(backbone), prompts)
        assert [each.score for each in found] == pytest.approx(np.clip(expected, -3, 3), abs=1e-3)


def test_what_is_the_same_for_all_clips_says_nothing(backbone, prompts):
    """Before the first layer the last token knows of nothing but itself: the training mean is left."""
    found = fitted(backbone, prompts, layer=0, pooling="last").predict(Forward(backbone), prompts)
    assert [each.score for each in found] == pytest.approx([LABELS[:6].mean().item()] * 8, abs=1e-5)


def test_the_last_layer_and_token_are_those_of_the_plain_probe(backbone, prompts):
    plain = fitted(backbone, prompts, layer="last", pooling="last")
    numbered = fitted(backbone, prompts, layer=backbone.num_text_layers, pooling="last")
    assert plain.uses_kept and not numbered.uses_kept
    scores = [[each.score for each in probe.predict(Forward(backbone), prompts)] for probe in (plain, numbered)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)


def test_all_are_fitted_and_the_best_on_valid_predicts(backbone, prompts):
    whole = fitted(backbone, prompts)
    rows = whole.tables()["probe"]
    layers = range(backbone.num_text_layers + 1)
    assert [(row["layer"], row["pooling"]) for row in rows] == [(n, name) for name in POOLINGS for n in layers]
    for row in rows:
        single = fitted(backbone, prompts, layer=row["layer"], pooling=row["pooling"])
        scores = [each.score for each in single.predict(Forward(backbone), prompts[6:])]
        assert row["valid_mae"] == pytest.approx(np.abs(np.array(scores) - LABELS[6:].numpy()).mean(), abs=1e-4)
        assert row["strength"] == single.ridge.strength
        assert single.tables() == {}  # nothing was to be chosen
    best = min(rows, key=lambda row: row["valid_mae"])
    assert [row for row in rows if row["chosen"]] == [best]
    single = fitted(backbone, prompts, layer=best["layer"], pooling=best["pooling"])
    scores = [[each.score for each in probe.predict(Forward(backbone), prompts)] for probe in (whole, single)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)


def test_one_pass_a_clip_gives_all_and_a_prediction_stops_at_its_layer(backbone, prompts):
    forward, passes = Forward(backbone), []
    first, last = forward.text.layers[0], forward.text.layers[-1]
    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs, name=name: passes.append((name, len(inputs[0]))))
        for name, layer in (("first", first), ("last", last))
    ]
    fitted(backbone, prompts)
    assert passes == [("first", 4), ("last", 4), ("first", 2), ("last", 2), ("first", 2), ("last", 2)]
    probe = fitted(backbone, prompts, layer=1)
    passes.clear()
    probe.predict(forward, prompts)
    assert passes == [("first", 8)]
    for hook in hooks:
        hook.remove()


def test_states_that_are_kept_change_nothing(backbone, prompts, tmp_path):
    kept = Forward(backbone, 2, PrefixStore(tmp_path / "prefix", "weights", 2, ""))
    kept.fill_cache(prompts, None, False)
    expected = fitted(backbone, prompts).tables()["probe"]
    for row, plain in zip(fitted(backbone, prompts, kept).tables()["probe"], expected, strict=True):
        assert row["valid_mae"] == pytest.approx(plain["valid_mae"], abs=1e-5)


def test_modalities_that_are_off_have_no_pooling(backbone):
    prompts = tiny_trials.make_prompts(backbone, ("text", "audio"), num=8)
    assert {row["pooling"] for row in fitted(backbone, prompts).tables()["probe"]} == {"last", "mean", "text", "audio"}
    with pytest.raises(InputError) as caught:
        fitted(backbone, prompts, layer=99, pooling="video")
    assert [problem.where for problem in caught.value.problems] == ["readout.layer", "readout.pooling"]


def test_a_clip_without_such_tokens_counts_as_zeros(backbone, prompts):
    silent = [dataclasses.replace(prompts[0], text_span=(0, 0)), *prompts[1:]]
    states = [pooled_by_hand(backbone, prompt, 1, "text") for prompt in prompts]
    features = torch.stack([torch.zeros_like(states[0]), *states[1:]]).double().numpy()
    expected = ridge(features[:6], LABELS[:6].numpy(), features, 30.0)
    probe = fitted(backbone, silent, layer=1, pooling="text", strengths=(30.0,))
    found = probe.predict(Forward(backbone), silent)
    assert [each.score for each in found] == pytest.approx(np.clip(expected, -3, 3), abs=1e-3)


@pytest.mark.parametrize(
    ("options", "places"),
    [
        ({"layer": 9}, ["readout.layer"]),
        ({"pooling": "video"}, ["readout.pooling"]),
        ({"layer": 9, "pooling": "audio"}, ["readout.layer", "readout.pooling"]),
        ({"layer": 0, "pooling": "text"}, []),
        ({"layer": "all", "pooling": "all"}, []),
    ],
)
def test_what_cannot_be_read_is_found_before_the_start(options, places):
    config = tiny_trials.config(readout={"name": "frozen_probe", **options}, modalities=("text",))
    problems = frozen_probe.check(config, disk.dimensions(config).text.num_layers)
    assert [problem.where for problem in problems] == places


@pytest.mark.parametrize("layer", ["first", -1, 1.0, True, None, [1]])
def test_a_layer_is_a_number_or_one_of_two_words_and_there_is_one_message(layer):
    with pytest.raises(ValidationError) as caught:
        frozen_probe.Options(layer=layer)
    (error,) = caught.value.errors()
    assert error["loc"] == ("layer",) and "from 0, last, or all" in error["msg"]


def test_a_trial_writes_its_table_and_keeps_no_states(text_clips, tmp_path):
    trial = tiny_trials.config(readout={"name": "frozen_probe", "layer": "all", "pooling": "all"})
    folder = tiny_trials.run(tmp_path, trial)
    rows = folder.table("probe")
    assert len(rows) == 3 * 5  # last, mean and text; four layers and what enters them
    (chosen,) = [row for row in rows if row["chosen"] == "True"]
    assert float(chosen["valid_mae"]) == pytest.approx(folder.result()["valid"]["mae"], abs=1e-4)
    assert not any("test" in name for name in rows[0])
    assert not (text_clips / "prefix").exists()
    plain = tiny_trials.run(tmp_path, tiny_trials.config(readout={"name": "frozen_probe"}))
    assert plain.table("probe") == [] and (text_clips / "prefix").exists()
