import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models

from helpers import tiny_trials
from omni_msa.errors import InputError
from omni_msa.model.thinker import wrap_tokenizer
from omni_msa.readouts._answers import answer_ids, answer_tree, end_of_turn, parse_score, write_score

RANGE = (-3.0, 3.0)


@pytest.fixture(scope="module")
def byte_tokenizer():
    return tiny_trials.tiny_backbone().tokenizer


def merging_tokenizer(*merged):
    """A tokenizer of single characters and of some longer symbols, the longest that fits being taken first."""
    symbols = [*merged, *"+-.0123456789"]
    pairs = [(symbol[:-1], symbol[-1]) for symbol in merged]
    vocabulary = {symbol: number for number, symbol in enumerate(symbols)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs))
    tokenizer.decoder = decoders.Fuse()
    return wrap_tokenizer(tokenizer)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("+1.2", 1.2),
        ("-0.7", -0.7),
        ("7", 3.0),
        ("2", 2.0),
        (".5", 0.5),
        ("-.5", -0.5),
        ("1.2.3", 1.2),
        ("- 1.5", -1.5),
        ("\u22121.5", -1.5),  # minus sign
        ("\uff0d2", -2.0),  # full-width hyphen
        ("\u20131.0", -1.0),  # en dash
        ("\u2014 0.4", -0.4),  # em dash
        ("-3.4 out of 5", -3.0),
        ("The score is +0.9.", 0.9),
        ("1.", 1.0),
        ("1,5", 1.0),
        ("between 1-2", 1.0),
        ("--2", -2.0),
        ("-0.0", 0.0),
        ("9" * 400, 3.0),  # more than a float holds
    ],
)
def test_the_first_number_counts(text, score):
    prediction = parse_score(text, RANGE)
    assert (prediction.score, prediction.parsed, prediction.text) == (score, True, text)


@pytest.mark.parametrize("text", ["", "three", "very positive", "-", "+.", "٣", "NaN", "inf", "<|im_end|>"])
def test_no_number_is_unparsable_and_scores_zero(text):
    prediction = parse_score(text, RANGE)
    assert (prediction.score, prediction.parsed, prediction.in_range) == (0.0, False, True)


@pytest.mark.parametrize(("text", "inside"), [("3", True), ("3.1", False), ("-3.0", True), ("-3.4", False)])
def test_a_number_outside_the_label_range_is_reported(text, inside):
    assert parse_score(text, RANGE).in_range is inside


@pytest.mark.parametrize(
    ("score", "decimals", "text"),
    [
        (1.2, 1, "+1.2"),
        (-0.04, 1, "+0.0"),
        (-0.06, 1, "-0.1"),
        (0.0, 1, "+0.0"),
        (-0.0, 2, "+0.00"),
        (-0.4, 0, "+0"),
        (2.96, 1, "+3.0"),
        (-2.345, 2, "-2.35"),  # its double lies just beyond the tie
        (0.25, 1, "+0.2"),  # ties to even
    ],
)
def test_scores_are_written_with_a_sign_and_one_zero(score, decimals, text):
    assert write_score(score, decimals) == text


def test_a_sign_only_where_it_is_needed():
    assert [write_score(score, 1, "negative") for score in (1.2, -1.2, 0.0, -0.04)] == ["1.2", "-1.2", "0.0", "0.0"]


def test_followers_lead_along_every_answer_to_its_end():
    tokenizer = merging_tokenizer("-1")
    tree = answer_tree(tokenizer, (-12.0, 3.0), 0)  # "-1" is one token, begins "-10", and so ends with the turn's end
    followers, stop = tree.followers(), end_of_turn(tokenizer)
    texts, left = [], [(0, ())]
    while left:
        place, before = left.pop()
        for token, after in followers[place].items():
            if after < 0:
                assert token == stop
                texts.append(tokenizer.decode(before))
            else:
                left.append((after, (*before, token)))
    assert sorted(texts) == sorted(write_score(value, 0) for value in range(-12, 4))
    assert tree.num_tokens_max == 3  # "-1", "2", the end


@pytest.mark.parametrize("sign", ["always", "negative"])
def test_trees_have_the_sign_that_is_asked_for(byte_tokenizer, sign):
    tree = answer_tree(byte_tokenizer, (-1.0, 1.0), 1, sign)
    assert texts_of(tree, byte_tokenizer) == [write_score(number / 10, 1, sign) for number in range(-10, 11)]


@given(st.floats(-3, 3), st.integers(0, 3))
def test_what_is_written_is_read_back_to_half_a_digit(score, decimals):
    read = parse_score(write_score(score, decimals), RANGE)
    assert read.parsed
    assert read.in_range
    assert abs(read.score - score) <= 0.5 * 10**-decimals + 1e-9


@given(st.text())
def test_any_text_gives_a_score_in_range(text):
    prediction = parse_score(text, RANGE)
    assert -3 <= prediction.score <= 3


def texts_of(tree, tokenizer):
    return [tokenizer.decode([token for _, token in path]) for path in tree.paths]


def test_every_answer_stands_once_in_the_tree_with_one_zero(byte_tokenizer):
    tree = answer_tree(byte_tokenizer, RANGE, 1)
    expected = [write_score(number / 10, 1) for number in range(-30, 31)]
    assert tree.values == tuple(number / 10 for number in range(-30, 31))
    assert texts_of(tree, byte_tokenizer) == expected
    assert len(set(tree.paths)) == 61
    assert expected.count("+0.0") == 1
    assert "-0.0" not in expected
    # Inner nodes by hand: + and -, then 0-3 behind each, then a point behind each of these.
    assert len(tree.tokens) == 2 + 8 + 8


def test_parents_stand_before_children_and_paths_follow_them(byte_tokenizer):
    tree = answer_tree(byte_tokenizer, RANGE, 2)
    assert all(parent < node for node, parent in enumerate(tree.parents))
    for path in tree.paths:
        assert path[0][0] == 0
        for (before, token), (after, _) in itertools.pairwise(path):
            assert tree.parents[after - 1] == before - 1
            assert tree.tokens[after - 1] == token


def test_a_range_that_is_no_multiple_of_a_step_gives_the_steps_inside(byte_tokenizer):
    assert answer_tree(byte_tokenizer, (-0.26, 0.29), 1).values == (-0.2, -0.1, 0.0, 0.1, 0.2)
    assert answer_tree(byte_tokenizer, (0.28, 0.29), 2).values == (0.28, 0.29)  # 0.29 * 100 is 28.999999999999996
    with pytest.raises(InputError, match=r"0, with labels from 0\.2 to 0\.8"):
        answer_tree(byte_tokenizer, (0.2, 0.8), 0)
    assert answer_tree(byte_tokenizer, (0.0, 1.0), 0).values == (0.0, 1.0)
    assert answer_tree(byte_tokenizer, (-0.2, 0.1), 1).values == (-0.2, -0.1, 0.0, 0.1)


def test_merged_digits_give_answers_of_unequal_length():
    tokenizer = merging_tokenizer("+1", "+1.", "+1.0")
    ids = [answer_ids(tokenizer, text) for text in ("+1.0", "+1.1", "-0.3")]
    assert [len(each) for each in ids] == [1, 2, 4]
    tree = answer_tree(tokenizer, (-1.0, 1.1), 1)
    assert end_of_turn(tokenizer) not in {token for path in tree.paths for _, token in path}  # none begins another
    assert texts_of(tree, tokenizer) == [write_score(value, 1) for value in tree.values]


def test_an_answer_that_begins_another_is_closed_by_the_end_of_turn():
    tokenizer = merging_tokenizer("+1", "+10")
    two_digits = answer_tree(tokenizer, (0.0, 9.0), 0)
    assert end_of_turn(tokenizer) not in {token for path in two_digits.paths for _, token in path}
    unequal = answer_tree(merging_tokenizer("-1"), (-12.0, 0.0), 0)  # "-1" is one token and begins "-10"
    assert {path[-1][1] for path in unequal.paths} == {end_of_turn(merging_tokenizer("-1"))}


@pytest.mark.parametrize(
    ("merged", "label_range", "decimals"),
    [
        ((), (-1.0, 1.0), 1),
        (("+1", "+1.", "+1.0"), (-1.0, 1.1), 1),
        (("-1",), (-12.0, 3.0), 0),
        (("+1", "+10"), (0, 12), 0),
    ],
)
def test_probabilities_over_the_tree_equal_those_of_whole_sequences(merged, label_range, decimals):
    """A made-up language whose next token depends on all tokens before: the tree against one sequence at a time."""
    tokenizer = merging_tokenizer(*merged)
    tree = answer_tree(tokenizer, label_range, decimals)

    def next_token(prefix):
        generator = torch.Generator().manual_seed(hash(prefix) % 2**31)
        return torch.randn(len(tokenizer), generator=generator).log_softmax(-1)

    prefixes = [()]
    for token, parent in zip(tree.tokens, tree.parents, strict=True):
        prefixes.append((*prefixes[parent + 1], token))
    table = torch.stack([next_token(prefix) for prefix in prefixes])
    found = [sum(table[node, token].item() for node, token in path) for path in tree.paths]

    answers = [answer_ids(tokenizer, write_score(value, decimals)) for value in tree.values]
    begins = any(a != b and b[: len(a)] == a for a in answers for b in answers)
    stop = (end_of_turn(tokenizer),) if begins else ()
    plain = [[*each, *stop] for each in answers]
    expected = [sum(next_token(tuple(ids[:n]))[ids[n]].item() for n in range(len(ids))) for ids in plain]
    assert found == pytest.approx(expected, abs=1e-5)
    assert sum(map(math.exp, found)) < 1  # disjoint events: no answer is counted twice
