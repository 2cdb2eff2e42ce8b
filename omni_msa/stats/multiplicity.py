"""Corrections for multiple tests, and combination of p-values."""

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values adjusted for all tests of a family (Holm 1979, Scandinavian Journal of Statistics 6, 65-70).

    Args:
        p_values: one per test, in any order; None for a test that could not be done, which still counts.

    Returns:
        in the same order: the k-th smallest times (m - k + 1), at least the one before, at most 1; None stays None.
    """
    known = [index for index, p in enumerate(p_values) if p is not None]
    order = sorted(known, key=lambda index: p_values[index] or 0.0)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * (p_values[index] or 0.0)))
        adjusted[index] = highest
    return adjusted


def combined_p(p_values: Sequence[float]) -> float | None:
    """Combine p-values of one hypothesis with any dependence between them, such as tests of several seeds.

    Rueger 1978 (Metrika 25, 171-178): the k-th smallest of m times m / k is a p-value; here k is the middle rank, so
    half of the seeds must agree. See Vovk and Wang 2020 (Biometrika 107, 791-808).

    Args:
        p_values: float (m,); NaN are left out.

    Returns:
        the combined p-value, None without any.
    """
    ordered = np.sort([p for p in p_values if p == p])
    if not len(ordered):
        return None
    middle = (len(ordered) + 1) // 2
    return min(1.0, float(len(ordered) / middle * ordered[middle - 1]))


LEVEL = 0.05
