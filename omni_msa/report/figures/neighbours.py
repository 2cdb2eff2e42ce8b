"""Whether clips that are close to each other in the space of hidden states have similar labels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Neighbours:
    """The mean label difference between clips and their k nearest neighbours, against labels in random order.

    Args:
        k: neighbours of each clip.
        difference: observed mean of |label - label of a neighbour|; for classes the share of neighbours that differ.
        permuted_mean: mean of the difference over permutations of the labels.
        permuted_range: the middle 95 % of the difference over permutations.
        p: one-sided p-value: share of permutations, the observed order among them, with a difference at most as large.
    """

    k: int
    difference: float
    permuted_mean: float
    permuted_range: tuple[float, float]
    p: float

    @property
    def ratio(self) -> float:
        """Observed divided by permuted difference: about 1 if labels and states are unrelated; NaN if labels agree."""
        return self.difference / self.permuted_mean if self.permuted_mean else math.nan


def nearest(states: Array, k: int) -> NDArray[np.intp]:
    """Return the k nearest neighbours of each state by Euclidean distance, (N, k), nearest first, not itself.

    Args:
        states: (N, D), N > k; of equally distant states the one with the lower index counts as nearer.
        k: number of neighbours, at least 1.
    """
    centred = states - states.mean(axis=0)  # smaller numbers lose less precision in the differences below
    squares = np.einsum("nd,nd->n", centred, centred)
    distances = squares[:, None] + squares - 2 * centred @ centred.T  # (N, N)
    np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1, kind="stable")[:, :k]


def neighbour_difference(
    states: Array,
    labels: Array,
    ks: Sequence[int],
    num_permutations: int,
    generator: np.random.Generator,
    are_classes: bool = False,
) -> list[Neighbours]:
    """Return how much the labels of near neighbours differ, observed and with permuted labels.

    The p-value is that of a random permutation test, (b + 1) / (m + 1) (Phipson and Smyth 2010, Statistical
    Applications in Genetics and Molecular Biology 9, 39).

    Args:
        states: (N, D), finite.
        labels: (N,).
        ks: numbers of neighbours; those outside [1, N - 1] are left out.
        num_permutations: of the labels, at least 1.
        generator: draws the permutations.
        are_classes: whether labels are class numbers, which are only equal or not.

    Returns:
        One entry for each k that is left, in their order.
    """
    ks = [k for k in ks if 1 <= k < len(labels)]
    if not ks:
        return []
    near = nearest(states, max(ks))  # (N, K)
    observed = _differences(labels, near, ks, are_classes)
    permuted = np.array(
        [_differences(generator.permutation(labels), near, ks, are_classes) for _ in range(num_permutations)]
    )  # (num_permutations, len(ks))
    low, high = np.quantile(permuted, (0.025, 0.975), axis=0)
    num_as_small = np.sum(permuted <= observed * (1 + 1e-12), axis=0)
    return [
        Neighbours(
            k=k,
            difference=float(observed[index]),
            permuted_mean=float(permuted[:, index].mean()),
            permuted_range=(float(low[index]), float(high[index])),
            p=(int(num_as_small[index]) + 1) / (num_permutations + 1),
        )
        for index, k in enumerate(ks)
    ]


def _differences(labels: Array, near: NDArray[np.intp], ks: Sequence[int], are_classes: bool) -> Array:
    others = labels[near]
    apart = (others != labels[:, None]).astype(float) if are_classes else np.abs(others - labels[:, None])
    sums = np.cumsum(apart.mean(axis=0))  # over the k nearest, for every k
    return np.array([sums[k - 1] / k for k in ks])
