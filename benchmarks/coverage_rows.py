"""Coverage of every interval and rejection rate of every test in simulations with known truth, one function per row."""

from collections.abc import Callable, Sequence

import numpy as np
import other_methods
from coverage_worlds import METRICS, Rare, World

from omni_msa.stats import intervals
from omni_msa.stats.correlated import mcnemar_p, williams_p
from omni_msa.stats.multiplicity import combined_p, holm
from omni_msa.stats.paired import clip_differences, paired_clip_p, sign_flip_p
from omni_msa.stats.resampling import clip_weights, influences, jackknife_metrics, weighted_metrics

SEED_VALUES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda generator, n: generator.normal(size=n),
    "skewed": lambda generator, n: generator.gamma(4, 0.5, n) - 2,  # skewness 1
}
Hits = dict[tuple, float]


def unlock() -> None:
    """Allow intervals for any number of seeds and clips, in order to measure their coverage."""
    for known in (intervals.MIN_SEEDS, other_methods.MIN_SEEDS):
        known.update(dict.fromkeys(known, 2))
    intervals.MIN_CLIPS = 2


def covers(interval: intervals.Interval | None, truth: float) -> bool | None:
    """Return whether an interval contains the true value, up to rounding; None if there is no interval."""
    return None if interval is None else interval[0] - 1e-12 <= truth <= interval[1] + 1e-12


def coverage_of(found: Sequence[bool | None]) -> float:
    """Return the share of intervals that contain the true value; 0 if there are no intervals."""
    there = [each for each in found if each is not None]
    return float(np.mean(there)) if there else 0.0


def two_level(world: World, num_clips: int, num_repetitions: int, num_seeds: Sequence[int]) -> Hits:
    """Return the coverage of the two-level interval: (what, number of seeds, metric) to a share.

    Args:
        world: what is drawn from; num_clips: on so many clips.
        num_repetitions: how often; num_seeds: with so many seeds.
    """
    generator, truth, found = np.random.default_rng(num_clips), world.truth(), {}
    for _ in range(num_repetitions):
        most = max(num_seeds)
        labels, scores = world.draw(num_clips, most, generator)
        flat = scores.reshape(2 * most, num_clips)
        values, without = weighted_metrics(labels, flat, np.ones((1, num_clips))), jackknife_metrics(labels, flat)
        for name in METRICS:
            (a, b), effects = values[name][0].reshape(2, most), influences(without[name])
            for n in num_seeds:
                first, second = effects[:, :n], effects[:, most : most + n]
                cell = intervals.two_level_interval(a[:n], first, correlation=name == "corr")
                difference = intervals.two_level_interval(a[:n] - b[:n], first - second)
                for what, interval, true in (("cell", cell, truth[name]), ("difference", difference, 0.0)):
                    found.setdefault((what, n, name), []).append(covers(interval, true))
    return {key: coverage_of(each) for key, each in found.items()}


def shares_of_variance(num_seeds: int, num_repetitions: int, num_clips: int = 60) -> tuple[float, float]:
    """Return lowest and highest coverage of the two-level interval for any shares of variance over seeds and clips.

    Args:
        num_seeds: so many.
        num_repetitions: for each of 35 splits of the variance into the three, none of them into seeds alone.
        num_clips: so many.
    """
    generator, coverage = np.random.default_rng(num_seeds), []
    for a in range(7):
        for b in range(8 - a):
            seeds, clips, both = np.array([a, b, 7 - a - b]) / 7
            found = []
            for _ in range(num_repetitions):
                of_seeds = generator.normal(size=num_seeds) * np.sqrt(seeds * num_seeds)
                of_both = generator.normal(size=(num_clips, num_seeds)) * np.sqrt(both * num_seeds * num_clips)
                losses = generator.normal(size=(num_clips, 1)) * np.sqrt(clips * num_clips) + of_seeds + of_both
                values = losses.mean(0)
                found.append(covers(intervals.two_level_interval(values, losses - values), 0))
            coverage.append(coverage_of(found))
    return min(coverage), max(coverage)


def over_clips(world: World, num_clips: int, num_repetitions: int, num_resamples: int = 1000) -> Hits:
    """Return the coverage of the two intervals over clips, of one trial and of the difference of two."""
    generator, truth, found = np.random.default_rng(num_clips), world.truth(), {}
    for repetition in range(num_repetitions):
        if repetition % 10 == 0:  # the drawing takes longest
            weights = np.vstack([np.ones(num_clips), clip_weights(num_clips, num_resamples, generator)])
        labels, scores = world.draw(num_clips, 1, generator)
        drawn, without = weighted_metrics(labels, scores[:, 0], weights), jackknife_metrics(labels, scores[:, 0])
        for name in METRICS:
            values, jackknife = drawn[name], without[name]
            pairs = (
                ("cell", values[:, 0], jackknife[:, 0], truth[name]),
                ("difference", *(np.diff(a)[:, 0] for a in (values, jackknife)), 0.0),
            )
            for what, each, left, true in pairs:
                bca = intervals.bca_interval(each[1:], each[0], left)
                plain = intervals.clip_interval(each[0], influences(left), what == "cell" and name == "corr")
                for method, interval in (("BCa bootstrap", bca), ("jackknife", plain)):
                    found.setdefault((method, what, name), []).append(covers(interval, true))
    return {key: coverage_of(each) for key, each in found.items()}


def rare_clips(world: Rare, num_clips: int, num_repetitions: int, num_resamples: int = 1000) -> dict[str, list[float]]:
    """Return, for three intervals of a share: how many exist, how many of these cover, and how many of all miss.

    Args:
        world: what is drawn from; num_clips: on so many clips.
        num_repetitions: how often; num_resamples: for the BCa bootstrap.
    """
    generator, found = np.random.default_rng(num_clips), {}
    for repetition in range(num_repetitions):
        if repetition % 10 == 0:
            weights = clip_weights(num_clips, num_resamples, generator)
        hits = world.draw(num_clips, 3, generator)
        values, one = hits.mean(0), hits[:, 0]
        without = (one.sum() - one) / (num_clips - 1)
        made = {
            "BCa bootstrap": intervals.bca_interval(weights @ one / num_clips, values[0], without),
            "jackknife": intervals.clip_interval(values[0], one - values[0]),
            "two-level, 3 seeds": intervals.two_level_interval(values, hits - values),
        }
        for method, interval in made.items():
            found.setdefault(method, []).append(covers(interval, world.truth))
    return {
        method: [float(np.mean([one is not None for one in each])), coverage_of(each), each.count(False) / len(each)]
        for method, each in found.items()
    }


def bootstrap_of_both(world: World, num_clips: int, num_repetitions: int, num_seeds: int) -> dict[str, float]:
    """Return the coverage of the bootstrap of seeds and clips, for a cell, by metric."""
    generator, truth, hits = np.random.default_rng(num_clips), world.truth(), {name: [] for name in METRICS}
    for _ in range(num_repetitions):
        labels, scores = world.draw(num_clips, num_seeds, generator)
        drawn = weighted_metrics(labels, scores[0], clip_weights(num_clips, 1000, generator))
        for name in METRICS:
            hits[name].append(covers(other_methods.pigeonhole_interval(drawn[name], generator), truth[name]))
    return {name: coverage_of(each) for name, each in hits.items()}


def over_seeds(kind: str, num_seeds: int, num_repetitions: int) -> tuple[float, float]:
    """Return the coverage of Student's interval and of the BCa interval of a mean over seeds."""
    generator, t, bca = np.random.default_rng(num_seeds), [], []
    for _ in range(num_repetitions):
        values = SEED_VALUES[kind](generator, num_seeds)
        t.append(covers(intervals.t_interval(values), 0))
        bca.append(covers(other_methods.bca_seeds_interval(values, generator, 1000), 0))
    return coverage_of(t), coverage_of(bca)


def seed_tests(kind: str, num_seeds: int, num_repetitions: int) -> tuple[float, float]:
    """Return the rejection rate of the sign-flip test, and that of any of 10 comparisons after Holm."""
    generator, one, any_of_ten = np.random.default_rng(num_seeds), 0, 0
    for _ in range(num_repetitions):
        p_values = [sign_flip_p(SEED_VALUES[kind](generator, num_seeds), generator, 999) for _ in range(10)]
        one += p_values[0] <= 0.05
        any_of_ten += min(p for p in holm(p_values) if p is not None) <= 0.05
    return one / num_repetitions, any_of_ten / num_repetitions


def clip_tests(world: World, num_clips: int, num_repetitions: int) -> Hits:
    """Return the rejection rates of all tests over clips for two cells that are equally good, by test and metric."""
    generator, rejected = np.random.default_rng(num_clips), {}
    for _ in range(num_repetitions):
        labels, scores = world.draw(num_clips, 3, generator)
        for name, p in clip_p_values(labels, scores, generator).items():
            rejected[name] = rejected.get(name, 0) + (p is not None and p <= 0.05) / num_repetitions
    return rejected


def clip_p_values(labels: np.ndarray, scores: np.ndarray, generator: np.random.Generator) -> dict[str, float | None]:
    """Return the p-values of all tests over clips for two cells of three seeds each, scores (2, 3, N)."""
    flat = scores.reshape(6, -1)
    values, without = weighted_metrics(labels, flat, np.ones((1, len(labels)))), jackknife_metrics(labels, flat)
    clips = []
    for name in METRICS:
        effects = influences(without[name])
        clips.append(clip_differences(values[name][0, :3] - values[name][0, 3:], effects[:, :3] - effects[:, 3:]))
    found = dict(zip(METRICS, paired_clip_p(np.stack(clips, 1), generator, 999), strict=True))
    right = np.round(np.clip(flat, -3, 3)) == np.round(np.clip(labels, -3, 3))
    mcnemar = [mcnemar_p(right[seed], right[3 + seed]) for seed in range(3)]
    r = np.corrcoef(np.vstack([labels, flat]))
    correlations = [(r[0, 1 + seed], r[0, 4 + seed], r[1 + seed, 4 + seed], len(labels)) for seed in range(3)]
    williams = [williams_p(*each) for each in correlations]
    found |= {"McNemar": mcnemar[0], "McNemar, 3 seeds": combined_p(mcnemar), "Williams": williams[0]}
    return found | {"Williams, 3 seeds": combined_p(williams), "Steiger": other_methods.steiger_p(*correlations[0])}


def power_of_seeds(effect: float, num_seeds: int, num_repetitions: int, level: float = 0.05) -> float:
    """Return how often the sign-flip test at a level finds a difference given in standard deviations."""
    generator = np.random.default_rng(num_seeds)
    values = effect + generator.normal(size=(num_repetitions, num_seeds))
    return float(np.mean([sign_flip_p(each, generator, 999) <= level for each in values]))
