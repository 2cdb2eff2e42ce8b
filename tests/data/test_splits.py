import pytest

from omni_msa.data.clip import Clip
from omni_msa.data.splits import Splits
from omni_msa.errors import InputError


def clip(number, split, label=0.0, source=None, clip_id=None):
    return Clip(clip_id or f"clip_{number}", source or f"source_{number}", 0, split, label, "", None, None)


def three(*more):
    return [clip(0, "train"), clip(1, "valid"), clip(2, "test"), *more]


def test_clips_are_sorted_into_splits_in_their_order():
    splits = Splits(three(clip(3, "train"), clip(4, "train")))
    assert [each.id for each in splits.train] == ["clip_0", "clip_3", "clip_4"]
    assert [each.id for each in splits.valid] == ["clip_1"]


def test_the_test_split_is_locked_until_it_is_unlocked():
    splits = Splits(three())
    with pytest.raises(PermissionError, match="locked until the checkpoint"):
        _ = splits.test
    splits.unlock_test()
    assert [each.id for each in splits.test] == ["clip_2"]


def test_every_problem_is_reported():
    clips = [clip(0, "train"), clip(0, "train"), clip(1, "train", source="video"), clip(2, "test", source="video")]
    with pytest.raises(InputError) as caught:
        Splits(clips)
    text = str(caught.value)
    for part in ("the split is empty", "split valid", "clip_0", "a clip id is used twice", "video", "several splits"):
        assert part in text
    assert len(caught.value.problems) == 3


def test_clips_of_one_source_may_share_a_split():
    assert len(Splits(three(clip(3, "train", source="video"), clip(4, "train", source="video"))).train) == 3


def test_statistics_are_those_of_the_training_labels():
    more = [clip(3, "train", 2.0), clip(4, "train", 4.0), clip(5, "train", 10.0), clip(6, "valid", 99.0)]
    mean, std, middle = Splits(three(*more)).label_statistics()  # 0, 2, 4, 10
    assert (mean, middle) == (4.0, 3.0)
    assert std == pytest.approx(14**0.5)  # (16 + 4 + 0 + 36) / 4


def test_equal_labels_have_a_deviation_that_one_can_divide_by():
    assert Splits(three()).label_statistics() == (0.0, 1.0, 0.0)


def test_a_part_of_the_training_split_is_the_same_for_all_and_holds_every_smaller_part():
    clips = three(*(clip(number, "train") for number in range(3, 23)))
    parts = [[each.id for each in Splits(order, num).train] for num in (5, 12, 21) for order in (clips, clips[::-1])]
    assert [len(part) for part in parts] == [5, 5, 12, 12, 21, 21]
    assert set(parts[0]) == set(parts[1]) < set(parts[2]) < set(parts[4])
    assert parts[0] == [each.id for each in clips if each.id in parts[0]] and parts[0] != parts[4][:5]
    assert [each.id for each in Splits(clips).train] == parts[4]
    with pytest.raises(InputError, match="at most 21"):
        Splits(clips, 22)
