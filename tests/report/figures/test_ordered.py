"""Figures along an axis of numbers."""

from omni_msa.report.figures.ordered import spaced


def test_ticks_leave_room_for_their_texts():
    assert spaced([2, 4, 8, 16, 32], is_log=True) == [2, 4, 8, 16, 32]
    assert spaced([2, 4, 8, 16, 32], is_log=False) == [2, 8, 16, 32]
    assert spaced([1, 2, 100], is_log=False) == [1, 100]
    assert spaced([1, 1000], is_log=True) == [1, 1000]
