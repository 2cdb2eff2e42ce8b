"""Names, numbers and units as a sentence has them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from omni_msa.stats.metrics import METRICS
from omni_msa.text import count

if TYPE_CHECKING:
    from omni_msa.evidence.comparisons.comparison import Comparison

_NUM_NAMED_MAX = 5


def name(label: str) -> str:
    """Return a cell's name, in quotes if it has spaces."""
    return f'"{label}"' if " " in label else label


def names(labels: Sequence[str]) -> str:
    """Return the names of cells as `a, b and c`, or their number if there are more than five."""
    return listed([name(label) for label in labels]) if len(labels) <= _NUM_NAMED_MAX else f"{len(labels)} cells"


def listed(parts: Sequence[str]) -> str:
    """Return texts as `a, b and c`; there must be at least one."""
    *others, last = parts
    return f"{', '.join(others)} and {last}" if others else last


def others(num: int, num_all: int) -> str:
    """Return `num` of `num_all` other cells in words."""
    if num < num_all:
        return f"{num} of the {num_all} other cells"
    return "both other cells" if num == 2 else f"all {num} other cells"


def p_text(p: float) -> str:
    """Return a p-value with two significant digits, one below 0.001."""
    return f"{p:.2g}" if p >= 0.001 else f"{p:.0e}"


def unit(metric: str) -> str:
    """Return the displayed unit of a metric with a leading space, "" if it has none."""
    shown = METRICS[metric]
    text = "points" if shown.percent else shown.unit
    return f" {text}" if text else ""


def size(metric: str, difference: float | None) -> str:
    """Return the size of a difference without its sign; `less than 0.001` where its digits would all be zero."""
    text = METRICS[metric].show(abs(difference or 0.0))
    if difference and not _has_digits(text):
        text = f"less than {text[:-1]}1"
    return text + unit(metric)


def signed(metric: str, difference: float | None) -> str:
    """Return a difference with its sign, without one where its digits are all zero."""
    text = METRICS[metric].show(difference, signed=True)
    return text if _has_digits(text) else text.lstrip("+-")


def _has_digits(text: str) -> bool:
    return any(letter in "123456789" for letter in text)


def estimate(metric: str, comparison: "Comparison") -> str:
    """Return a difference with its sign and its most comprehensive interval."""
    text = signed(metric, comparison.mean) + unit(metric)
    return text if comparison.widest is None else f"{text}, 95 % interval {span(metric, comparison.widest)}"


def span(metric: str, interval: tuple[float, float]) -> str:
    """Return an interval of differences: `-0.193 to +0.103`."""
    return " to ".join(signed(metric, end) for end in interval)


def failed(label: str, seeds_failed: Sequence[int | None]) -> str:
    """Return which seeds of a cell failed; for a deterministic cell, that its trial did."""
    named = [str(seed) for seed in seeds_failed if seed is not None]
    which = f"seed{'' if len(named) == 1 else 's'} {listed(named)}" if named else "the trial"
    return f"{which} of {name(label)} failed"


def collapsed(label: str, metric: str, num: int, num_seeds: int) -> str:
    """Return at how many seeds a metric of a cell is undefined."""
    return f"{name(label)} collapsed (no {METRICS[metric].title}) at {num} of {count(num_seeds, 'seed')}"
