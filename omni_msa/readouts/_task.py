"""What a readout may know of the data, and what it returns for a clip."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class Task:
    """What a readout may know of the data: statistics of the training split and the label range, nothing else.

    Args:
        label_range: lowest and highest score.
        label_mean: of the training split.
        label_std: of the training split (population), positive.
        label_median: of the training split.
        hidden_size: width of the backbone's states; 0 where a readout uses no backbone.
        tokenizer: the backbone's; None where a readout uses no backbone.
        classes: names by number, where labels are classes; () where they are scores.
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
"""The score of an answer that names no class: wrong whatever the label."""


@dataclass(frozen=True)
class Prediction:
    """The score of a clip, and how it came about.

    Args:
        score: within the label range; the number of a class, where labels are classes.
        text: what was decoded, "" where nothing is.
        parsed: False if the text held no number (the score is then 0) or no class (then `NO_CLASS`).
        in_range: False if the number lay outside the label range (the score is then its nearest end).
    """

    score: float
    text: str = ""
    parsed: bool = True
    in_range: bool = True


def clip_score(raw: float, label_range: tuple[float, float], text: str = "") -> Prediction:
    """Return the prediction of a raw score, clipped to the label range."""
    low, high = label_range
    return Prediction(min(max(raw, low), high), text, True, low <= raw <= high)
