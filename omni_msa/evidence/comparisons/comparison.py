"""The comparison of two cells: differences by seed and by clip, and their tests."""

from dataclasses import dataclass, field
from typing import Literal

from omni_msa.evidence.cell_trials import Seed
from omni_msa.stats.intervals import Interval

Pairing = Literal["seeds", "clips", "same trials", "other clips", "none"]


@dataclass(frozen=True)
class Comparison:
    """One cell minus another on one metric, paired by seed and by clip; a statistic for which n is too small is None.

    Args:
        label: the cell; `against`: the label of the cell subtracted ("" if the sweep has none).
        metric: what is compared.
        seeds: of the pairs used; `values`: their differences; `n`: their number.
        num_collapsed: pairs left out because a value is undefined.
        num_collapsed_label, num_collapsed_against: those of them in which the value of that side is undefined.
        pairing: what is tested: seeds; only clips, where neither cell is random; or nothing, where the two cells share
            their trials, were tested on different clips, or there is no cell to compare with.
        family: number of tests that are corrected together; pairs of the same two sets of trials are one test.
        mean, std: of the differences (ddof 1).
        interval: 95 % Student-t interval of the mean over seeds.
        interval_two_level: 95 % interval over seeds and clips.
        interval_clips: 95 % interval over clips, if each side is one trial.
        p: two-sided sign-flip p-value over seeds; None unless `pairing` is "seeds".
        p_floor: the smallest p that so many pairs can give.
        p_holm: p (or p_clips, where neither cell is random), Holm-corrected for all tests of the family.
        p_clips: two-sided sign-flip p-value over clips, with the seeds fixed.
        improvement_seeds: share of the pairs in which `label` is better; a tie counts half.
        improvement_clips: share of (seed, clip) in which the error of `label` is smaller; a tie counts half.
        effect_size: mean divided by standard deviation of the differences, Hedges-corrected.
        mcnemar: accuracy name to the p-value of McNemar's test, combined over seed pairs.
        williams_p: p-value of Williams' test of the correlations, combined over seed pairs; None unless all have one.
        num_seeds_needed: for 80 % power at the observed difference and spread, after correction.
        num_seeds_needed_pessimistic: the same, with the spread at its upper 80 % limit.
        num_seeds_needed_stated: the same, for the smallest difference that matters according to the sweep.
        stated_difference: that smallest difference, None if not stated.
        better: which side has the better mean.
        controlled: whether nothing is known to differ but the sweep's axes; None if not known.
        note: what the reader must know, "" if nothing.
    """

    name: str
    against: str
    metric: str
    seeds: list[Seed] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    n: int = 0
    num_collapsed: int = 0
    num_collapsed_label: int = 0
    num_collapsed_against: int = 0
    pairing: Pairing = "seeds"
    family: int = 1
    mean: float | None = None
    std: float | None = None
    interval: Interval | None = None
    interval_two_level: Interval | None = None
    interval_clips: Interval | None = None
    p: float | None = None
    p_floor: float | None = None
    p_holm: float | None = None
    p_clips: float | None = None
    improvement_seeds: float | None = None
    improvement_clips: float | None = None
    effect_size: float | None = None
    mcnemar: dict[str, float | None] = field(default_factory=dict)
    williams_p: float | None = None
    num_seeds_needed: int | None = None
    num_seeds_needed_pessimistic: int | None = None
    num_seeds_needed_stated: int | None = None
    stated_difference: float | None = None
    better: Literal["label", "against", "none"] = "none"
    controlled: bool | None = None
    note: str = ""

    @property
    def is_over_clips(self) -> bool:
        """Whether neither cell is random, so that only clips can be resampled."""
        return self.n > 0 and self.pairing == "clips"

    @property
    def names(self) -> tuple[str, str]:
        """The labels of the better cell and of the worse one, by the mean."""
        return (self.name, self.against) if self.better == "label" else (self.against, self.name)

    @property
    def widest(self) -> Interval | None:
        """The most comprehensive interval: over seeds and clips, else over clips, else over seeds."""
        return self.interval_two_level or self.interval_clips or self.interval
