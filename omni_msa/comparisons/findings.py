"""What can be said of each comparison of a sweep: decided, in need of more seeds, or out of their reach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from omni_msa.comparisons.comparison import LEVEL, Comparison
from omni_msa.statistics.power import num_seeds_least

NUM_SEEDS_MORE_MAX = 200
"""A difference that takes more seeds than this is called too small to find."""


@dataclass(frozen=True)
class Progress:
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
        decided: one of the two cells is ahead.
        more_seeds: those that more seeds can decide, by how many.
        too_small: those that take too many seeds.
        over_clips: not decided over the clips, and without seeds.
        uncontrolled: more than the sweep's axes differs.
        undefined: no pair of trials has the metric.
    """

    decided: list[Comparison] = field(default_factory=list)
    more_seeds: dict[int, list[Comparison]] = field(default_factory=dict)
    too_small: list[Comparison] = field(default_factory=list)
    over_clips: list[Comparison] = field(default_factory=list)
    uncontrolled: list[Comparison] = field(default_factory=list)
    undefined: list[Comparison] = field(default_factory=list)

    @property
    def waiting(self) -> list[Comparison]:
        """Those that more seeds can decide, in the order of the table."""
        return [one for more in sorted(self.more_seeds) for one in self.more_seeds[more]]


def sort(differences: Sequence[Comparison], progress: Progress) -> Findings:
    """Sort comparisons by what can be said of them.

    A comparison is decided if its p-value, corrected for all comparisons of the sweep, is below 0.05, and nothing but
    the sweep's axes is known to differ.

    Args:
        differences: on the primary metric; their family of tests.
        progress: of the sweep.
    """
    found = Findings()
    for one in differences:
        if not one.n:
            found.undefined.append(one)
        elif one.controlled is False:
            found.uncontrolled.append(one)
        elif one.p_holm is not None and one.p_holm < LEVEL and one.better != "none":
            found.decided.append(one)
        elif one.is_over_clips:
            found.over_clips.append(one)
        elif (more := num_seeds_more(one, len(differences), progress)) is None:
            found.too_small.append(one)
        else:
            found.more_seeds.setdefault(more, []).append(one)
    return found


def num_seeds_more(one: Comparison, family: int, progress: Progress) -> int | None:
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
