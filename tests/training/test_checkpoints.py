import math

import pytest
import torch

from omni_msa.training.checkpoints import FitFolder, FitRecord, digest, load_optimizer, optimizer_tensors

WEIGHTS = {"adapter/a": torch.tensor([[1.0, -2.0]]), "readout/b": torch.tensor(3.0)}


@pytest.fixture
def fit(tmp_path):
    return FitFolder(tmp_path / "fit")


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_a_new_folder_has_nothing(fit):
    assert fit.finished() is None
    assert fit.state() is None
    assert fit.best(1) is None


def test_state_comes_back_bit_for_bit(fit):
    record = FitRecord(step=3, train_s=0.1 + 0.2, loss_sum=1 / 3, num_losses=2, rows=[{"step": 2, "train_loss": 0.1}])
    fit.save_state(record, WEIGHTS)
    found, tensors = fit.state()
    assert found == record
    assert same(tensors, WEIGHTS)


def test_a_number_that_is_not_finite_comes_back_as_none(fit):
    fit.save_state(FitRecord(rows=[{"step": 2, "valid_corr": math.nan}]), WEIGHTS)
    assert fit.state()[0].rows == [{"step": 2, "valid_corr": None}]


def test_a_state_needs_the_best_weights_that_it_speaks_of(fit):
    fit.save_state(FitRecord(step=3, best_epoch=1), WEIGHTS)
    assert fit.state() is None
    fit.save_best(WEIGHTS, 1)
    assert fit.state()[0].best_epoch == 1


def test_a_best_epoch_that_the_state_does_not_know_yet_harms_nothing(fit):
    fit.save_best(WEIGHTS, 1)
    fit.save_state(FitRecord(step=3, best_epoch=1), WEIGHTS)
    later = {name: tensor + 1 for name, tensor in WEIGHTS.items()}
    fit.save_best(later, 2)  # and then the process is killed
    assert fit.state()[0].best_epoch == 1 and same(fit.best(1), WEIGHTS)
    fit.save_state(FitRecord(step=6, best_epoch=2), WEIGHTS)
    assert fit.best(1) is None and same(fit.best(2), later)


@pytest.mark.parametrize("damage", [b"", b"garbage", b"\xff" * 64])
def test_a_damaged_state_counts_as_none(fit, damage):
    fit.save_state(FitRecord(step=3), WEIGHTS)
    (fit.path / "checkpoint" / "state.safetensors").write_bytes(damage)
    assert fit.state() is None


def test_a_torn_state_counts_as_none(fit):
    fit.save_state(FitRecord(step=3), WEIGHTS)
    file = fit.path / "checkpoint" / "state.safetensors"
    file.write_bytes(file.read_bytes()[:-5])
    assert fit.state() is None


def test_a_state_of_another_kind_counts_as_none(fit):
    fit.save_best(WEIGHTS, 1)
    (fit.path / "checkpoint" / "best.1.safetensors").rename(fit.path / "checkpoint" / "state.safetensors")
    assert fit.state() is None


def test_a_finished_fit_keeps_record_and_best_weights_only(fit):
    fit.save_state(FitRecord(step=3), WEIGHTS)
    fit.save_best(WEIGHTS, 2)
    record = FitRecord(step=4, best_epoch=2, best_metric=0.5, hashes={"adapter_init": "ab"})
    fit.finish(record)
    assert fit.finished() == record
    assert same(fit.best(2), WEIGHTS)
    assert fit.state() is None
    assert sorted(path.name for path in fit.path.rglob("*.*")) == ["best.2.safetensors", "fit.json"]


def test_a_record_without_weights_is_not_finished(fit):
    fit.finish(FitRecord(step=4, best_epoch=2))
    assert fit.finished() is None


def test_a_record_of_another_version_is_not_finished(fit):
    fit.save_best(WEIGHTS, 2)
    fit.finish(FitRecord())
    file = fit.path / "fit.json"
    file.write_text(file.read_text().replace('"step"', '"steps"'))
    assert fit.finished() is None


def test_no_pickle_is_written(fit):
    fit.save_state(FitRecord(step=3), WEIGHTS)
    fit.save_best(WEIGHTS, 2)
    fit.finish(FitRecord(best_epoch=2))
    assert {path.suffix for path in fit.path.rglob("*") if path.is_file()} == {".safetensors", ".json"}


def test_an_optimizer_goes_on_as_if_it_had_never_stopped():
    def make():
        generator = torch.Generator().manual_seed(0)
        tensors = [torch.nn.Parameter(torch.randn(size, generator=generator)) for size in (3, 2, 4)]
        groups = [{"params": tensors[:2], "peak": 0.1}, {"params": tensors[2:], "peak": 0.2}]
        return tensors, torch.optim.AdamW(groups, lr=0.05)

    def step(tensors, optimizer, number):
        optimizer.zero_grad()
        sum((tensor * number - 1).square().sum() for tensor in tensors[1:]).backward()  # the first gets no gradient
        optimizer.step()

    whole, optimizer = make()
    for number in range(4):
        step(whole, optimizer, number)
    first, first_optimizer = make()
    for number in range(2):
        step(first, first_optimizer, number)
    second, second_optimizer = make()
    with torch.no_grad():
        for new, old in zip(second, first, strict=True):
            new.copy_(old)
    load_optimizer(second_optimizer, {"adapter/x": torch.zeros(1), **optimizer_tensors(first_optimizer)})
    for number in range(2, 4):
        step(second, second_optimizer, number)
    assert all(torch.equal(left, right) for left, right in zip(whole, second, strict=True))


def test_a_digest_changes_with_any_bit_name_or_shape():
    base = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([[3]])}
    others = [
        {**base, "a": torch.nextafter(base["a"], torch.tensor(9.0))},
        {**base, "a": base["a"][:, None]},
        {"a": base["a"], "c": base["b"]},
        {"a": base["a"]},
    ]
    assert digest(dict(reversed(base.items()))) == digest(base)
    assert len({digest(each) for each in (base, *others)}) == 5
    assert len(digest(base)) == 16
    assert digest({}) != digest(base)
