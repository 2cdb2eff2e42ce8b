"""What can be said of each comparison of a sweep: decided, in need of more seeds, or out of their reach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from omni_msa.evidence.comparisons.comparison import Comparison
from omni_msa.stats.multiplicity import LEVEL
from omni_msa.stats.power import num_seeds_least

NUM_SEEDS_MORE_MAX = 200
"""A difference that takes more seeds than this is not said to need them."""
Kind = Literal[
    "decided",
    "equal",
    "waiting",
    "uncertain",
    "same values",
    "could turn",
    "collapsed",
    "over clips",
    "no predictions",
    "other clips",
    "uncontrolled",
    "undefined",
]


@dataclass(frozen=True)
class SweepProgress:
    """How far a sweep is.

    Args:
        num_trials, num_complete, num_failed: of the plan.
        failed: the failed seeds of each cell that has any, by label.
        num_seeds: that the sweep file names.
        num_dropped: clips that every trial leaves out.
    """

    num_trials: int
    num_complete: int
    num_failed: int = 0
    failed: Mapping[str, Sequence[int | None]] = field(default_factory=dict)
    num_seeds: int = 1
    num_dropped: int = 0

    @property
    def is_open(self) -> bool:
        """Whether trials are outstanding."""
        return self.num_complete + self.num_failed < self.num_trials

    @property
    def so_far(self) -> str:
        """How many trials are finished, in words."""
        return f"{self.num_complete} of {self.num_trials} trials finished"


@dataclass
class Findings:
    """Comparisons by what can be said of them.

    Args:
        by_kind: "decided": one of the two cells is ahead; "equal": what they differ by is too little to matter;
            "waiting": more seeds can decide it; "uncertain": it takes too many; "same values": no seed differs;
            "could turn": seeds tell them apart, but clips do not; "collapsed": so do seeds, but the better cell has
            some at which the metric is undefined; "over clips": clips do not tell them apart, and there are no seeds;
            "no predictions": nor are there clips; "other clips": the two were tested on different ones;
            "uncontrolled": more than the sweep's axes differs; "undefined": no pair of trials has the metric.
        more_seeds: those that wait, by how many.
    """

    by_kind: dict[Kind, list[Comparison]] = field(default_factory=dict)
    more_seeds: dict[int, list[Comparison]] = field(default_factory=dict)

    def of(self, kind: Kind) -> list[Comparison]:
        """Return the comparisons of one kind, in the order of the table."""
        return self.by_kind.get(kind, [])

    @property
    def waiting(self) -> list[Comparison]:
        """Those that more seeds can decide, the fewest seeds first."""
        return [one for more in sorted(self.more_seeds) for one in self.more_seeds[more]]


def sort(differences: Sequence[Comparison], progress: SweepProgress) -> Findings:
    """Sort comparisons by what can be said of them.

    A comparison is decided if its p-value, corrected for all comparisons of the sweep, is below 0.05, the interval over
    seeds and clips (where there is one) excludes 0, no seed of the better cell has collapsed, and nothing but the
    sweep's axes is known to differ.

    Args:
        differences: on the primary metric.
        progress: of the sweep.
    """
    found = Findings()
    for one in differences:
        kind = _kind(one, progress)
        found.by_kind.setdefault(kind, []).append(one)
        if kind == "waiting":
            found.more_seeds.setdefault(num_seeds_more(one, one.family, progress) or 0, []).append(one)
    return found


def _kind(one: Comparison, progress: SweepProgress) -> Kind:
    if not one.n:
        return "undefined"
    if one.pairing == "other clips":
        return "other clips"
    if one.controlled is False:
        return "uncontrolled"
    is_beyond_chance = one.p_holm is not None and one.p_holm < LEVEL and one.better != "none"
    if is_beyond_chance and _num_collapsed_better(one):
        return "collapsed"
    if is_beyond_chance and not _includes_zero(one):
        return "decided"
    if is_within_stated(one):
        return "equal"
    if is_beyond_chance:
        return "could turn"
    return _kind_undecided(one, progress)


def _kind_undecided(one: Comparison, progress: SweepProgress) -> Kind:
    if not any(one.values):
        return "same values"
    if one.is_over_clips:
        return "no predictions" if one.p_clips is None else "over clips"
    return "uncertain" if num_seeds_more(one, one.family, progress) is None else "waiting"


def _num_collapsed_better(one: Comparison) -> int:
    return one.num_collapsed_label if one.better == "label" else one.num_collapsed_against


def _includes_zero(one: Comparison) -> bool:
    low, high = one.interval_two_level or (1.0, 1.0)
    return low <= 0 <= high


def is_within_stated(one: Comparison) -> bool:
    """Return whether a difference is, with all its uncertainty, less than the one that the sweep says would matter."""
    if one.stated_difference is None or one.widest is None or one.num_collapsed:
        return False
    low, high = one.widest
    if one.n == 1 and one.pairing == "seeds":  # what other seeds would give is not known
        return False
    return -one.stated_difference < low and high < one.stated_difference


def num_seeds_more(one: Comparison, family: int, progress: SweepProgress) -> int | None:
    """Return how many seeds beyond those of the sweep decide a comparison, with 80 % power if it is as it looks.

    Args:
        one: not decided yet.
        family: number of comparisons corrected for.
        progress: of the sweep.

    Returns:
        At least 1 once all trials have ended, before that perhaps 0; None if it takes more than 200.
    """
    needed = one.num_seeds_needed if one.std is not None else num_seeds_least(LEVEL, family)
    if not one.mean or needed is None:
        return None
    more = max(0, needed - progress.num_seeds) if progress.is_open else max(1, needed - one.n)
    return more if more <= NUM_SEEDS_MORE_MAX else None
