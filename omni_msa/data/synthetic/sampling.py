"""Assignment of sentences to splits, and the cues by which audio and video carry the label."""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from omni_msa.data.synthetic.ratings import Sentence
from omni_msa.errors import InputError, Problem

RESERVED_ONE_IN = 5
CUE_CLIP = 2.5  # standard deviations of a cue at which the rendering saturates


def eligible(sentences: Iterable[Sentence], domains: Sequence[str], min_words: int, max_words: int) -> list[Sentence]:
    """Return the sentences of some domains with between `min_words` and `max_words` words, both included."""
    return [
        sentence
        for sentence in sentences
        if sentence.domain in domains and min_words <= len(sentence.text.split()) <= max_words
    ]


def is_reserved(source: str) -> bool:
    """Return whether a source is reserved for training the small towers, and so in no split of any seed."""
    return _hash(f"reserved/{source}") % RESERVED_ONE_IN == 0


def reserved(sentences: Iterable[Sentence]) -> list[Sentence]:
    """Return the sentences that are in no split, whatever the options: only on these may towers be trained."""
    return [sentence for sentence in sentences if is_reserved(sentence.source)]


def choose_splits(sentences: Iterable[Sentence], seed: int, sizes: Mapping[str, int]) -> list[tuple[str, Sentence]]:
    """Return (split, sentence) pairs; no source is reserved or in two splits.

    The splits are filled in the order of `sizes` with sources in an order drawn from the seed, so enlarging the last
    split does not change the others. Sentences of a source that exceed the size of its split are left out.

    Args:
        sentences: candidates.
        seed: any integer.
        sizes: number of clips of each split.

    Raises:
        InputError: there are fewer sentences; the message says how many.
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
    """Return `signal z + sqrt(1 - signal^2) e` with e ~ N(0, 1): unit variance, correlation `signal` with z.

    Args:
        z: standardised label.
        signal: in [0, 1].
        key: seed text of the noise; different keys give independent noise.
    """
    return signal * z + math.sqrt(1 - signal**2) * float(generator(key).standard_normal())


def drive(cue: float) -> float:
    """Return the cue scaled and clipped to [-1, 1], the range of the rendering."""
    return float(np.clip(cue / CUE_CLIP, -1, 1))


def generator(key: str) -> np.random.Generator:
    """Return a random generator that depends on the key alone, on every machine."""
    return np.random.default_rng(_hash(key))


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


def _too_few(sizes: Mapping[str, int], split: str, num_found: int, num_all: int) -> Problem:
    wanted = ", ".join(f"{size} {name}" for name, size in sizes.items())
    return Problem(
        what=f"not enough sentences for the split {split}",
        where="dataset",
        got=f"{wanted}: {sum(sizes.values())} in total",
        allowed=f"at most {num_found} {split} besides the others; {num_all} clips exist for these domains and lengths",
        next_step="ask for fewer clips, add domains, or widen min_words..max_words",
    )
