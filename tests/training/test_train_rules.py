"""The rules of a fair comparison: what is locked, shared, chosen, and drawn from the seed."""

import math
from contextlib import ExitStack

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from helpers import tiny_trials
from omni_msa.model.backbone_cache import Resident
from omni_msa.model.forward import Forward
from omni_msa.model.heads import RegressionHead
from omni_msa.readouts._answers import write_score
from omni_msa.stats.metrics import METRICS
from omni_msa.training import batches, train
from omni_msa.training.build import assemble
from omni_msa.training.checkpoints import FitRecord


def test_the_test_split_is_locked_while_anything_is_chosen(text_clips, tmp_path, assembled):
    refusals = []

    def look():
        with pytest.raises(PermissionError) as refused:
            _ = assembled[-1].splits.test
        refusals.append(refused)
        return False

    folder = tiny_trials.run(tmp_path, tiny_trials.config(), should_stop=look)
    assert len(refusals) == 4
    assert folder.test_metrics() is not None
    assert all(not key.startswith("test") for row in folder.metrics() for key in row)


def test_a_closed_form_fit_sees_no_test_split(text_clips, tmp_path, assembled):
    """A readout that goes for the clips behind its back meets the lock."""

    def spy(built):
        built.readout.fit = lambda *arguments: built.splits.test

    assembled.change = spy
    with pytest.raises(PermissionError, match="locked"):
        tiny_trials.run(tmp_path, tiny_trials.config(readout={"name": "frozen_probe"}))
    assert not list(tmp_path.rglob("test.json"))
    assert not list(tmp_path.rglob("predictions.*"))


def test_nothing_of_test_is_written_when_training_fails(text_clips, tmp_path):
    def fail():
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk"):
        tiny_trials.run(tmp_path, tiny_trials.config(), should_stop=fail)
    assert not [path for path in tmp_path.rglob("*") if "test" in path.name or path.name in ("result.json", "fit.json")]


@pytest.mark.parametrize("names", [("generative", "expected_value"), ("expected_value", "generative")], ids=str)
def test_two_readouts_share_one_fit_whoever_comes_first(names, text_clips, tmp_path):
    first, second = (tiny_trials.config(readout={"name": name}) for name in names)
    folder = tiny_trials.fit_folder(tmp_path, first)
    assert tiny_trials.fit_folder(tmp_path, second) == folder
    one = tiny_trials.run(tmp_path, first)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*") if path.parent.name != "lease"}
    two = tiny_trials.run(tmp_path, second, should_stop=lambda: pytest.fail("it trains again"))
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.*") if path.parent.name != "lease"} == before
    assert one.trial_id != two.trial_id
    assert one.result()["hashes"] == two.result()["hashes"]
    assert one.result()["cost"]["train_s"] == two.result()["cost"]["train_s"] > 0
    assert tiny_trials.rows(one) == tiny_trials.rows(two)
    alone = tiny_trials.run(tmp_path / "alone", second)  # the epoch chosen does not depend on who trained
    assert tiny_trials.outcome(alone) == tiny_trials.outcome(two)


def test_the_fit_is_chosen_by_its_owners_predictions(text_clips, tmp_path):
    found = {}
    for name in ("generative", "expected_value"):
        folder = tiny_trials.run(tmp_path / name, tiny_trials.config(readout={"name": name}))
        found[name] = tiny_trials.rows(folder), folder.result()["valid"]["mae"]
    assert found["generative"][0] == found["expected_value"][0]
    assert found["generative"][1] in [row.get("valid_mae") for row in found["generative"][0]]
    assert found["expected_value"][1] not in [row.get("valid_mae") for row in found["expected_value"][0]]


@pytest.mark.parametrize(
    ("weight", "loss", "norm"), [(math.nan, "nan", "nan"), (1e30, r"\d[.\d]*e\+\d+", "inf")], ids=["loss", "gradient"]
)
def test_a_step_that_is_not_finite_names_itself_and_its_clips(weight, loss, norm, text_clips, tmp_path, assembled):
    def poison():
        with torch.no_grad():
            assembled[-1].fitted.head.layers[-1].weight.fill_(weight)
        return False

    message = rf"the loss is {loss} and the gradient norm {norm} at step 2; clips of the batch: "
    with pytest.raises(FloatingPointError, match=message) as caught:
        tiny_trials.run(tmp_path, tiny_trials.config(), should_stop=poison)
    named = str(caught.value).rpartition(": ")[2].split(", ")
    assert sorted(named) == sorted(f"clip_{n}" for n in batches.epoch_order(8, 1, 0)[4:])
    assert not list(tmp_path.rglob("test.json"))


def test_the_best_epochs_weights_are_the_ones_used(text_clips, tmp_path, assembled):
    """The weights are spoilt after the second epoch of four: valid's result is that of the best one before."""
    is_fourth_step = tiny_trials.StopAt(4)

    def spoil():
        if is_fourth_step():
            with torch.no_grad():
                assembled[-1].fitted.head.layers[-1].bias.fill_(1e3)
        return False

    folder = tiny_trials.run(tmp_path, tiny_trials.config(training={"epochs": 4}), should_stop=spoil)
    errors = [row["valid_mae"] for row in tiny_trials.rows(folder) if "valid_mae" in row]
    assert min(errors[2:]) > min(errors[:2])
    assert folder.result()["best_epoch"] == 1 + errors.index(min(errors))
    assert folder.result()["valid"]["mae"] == min(errors)
    assert max(tiny_trials.scores(folder)["test"]) < 3


@pytest.mark.parametrize("metric", ["corr", "acc2_non0"])
def test_another_metric_may_choose_the_epoch(metric, text_clips, tmp_path):
    trial = tiny_trials.config(training={"epochs": 5, "learning_rate": 0.2, "select_metric": metric})
    folder = tiny_trials.run(tmp_path, trial)
    values = [row[f"valid_{metric}"] for row in tiny_trials.rows(folder) if f"valid_{metric}" in row]
    assert METRICS[metric].better == "higher"
    assert folder.result()["valid"][metric] == max(values)
    assert folder.result()["best_epoch"] == 1 + values.index(max(values))  # the first of equals


@pytest.mark.parametrize(
    ("values", "metric", "best"),
    [
        ([0.9, 0.7, 0.8], "mae", 2),
        ([0.9, 0.7, 0.8], "corr", 1),
        ([0.7, 0.7], "mae", 1),
        ([math.nan, 0.7, 0.9], "mae", 2),
        ([0.7, math.nan], "corr", 1),
        ([math.nan, math.nan], "corr", 1),
        ([math.nan, -0.5, math.nan, 0.1], "corr", 4),
    ],
)
@pytest.mark.parametrize("resumed", [False, True])
def test_the_best_epoch_by_hand(values, metric, best, resumed):
    record = FitRecord()
    for epoch, value in enumerate(values, 1):
        if train._is_better(value, record, metric):
            record.best_epoch, record.best_metric = epoch, value
        if resumed and record.best_metric is not None and math.isnan(record.best_metric):
            record.best_metric = None  # which is how a checkpoint writes it
    assert record.best_epoch == best


def test_the_learning_rate_by_hand():
    # 10 steps, 20 % warm-up: 1/2, 1, then half a cosine over 8 steps that starts at 1.
    found = [train.schedule(step, 10, 0.2) for step in range(10)]
    cosine = [0.5 * (1 + math.cos(math.pi * step / 8)) for step in range(8)]
    assert found == pytest.approx([0.5, 1.0, *cosine])
    assert found[6] == pytest.approx(0.5)
    assert train.schedule(0, 10, 0.0) == 1.0
    assert train.schedule(0, 1, 0.05) == 1.0
    assert train.schedule(9, 10, 0.99) == 1.0


def test_the_two_groups_have_their_own_learning_rates(text_clips, tmp_path):
    seen = []

    def look(optimizer, arguments, options):
        seen.append([(group["lr"], len(group["params"])) for group in optimizer.param_groups])

    hook = register_optimizer_step_post_hook(look)

    trial = tiny_trials.config(training={"learning_rate": 0.01, "learning_rate_readout": 0.03, "warmup_fraction": 0.5})
    try:
        tiny_trials.run(tmp_path, trial)
    finally:
        hook.remove()
    factors = [0.5, 1.0, 1.0, 0.5]  # 4 steps, 2 of them warm-up, then cos 0 and cos 90 degrees
    adapter, readout = 2 * 7 * 2, 2 + 4  # A and B of 7 layers in 2 blocks; norm and two linear layers
    rates = [[pytest.approx(rate * factor) for rate in (0.01, 0.03)] for factor in factors]
    assert [[rate for rate, _ in groups] for groups in seen] == rates
    assert {tuple(num for _, num in groups) for groups in seen} == {(adapter, readout)}


def test_the_order_is_a_permutation_of_seed_and_epoch_alone():
    orders = {(seed, epoch): tuple(batches.epoch_order(20, seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}
    assert all(sorted(order) == list(range(20)) for order in orders.values())
    assert len(set(orders.values())) == 4
    torch.manual_seed(99)
    assert tuple(batches.epoch_order(20, 1, 0)) == orders[1, 0]


def test_one_seed_starts_all_readouts_from_the_same_adapter_and_order(text_clips, tmp_path):
    hashes = {}
    for name, seed in [("discriminative", 1), ("generative", 1), ("discriminative", 2)]:
        folder = tiny_trials.run(tmp_path, tiny_trials.config(readout={"name": name}, seed=seed))
        hashes[name, seed] = folder.result()["hashes"]
    for key in ("adapter_init", "data_order"):
        assert hashes["discriminative", 1][key] == hashes["generative", 1][key] != hashes["discriminative", 2][key]
    assert hashes["discriminative", 1]["readout_init"] != hashes["discriminative", 2]["readout_init"]
    assert len({each["weights"] for each in hashes.values()}) == 1


def test_a_readouts_own_draws_do_not_move_the_adapter(text_clips, tmp_path):
    found = []
    for width in (8, 64):
        trial = tiny_trials.config(readout={"name": "discriminative", "width": width})
        found.append(tiny_trials.run(tmp_path, trial).result()["hashes"]["adapter_init"])
    assert found[0] == found[1]


def test_the_clips_loss_is_averaged_over_the_effective_batch(text_clips, tmp_path):
    """The first step's loss, by hand: an adapter that changes nothing yet, and the mean over the batch's clips."""
    trial = tiny_trials.config(
        adapter={"dropout": 0.0}, readout={"name": "discriminative", "dropout": 0.0}, runtime={"micro_batch": 3}
    )
    first = tiny_trials.rows(tiny_trials.run(tmp_path, trial))[0]
    assert first["step"] == 1
    backbone = tiny_trials.tiny_backbone()
    prompts = tiny_trials.make_prompts(backbone, ("text",), num=8)
    labels = torch.tensor([label for _, label, _ in tiny_trials.SENTENCES[:8]])
    torch.manual_seed(train.derive(1, "readout"))
    head = RegressionHead(backbone.hidden_size, 256, 0.0, "before")
    order = batches.epoch_order(8, 1, 0)[:4]
    outputs = torch.cat([head(Forward(backbone).states([prompts[place]])[:, 0]) for place in order])
    standard = (labels - labels.mean()) / labels.std(correction=0)
    assert first["train_loss"] == pytest.approx((outputs - standard[order]).abs().mean().item(), abs=1e-5)


def test_labels_written_for_training_are_those_that_are_kept(text_clips, tmp_path, assembled):
    """0.15 is just below the tie as a double and just above it in single precision: one of them must be used."""
    assert write_score(0.15, 1) != write_score(torch.tensor(0.15).item(), 1)
    sentences = [(split, 0.15 if split == "train" else label, text) for split, label, text in tiny_trials.SENTENCES]
    dataset = {**tiny_trials.CONFIG["dataset"], "seed": 3}
    tiny_trials.make_clips(text_clips, with_media=False, dataset=dataset, sentences=sentences)
    hits = []

    def spy(built):
        losses = built.fitted.losses

        def look(forward, prompts, labels):
            answers = [built.fitted.answer(label) for label in labels.tolist()]
            hits.append(forward.store.find(prompts, answers, False))
            return losses(forward, prompts, labels)

        built.fitted.losses = look

    assembled.change = spy
    tiny_trials.run(tmp_path, tiny_trials.config(dataset=dataset, readout={"name": "generative"}))
    assert len(hits) == 4 and all(hit is not None for hit in hits)


def test_what_is_assembled_is_taken_apart_again(text_clips):
    resident = Resident()
    with ExitStack() as stack:
        built = assemble(tiny_trials.config(), resident, stack)
        assert len(built.trainable()) > 0
        with pytest.raises(PermissionError):
            _ = built.splits.test
    resident.check_unchanged()
    model = resident.backbone(tiny_trials.config().backbone, "cpu").model
    assert not any("lora" in name for name, _ in model.named_parameters())
