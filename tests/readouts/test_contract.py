"""What every readout plug-in must do, run over the folder: a new file there is tested without a change here."""

import math

import pytest
import torch

from helpers import tiny_trials
from helpers.other_values import other_value
from omni_msa.config import plugins
from omni_msa.config.identity import fit_id, trial_id
from omni_msa.config.sections import ReadoutOptions
from omni_msa.config.trial import AdapterConfig, TrialConfig
from omni_msa.model.adapter import attached
from omni_msa.model.forward import Forward
from omni_msa.model.prefix_cache import PrefixStore
from omni_msa.readouts._answers import end_of_turn
from omni_msa.readouts._module import Readout
from omni_msa.readouts._task import Prediction
from omni_msa.training.build import fit_options

NAMES = plugins.names("readouts")
TRAINED = [name for name in NAMES if plugins.load("readouts", name).trained]
LABELS = torch.tensor([2.4, -2.1, 0.3, -0.9, 1.5, -2.8])


@pytest.fixture(scope="module")
def backbone():
    return tiny_trials.tiny_backbone()


@pytest.fixture(scope="module")
def prompts(backbone):
    return tiny_trials.make_prompts(backbone, num=6)


def build(name, backbone):
    """Build a readout with its default options, from seed 0, in eval mode."""
    plugin = plugins.load("readouts", name)
    torch.manual_seed(0)
    return plugin.build(plugin.Options(), tiny_trials.tiny_task(backbone)).eval()


def ready(name, backbone, prompts):
    """Build a readout and fit it, where that is done in closed form."""
    readout = build(name, backbone)
    if readout.closed_form:
        readout.fit(Forward(backbone), (prompts[:4], LABELS[:4]), (prompts[4:], LABELS[4:]), 2)
    return readout


def numbers(predictions):
    return [each.score for each in predictions]


@pytest.mark.parametrize("name", NAMES)
def test_the_plug_in_says_what_it_is(name):
    plugin = plugins.load("readouts", name)
    assert plugin.__doc__
    assert set(plugin.uses) <= set(TrialConfig.model_fields) - {"runtime", "repeat"}
    assert len(set(plugin.uses)) == len(plugin.uses)
    assert {"dataset", "readout"} <= set(plugin.uses)
    assert plugin.deterministic is ("seed" not in plugin.uses)
    assert plugin.trained is ("training" in plugin.uses)
    assert plugin.trained is ("adapter" in plugin.uses)
    assert ("backbone" in plugin.uses) is ("modalities" in plugin.uses) is ("media" in plugin.uses)


@pytest.mark.parametrize("name", NAMES)
def test_the_owner_of_its_fit_is_trained_on_the_same(name):
    plugin = plugins.load("readouts", name)
    owner = plugins.load("readouts", plugin.fit_as)
    assert owner.fit_as == plugin.fit_as
    assert (owner.uses, owner.trained, owner.fit_fields) == (plugin.uses, plugin.trained, plugin.fit_fields)
    assert set(plugin.fit_fields) <= set(plugin.Options.model_fields)
    assert fit_options(plugin.Options()) == owner.Options()


@pytest.mark.parametrize("name", NAMES)
def test_options_name_the_plug_in_and_are_strict(name):
    model = plugins.load("readouts", name).Options
    assert issubclass(model, ReadoutOptions)
    assert model.__doc__
    assert model().name == name
    with pytest.raises(ValueError, match="no_such_key"):
        model(no_such_key=1)
    with pytest.raises(ValueError, match="name"):
        model(name="another")
    with pytest.raises(ValueError, match="frozen"):
        model().name = name


@pytest.mark.parametrize("name", NAMES)
def test_every_clip_gets_a_prediction_in_range(name, backbone, prompts):
    readout = ready(name, backbone, prompts)
    assert isinstance(readout, Readout)
    predictions = readout.predict(Forward(backbone), prompts)
    assert len(predictions) == len(prompts)
    for each in predictions:
        assert isinstance(each, Prediction)
        assert type(each.score) is float
        assert -3 <= each.score <= 3
        assert (type(each.text), type(each.parsed), type(each.in_range)) == (str, bool, bool)


@pytest.mark.parametrize("name", NAMES)
def test_a_prediction_depends_on_no_other_clip(name, backbone, prompts):
    readout, forward = ready(name, backbone, prompts), Forward(backbone)
    together = readout.predict(forward, prompts)
    alone = [readout.predict(forward, [prompt])[0] for prompt in prompts]
    assert numbers(together) == pytest.approx(numbers(alone), abs=1e-5)
    assert [each.text for each in together] == [each.text for each in alone]
    assert numbers(readout.predict(forward, prompts[::-1])) == pytest.approx(numbers(together)[::-1], abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_predictions_are_the_same_from_kept_states(name, backbone, prompts, tmp_path):
    readout = ready(name, backbone, prompts)
    kept = Forward(backbone, 2, PrefixStore(tmp_path, "weights", 2, ""))
    kept.fill_cache(prompts, None, readout.decodes)
    assert numbers(readout.predict(kept, prompts)) == pytest.approx(
        numbers(readout.predict(Forward(backbone), prompts)), abs=1e-5
    )


@pytest.mark.parametrize("name", NAMES)
def test_predicting_changes_nothing(name, backbone, prompts):
    readout = ready(name, backbone, prompts)
    first = readout.predict(Forward(backbone), prompts)
    assert readout.predict(Forward(backbone), prompts) == first
    assert all(parameter.grad is None for parameter in readout.parameters())


@pytest.mark.parametrize("name", TRAINED)
def test_losses_depend_on_no_other_clip(name, backbone, prompts):
    readout, forward = build(name, backbone), Forward(backbone)
    together = readout.losses(forward, prompts[:3], LABELS[:3])
    alone = [readout.losses(forward, prompts[n : n + 1], LABELS[n : n + 1]) for n in range(3)]
    assert (together.shape, together.dtype) == ((3,), torch.float32)
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5)
    assert together.min() > 0
    assert len(set(together.tolist())) == 3


@pytest.mark.parametrize("name", TRAINED)
def test_the_gradient_reaches_all_that_is_trained_and_nothing_else(name, backbone, prompts):
    readout = build(name, backbone)
    with attached(backbone, AdapterConfig(rank=2, dropout=0.0), seed=1) as adapter:
        tiny_trials.move(adapter)
        readout.losses(Forward(backbone), prompts[:3], LABELS[:3]).sum().backward()
        trained = [*adapter.parameters(), *readout.parameters()]
        assert all(tensor.grad is not None and tensor.grad.abs().max() > 0 for tensor in trained)
        frozen = {id(p) for p in backbone.model.parameters()} - {id(p) for p in trained}
        assert all(p.grad is None for p in backbone.model.parameters() if id(p) in frozen)


@pytest.mark.parametrize("name", TRAINED)
def test_a_clips_gradient_is_its_share_of_the_batches(name, backbone, prompts):
    readout, forward = build(name, backbone), Forward(backbone)
    with attached(backbone, AdapterConfig(rank=2, dropout=0.0), seed=1) as adapter:
        tiny_trials.move(adapter)
        trained = [*adapter.parameters(), *readout.parameters()]
        whole = torch.autograd.grad(readout.losses(forward, prompts[:4], LABELS[:4]).sum() / 4, trained)
        halves = [
            torch.autograd.grad(readout.losses(forward, prompts[n : n + 2], LABELS[n : n + 2]).sum() / 4, trained)
            for n in (0, 2)
        ]
    for total, first, second in zip(whole, *halves, strict=True):
        rounding = 1e-4 * (first.norm() + second.norm())  # of sums whose parts cancel: measured against the parts
        assert (total - first - second).norm() <= rounding


def test_a_readout_without_losses_or_predictions_says_so():
    with pytest.raises(TypeError, match="Readout is not trained by gradient"):
        Readout().losses(None, [], LABELS)
    with pytest.raises(TypeError, match="Readout does not predict"):
        Readout().predict(None, [])


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_ends_the_turn_or_there_is_none(name, backbone):
    readout, stop = build(name, backbone), end_of_turn(backbone.tokenizer)
    answers = [readout.answer(label) for label in LABELS.tolist()]
    assert all(answer == () or (answer[-1] == stop and answer.count(stop) == 1) for answer in answers)
    assert readout.decodes or not any(answers)


@pytest.mark.parametrize("name", NAMES)
def test_a_deterministic_readout_does_not_feel_the_seed_and_the_others_do(name, text_clips, tmp_path):
    plugin = plugins.load("readouts", name)
    trials = [tiny_trials.config(readout={"name": name}, seed=seed) for seed in (1, 2)]
    first, second = (tiny_trials.run(tmp_path / str(trial.seed), trial) for trial in trials)
    if plugin.deterministic:
        assert tiny_trials.scores(first) == tiny_trials.scores(second)
    else:
        assert first.metrics()[-1]["train_loss"] != second.metrics()[-1]["train_loss"]
    assert (first.trial_id == second.trial_id) is plugin.deterministic
    assert (fit_id(trials[0], "") == fit_id(trials[1], "")) is plugin.deterministic
    result = first.result()
    assert math.isfinite(result["valid"]["mae"])
    assert (result["cost"]["trainable_parameters"] > 0) is plugin.trained
    assert (tmp_path / "1" / "fits").exists() is plugin.trained


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_part_of_the_trials_identity(name):
    plugin = plugins.load("readouts", name)
    before = tiny_trials.config(readout={"name": name})
    for field in plugin.Options.model_fields.keys() - {"name"}:
        changed = tiny_trials.config(readout={"name": name, field: other_value(plugin.Options, name, field)})
        assert trial_id(changed, "") != trial_id(before, ""), field
        assert (fit_id(changed, "") != fit_id(before, "")) is (field in plugin.fit_fields), field
