"""The test predictions of two cells, paired by seed and clip."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from omni_msa.evidence.cell_trials import CellTrials, Seed
from omni_msa.evidence.comparisons.clip_scores import ClipScores, common_seeds, correctness
from omni_msa.stats.correlated import mcnemar_p, williams_p
from omni_msa.stats.multiplicity import combined_p
from omni_msa.stats.paired import improvement

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PairedScores:
    """Two cells' trials on the same clips.

    Args:
        first, second: test predictions of the two cells.
        seeds: of the pairs.
        rows: for each pair, the row of its trial in `first` and in `second`.
    """

    first: ClipScores
    second: ClipScores
    seeds: tuple[Seed, ...]
    rows: tuple[tuple[int, int], ...]

    @property
    def clips(self) -> str:
        """The digest of the clips."""
        return self.first.clips

    def at(self, seed: Seed) -> tuple[ClipScores, ClipScores] | None:
        """Return the predictions of the pair with a seed, None if one of them is missing."""
        if seed not in self.seeds:
            return None
        a, b = self.rows[self.seeds.index(seed)]
        return self.first.only(a), self.second.only(b)

    def influences(self, metric: str, seeds: Sequence[Seed]) -> Array | None:
        """Return the influence of each clip on the differences of a metric, the first cell's minus the second's.

        Args:
            metric: its name.
            seeds: of the differences.

        Returns:
            Float (N, S), or None if a seed has no predictions or the metric is not computed from predictions.
        """
        rows = [self.rows[self.seeds.index(seed)] for seed in seeds if seed in self.seeds]
        if len(rows) < len(seeds) or metric not in self.first.metrics:
            return None
        a, b = ([pair[side] for pair in rows] for side in (0, 1))
        influences: Array = self.first.influences(metric)[:, a] - self.second.influences(metric)[:, b]
        return influences

    @cached_property
    def improvement(self) -> float | None:
        """The share of (seed, clip) in which the first cell's error is smaller; a tie counts half."""
        errors = [
            _errors(each)[[pair[side] for pair in self.rows]] for side, each in enumerate((self.first, self.second))
        ]
        return improvement(errors[0] - errors[1], "lower")

    @cached_property
    def mcnemar(self) -> dict[str, float | None]:
        """For each accuracy the p-value of McNemar's test (null: equal accuracy), combined over the pairs."""
        right = [correctness(each) for each in (self.first, self.second)]
        return {
            name: combined_p([self._mcnemar(right[0][name], right[1][name], *pair) for pair in self.rows])
            for name in right[0]
        }

    def _mcnemar(self, first: NDArray[np.bool_], second: NDArray[np.bool_], a: int, b: int) -> float:
        counted = first[0, a]
        return mcnemar_p(first[1, a][counted], second[1, b][counted])

    @cached_property
    def williams_p(self) -> float | None:
        """The p-value of Williams' test (null: equal correlation with the labels), combined over the pairs.

        None unless every pair has one: over the pairs with defined correlations alone it would be biased.
        """
        if "corr" not in self.first.metrics or self.first.num_clips <= 3:
            return None
        p_values = [p for a, b in self.rows if (p := self._williams(a, b)) is not None and np.isfinite(p)]
        return combined_p(p_values) if len(p_values) == len(self.rows) else None

    def _williams(self, a: int, b: int) -> float | None:
        r_xy, r_xz = float(self.first.metrics["corr"][a]), float(self.second.metrics["corr"][b])
        if not np.isfinite(r_xy + r_xz):  # one of the two has constant scores
            return None
        scores = [_clipped(self.first)[a], _clipped(self.second)[b]]
        return williams_p(r_xy, r_xz, float(np.corrcoef(*scores)[0, 1]), self.first.num_clips)


def twins_of(first: CellTrials, second: CellTrials) -> PairedScores | None:
    """Return the paired predictions of two cells, None if they have no common seed or clips, or no predictions."""
    a, b = first.tested, second.tested
    if a is None or b is None or on_other_clips(a, b):
        return None
    seeds = common_seeds(a.seeds, b.seeds)
    rows = [tuple(each.seeds.index(seed if seed in each.seeds else None) for each in (a, b)) for seed in seeds]
    return PairedScores(a, b, tuple(seeds), tuple(rows)) if seeds else None  # type: ignore[arg-type]


def on_other_clips(first: ClipScores | None, second: ClipScores | None) -> bool:
    """Return whether two cells are known to have been tested on different clips or by different conventions."""
    if first is None or second is None:
        return False
    return first.clips != second.clips or first.conventions != second.conventions


def _errors(tested: ClipScores) -> Array:
    """Return the absolute error of each score, float (S, N); for classes 0 or 1."""
    if tested.conventions == "classes":
        return (tested.scores != tested.labels).astype(np.float64)
    errors: Array = np.abs(tested.scores - tested.labels)
    return errors


def _clipped(tested: ClipScores) -> Array:
    """Return the scores for the correlation: clipped to [-1, 1] under the conventions of CH-SIMS, else unchanged."""
    return np.clip(tested.scores, -1, 1) if tested.conventions == "sims" else tested.scores
