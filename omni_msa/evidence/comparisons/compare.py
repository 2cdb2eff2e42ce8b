"""Comparing pairs of cells: differences by seed and by clip, and their tests."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from omni_msa.evidence.cell_trials import CellTrials, Seed
from omni_msa.evidence.comparisons.clip_scores import Resampler, common_seeds
from omni_msa.evidence.comparisons.comparison import Comparison, Pairing
from omni_msa.evidence.comparisons.pair_note import note_of
from omni_msa.evidence.comparisons.paired_cells import PairedScores, on_other_clips, twins_of
from omni_msa.stats.intervals import Interval, moments, two_level_interval
from omni_msa.stats.metrics import METRICS
from omni_msa.stats.multiplicity import holm
from omni_msa.stats.paired import clip_differences, effect_size, improvement, p_floor, paired_clip_p, sign_flip_p
from omni_msa.stats.power import num_seeds_needed, std_upper_limit

Array = NDArray[np.float64]


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

    Cells may share their trials, as those of a constant do over the modalities: what is the same test counts once, and
    a cell is not tested against its own trials.

    Args:
        pairs: as `pairs_of` returns them.
        metrics: names; the first metric of all pairs comes first.
        resampler: of the clips.
        smallest_difference: that would matter, on every metric; None if nobody said.

    Returns:
        One comparison a pair and metric.
    """
    twins = [twins_of(cell, other) if other and not _is_same(cell, other) else None for cell, other in pairs] * len(
        metrics
    )
    tests = _tests(pairs, len(metrics))
    family = len(set(tests) - {None})
    found = []
    for (metric, (cell, other)), both in zip(itertools.product(metrics, pairs), twins, strict=True):
        one = replace(_compare(cell, other, metric, both), family=family, stated_difference=smallest_difference)
        found.append(_with_power(replace(one, note=note_of(one, both is not None))))
    found = _with_clip_intervals(found, twins, resampler)
    by_clip = [_by_clip(one, both) for one, both in zip(found, twins, strict=True)]
    return _with_holm(_with_clip_tests(found, by_clip, resampler), tests)


def _is_same(cell: CellTrials, other: CellTrials) -> bool:
    return bool(cell.trial_ids) and cell.trial_ids == other.trial_ids


def _tests(pairs: Sequence[tuple[CellTrials, CellTrials | None]], num_metrics: int) -> list[int | None]:
    """Return for each pair and metric the place of the first one with the same trials, None where none is needed."""
    first: dict[Any, int] = {}
    places: list[int | None] = []
    for place, (cell, other) in enumerate(pairs):
        known = other is not None and cell.trial_ids and other.trial_ids
        key = (cell.trial_ids, other.trial_ids) if other is not None and known else place
        same = other is not None and _is_same(cell, other)
        places.append(None if same else first.setdefault(key, place))
    return [None if place is None else metric * len(pairs) + place for metric in range(num_metrics) for place in places]


def _pairing(cell: CellTrials, other: CellTrials) -> Pairing:
    if _is_same(cell, other):
        return "same trials"
    if on_other_clips(cell.tested, other.tested):
        return "other clips"
    return "clips" if cell.cell.deterministic and other.cell.deterministic else "seeds"


def _compare(cell: CellTrials, other: CellTrials | None, metric: str, twins: PairedScores | None) -> Comparison:
    if other is None:
        return Comparison(cell.label, "", metric, pairing="none")
    seeds = common_seeds(cell.seeds, other.seeds)
    both = [(seed, cell.at(seed, metric), other.at(seed, metric)) for seed in seeds]
    whole = {seed: a - b for seed, a, b in both if a is not None and b is not None}
    values = list(whole.values())
    mean, std, interval = moments(values)
    pairing = _pairing(cell, other)
    is_tested = bool(values) and pairing == "seeds"
    better = METRICS[metric].better
    level = twins.influences(metric, list(whole)) if twins and whole else None
    two_levels = two_level_interval(values, level) if level is not None else None
    return Comparison(
        label=cell.label,
        against=other.label,
        metric=metric,
        seeds=list(whole),
        values=values,
        n=len(values),
        num_collapsed=len(both) - len(whole),
        num_collapsed_label=sum(a is None for _, a, _ in both),
        num_collapsed_against=sum(b is None for _, _, b in both),
        pairing=pairing,
        mean=mean,
        std=std,
        interval=interval,
        interval_two_level=two_levels,
        p=sign_flip_p(values) if is_tested else None,
        p_floor=p_floor(len(values)) if is_tested else None,
        improvement_seeds=improvement(values, better) if values and better != "none" else None,
        improvement_clips=twins.improvement if twins else None,
        effect_size=effect_size(values),
        mcnemar=twins.mcnemar if twins else {},
        williams_p=twins.williams_p if twins else None,
        better=_better(mean, better),
    )


def _better(mean: float | None, better: str) -> Literal["label", "against", "none"]:
    if not mean or better == "none":
        return "none"
    return "label" if (mean < 0) == (better == "lower") else "against"


def _with_power(one: Comparison) -> Comparison:
    """Add how many seeds it takes, which has a meaning only where seeds differ."""
    if one.std is None or one.p is None:
        return one
    upper = std_upper_limit(one.std, one.n)
    return replace(
        one,
        num_seeds_needed=num_seeds_needed(one.mean, one.std, num_comparisons=one.family),
        num_seeds_needed_pessimistic=num_seeds_needed(one.mean, upper, num_comparisons=one.family),
        num_seeds_needed_stated=num_seeds_needed(one.stated_difference, one.std, num_comparisons=one.family),
    )


def _by_clip(one: Comparison, twins: PairedScores | None) -> tuple[str, Array] | None:
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
    found: list[Comparison], twins: Sequence[PairedScores | None], resampler: Resampler
) -> list[Comparison]:
    """Add intervals over clips where one pair of trials counts; those over seeds are not to be had there."""
    known: dict[tuple[str, str, Seed], dict[str, Interval]] = {}
    tested = list(found)
    for place, (one, both) in enumerate(zip(found, twins, strict=True)):
        sides = both.at(one.seeds[0]) if both is not None and one.n == 1 else None
        if sides is not None:
            key = (one.label, one.against, one.seeds[0])
            known[key] = known.get(key) or resampler.intervals(*sides)
            tested[place] = replace(one, interval_clips=known[key].get(one.metric))
    return tested


def _with_holm(found: list[Comparison], tests: Sequence[int | None]) -> list[Comparison]:
    """Correct for all tests of the family; one that could not be done counts all the same."""
    own = [place for place, test in enumerate(tests) if test == place]
    p_values = [found[place].p_clips if found[place].is_over_clips else found[place].p for place in own]
    adjusted: dict[int | None, float | None] = dict(zip(own, holm(p_values), strict=True))
    return [replace(one, p_holm=adjusted.get(test)) for one, test in zip(found, tests, strict=True)]
