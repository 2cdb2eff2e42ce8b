"""What the cards are doing, with a stand-in for the NVML library."""

import os

import pytest

from helpers.fake_nvml import FakeCard
from omni_msa.system.nvml import Card, Process, cards, free_for, holders, packing, visible_devices, with_margin

ME = os.getpid()
CARD = Card(0, "GPU-0a", "Card of a test", 24.0, 10.0, (Process(7, 8.0), Process(ME, 6.0)))


def test_without_a_driver_there_are_no_cards_and_nothing_is_checked(nvml):
    nvml(FakeCard(), has_driver=False)
    assert cards() == []


def test_the_real_library_answers_with_cards_or_none():
    assert all(card.total_gb >= card.free_gb >= 0 for card in cards())


def test_a_card_tells_memory_and_processes(nvml):
    library = nvml(FakeCard(24.0, processes={7: 8.0, 9: None}))
    (card,) = cards()
    assert card == Card(0, "GPU-0a", "Card of a test", 24.0, 16.0, (Process(7, 8.0), Process(9, None)))
    assert card.pids == (7, 9) and str(card) == "GPU 0 (Card of a test)"
    assert library.num_open == 0


def test_cards_that_do_not_tell(nvml):
    nvml(FakeCard(without=("memory",)), FakeCard(without=("processes",), free=3.0))
    (card,) = cards()  # one without memory cannot be judged
    assert (card.index, card.processes, card.free_gb) == (1, (), 3.0)


@pytest.mark.parametrize(
    ("value", "indices"),
    [
        ("", []),
        ("1", [1]),
        ("2,0", [2, 0]),
        ("GPU-1a", [1]),
        ("GPU-1", [1]),  # an abbreviation that fits one card
        ("GPU-", []),  # one that fits several
        ("0,7,1", [0]),  # CUDA stops at the first that it does not find
        ("-1,0", []),
        ("NoDevFiles", []),
        (" 1 , 2 ", [1, 2]),
    ],
)
def test_only_visible_cards_in_their_order(nvml, monkeypatch, value, indices):
    nvml(FakeCard(), FakeCard(), FakeCard())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert [card.index for card in cards()] == indices


def test_a_card_that_is_lost_hides_no_other(nvml, monkeypatch):
    nvml(FakeCard(without=("handle",)), FakeCard())
    assert [card.index for card in cards()] == [1]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1a,0")
    assert [card.index for card in cards()] == [1]


def test_a_slice_is_a_card_of_its_own(nvml, monkeypatch):
    piece = FakeCard(10.0, uuid="MIG-1", without=("processes",))
    nvml(FakeCard(80.0), slices={"MIG-1": piece})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-1,MIG-2")
    (card,) = cards()
    assert (card.uuid, card.total_gb, card.pids) == ("MIG-1", 10.0, ())


def test_visible_devices_shows_the_same_cards_again(nvml, monkeypatch):
    nvml(FakeCard(), FakeCard(), FakeCard())
    chosen = cards()[1:]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible_devices(chosen))
    assert cards() == chosen


def test_a_margin_of_a_tenth_or_a_gigabyte():
    assert with_margin(4.0) == pytest.approx(5.0) and with_margin(20.0) == pytest.approx(22.0)
    assert packing(24.0, 20.0) == 1 and packing(24.0, 11.0) == 1  # 2 x 12.1 is more than 24
    assert packing(24.0, 10.9) == 2  # 2 x 11.99
    assert packing(24.0, 5.0) == 4 and packing(24.0, 24.0) == 0


def test_what_is_ours_counts_as_free():
    assert free_for(CARD) == pytest.approx(10.0) and free_for(CARD, {ME}) == pytest.approx(16.0)
    unknown = Card(0, "", "", 24.0, 1.0, (Process(ME),))
    assert free_for(unknown, {ME}) == 24.0 and free_for(unknown) == 1.0


def test_others_are_named():
    assert holders(CARD, {ME}) == "pid 7 (8.0 GB)"
    assert holders(Card(0, "", "", 24.0, 1.0, (Process(7),))) == "pid 7"
    assert holders(Card(0, "", "", 24.0, 1.0)) == "processes that are not visible from here"
