"""Scores of trials whose true metrics are known, for interval_coverage.py; every seed scores the same clips."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from omni_msa.stats.resampling import weighted_metrics

Array = NDArray[np.float64]
METRICS = ("mae", "corr", "acc7", "acc2_non0", "f1_non0")


@dataclass(frozen=True)
class World:
    """Model of the scores: label x slope + bias of the seed + effect of the clip + residual.

    Args:
        name: as tables show it.
        seed_std: standard deviation of the seeds' bias; half of that of their slope.
        skewed: errors have an exponential distribution (skewness 2) instead of a normal one.
    """

    name: str
    seed_std: float
    skewed: bool

    def draw(self, num_clips: int, num_seeds: int, generator: np.random.Generator) -> tuple[Array, Array]:
        """Return labels (N,) and the scores of two cells (2, S, N), equally good and sharing half of the clips' effect.

        Args:
            num_clips, num_seeds: how many.
            generator: draws everything.
        """

        def errors(*shape: int) -> Array:
            return generator.exponential(1, shape) - 1 if self.skewed else generator.normal(size=shape)

        labels = np.round(np.clip(generator.normal(0.2, 1.5, num_clips), -3, 3) * 5) / 5
        bias, slope = generator.normal(size=(2, 2, num_seeds, 1)) * self.seed_std
        clip = 0.6 * errors(num_clips) + 0.4 * errors(2, 1, num_clips)
        return labels, (0.8 + slope / 2) * labels + bias + clip + 0.5 * errors(2, num_seeds, num_clips)

    @cache  # noqa: B019 - worlds are few and live as long as the program
    def truth(self, num_seeds: int = 3000, num_clips: int = 5_000) -> dict[str, float]:
        """Return the mean of each metric over new seeds, each on thousands of clips."""
        generator = np.random.default_rng(1)
        total = dict.fromkeys(METRICS, 0.0)
        for _ in range(num_seeds // 10):
            labels, scores = self.draw(num_clips, 5, generator)
            values = weighted_metrics(labels, scores.reshape(10, num_clips), np.ones((1, num_clips)))
            total = {name: total[name] + float(values[name].sum()) for name in METRICS}
        return {name: value / (num_seeds // 10 * 10) for name, value in total.items()}


@dataclass(frozen=True)
class Rare:
    """Clips on which only one of two cells is right; with a cell that is always right, clips that are wrong.

    Every trial that scores such a clip forgets it with a probability of 10 %, and is then no different.

    Args:
        name: as tables show it.
        won, lost: shares of such clips, for the first and for the second cell.
    """

    name: str
    won: float
    lost: float

    def draw(self, num_clips: int, num_seeds: int, generator: np.random.Generator) -> Array:
        """Return the contribution of each clip to the difference, 1, 0 or -1, for each seed (N, S)."""
        kind = generator.random((num_clips, 1))
        each = np.where(kind < self.won, 1.0, np.where(kind < self.won + self.lost, -1.0, 0.0))
        return np.where(generator.random((num_clips, num_seeds)) < 0.9, each, 0.0)

    @property
    def truth(self) -> float:
        """Return the mean difference over all clips and seeds."""
        return 0.9 * (self.won - self.lost)


RARE = (
    Rare("1 % of clips wrong", 0.01, 0.0),
    Rare("3 % of clips wrong", 0.03, 0.0),
    Rare("10 % of clips wrong", 0.10, 0.0),
    Rare("differ on 2 % and 1 %", 0.02, 0.01),
    Rare("differ on 5 % and 5 %", 0.05, 0.05),
    Rare("differ on 10 % and 3 %", 0.10, 0.03),
)
WORLDS = (
    World("seeds alike", 0.0, False),
    World("seeds differ", 0.05, False),
    World("seeds differ much, skewed errors", 0.2, True),
)
FIXED = (World("normal errors", 0.0, False), World("skewed errors", 0.0, True))
