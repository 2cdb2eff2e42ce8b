"""Real sentences with their human sentiment ratings (Hutto and Gilbert, ICWSM 2014)."""

import json
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omni_msa.data.synthetic.grouping import clean, merge, near_duplicates
from omni_msa.system.downloads import ReportProgress, fetch, unpack

REQUIREMENT = "vaderSentiment==3.3.2"
SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
NUM_BYTES = 2_466_783
INNER = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
FILES = {
    "movies": "movieReviewSnippets",
    "products": "amazonReviewSnippets",
    "news": "nytEditorialSnippets",
    "tweets": "tweets",
}
LABEL_PER_RATING = 0.75  # ratings are on [-4, 4], labels on [-3, 3]


@dataclass(frozen=True)
class Sentence:
    """One rated sentence.

    Args:
        id: unique over all domains, as in `movies-17` or `products-12_3`.
        domain: one of `FILES`.
        source: its review or article, merged with those that contain a near-duplicate sentence.
        index: position within its source, from 0.
        label: mean rating scaled to [-3, 3].
        text: the sentence.
        ratings: the individual ratings, integers in [-4, 4]; the raters are not identified.
    """

    id: str
    domain: str
    source: str
    index: int
    label: float
    text: str
    ratings: tuple[int, ...]


def fetch_sentences(progress: ReportProgress | None = None) -> list[Sentence]:
    """Return the sentences of all domains; their source distribution is downloaded if it is not in the cache.

    Raises:
        InputError: the download failed.
    """
    return read_sentences(fetch(REQUIREMENT, SHA256, binary=False, num_bytes=NUM_BYTES, progress=progress))


def read_sentences(archive: Path) -> list[Sentence]:
    """Return the sentences of all domains, in a fixed order.

    Sentences are always grouped over all domains, so that the source of a sentence does not depend on options.

    Args:
        archive: the source distribution of vaderSentiment.
    """
    with tempfile.TemporaryDirectory() as scratch:
        [inner] = unpack(archive, [INNER], Path(scratch))
        rows = [(domain, *row) for domain in FILES for row in _read_domain(inner, domain, Path(scratch))]
    ids = [f"{domain}-{number}" for domain, number, _, _ in rows]
    groups = [identity.split("_")[0] for identity in ids]  # products and news: "products-12_3" is of "products-12"
    sources = merge(groups, near_duplicates([text for _, _, text, _ in rows]))
    num_before: Counter[str] = Counter()
    sentences = []
    for (domain, _, text, ratings), identity, source in zip(rows, ids, sources, strict=True):
        # Recomputed: the published means of 199 tweets differ from the means of their listed ratings.
        label = LABEL_PER_RATING * sum(ratings) / len(ratings)
        sentences.append(Sentence(identity, domain, source, num_before[source], label, text, ratings))
        num_before[source] += 1
    return sentences


def leave_one_rater_out(ratings: list[tuple[int, ...]]) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return (mean of the other raters, own rating) for every rater, both scaled to [-3, 3] and of shape (N,).

    The source does not identify raters: "rater k" is the k-th in the list of each sentence, so it stands for a typical
    rather than for one person. Raters beyond the shortest list get no pair, but count in the means.

    Args:
        ratings: N tuples of integers in [-4, 4], at least two in each.
    """
    pairs = []
    totals = np.array([sum(listed) for listed in ratings], dtype=np.float64)
    counts = np.array([len(listed) for listed in ratings])
    for rater in range(counts.min()):
        own = np.array([listed[rater] for listed in ratings], dtype=np.float64)
        others = (totals - own) / (counts - 1)
        pairs.append((LABEL_PER_RATING * others, LABEL_PER_RATING * own))
    return pairs


def _read_domain(inner: Path, domain: str, scratch: Path) -> list[tuple[str, str, tuple[int, ...]]]:
    members = [f"hutto_ICWSM_2014/{FILES[domain]}_{kind}.txt" for kind in ("GroundTruth", "anonDataRatings")]
    texts, rated = (_read_rows(file) for file in unpack(inner, members, scratch))
    ratings = {number: tuple(json.loads(listed)) for number, _, _, listed in rated}
    return [(number, clean(text), ratings[number]) for number, _, text in texts]


def _read_rows(file: Path) -> list[list[str]]:
    lines = file.read_text(encoding="utf-8-sig").split("\n")  # one file starts with a byte-order mark
    return [line.rstrip("\r").split("\t") for line in lines if line.strip()]
