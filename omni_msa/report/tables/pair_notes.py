"""Notes on the p-values and intervals of paired comparisons, for both tables and figures."""

from collections.abc import Collection, Sequence

from omni_msa.evidence.comparisons.comparison import Comparison
from omni_msa.evidence.summary import CellSummary
from omni_msa.stats.metrics import METRICS
from omni_msa.stats.paired import NUM_DRAWS, NUM_EXACT_MAX

_FLOOR = f"1/{NUM_DRAWS + 1:,}"
_SYMMETRIC = "it assumes symmetrically distributed values"


def fixed_cells(cells: Sequence[CellSummary]) -> set[str]:
    """Return the names of the cells without randomness."""
    return {cell.name for cell in cells if cell.deterministic}


def sign_flip_note(rows: Sequence[Comparison], fixed: Collection[str]) -> str:
    """Return the test behind the p-values over seeds and what it assumes, "" without such p-values.

    Args:
        rows: comparisons.
        fixed: labels of the cells without randomness.
    """
    one_sided = {_is_one_sided(one, fixed) for one in rows if one.p is not None}
    if not one_sided:
        return ""
    exact = {
        frozenset({False}): ", exact between two random cells",
        frozenset({True}): f"; against a cell without randomness {_SYMMETRIC}",
        frozenset({True, False}): f", exact between two random cells; against a cell without randomness {_SYMMETRIC}",
    }
    return f"two-sided sign-flip test over seeds{exact[frozenset(one_sided)]}"


def _is_one_sided(one: Comparison, fixed: Collection[str]) -> bool:
    return one.name in fixed or one.against in fixed


def floor_note(counts: Collection[int]) -> str:
    """Return which sign patterns the test goes through, and its floor: the smallest p-value that it can give.

    Args:
        counts: the number of pairs of each row.
    """
    if all(num <= NUM_EXACT_MAX for num in counts):
        return "It runs over all sign patterns: no result of so many pairs can go below its floor."
    if all(num > NUM_EXACT_MAX for num in counts):
        return f"It runs over {NUM_DRAWS:,} random sign patterns: no result can go below its floor of {_FLOOR}."
    return (
        f"Up to {NUM_EXACT_MAX} pairs it runs over all sign patterns, above over {NUM_DRAWS:,} random ones, with a "
        f"floor of {_FLOOR}: no result of so many pairs can go below its floor."
    )


def interval_note(rows: Sequence[Comparison]) -> str:
    """Return what the 95 % intervals assume and are not corrected for, "" where there is nothing to say.

    Args:
        rows: comparisons.
    """
    is_over_seeds = any(one.interval for one in rows)
    if len(rows) == 1:
        return "The interval over seeds assumes that values over seeds are roughly normal." if is_over_seeds else ""
    if is_over_seeds:
        return (
            "Intervals are for one comparison each, not corrected for their number, and assume that values over seeds "
            "are roughly normal."
        )
    return "Intervals are for one comparison each, not corrected for their number."


def left_out_note(rows: Sequence[Comparison], fixed: Collection[str]) -> str:
    """Return how many pairs are left out for an undefined value, by metric if there are several; "" if none.

    Args:
        rows: comparisons.
        fixed: labels of the cells without randomness.
    """
    left = [one for one in rows if one.num_collapsed]
    counts = {name: sum(one.num_collapsed for one in left if one.metric == name) for name in _metrics(left)}
    if not counts:
        return ""
    several = len(_metrics(rows)) > 1
    texts = [f"{num} in {METRICS[name].title}" if several else str(num) for name, num in counts.items()]
    once = "; the one trial of a cell without randomness is in a pair with every seed of the other"
    more = once if any(_is_one_sided(one, fixed) and one.n + one.num_collapsed > 1 for one in left) else ""
    return f"Seed pairs left out because a value is undefined (NaN): {', '.join(texts)}{more}."


def _metrics(rows: Sequence[Comparison]) -> list[str]:
    return list(dict.fromkeys(one.metric for one in rows))
