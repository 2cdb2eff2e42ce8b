"""Exact and fast detection of near-duplicate sentences."""

import html
import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence


def words(text: str) -> list[str]:
    """Return the lower-case words of a text, without punctuation."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower())


def clean(text: str) -> str:
    """Return the text with HTML entities decoded (some are escaped twice) and white space normalised."""
    return " ".join(html.unescape(html.unescape(text)).split())


def near_duplicates(texts: Sequence[str], threshold: float = 0.7) -> list[tuple[int, int]]:
    """Return all pairs (earlier, later) of texts whose word sets have at least this Jaccard similarity.

    Prefix filtering (Chaudhuri et al. 2006, "A primitive operator for similarity joins"): with the words of each set
    sorted from rare to common, two such sets share a word among their first n - ceil(threshold n) + 1 words.

    Args:
        texts: sentences.
        threshold: in (0, 1]; at 0.7, one word of six may be replaced.
    """
    sets = [frozenset(words(text)) for text in texts]
    counts = Counter(word for words_of_text in sets for word in words_of_text)
    holders: dict[str, list[int]] = defaultdict(list)
    pairs = []
    for later, own in enumerate(sets):
        rare_first = sorted(own, key=lambda word: (counts[word], word))
        candidates: set[int] = set()
        for word in rare_first[: len(own) - math.ceil(threshold * len(own)) + 1]:
            candidates.update(holders[word])
            holders[word].append(later)
        for earlier in sorted(candidates):
            num_shared = len(own & sets[earlier])
            if num_shared >= threshold * (len(own) + len(sets[earlier]) - num_shared):
                pairs.append((earlier, later))
    return pairs


def merge(names: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[str]:
    """Merge the groups that pairs connect; a merged group gets the name that comes first.

    Args:
        names: the group of each item, N of them.
        pairs: indices in 0..N-1 of items that belong together.

    Returns:
        the group of each item after merging, in the order of `names`.
    """
    order = {name: index for index, name in reversed(list(enumerate(names)))}
    parent = {name: name for name in names}

    def top(name: str) -> str:
        while parent[name] != name:
            parent[name] = name = parent[parent[name]]
        return name

    for item, other in pairs:
        first, second = sorted((top(names[item]), top(names[other])), key=order.__getitem__)
        parent[second] = first
    return [top(name) for name in names]
