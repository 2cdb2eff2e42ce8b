"""Words and numbers as they stand in a sentence."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from omni_msa.metrics import METRICS

if TYPE_CHECKING:
    from omni_msa.comparisons.comparison import Comparison

_NUM_NAMED_MAX = 5


def name(label: str) -> str:
    """Return a cell's name, in quotes if it has spaces."""
    return f'"{label}"' if " " in label else label


def names(labels: Sequence[str]) -> str:
    """Return the names of cells, as `a, b and c`; of many, how many there are."""
    return listed([name(label) for label in labels]) if len(labels) <= _NUM_NAMED_MAX else f"{len(labels)} cells"


def listed(parts: Sequence[str]) -> str:
    """Return texts as `a, b and c`."""
    *others, last = parts
    return f"{', '.join(others)} and {last}" if others else last


def others(num: int, num_all: int) -> str:
    """Return how many of the other cells are meant."""
    if num < num_all:
        return f"{num} of the {num_all} other cells"
    return "both other cells" if num == 2 else f"all {num} other cells"


def count(num: int, what: str) -> str:
    """Return a number of things: `1 clip`, `2 clips`."""
    return f"{num} {what}{'' if num == 1 else 's'}"


def seeds(num: int) -> str:
    """Return a number of seeds."""
    return count(num, "seed")


def more_seeds(num: int) -> str:
    """Return a number of further seeds."""
    return count(num, "more seed")


def are(num: int) -> str:
    """Return the verb that goes with a number."""
    return "is" if num == 1 else "are"


def odds(p: float) -> str:
    """Return a p-value with two digits."""
    return f"{p:.2g}" if p >= 0.001 else f"{p:.0e}"


def unit(metric: str) -> str:
    """Return the unit of a metric as it is shown, with a space before, "" if it has none."""
    shown = METRICS[metric]
    text = "points" if shown.percent else shown.unit
    return f" {text}" if text else ""


def size(metric: str, difference: float | None) -> str:
    """Return the size of a difference without its sign."""
    return METRICS[metric].show(abs(difference or 0.0)) + unit(metric)


def estimate(metric: str, one: "Comparison") -> str:
    """Return a difference with its sign and its interval, the widest that is known."""
    shown = METRICS[metric]
    text = shown.show(one.mean, signed=True) + unit(metric)
    interval = one.interval_two_level or one.interval
    if interval is None:
        return text
    low, high = (shown.show(end, signed=True) for end in interval)
    return f"{text}, 95 % interval {low} to {high}"


def failed(seeds_failed: Sequence[int | None]) -> str:
    """Return which seeds a cell lacks, of a deterministic one that its trial failed."""
    named = [str(seed) for seed in seeds_failed if seed is not None]
    if not named:
        return "its trial (failed)"
    return f"seed{'' if len(named) == 1 else 's'} {listed(named)} (failed)"
