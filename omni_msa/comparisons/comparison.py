"""Pairs of cells: differences by seed and by clip, and what can be said about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from omni_msa.aggregate import CellTrials, Seed
from omni_msa.comparisons.tested import Resampler, common_seeds
from omni_msa.comparisons.twins import Twins, twins_of
from omni_msa.metrics import METRICS
from omni_msa.statistics.intervals import moments, two_level_interval
from omni_msa.statistics.multiplicity import holm
from omni_msa.statistics.paired import (
    clip_differences,
    effect_size,
    improvement,
    paired_clip_p,
    sign_flip_floor,
    sign_flip_p,
)
from omni_msa.statistics.power import num_seeds_least, num_seeds_needed, std_upper_limit

LEVEL = 0.05
NUM_PAIRS_MIN = num_seeds_least(LEVEL)
"""With fewer pairs the exact sign-flip test cannot reject at 0.05 (2 / 2^5 is 0.0625)."""
Array = NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """One cell minus another on one metric, paired by seed and by clip. What n does not allow is None.

    Args:
        label: the cell; `against`: the label of the cell subtracted ("" if the sweep has none).
        metric: what is compared.
        seeds: of the pairs used; `values`: their differences; `n`: their number.
        num_collapsed: pairs left out because a value is undefined.
        mean, std: of the differences (ddof 1).
        interval: 95 % Student-t interval of the mean over seeds.
        interval_two_level: 95 % interval over seeds and clips.
        interval_clips: 95 % interval over clips, where each side is one trial.
        p: two-sided exact sign-flip p-value over seeds; None where neither cell is random.
        p_floor: the smallest p that so many pairs can give.
        p_holm: p (or p_clips, where neither cell is random) corrected for all comparisons of its family.
        p_clips: two-sided sign-flip p-value over clips, the seeds as they are.
        improvement_seeds: share of the pairs in which `label` is better; a tie counts half.
        improvement_clips: share of (seed, clip) in which the error of `label` is smaller; a tie counts half.
        effect_size: mean over standard deviation of the differences, Hedges-corrected.
        mcnemar: metric to p-value, combined over seed pairs.
        williams_p: for the correlations, combined over seed pairs.
        num_seeds_needed: for 80 % power at the observed difference and spread, after correction.
        num_seeds_needed_pessimistic: the same, with the spread at its upper 80 % limit.
        num_seeds_needed_stated: the same, for the difference that the sweep says would matter.
        stated_difference: that difference.
        better: which is better by the mean.
        controlled: whether nothing but the sweep's axes differs, as far as is known.
        note: what the reader must know, "" if nothing.
    """

    label: str
    against: str
    metric: str
    seeds: list[Seed] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    n: int = 0
    num_collapsed: int = 0
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
        return self.n > 0 and self.p is None


def pairs_of(cells: Sequence[CellTrials], against: Mapping[str, Any]) -> list[tuple[CellTrials, CellTrials | None]]:
    """Return every cell with the one it is compared with; the cells compared with are left out.

    Args:
        cells: of the sweep, in table order.
        against: axis values of the cell compared with; axes it does not name are those of each cell.

    Returns:
        None in place of a cell that the sweep does not have.
    """
    found = []
    for trials in cells:
        wanted = {**trials.cell.axes, **against}
        other = next((each for each in cells if each.cell.axes == wanted), None)
        if other is not trials:
            found.append((trials, other))
    return found


def compare(
    pairs: Sequence[tuple[CellTrials, CellTrials | None]],
    metrics: Sequence[str],
    resampler: Resampler,
    smallest_difference: float | None = None,
) -> list[Comparison]:
    """Compare pairs of cells on some metrics: one family of tests.

    Args:
        pairs: as `pairs_of` returns them.
        metrics: names; the first metric of all pairs comes first.
        resampler: of the clips.
        smallest_difference: that would matter, on every metric; None if nobody said.

    Returns:
        One comparison a pair and metric.
    """
    twins = [twins_of(cell, other) if other else None for cell, other in pairs]
    found: list[Comparison] = []
    by_clip: list[tuple[str, Array] | None] = []
    family = len(pairs) * len(metrics)
    for metric in metrics:
        for (cell, other), both in zip(pairs, twins, strict=True):
            one = _compare(cell, other, metric, both)
            found.append(_with_power(one, family, smallest_difference))
            by_clip.append(_by_clip(one, both))
    found = _with_clip_intervals(found, pairs, resampler)
    found = _with_clip_tests(found, by_clip, resampler)
    return _with_holm(found)


def _compare(cell: CellTrials, other: CellTrials | None, metric: str, twins: Twins | None) -> Comparison:
    if other is None:
        return Comparison(cell.label, "", metric, note="the sweep has no such cell to compare with")
    seeds = common_seeds(cell.seeds, other.seeds)
    both = [(seed, cell.at(seed, metric), other.at(seed, metric)) for seed in seeds]
    whole = {seed: a - b for seed, a, b in both if a is not None and b is not None}
    values = list(whole.values())
    mean, std, interval = moments(values)
    is_random = not (cell.cell.deterministic and other.cell.deterministic)
    better = METRICS[metric].better
    level = twins.influences(metric, list(whole)) if twins and whole else None
    two_levels = two_level_interval(values, level) if level is not None else None
    comparison = Comparison(
        label=cell.label,
        against=other.label,
        metric=metric,
        seeds=list(whole),
        values=values,
        n=len(values),
        num_collapsed=len(both) - len(whole),
        mean=mean,
        std=std,
        interval=interval,
        interval_two_level=two_levels,
        p=sign_flip_p(values) if values and is_random else None,
        p_floor=sign_flip_floor(len(values)) if values and is_random else None,
        improvement_seeds=improvement(values, better) if values and better != "none" else None,
        improvement_clips=twins.improvement if twins else None,
        effect_size=effect_size(values),
        better=_better(mean, better),
    )
    mcnemar, williams = (twins.mcnemar, twins.williams_p) if twins else ({}, None)
    return replace(comparison, mcnemar=mcnemar, williams_p=williams, note=_note(comparison, is_random, twins))


def _better(mean: float | None, better: str) -> Literal["label", "against", "none"]:
    if not mean or better == "none":
        return "none"
    return "label" if (mean < 0) == (better == "lower") else "against"


def _note(one: Comparison, is_random: bool, twins: Twins | None) -> str:
    parts = []
    if is_random and one.n < NUM_PAIRS_MIN:
        parts.append(f"not testable at {LEVEL} with n = {one.n} < {NUM_PAIRS_MIN} pairs")
    if not is_random:
        parts.append("neither cell is random: tested over clips alone")
    if one.n and twins is None:
        parts.append("not paired by clip: their predictions are missing or of different clips")
    return "; ".join(parts)


def _with_power(one: Comparison, family: int, stated: float | None) -> Comparison:
    """Add how many seeds it takes, which has a meaning only where seeds differ."""
    if one.std is None or one.p is None:
        return replace(one, stated_difference=stated)
    upper = std_upper_limit(one.std, one.n)
    return replace(
        one,
        num_seeds_needed=num_seeds_needed(one.mean, one.std, num_comparisons=family),
        num_seeds_needed_pessimistic=num_seeds_needed(one.mean, upper, num_comparisons=family),
        num_seeds_needed_stated=num_seeds_needed(stated, one.std, num_comparisons=family),
        stated_difference=stated,
    )


def _by_clip(one: Comparison, twins: Twins | None) -> tuple[str, Array] | None:
    """Return the clips' name and what each says about the difference, float (N,)."""
    influences = twins.influences(one.metric, one.seeds) if twins and one.n else None
    if twins is None or influences is None or not np.isfinite(influences).all():
        return None
    return twins.clips, clip_differences(one.values, influences)


def _with_clip_tests(
    found: list[Comparison], by_clip: Sequence[tuple[str, Array] | None], resampler: Resampler
) -> list[Comparison]:
    """Add the tests over clips; comparisons on the same clips share their sign patterns."""
    tested = list(found)
    for clips in dict.fromkeys(each[0] for each in by_clip if each is not None):
        places = [place for place, each in enumerate(by_clip) if each is not None and each[0] == clips]
        columns = np.stack([each[1] for each in by_clip if each is not None and each[0] == clips], axis=1)  # (N, K)
        p_values = paired_clip_p(columns, resampler.generator(f"signs {clips}"))
        for place, p in zip(places, p_values, strict=True):
            tested[place] = replace(tested[place], p_clips=float(p))
    return tested


def _with_clip_intervals(
    found: list[Comparison], pairs: Sequence[tuple[CellTrials, CellTrials | None]], resampler: Resampler
) -> list[Comparison]:
    """Add intervals over clips where each side is one trial; those over seeds are not to be had there."""
    known: dict[tuple[str, str], dict[str, Interval]] = {}
    for cell, other in pairs:
        sides = [each.tested for each in (cell, other) if each and each.tested and len(each.tested.seeds) == 1]
        if other is not None and len(sides) == 2 and sides[0].clips == sides[1].clips:
            known[cell.label, other.label] = resampler.intervals(sides[0], sides[1])
    return [
        replace(one, interval_clips=known.get((one.label, one.against), {}).get(one.metric)) if one.n == 1 else one
        for one in found
    ]


def _with_holm(found: list[Comparison]) -> list[Comparison]:
    """Correct for all tests of the family; one that could not be done counts all the same."""
    adjusted = holm([one.p_clips if one.is_over_clips else one.p for one in found])
    return [replace(one, p_holm=p) for one, p in zip(found, adjusted, strict=True)]
