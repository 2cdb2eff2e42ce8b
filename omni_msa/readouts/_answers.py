"""Scores and classes as text: how they are written, how they are read, and the tree of all that can be written."""

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

# Minus and dashes that models write for the ASCII hyphen: minus sign, hyphens, figure/en/em dash, small and full width.
_DASHES = dict.fromkeys(map(ord, "\u2212\u2010\u2011\u2012\u2013\u2014\u2015\ufe63\uff0d"), "-")
_NUMBER = re.compile(r"[-+]?\s?(?:\d+(?:\.\d+)?|\.\d+)", re.ASCII)


def write_score(score: float, decimals: int, sign: Sign = "always") -> str:
    """Return a score as a decimal such as "+1.2"; there is one zero, "+0.0".

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
    """Read the first decimal number in a decoded text.

    Returns:
        the score; 0 and `parsed` False if there is no number, clipped and `in_range` False if it is outside.
    """
    found = _NUMBER.search(text.translate(_DASHES))
    if found is None:
        return Prediction(0.0, text, parsed=False)
    return clip_score(float(re.sub(r"\s", "", found.group())), label_range, text)


def parse_class(text: str, classes: tuple[str, ...]) -> Prediction:
    """Read the first name of a class in a decoded text, as a whole word in any case.

    Returns:
        the class's number; `NO_CLASS` and `parsed` False if no class is named.
    """
    names = sorted(classes, key=len, reverse=True)  # of two that begin alike the longer one is meant
    found = re.search(rf"(?<!\w)(?:{'|'.join(map(re.escape, names))})(?!\w)", text, re.IGNORECASE)
    if found is None:
        return Prediction(NO_CLASS, text, parsed=False)
    lower = [name.lower() for name in classes]
    return Prediction(float(lower.index(found.group().lower())), text)


def answer_ids(tokenizer: "PreTrainedTokenizerFast", text: str) -> tuple[int, ...]:
    """Return the token ids of an answer, without end of turn."""
    return tuple(tokenizer.encode(text, add_special_tokens=False))


def end_of_turn(tokenizer: "PreTrainedTokenizerFast") -> int:
    """Return the id of the token that ends an answer."""
    token = tokenizer.convert_tokens_to_ids(END_OF_TURN)
    assert isinstance(token, int)
    return token


@dataclass(frozen=True)
class AnswerTree:
    """All answers of a grid as a tree of tokens, so that shared beginnings are computed once.

    Args:
        values: (G,) the score of each answer.
        tokens: (S,) tokens of inner nodes, parents before children.
        parents: (S,) index of each inner node's parent, -1 for the prompt's last token.
        paths: for each answer its edges (node index + 1, with 0 for the prompt's last token; next token).
    """

    values: tuple[float, ...]
    tokens: list[int]
    parents: list[int]
    paths: tuple[tuple[tuple[int, int], ...], ...]

    def followers(self) -> list[dict[int, int]]:
        """Return what may come after the prompt's last token and after each inner node.

        Returns:
            (1 + S) mappings from an allowed token to the place in this list where it leads, -1 at an answer's end.
        """
        found: list[dict[int, int]] = [{} for _ in range(1 + len(self.tokens))]
        for path in self.paths:
            for (node, token), after in zip(path, [*(node for node, _ in path[1:]), -1], strict=True):
                found[node][token] = after
        return found

    @property
    def num_tokens_max(self) -> int:
        """Length of the longest answer."""
        return max(map(len, self.paths))


def answer_tree(
    tokenizer: "PreTrainedTokenizerFast", label_range: tuple[float, float], decimals: int, sign: Sign = "always"
) -> AnswerTree:
    """Return the tree of every score in the label range with this many decimals.

    Where one answer begins another, each is followed by the end of turn; else that token is left out, because no
    other answer competes for its place.

    Raises:
        InputError: no score with so few decimals lies in the range.
    """
    values = _grid(label_range, decimals)
    return _tree(tokenizer, values, [write_score(value, decimals, sign) for value in values])


def class_tree(tokenizer: "PreTrainedTokenizerFast", classes: tuple[str, ...]) -> AnswerTree:
    """Return the tree of all names of classes; the value of each is the class's number."""
    return _tree(tokenizer, tuple(map(float, range(len(classes)))), classes)


def _tree(tokenizer: "PreTrainedTokenizerFast", values: tuple[float, ...], texts: Sequence[str]) -> AnswerTree:
    ids = [answer_ids(tokenizer, text) for text in texts]
    if len({len(each) for each in ids}) > 1 and any(a != b and b[: len(a)] == a for a in ids for b in ids):
        ids = [(*each, end_of_turn(tokenizer)) for each in ids]
    nodes: dict[tuple[int, ...], int] = {(): 0}
    tokens: list[int] = []
    parents: list[int] = []
    for each in ids:
        for length in range(1, len(each)):
            if each[:length] not in nodes:
                tokens.append(each[length - 1])
                parents.append(nodes[each[: length - 1]] - 1)
                nodes[each[:length]] = len(tokens)
    paths = tuple(tuple((nodes[each[:place]], token) for place, token in enumerate(each)) for each in ids)
    return AnswerTree(values, tokens, parents, paths)


def _grid(label_range: tuple[float, float], decimals: int) -> tuple[float, ...]:
    scale, (low, high) = 10**decimals, label_range
    first, last = math.ceil(low * scale - 1e-9), math.floor(high * scale + 1e-9)  # 0.29 * 100 is not quite 29
    if first > last:
        got = f"{decimals}, with labels from {low} to {high}"
        raise InputError(Problem("no answer with so few decimals is in range", "readout.decimals", got))
    return tuple(number / scale for number in range(first, last + 1))
