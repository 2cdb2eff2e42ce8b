"""Whole trials: the same bits however often, wherever interrupted, and what they leave behind."""

import json

import pytest
import torch

from helpers import tiny_trials
from omni_msa.config import plugins
from omni_msa.errors import Interrupted
from omni_msa.execution.attempt import Job, run_attempt
from omni_msa.model.backbone_cache import Resident
from omni_msa.training.checkpoints import FitFolder
from omni_msa.training.train import train

TRAINED = [name for name in plugins.names("readouts") if plugins.load("readouts", name).trained]


@pytest.mark.parametrize("name", TRAINED)
def test_the_same_trial_twice_gives_the_same_bits(name, text_clips, tmp_path):
    trial = tiny_trials.config(readout={"name": name})
    first, again = (tiny_trials.run(tmp_path / place, trial) for place in ("one", "two"))
    assert tiny_trials.outcome(first) == tiny_trials.outcome(again)
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("name", TRAINED)
def test_interrupted_at_every_step_and_resumed_gives_the_same_bits(name, text_clips, tmp_path):
    trial = tiny_trials.config(readout={"name": name}, training={"batch_size": 3})  # 3 steps an epoch, the last short
    whole = tiny_trials.run(tmp_path / "whole", trial)
    for num_steps in range(1, 7):
        place = tmp_path / f"after_{num_steps}"
        with pytest.raises(Interrupted, match=f"after step {num_steps} of 6"):
            tiny_trials.run(place, trial, should_stop=tiny_trials.StopAt(num_steps))
        assert tiny_trials.outcome(tiny_trials.run(place, trial)) == tiny_trials.outcome(whole)
    place, resident = tmp_path / "each", Resident()
    for num_steps in range(1, 7):
        with pytest.raises(Interrupted, match=f"after step {num_steps} of 6"):
            tiny_trials.run(place, trial, resident, should_stop=tiny_trials.StopAt(1))
    assert tiny_trials.outcome(tiny_trials.run(place, trial, resident)) == tiny_trials.outcome(whole)
    assert tiny_trials.rows(whole)[-1]["step"] == 6


def test_it_resumes_bit_for_bit_with_sound_and_picture_and_all_towers(rendered_clips, tmp_path):
    trial = tiny_trials.config(
        modalities=("text", "audio", "video"), adapter={"towers": ("text", "audio", "video"), "text_layers": "all"}
    )
    whole = tiny_trials.run(tmp_path / "whole", trial)
    with pytest.raises(Interrupted):
        tiny_trials.run(tmp_path / "part", trial, should_stop=tiny_trials.StopAt(3))
    assert tiny_trials.outcome(tiny_trials.run(tmp_path / "part", trial)) == tiny_trials.outcome(whole)


def test_a_damaged_checkpoint_starts_the_training_anew(text_clips, tmp_path):
    trial = tiny_trials.config()
    whole = tiny_trials.run(tmp_path / "whole", trial)
    with pytest.raises(Interrupted):
        tiny_trials.run(tmp_path / "part", trial, should_stop=tiny_trials.StopAt(3))
    (tiny_trials.fit_folder(tmp_path / "part", trial) / "checkpoint" / "state.safetensors").write_bytes(b"torn")
    assert tiny_trials.outcome(tiny_trials.run(tmp_path / "part", trial)) == tiny_trials.outcome(whole)


@pytest.mark.parametrize("name", TRAINED)
def test_how_a_batch_is_split_changes_nothing_but_rounding(name, text_clips, tmp_path):
    found = []
    for micro_batch in (1, 2, 4):
        trial = tiny_trials.config(
            readout={"name": name} | ({"dropout": 0.0} if name == "discriminative" else {}),
            adapter={"dropout": 0.0},
            runtime={"micro_batch": micro_batch},
        )
        folder = tiny_trials.run(tmp_path / str(micro_batch), trial)
        fit = FitFolder(tiny_trials.fit_folder(tmp_path / str(micro_batch), trial))
        best = fit.best(fit.finished().best_epoch)
        found.append(([row["train_loss"] for row in tiny_trials.rows(folder)], best, folder.trial_id))
    for losses, best, name_of_trial in found[1:]:
        assert losses == pytest.approx(found[0][0], rel=1e-5)
        assert name_of_trial == found[0][2]
        for key, tensor in best.items():
            torch.testing.assert_close(tensor, found[0][1][key], atol=1e-4, rtol=1e-3)


def test_memory_that_runs_out_in_mid_training_changes_nothing_but_rounding(text_clips, tmp_path):
    trial = tiny_trials.config(readout={"name": "discriminative", "dropout": 0.0}, adapter={"dropout": 0.0})
    whole = tiny_trials.run(tmp_path / "whole", trial)
    sizes = []

    def train_in_little_memory(config, folder, fit, resident, should_stop):
        is_third_step = tiny_trials.StopAt(3)

        def check() -> bool:
            if config.runtime.micro_batch > 2 and is_third_step():
                raise MemoryError("no room")
            return False

        sizes.append(config.runtime.micro_batch)
        train(config, folder, fit, resident, check)

    ids = whole.trial_id, tiny_trials.fit_folder(tmp_path / "part", trial).name
    job = Job(str(tmp_path / "part"), *ids, trial.model_dump(mode="json"), "a trial")
    assert [run_attempt(job, Resident(), train_in_little_memory) for _ in range(2)] == ["pending", "complete"]
    assert sizes == [4, 2]
    found, expected = job.folder().metrics(), whole.metrics()
    assert [row["step"] for row in found] == [row["step"] for row in expected]
    losses = [[row["train_loss"] for row in rows] for rows in (found, expected)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    (entry,) = job.folder().result()["history"]
    assert entry["kind"] == "out of memory" and "micro-batch 4 -> 2" in entry["reaction"]


def test_the_prefix_cache_changes_nothing_but_rounding(rendered_clips, tmp_path):
    found = []
    for prefix_cache in (True, False):
        trial = tiny_trials.config(modalities=("text", "audio", "video"), runtime={"prefix_cache": prefix_cache})
        found.append(tiny_trials.scores(tiny_trials.run(tmp_path / str(prefix_cache), trial)))
    assert found[0]["test"] == pytest.approx(found[1]["test"], abs=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_quantised_backbone_trains_on_the_cpu(dtype, rendered_clips, tmp_path):
    trial = tiny_trials.config(
        backbone={"name": "tiny", "quantization": "nf4", "dtype": dtype},
        modalities=("text", "audio", "video"),
        adapter={"towers": ("text", "audio", "video"), "text_layers": "all", "dropout": 0.0},
        training={"epochs": 9, "batch_size": 8, "learning_rate": 3e-3, "learning_rate_readout": 3e-3},
        readout={"name": "discriminative", "dropout": 0.0, "loss": "mse"},
    )
    losses = [row["train_loss"] for row in tiny_trials.run(tmp_path, trial).metrics()]
    assert losses[-1] < 0.5 * losses[0]


def test_training_learns(text_clips, tmp_path):
    folder = tiny_trials.run(tmp_path, tiny_trials.config(training={"epochs": 15}, adapter={"dropout": 0.0}))
    losses = [row["train_loss"] for row in tiny_trials.rows(folder)]
    assert losses[-1] < 0.3 * losses[0]


def test_the_result_has_what_others_read(rendered_clips, tmp_path):
    trial = tiny_trials.config(modalities=("text", "audio", "video"))
    folder = tiny_trials.run(tmp_path, trial)
    result = folder.result()
    assert folder.status().state == "complete"
    assert {"trial_id", "fit_id", "seed", "valid", "cost", "hashes", "best_epoch"} <= set(result)
    assert (result["seed"], result["fit_id"]) == (1, tiny_trials.fit_folder(tmp_path, trial).name)
    latencies = {"latency_s", "latency_p95_s", "latency_model_s", "latency_model_p95_s"}
    assert set(result["cost"]) == {"train_s", "peak_memory_gb", "trainable_parameters", *latencies}
    assert all(value > 0 for value in result["cost"].values())
    # LoRA by hand: rank 4 on two blocks of q, k, v, o, gate, up, down; then LayerNorm, 32 to 256, 256 to 1.
    lora = 2 * 4 * (64 + 48 + 48 + 64 + 96 + 96 + 96)
    assert result["cost"]["trainable_parameters"] == lora + 64 + 33 * 256 + 257
    assert set(folder.test_metrics()) == set(result["valid"])
    assert result["hashes"]["inputs"]
    assert json.loads((folder.path / "config.json").read_text())["readout"]["name"] == "discriminative"


def test_rows_tell_loss_and_valid_metrics(text_clips, tmp_path):
    found = tiny_trials.rows(tiny_trials.run(tmp_path, tiny_trials.config(training={"batch_size": 1})))
    assert [row["step"] for row in found] == [2, 4, 6, 8, 10, 12, 14, 16]  # about five an epoch of 8 steps
    assert [row["epoch"] for row in found] == [1] * 4 + [2] * 4
    assert [row["step"] for row in found if "valid_mae" in row] == [8, 16]
    assert all("train_loss" in row for row in found)


def test_seconds_of_training_add_up_over_attempts(text_clips, tmp_path):
    trial = tiny_trials.config()
    with pytest.raises(Interrupted):
        tiny_trials.run(tmp_path, trial, should_stop=tiny_trials.StopAt(2))
    before = FitFolder(tiny_trials.fit_folder(tmp_path, trial)).state()[0].train_s
    assert tiny_trials.run(tmp_path, trial).result()["cost"]["train_s"] > before > 0


def test_one_clip_a_split_is_enough(text_clips, tmp_path):
    """The smallest corpus: a batch that is not full, a correlation that is none, a latency without a warm-up."""
    dataset = {"name": "vader_av", "num_train": 1, "num_valid": 1, "num_test": 1}
    tiny_trials.make_clips(text_clips, with_media=False, dataset=dataset)
    folder = tiny_trials.run(tmp_path, tiny_trials.config(dataset=dataset))
    assert folder.result()["valid"]["corr"] is None
    assert folder.result()["best_epoch"] in (1, 2)
