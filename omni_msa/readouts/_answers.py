"""Scores and classes as text: writing them, parsing them, and the tree of all possible answers."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from omni_msa.errors import InputError, Problem
from omni_msa.model.prompt import END_OF_TURN
from omni_msa.readouts._task import NO_CLASS, Prediction, clip_score

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Sign = Literal["always", "negative"]

# Characters that models write instead of the ASCII hyphen: minus sign, hyphens, dashes, small and full-width forms.
_DASHES = dict.fromkeys(map(ord, "\u2212\u2010\u2011\u2012\u2013\u2014\u2015\ufe63\uff0d"), "-")
_NUMBER = re.compile(r"[-+]?\s?(?:\d+(?:\.\d+)?|\.\d+)", re.ASCII)


def write_score(score: float, decimals: int, sign: Sign = "always") -> str:
    """Return a score as a decimal such as "+1.2"; zero is always "+0.0".

    Args:
        score: finite.
        decimals: digits after the point.
        sign: "always", or only before "negative" scores: "1.2", "-1.2", "0.0".
    """
    text = f"{score:+.{decimals}f}"
    if float(text) == 0:
        text = f"+{text[1:]}"
    return text if sign == "always" else text.removeprefix("+")


def parse_score(text: str, label_range: tuple[float, float]) -> Prediction:
    """Parse the first decimal number in a decoded text.

    Returns:
        the score; without a number it is 0 with `parsed` False; outside the range it is clipped with `in_range` False.
    """
    match = _NUMBER.search(text.translate(_DASHES))
    if match is None:
        return Prediction(0.0, text, parsed=False)
    return clip_score(float(re.sub(r"\s", "", match.group())), label_range, text)


def parse_class(text: str, classes: tuple[str, ...]) -> Prediction:
    """Parse the first class name in a decoded text: a whole word, in upper or lower case.

    Returns:
        the number of the class; without a class name `NO_CLASS`, with `parsed` False.
    """
    names = sorted(classes, key=len, reverse=True)  # the longer of two names with the same beginning takes precedence
    match = re.search(rf"(?<!\w)(?:{'|'.join(map(re.escape, names))})(?!\w)", text, re.IGNORECASE)
    if match is None:
        return Prediction(NO_CLASS, text, parsed=False)
    lower = [name.lower() for name in classes]
    return Prediction(float(lower.index(match.group().lower())), text)


def answer_ids(tokenizer: "PreTrainedTokenizerFast", text: str) -> tuple[int, ...]:
    """Return the token ids of an answer, without the end-of-turn token."""
    return tuple(tokenizer.encode(text, add_special_tokens=False))


def end_of_turn(tokenizer: "PreTrainedTokenizerFast") -> int:
    """Return the id of the token that ends an answer."""
    token = tokenizer.convert_tokens_to_ids(END_OF_TURN)
    assert isinstance(token, int)
    return token


@dataclass(frozen=True)
class AnswerTree:
    """All answers of a grid as a tree of tokens, so that shared prefixes are computed once.

    Args:
        values: (G,) score of each answer.
        tokens: (S,) tokens of the inner nodes, parents before children.
        parents: (S,) index of the parent of each inner node, -1 for the last token of the prompt.
        paths: for each answer its edges (index of the node + 1, or 0 for the last token of the prompt; next token).
    """

    values: tuple[float, ...]
    tokens: list[int]
    parents: list[int]
    paths: tuple[tuple[tuple[int, int], ...], ...]

    def followers(self) -> list[dict[int, int]]:
        """Return the tokens allowed after the last token of the prompt and after each inner node.

        Returns:
            (1 + S) mappings from an allowed token to the index of the next mapping, -1 at the end of an answer.
        """
        followers: list[dict[int, int]] = [{} for _ in range(1 + len(self.tokens))]
        for path in self.paths:
            for (node, token), after in zip(path, [*(node for node, _ in path[1:]), -1], strict=True):
                followers[node][token] = after
        return followers

    @property
    def num_tokens_max(self) -> int:
        """Length of the longest answer in tokens."""
        return max(map(len, self.paths))


def answer_tree(
    tokenizer: "PreTrainedTokenizerFast", label_range: tuple[float, float], decimals: int, sign: Sign = "always"
) -> AnswerTree:
    """Return the tree of every score in the label range with this many decimals.

    If one answer is a prefix of another, all answers end with the end-of-turn token; otherwise it is left out, because
    it has no alternative.

    Raises:
        InputError: no score with so few decimals is in the range.
    """
    values = _grid(label_range, decimals)
    return _tree(tokenizer, values, [write_score(value, decimals, sign) for value in values])


def class_tree(tokenizer: "PreTrainedTokenizerFast", classes: tuple[str, ...]) -> AnswerTree:
    """Return the tree of all class names; the value of each is the number of the class."""
    return _tree(tokenizer, tuple(map(float, range(len(classes)))), classes)


def _tree(tokenizer: "PreTrainedTokenizerFast", values: tuple[float, ...], texts: Sequence[str]) -> AnswerTree:
    ids = [answer_ids(tokenizer, text) for text in texts]
    if len(set(map(len, ids))) > 1 and any(a != b and b[: len(a)] == a for a in ids for b in ids):
        ids = [(*answer, end_of_turn(tokenizer)) for answer in ids]
    nodes: dict[tuple[int, ...], int] = {(): 0}
    tokens: list[int] = []
    parents: list[int] = []
    for answer in ids:
        for length in range(1, len(answer)):
            if answer[:length] not in nodes:
                tokens.append(answer[length - 1])
                parents.append(nodes[answer[: length - 1]] - 1)
                nodes[answer[:length]] = len(tokens)
    paths = tuple(tuple((nodes[answer[:index]], token) for index, token in enumerate(answer)) for answer in ids)
    return AnswerTree(values, tokens, parents, paths)


def _grid(label_range: tuple[float, float], decimals: int) -> tuple[float, ...]:
    scale, (low, high) = 10**decimals, label_range
    first, last = math.ceil(low * scale - 1e-9), math.floor(high * scale + 1e-9)  # 0.29 * 100 is slightly below 29
    if first > last:
        got = f"{decimals}, with labels from {low} to {high}"
        raise InputError(Problem("no score with so few decimals is in the label range", "readout.decimals", got))
    return tuple(number / scale for number in range(first, last + 1))
