"""Greedy decoding along a tree of answers, with a made-up network of which every score is known."""

import pytest
import torch

from omni_msa.model.decoding import greedy
from omni_msa.model.kv_cache import tree_shape

STOP = 9


class PrefilledPrompts:
    def __init__(self, num):
        self.last_state, self.num_rewound = torch.zeros(num, 1), 0

    def rewind(self):
        self.num_rewound += 1


class Table:
    """Scores depend on how many tokens have been written, and on the clip: a row of the table each."""

    def __init__(self, scores):
        self.scores, self.steps = torch.tensor(scores), []

    def extend(self, opened, ids, depth, sees):
        self.steps.append((ids[:, 0].tolist(), depth.item(), sees.shape[1]))
        return torch.full((len(ids), 1, 1), float(depth.item() + 1))

    def logits(self, state):
        return self.scores[int(state[0, 0])]  # (B, V)


def one_hot_like(*wanted):
    """Scores of ten tokens: 5 for the first wanted, 4 for the second, ..., else 0."""
    return [5.0 - wanted.index(token) if token in wanted else 0.0 for token in range(10)]


def decode(followers=None, num_tokens_max=4):
    table = Table(
        [
            [one_hot_like(7, 1), one_hot_like(2)],  # first tokens of two clips
            [one_hot_like(8, 3), one_hot_like(STOP, 4)],
            [one_hot_like(6), one_hot_like(6)],
            [one_hot_like(5), one_hot_like(5)],
        ]
    )
    opened = PrefilledPrompts(2)
    answers = greedy(table, opened, num_tokens_max, STOP, followers)
    assert opened.num_rewound == 1
    return answers, table.steps


def test_free_decoding_takes_the_best_until_the_stop_or_the_limit():
    answers, steps = decode()
    assert answers == [(7, 8, 6, 5), (2,)]
    # Once an answer has ended, the stop token follows it; each step sees all tokens written so far.
    assert steps == [([7, 2], 0, 1), ([8, STOP], 1, 2), ([6, STOP], 2, 3)]


def test_along_a_tree_only_its_answers_are_written_and_each_ends_by_itself():
    # Answers: 1 3, 1 4 6, and 2.
    followers = [{1: 1, 2: -1}, {3: -1, 4: 2}, {6: -1}]
    answers, steps = decode(followers)
    assert answers == [(1, 3), (2,)]  # 7 is not allowed, nor is 8; the second clip ends without a stop token
    assert steps == [([1, 2], 0, 1)]


def test_an_answer_that_begins_another_ends_with_the_stop():
    answers, _ = decode([{7: 1, 2: 2}, {8: -1}, {4: -1, STOP: -1}])
    assert answers == [(7, 8), (2,)]


@pytest.mark.parametrize("limit", [1, 2])
def test_the_limit_holds(limit):
    assert [len(answer) for answer in decode(num_tokens_max=limit)[0]] == [limit, 1]


def test_the_shape_of_a_tree_by_hand():
    depth, sees = tree_shape([-1, 0, 0, 2])  # two children of the first node, one of the second of these
    assert depth.tolist() == [0, 1, 1, 2]
    assert sees.int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 1, 1]]
