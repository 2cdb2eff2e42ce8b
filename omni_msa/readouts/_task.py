"""The input of a readout from the data, and its output for a clip."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class Task:
    """All that a readout may know of the data: statistics of the training split, and the label range or classes.

    Args:
        label_range: lowest and highest score.
        label_mean: mean label of the training split.
        label_std: population standard deviation of the training split, positive.
        label_median: median label of the training split.
        hidden_size: width of the hidden states of the backbone; 0 without a backbone.
        tokenizer: of the backbone; None without a backbone.
        classes: names of the classes in the order of their numbers; () if labels are scores.
        label_mode: most frequent label of the training split.
    """

    label_range: tuple[float, float]
    label_mean: float
    label_std: float
    label_median: float
    hidden_size: int = 0
    tokenizer: "PreTrainedTokenizerFast | None" = None
    classes: tuple[str, ...] = ()
    label_mode: float = 0.0


NO_CLASS = -1.0
"""The score of an answer without a class name: wrong for every label."""


@dataclass(frozen=True)
class Prediction:
    """The score of a clip, and how it was obtained.

    Args:
        score: within the label range; for classes the number of the class.
        text: the decoded text, "" if none is decoded.
        parsed: False if the text has no number (the score is then 0) or no class name (then `NO_CLASS`).
        in_range: False if the number was outside the label range (the score is then the nearest end).
    """

    score: float
    text: str = ""
    parsed: bool = True
    in_range: bool = True


def clip_score(raw: float, label_range: tuple[float, float], text: str = "") -> Prediction:
    """Return the prediction of a raw score, clipped to the label range."""
    low, high = label_range
    return Prediction(min(max(raw, low), high), text, True, low <= raw <= high)
