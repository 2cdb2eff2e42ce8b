"""The batches of an epoch: every clip once, drawn from the seed, and of like lengths where that is asked for."""

import pytest

from helpers import tiny_trials
from omni_msa.config.identity import trial_id
from omni_msa.config.trial import TrainingConfig
from omni_msa.training.batches import epoch_batches, epoch_order

LENGTHS = [(7 * n) % 31 + 20 for n in range(50)]


def batches(num_buckets: int, seed: int = 1, epoch: int = 0, size: int = 4, lengths=LENGTHS) -> list[list[int]]:
    return epoch_batches(lengths, TrainingConfig(batch_size=size, length_buckets=num_buckets), seed, epoch)


def padding(found: list[list[int]]) -> int:
    return sum(max(LENGTHS[each] for each in batch) * len(batch) for batch in found) - sum(LENGTHS)


@pytest.mark.parametrize("num_buckets", [0, 1, 3, 100])
@pytest.mark.parametrize("size", [1, 4, 7, 50, 60])
def test_every_clip_comes_once_and_batches_are_full_but_one(num_buckets, size):
    found = batches(num_buckets, size=size)
    assert sorted(each for batch in found for each in batch) == list(range(50))
    assert sorted(map(len, found), reverse=True) == [size] * (50 // size) + [50 % size] * (50 % size > 0)
    for batch in found:
        assert [LENGTHS[each] for each in batch] == sorted(LENGTHS[each] for each in batch)


def test_without_buckets_the_order_is_cut_as_it_is():
    order = epoch_order(50, 1, 0)
    expected = [sorted(order[start : start + 4], key=LENGTHS.__getitem__) for start in range(0, 50, 4)]
    assert batches(0) == expected


@pytest.mark.parametrize("num_buckets", [0, 3])
def test_they_depend_on_seed_and_epoch_alone(num_buckets):
    assert batches(num_buckets) == batches(num_buckets)
    assert len({str(batches(num_buckets, seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4


def test_buckets_leave_less_padding_and_no_order_of_length():
    assert padding(batches(0)) > 2 * padding(batches(6)) > 2 * padding(batches(100))
    whole = [LENGTHS[batch[0]] for batch in batches(100)]
    assert whole != sorted(whole) and whole != sorted(whole, reverse=True)


def test_by_hand():
    lengths = [5, 1, 4, 2, 3, 0]
    (first, second), run = batches(9, size=3, lengths=lengths), batches(1, size=3, lengths=lengths)
    assert {tuple(first), tuple(second)} == {(5, 1, 3), (4, 2, 0)}  # lengths 0 1 2 and 3 4 5
    order = epoch_order(6, 1, 0)
    assert sorted(map(sorted, run)) == sorted([sorted(order[:3]), sorted(order[3:])])


def test_buckets_are_identity_and_none_leaves_ids_as_they_were():
    plain, same, other = (
        tiny_trials.config(training=each) for each in ({}, {"length_buckets": 0}, {"length_buckets": 2})
    )
    assert trial_id(plain, "data") == trial_id(same, "data") != trial_id(other, "data")


def test_a_trial_with_buckets_says_its_order_and_resumes_in_it(text_clips, tmp_path):
    from omni_msa.errors import Interrupted

    trial = tiny_trials.config(training={"batch_size": 2, "length_buckets": 2})
    whole = tiny_trials.outcome(tiny_trials.run(tmp_path / "whole", trial))
    for _ in range(2):
        with pytest.raises(Interrupted):
            tiny_trials.run(tmp_path / "part", trial, should_stop=tiny_trials.StopAt(3))
    assert tiny_trials.outcome(tiny_trials.run(tmp_path / "part", trial)) == whole
    plain = tiny_trials.outcome(tiny_trials.run(tmp_path / "plain", tiny_trials.config(training={"batch_size": 2})))
    assert plain["hashes"]["data_order"] != whole["hashes"]["data_order"]
