"""Compares pairs of cells: differences by seed and by clip, and their tests."""

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
    """Return every cell with the cell that it is compared with, without those reference cells themselves.

    Args:
        cells: of the sweep, in table order.
        against: axis values of the reference cell; on axes not named here it has the values of the cell.

    Returns:
        Pairs of a cell and its reference, which is None if the sweep does not have it.
    """
    pairs = []
    for trials in cells:
        wanted = {**trials.cell.axes, **against}
        other = next((each for each in cells if each.cell.axes == wanted), None)
        if other is not trials:
            pairs.append((trials, other))
    return pairs


def compare(
    pairs: Sequence[tuple[CellTrials, CellTrials | None]],
    metrics: Sequence[str],
    resampler: Resampler,
    smallest_difference: float | None = None,
) -> list[Comparison]:
    """Compare pairs of cells on some metrics, as one family of tests.

    Cells may share their trials, as the constant readout does over modalities: tests of the same trials count once, and
    a cell is not tested against its own trials.

    Args:
        pairs: as `pairs_of` returns them.
        metrics: their names.
        resampler: resamples the clips.
        smallest_difference: the smallest one that matters, on every metric in its stored unit; None if not stated.

    Returns:
        One comparison for each metric and pair: all pairs on the first metric, then on the next.
    """
    paired = [twins_of(cell, other) if other and not _is_same(cell, other) else None for cell, other in pairs] * len(
        metrics
    )
    tests = _tests(pairs, len(metrics))
    family = len(set(tests) - {None})
    comparisons = []
    for (metric, (cell, other)), scores in zip(itertools.product(metrics, pairs), paired, strict=True):
        result = replace(_compare(cell, other, metric, scores), family=family, stated_difference=smallest_difference)
        comparisons.append(_with_power(replace(result, note=note_of(result, scores is not None))))
    comparisons = _with_clip_intervals(comparisons, paired, resampler)
    by_clip = [_by_clip(result, scores) for result, scores in zip(comparisons, paired, strict=True)]
    return _with_holm(_with_clip_tests(comparisons, by_clip, resampler), tests)


def _is_same(cell: CellTrials, other: CellTrials) -> bool:
    return bool(cell.trial_ids) and cell.trial_ids == other.trial_ids


def _tests(pairs: Sequence[tuple[CellTrials, CellTrials | None]], num_metrics: int) -> list[int | None]:
    """Return for each metric and pair the index of the first one with the same trials, None if its sides share them."""
    first: dict[Any, int] = {}
    firsts: list[int | None] = []
    for index, (cell, other) in enumerate(pairs):
        known = other is not None and cell.trial_ids and other.trial_ids
        key = (cell.trial_ids, other.trial_ids) if other is not None and known else index
        same = other is not None and _is_same(cell, other)
        firsts.append(None if same else first.setdefault(key, index))
    return [None if index is None else metric * len(pairs) + index for metric in range(num_metrics) for index in firsts]


def _pairing(cell: CellTrials, other: CellTrials) -> Pairing:
    if _is_same(cell, other):
        return "same trials"
    if on_other_clips(cell.tested, other.tested):
        return "other clips"
    return "clips" if cell.cell.deterministic and other.cell.deterministic else "seeds"


def _compare(cell: CellTrials, other: CellTrials | None, metric: str, scores: PairedScores | None) -> Comparison:
    if other is None:
        return Comparison(cell.name, "", metric, pairing="none")
    seeds = common_seeds(cell.seeds, other.seeds)
    pairs = [(seed, cell.at(seed, metric), other.at(seed, metric)) for seed in seeds]
    defined = {seed: a - b for seed, a, b in pairs if a is not None and b is not None}
    values = list(defined.values())
    mean, std, interval = moments(values)
    pairing = _pairing(cell, other)
    is_tested = bool(values) and pairing == "seeds"
    better = METRICS[metric].better
    level = scores.influences(metric, list(defined)) if scores and defined else None
    two_levels = two_level_interval(values, level) if level is not None else None
    return Comparison(
        name=cell.name,
        against=other.name,
        metric=metric,
        seeds=list(defined),
        values=values,
        n=len(values),
        num_collapsed=len(pairs) - len(defined),
        num_collapsed_label=sum(a is None for _, a, _ in pairs),
        num_collapsed_against=sum(b is None for _, _, b in pairs),
        pairing=pairing,
        mean=mean,
        std=std,
        interval=interval,
        interval_two_level=two_levels,
        p=sign_flip_p(values) if is_tested else None,
        p_floor=p_floor(len(values)) if is_tested else None,
        improvement_seeds=improvement(values, better) if values and better != "none" else None,
        improvement_clips=scores.improvement if scores else None,
        effect_size=effect_size(values),
        mcnemar=scores.mcnemar if scores else {},
        williams_p=scores.williams_p if scores else None,
        better=_better(mean, better),
    )


def _better(mean: float | None, better: str) -> Literal["label", "against", "none"]:
    if not mean or better == "none":
        return "none"
    return "label" if (mean < 0) == (better == "lower") else "against"


def _with_power(pair: Comparison) -> Comparison:
    """Add the numbers of seeds needed, which have a meaning only where seeds are tested."""
    if pair.std is None or pair.p is None:
        return pair
    upper = std_upper_limit(pair.std, pair.n)
    return replace(
        pair,
        num_seeds_needed=num_seeds_needed(pair.mean, pair.std, num_comparisons=pair.family),
        num_seeds_needed_pessimistic=num_seeds_needed(pair.mean, upper, num_comparisons=pair.family),
        num_seeds_needed_stated=num_seeds_needed(pair.stated_difference, pair.std, num_comparisons=pair.family),
    )


def _by_clip(comparison: Comparison, scores: PairedScores | None) -> tuple[str, Array] | None:
    """Return the digest of the clips and the contribution of each clip to the difference, float (N,)."""
    influences = scores.influences(comparison.metric, comparison.seeds) if scores and comparison.n else None
    if scores is None or influences is None or not np.isfinite(influences).all():
        return None
    return scores.clips, clip_differences(comparison.values, influences)


def _with_clip_tests(
    comparisons: list[Comparison], by_clip: Sequence[tuple[str, Array] | None], resampler: Resampler
) -> list[Comparison]:
    """Add the tests over clips; comparisons on the same clips share their sign patterns."""
    tested = list(comparisons)
    for clips in dict.fromkeys(each[0] for each in by_clip if each is not None):
        indices = [index for index, each in enumerate(by_clip) if each is not None and each[0] == clips]
        columns = np.stack([each[1] for each in by_clip if each is not None and each[0] == clips], axis=1)  # (N, K)
        p_values = paired_clip_p(columns, resampler.generator(f"signs {clips}"))
        for index, p in zip(indices, p_values, strict=True):
            tested[index] = replace(tested[index], p_clips=float(p))
    return tested


def _with_clip_intervals(
    comparisons: list[Comparison], paired: Sequence[PairedScores | None], resampler: Resampler
) -> list[Comparison]:
    """Add intervals over clips where there is one pair of trials, which allows no interval over seeds."""
    known: dict[tuple[str, str, Seed], dict[str, Interval]] = {}
    tested = list(comparisons)
    for index, (comparison, scores) in enumerate(zip(comparisons, paired, strict=True)):
        sides = scores.at(comparison.seeds[0]) if scores is not None and comparison.n == 1 else None
        if sides is not None:
            key = (comparison.name, comparison.against, comparison.seeds[0])
            known[key] = known.get(key) or resampler.intervals(*sides)
            tested[index] = replace(comparison, interval_clips=known[key].get(comparison.metric))
    return tested


def _with_holm(results: list[Comparison], tests: Sequence[int | None]) -> list[Comparison]:
    """Add the p-values corrected for all tests of the family, including those that could not be done."""
    own = [index for index, test in enumerate(tests) if test == index]
    p_values = [results[index].p_clips if results[index].is_over_clips else results[index].p for index in own]
    adjusted: dict[int | None, float | None] = dict(zip(own, holm(p_values), strict=True))
    return [replace(one, p_holm=adjusted.get(test)) for one, test in zip(results, tests, strict=True)]
