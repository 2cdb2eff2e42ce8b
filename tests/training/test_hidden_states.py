"""Hidden states of test clips: which, by which pass, how they are kept, and what is no such file."""

from contextlib import ExitStack

import numpy as np
import pytest
import torch

from helpers import tiny_trials
from omni_msa.config import plugins
from omni_msa.data.clip import Clip
from omni_msa.ledger.hidden_states import States, read_states
from omni_msa.model.backbone_cache import Resident
from omni_msa.training import hidden_states
from omni_msa.training.build import assemble
from omni_msa.training.checkpoints import FitFolder
from omni_msa.training.hidden_states import Collector, chosen

BACKED = [name for name in plugins.names("readouts") if "backbone" in plugins.load("readouts", name).uses]


def clips(num):
    return [Clip(f"clip_{n}", f"source_{n}", 0, "test", n / 2, "text", None, None) for n in range(num)]


def made(num=3, width=2):
    ids, labels = np.array([f"é{n}" for n in range(num)]), np.linspace(-3, 3, num, dtype=np.float32)
    return States(ids, labels, np.arange(num * width, dtype=np.float16).reshape(num, width))


def test_of_many_clips_evenly_spaced_ones_are_chosen(monkeypatch):
    monkeypatch.setattr(hidden_states, "NUM_CLIPS_MAX", 4)
    assert [clip.id for clip in chosen(clips(10))] == ["clip_0", "clip_2", "clip_5", "clip_7"]
    assert chosen(clips(4)) == clips(4) and chosen(clips(3)) == clips(3)


def test_the_chosen_clips_are_noted_whatever_the_order_of_the_batches(monkeypatch):
    monkeypatch.setattr(hidden_states, "NUM_CLIPS_MAX", 2)
    tiny = tiny_trials.make_prompts(tiny_trials.tiny_backbone(), ("text",), 4)
    collector = Collector(clips(4))  # clip_0 and clip_2
    values = torch.tensor([[0.1, 2.0], [3.0, 4.0]], dtype=torch.bfloat16)
    collector([tiny[3], tiny[2]], values)
    assert collector.states() is None  # not all have passed by
    collector([tiny[1]], values[:1])
    collector([tiny[0]], values[:1])
    found = collector.states()
    assert (found.clip_ids.tolist(), found.labels.tolist()) == (["clip_0", "clip_2"], [0.0, 1.0])
    assert found.states.tolist() == [[values[0, 0].item(), 2.0], [3.0, 4.0]]
    assert found.states.dtype == np.float16 and found.labels.dtype == np.float32


def test_states_that_are_no_numbers_are_not_kept():
    prompts = tiny_trials.make_prompts(tiny_trials.tiny_backbone(), ("text",), 2)
    collector = Collector(clips(2))
    collector(prompts, torch.tensor([[1.0], [1e6]]))  # beyond float16
    assert collector.states() is None


def test_what_is_written_is_read_and_the_same_states_give_the_same_bytes(tmp_path):
    made().write(tmp_path / "one.npz")
    made().write(tmp_path / "two.npz")
    found = read_states(tmp_path / "one.npz")
    assert all(np.array_equal(value, vars(made())[name]) for name, value in vars(found).items())
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


@pytest.mark.parametrize(
    "values",
    [
        {"states": np.zeros((3, 2), np.float32)},
        {"states": np.full((3, 2), np.nan, np.float16)},
        {"states": np.zeros((2, 2), np.float16)},
        {"states": np.zeros(3, np.float16)},
        {"labels": np.array([0, np.inf, 1], np.float32)},
        {"labels": np.array([0.0, 1.0, 2.0])},
        {"clip_ids": np.array(["a", "a", "b"])},
        {"clip_ids": np.array([1, 2, 3])},
        {"clip_ids": np.array(["a", 1, None], dtype=object)},
    ],
)
def test_a_foreign_file_is_none(tmp_path, values):
    np.savez(tmp_path / "states.npz", **{**vars(made()), **values})
    assert read_states(tmp_path / "states.npz") is None


def test_a_torn_or_missing_file_is_none(tmp_path):
    path = tmp_path / "states.npz"
    assert read_states(path) is None
    made().write(path)
    whole = path.read_bytes()
    for num in range(0, len(whole), 37):
        path.write_bytes(whole[:num])
        assert read_states(path) is None
    np.savez(path, states=made().states)
    assert read_states(path) is None
    np.save(path.with_suffix(".npy"), made().states)
    path.write_bytes(path.with_suffix(".npy").read_bytes())
    assert read_states(path) is None


@pytest.mark.parametrize("name", BACKED)
def test_every_trial_with_a_backbone_keeps_them(name, text_clips, tmp_path):
    folder = tiny_trials.run(tmp_path, tiny_trials.config(readout={"name": name}))
    found = folder.states()
    assert found.states.shape == (4, 32)
    assert found.clip_ids.tolist() == ["clip_12", "clip_13", "clip_14", "clip_15"]
    assert found.labels.tolist() == pytest.approx([-2.5, 0.8, 1.9, -1.2])
    assert not [file for file in folder.path.iterdir() if file.name.startswith(".")]


def test_without_a_backbone_there_are_none(text_clips, tmp_path):
    folder = tiny_trials.run(tmp_path, tiny_trials.config(readout={"name": "constant"}))
    assert folder.states() is None and not (folder.path / "states.test.npz").exists()


def test_a_probe_of_a_lower_layer_reads_no_last_states(text_clips, tmp_path):
    lower, last = ({"name": "frozen_probe", "layer": layer, "pooling": "mean"} for layer in (1, "last"))
    assert tiny_trials.run(tmp_path / "lower", tiny_trials.config(readout=lower)).states() is None
    zero_shot = tiny_trials.config(readout={"name": "generative_zero_shot"})
    found = [tiny_trials.run(tmp_path / "last", tiny_trials.config(readout=last)), tiny_trials.run(tmp_path, zero_shot)]
    one, other = (folder.states().states.astype(float) for folder in found)
    assert one == pytest.approx(other, abs=2e-3)  # the frozen backbone's either way


@pytest.mark.parametrize("name", ["discriminative", "generative", "expected_value"])
def test_they_are_those_of_the_chosen_epoch(name, text_clips, tmp_path):
    """Against the model's own pass over one prompt after the other, with the weights kept."""
    trial = tiny_trials.config(readout={"name": name}, training={"epochs": 4, "learning_rate": 0.05})
    found = tiny_trials.run(tmp_path, trial).states()
    fit = FitFolder(tiny_trials.fit_folder(tmp_path, trial))
    assert fit.finished().best_epoch > 0
    with ExitStack() as stack, torch.no_grad():
        built = assemble(trial, Resident(), stack)
        text = built.forward.model.model.language_model
        built.splits.unlock_test()
        ids = [torch.tensor([prompt.token_ids]) for prompt in built.prompts(built.splits.test)]
        untrained = torch.stack([text(input_ids=each).last_hidden_state[0, -1] for each in ids])
        built.load(fit.best(fit.finished().best_epoch))
        built.set_training(False)
        expected = torch.stack([text(input_ids=each).last_hidden_state[0, -1] for each in ids])
    assert (expected - untrained).abs().max() > 0.05
    assert torch.from_numpy(found.states).float().numpy() == pytest.approx(expected.numpy(), abs=5e-3)
