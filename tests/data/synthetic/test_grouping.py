from itertools import combinations

import numpy as np

from omni_msa.data.synthetic.grouping import clean, merge, near_duplicates, words


def test_words_and_clean_text() -> None:
    assert words("Don't -- it's... CAFÉ_au lait!") == ["don't", "it's", "café", "au", "lait"]
    assert clean("A.T.&amp;amp;T.   is\there ") == "A.T.&T. is here"


def test_pairs_are_those_of_comparing_everything_with_everything() -> None:
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(list("abcdefgh"), size=random.integers(1, 8))) for _ in range(120)] + ["", "!"]
    sets = [set(text.replace("!", "").split()) for text in texts]
    for threshold in (0.5, 0.7, 1.0):
        expected = [
            (one, other)
            for one, other in combinations(range(len(texts)), 2)
            if sets[one] and sets[other] and len(sets[one] & sets[other]) >= threshold * len(sets[one] | sets[other])
        ]
        assert sorted(near_duplicates(texts, threshold)) == expected


def test_one_word_of_six_may_differ() -> None:
    texts = ["One of the best films ever", "one of the worst films ever!", "one of the worst meals ever"]
    assert near_duplicates(texts) == [(0, 1), (1, 2)]


def test_joined_groups_have_the_name_of_their_first_member() -> None:
    names = ["m1", "m2", "p1", "p1", "p2", "m3"]
    assert merge(names, []) == names
    assert merge(names, [(3, 1), (4, 2)]) == ["m1", "m2", "m2", "m2", "m2", "m3"]
