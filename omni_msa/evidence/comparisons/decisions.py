"""Classifies the comparisons of a sweep: decided, in need of more seeds, or not decidable by more seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from omni_msa.evidence.comparisons.comparison import Comparison
from omni_msa.stats.multiplicity import LEVEL
from omni_msa.stats.power import num_seeds_least

NUM_SEEDS_MORE_MAX = 200
"""A difference that needs more further seeds than this is called too uncertain."""
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
        num_trials, num_complete, num_failed: numbers of trials in the plan.
        failed: name of each cell with failed trials, to their seeds.
        num_seeds: number of seeds in the sweep file.
        num_dropped: number of clips that every trial leaves out.
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
    """Comparisons by their kind.

    Args:
        by_kind: the comparisons of each kind. "decided": one of the two cells is better; "equal": the difference is too
            small to matter; "waiting": more seeds can decide it; "uncertain": it needs too many more seeds;
            "same values": the cells agree at every seed; "could turn": significant over seeds, but the interval over
            seeds and clips includes 0; "collapsed": significant over seeds, but the metric of the better cell is
            undefined at some; "over clips": neither cell is random, and clips do not decide it; "no predictions":
            neither cell is random, and predictions are missing; "other clips": tested on different clips;
            "uncontrolled": more than the sweep's axes differs; "undefined": no pair of trials has the metric.
        more_seeds: the comparisons of kind "waiting", by the number of further seeds that they need.
    """

    by_kind: dict[Kind, list[Comparison]] = field(default_factory=dict)
    more_seeds: dict[int, list[Comparison]] = field(default_factory=dict)

    def of(self, kind: Kind) -> list[Comparison]:
        """Return the comparisons of one kind, in the order of the table."""
        return self.by_kind.get(kind, [])

    @property
    def waiting(self) -> list[Comparison]:
        """The comparisons that more seeds can decide, those that need fewest first."""
        return [comparison for more in sorted(self.more_seeds) for comparison in self.more_seeds[more]]


def sort(differences: Sequence[Comparison], progress: SweepProgress) -> Findings:
    """Group comparisons by their kind.

    A comparison is decided if its p-value, corrected for all comparisons of the sweep, is below 0.05, the interval over
    seeds and clips (where there is one) excludes 0, no seed of the better cell has collapsed, and nothing but the
    sweep's axes is known to differ.

    Args:
        differences: on the primary metric.
        progress: of the sweep.
    """
    findings = Findings()
    for one in differences:
        kind = _kind(one, progress)
        findings.by_kind.setdefault(kind, []).append(one)
        if kind == "waiting":
            findings.more_seeds.setdefault(num_seeds_more(one, one.family, progress) or 0, []).append(one)
    return findings


def _kind(comparison: Comparison, progress: SweepProgress) -> Kind:
    if not comparison.n:
        return "undefined"
    if comparison.pairing == "other clips":
        return "other clips"
    if comparison.controlled is False:
        return "uncontrolled"
    is_beyond_chance = comparison.p_holm is not None and comparison.p_holm < LEVEL and comparison.better != "none"
    if is_beyond_chance and _num_collapsed_better(comparison):
        return "collapsed"
    if is_beyond_chance and not _includes_zero(comparison):
        return "decided"
    if is_within_stated(comparison):
        return "equal"
    if is_beyond_chance:
        return "could turn"
    return _kind_undecided(comparison, progress)


def _kind_undecided(comparison: Comparison, progress: SweepProgress) -> Kind:
    if not any(comparison.values):
        return "same values"
    if comparison.is_over_clips:
        return "no predictions" if comparison.p_clips is None else "over clips"
    return "uncertain" if num_seeds_more(comparison, comparison.family, progress) is None else "waiting"


def _num_collapsed_better(comparison: Comparison) -> int:
    return comparison.num_collapsed_label if comparison.better == "label" else comparison.num_collapsed_against


def _includes_zero(comparison: Comparison) -> bool:
    low, high = comparison.interval_two_level or (1.0, 1.0)
    return low <= 0 <= high


def is_within_stated(comparison: Comparison) -> bool:
    """Return whether the whole interval of a difference lies within the smallest difference that matters."""
    if comparison.stated_difference is None or comparison.widest is None or comparison.num_collapsed:
        return False
    low, high = comparison.widest
    if comparison.n == 1 and comparison.pairing == "seeds":  # what other seeds would give is not known
        return False
    return -comparison.stated_difference < low and high < comparison.stated_difference


def num_seeds_more(one: Comparison, family: int, progress: SweepProgress) -> int | None:
    """Return how many further seeds decide a comparison with 80 % power, if difference and spread are as observed.

    Args:
        one: a comparison that is not decided yet.
        family: number of tests that are corrected together.
        progress: of the sweep.

    Returns:
        A number of seeds: at least 1 once all trials have ended, before that possibly 0; None if it is above 200 or
        the observed difference is 0.
    """
    needed = one.num_seeds_needed if one.std is not None else num_seeds_least(LEVEL, family)
    if not one.mean or needed is None:
        return None
    more = max(0, needed - progress.num_seeds) if progress.is_open else max(1, needed - one.n)
    return more if more <= NUM_SEEDS_MORE_MAX else None
