"""Padded batches, by hand."""

import torch

from omni_msa.model.padding import align, causal


def test_prompts_end_in_one_column_and_answers_stand_behind_it():
    rows = [torch.tensor([1, 2, 3, 4]), torch.tensor([5, 6]), torch.tensor([7])]
    padded, visible = align(rows, lengths=[3, 1, 1])  # one answer token, one, none
    assert padded.tolist() == [[1, 2, 3, 4], [0, 0, 5, 6], [0, 0, 7, 0]]
    assert visible.int().tolist() == [[1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 1, 0]]


def test_tokens_see_earlier_real_tokens_and_padding_sees_itself():
    mask = causal(torch.tensor([[False, True, True]]))
    assert mask.shape == (1, 1, 3, 3)
    assert mask[0, 0].int().tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
