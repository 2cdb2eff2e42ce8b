"""Whether clips that lie close to each other in the space of hidden states have like labels."""

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
        difference: observed mean of |label - label of a neighbour|; of classes the share of neighbours of other ones.
        permuted_mean: its mean over permutations of the labels.
        permuted_range: the middle 95 % of it over permutations.
        p: one-sided, the share of permutations with as small a difference, the observed order counted among them.
    """

    k: int
    difference: float
    permuted_mean: float
    permuted_range: tuple[float, float]
    p: float

    @property
    def ratio(self) -> float:
        """Observed by permuted difference: 1 if the states say nothing about the label; NaN if all labels are equal."""
        return self.difference / self.permuted_mean if self.permuted_mean else math.nan


def nearest(states: Array, k: int) -> NDArray[np.intp]:
    """Return the k nearest neighbours of each state by Euclidean distance, (N, k), nearest first, not itself.

    Args:
        states: (N, D), N > k; of equally distant ones the first counts as nearer.
        k: at least 1.
    """
    centred = states - states.mean(axis=0)  # small numbers lose less in the differences below
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
    """Return how much labels of near neighbours differ, and how much they would if states and labels were unrelated.

    The p-value is that of a random permutation test, (b + 1) / (m + 1) (Phipson and Smyth 2010, Statistical
    Applications in Genetics and Molecular Biology 9, 39).

    Args:
        states: (N, D), finite.
        labels: (N,).
        ks: numbers of neighbours; those that N clips do not have are left out.
        num_permutations: of the labels, at least 1.
        generator: draws them.
        are_classes: labels are numbers of classes, which are equal or not.

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
            difference=float(observed[place]),
            permuted_mean=float(permuted[:, place].mean()),
            permuted_range=(float(low[place]), float(high[place])),
            p=(int(num_as_small[place]) + 1) / (num_permutations + 1),
        )
        for place, k in enumerate(ks)
    ]


def _differences(labels: Array, near: NDArray[np.intp], ks: Sequence[int], are_classes: bool) -> Array:
    others = labels[near]
    apart = (others != labels[:, None]).astype(float) if are_classes else np.abs(others - labels[:, None])
    sums = np.cumsum(apart.mean(axis=0))  # over the k nearest, for every k
    return np.array([sums[k - 1] / k for k in ks])
