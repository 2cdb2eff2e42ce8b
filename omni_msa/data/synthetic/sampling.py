"""Which sentences are used for what, and how much of a label each modality is given."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from omni_msa.data.synthetic.ratings import Sentence
from omni_msa.errors import InputError, Problem

RESERVED_ONE_IN = 5
CUE_CLIP = 2.5  # standard deviations of a cue that drive the rendering to its end


def eligible(sentences: Iterable[Sentence], domains: Sequence[str], min_words: int, max_words: int) -> list[Sentence]:
    """Return the sentences of some domains with between `min_words` and `max_words` words, both included."""
    return [
        sentence
        for sentence in sentences
        if sentence.domain in domains and min_words <= len(sentence.text.split()) <= max_words
    ]


def is_reserved(source: str) -> bool:
    """Return whether a source is kept for training the small audio and video towers, in no split of any seed."""
    return _hash(f"reserved/{source}") % RESERVED_ONE_IN == 0


def reserved(sentences: Iterable[Sentence]) -> list[Sentence]:
    """Return the sentences that are in no split, whatever the options: the only ones towers may be trained on."""
    return [sentence for sentence in sentences if is_reserved(sentence.source)]


def choose_splits(sentences: Iterable[Sentence], seed: int, sizes: Mapping[str, int]) -> list[tuple[str, Sentence]]:
    """Return (split, sentence) pairs; no source is in two splits, none of them is reserved.

    Sources are taken in an order drawn from the seed, for the splits as listed: with the last split larger, everything
    else stays as it was. What a source has beyond the size of its split is left out.

    Args:
        sentences: candidates.
        seed: any integer.
        sizes: clips of each split.

    Raises:
        InputError: there are not that many; says how many there are.
    """
    sources: dict[str, list[Sentence]] = defaultdict(list)
    for sentence in sentences:
        if not is_reserved(sentence.source):
            sources[sentence.source].append(sentence)
    order = iter(sorted(sources, key=lambda source: _hash(f"{seed}/{source}")))
    chosen = []
    for split, size in sizes.items():
        part: list[Sentence] = []
        while len(part) < size:
            if (source := next(order, None)) is None:
                raise InputError(_too_few(sizes, split, len(part), sum(map(len, sources.values()))))
            part += sources[source]
        chosen += [(split, sentence) for sentence in part[:size]]
    return chosen


def population(sentences: Sequence[Sentence]) -> tuple[float, float]:
    """Return mean and standard deviation (ddof 0) of the labels."""
    labels = np.array([sentence.label for sentence in sentences])
    return float(labels.mean()), float(labels.std())


def cue(z: float, signal: float, key: str) -> float:
    """Return `signal z + sqrt(1 - signal^2) e`, e ~ N(0, 1): of unit variance, correlated by `signal` with z.

    Args:
        z: standardised label.
        signal: in [0, 1].
        key: what the noise is drawn from; different keys give independent noise.
    """
    return signal * z + math.sqrt(1 - signal**2) * float(generator(key).standard_normal())


def drive(cue: float) -> float:
    """Return the cue on [-1, 1], as the rendering takes it."""
    return float(np.clip(cue / CUE_CLIP, -1, 1))


def generator(key: str) -> np.random.Generator:
    """Return a random generator that depends on the key alone, the same on every machine."""
    return np.random.default_rng(_hash(key))


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


def _too_few(sizes: Mapping[str, int], split: str, num_found: int, num_all: int) -> Problem:
    asked = ", ".join(f"{size} {name}" for name, size in sizes.items())
    return Problem(
        what=f"not enough sentences for the split {split}",
        where="dataset",
        got=f"{asked}: {sum(sizes.values())} in all",
        allowed=f"at most {num_found} {split} beside the others; {num_all} clips exist for these domains and lengths",
        next_step="ask for fewer clips, add domains, or widen min_words..max_words",
    )
