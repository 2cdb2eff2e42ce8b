"""Coverage of the intervals, and false positive rate of the tests, in simulations.

    python benchmarks/interval_coverage.py [--share 0.1] [--only rare_tables ...]

Simulation with known truth (benchmarks/coverage_worlds.py); `--share` of the repetitions. Prints Markdown: coverage in
%, which should be 93 to 97 (with few seeds the two-level interval may cover more), and rejections in % at the level of
5 %. In brackets stands what a report does not print: the functions return None there (`MIN_SEEDS`, `MIN_CLIPS` of
omni_msa/stats/intervals.py). Where an interval is left out because too few clips tell something (`MIN_TELLING`),
coverage is that of the others.
"""

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import coverage_rows as rows
import other_methods
from coverage_worlds import FIXED, METRICS, RARE, WORLDS

from omni_msa.stats import intervals
from omni_msa.stats.metrics import METRICS as DESCRIBED
from omni_msa.stats.power import num_seeds_needed, sign_flip_power, t_power

NUM_SEEDS = (2, 3, 4, 5, 10, 20)
NUM_CLIPS = (30, 60, 120, 686)
EFFECTS = (2.0, 1.5, 1.2, 1.0, 0.8, 0.5)
Later = Callable[..., Future[Any]]


def table(title: str, heads: Sequence[object], lines: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table."""
    print(f"\n### {title}\n\n| {' | '.join(map(str, heads))} |\n|{'---|' * len(heads)}")
    for line in lines:
        print(f"| {' | '.join(map(str, line))} |", flush=True)


def percent(shares: Sequence[float], printed: bool = True) -> str:
    """Return "94.1" or, of several, "94.1-95.9"; in brackets if reports do not print the interval there."""
    text = "-".join(f"{100 * share:.1f}" for share in sorted({min(shares), max(shares)}))
    return text if printed else f"({text})"


def two_level_tables(later: Later, share: float) -> Callable[[], None]:
    """Start the computations of both tables of the two-level interval; return a function that prints them."""
    runs = {
        (clips, world.name): later(rows.two_level, world, clips, int(3000 * share), NUM_SEEDS)
        for clips in NUM_CLIPS
        for world in WORLDS
    }
    grids = [later(rows.shares_of_variance, n, int(3000 * share)) for n in NUM_SEEDS]
    least = intervals.MIN_SEEDS["two_level"], intervals.MIN_CLIPS

    def cell(what: str, clips: int, n: int) -> str:
        shares = [run.result()[what, n, name] for (of, _), run in runs.items() if of == clips for name in METRICS]
        return percent(shares, n >= least[0] and clips >= least[1])

    def show() -> None:
        heads = ["interval of", "clips", *(f"n = {n}" for n in NUM_SEEDS)]
        keys = [(what, clips) for what in ("cell", "difference") for clips in NUM_CLIPS]
        table(
            "Two-level interval over n seeds and clips: least and most of five metrics in three worlds",
            heads,
            [(what, clips, *(cell(what, clips, n) for n in NUM_SEEDS)) for what, clips in keys],
        )
        print(f"\nMetrics: {', '.join(METRICS)}. Worlds: {'; '.join(world.name for world in WORLDS)}.")
        ranges = [percent(grid.result(), n >= least[0]) for n, grid in zip(NUM_SEEDS, grids, strict=True)]
        title = "The same, of a mean: least and most of 35 splits of the variance into seeds, clips and both together"
        table(title, heads[2:], [ranges])

    return show


def seed_tables(later: Later, share: float) -> Callable[[], None]:
    """Start the computations of the table of intervals over seeds; return a function that prints it."""
    sizes, kinds, least = (*NUM_SEEDS, 30), list(rows.SEED_VALUES), {**intervals.MIN_SEEDS, **other_methods.MIN_SEEDS}
    runs = {(kind, n): later(rows.over_seeds, kind, n, int(10_000 * share)) for kind in kinds for n in sizes}
    both = {
        n: [later(rows.bootstrap_of_both, world, 120, max(1, int(1000 * share)), n) for world in WORLDS]
        for n in (*NUM_SEEDS, 30)
    }

    def show() -> None:
        lines = []
        for place, (key, title) in enumerate((("t", "Student t over seeds"), ("bca", "BCa bootstrap over seeds"))):
            for kind in kinds:
                shown = [percent([runs[kind, n].result()[place]], n >= least[key]) for n in sizes]
                lines.append((title, f"{kind} seeds", *shown))
        shown = []
        for n in sizes:
            shares = [share for run in both[n] for share in run.result().values()]
            shown.append(percent(shares, n >= least["pigeonhole"]))
        lines.append(("bootstrap of seeds and clips", "five metrics, three worlds, 120 clips", *shown))
        table("Other intervals over n seeds", ["interval", "simulated", *(f"n = {n}" for n in sizes)], lines)

    return show


def clip_tables(later: Later, share: float) -> Callable[[], None]:
    """Start the computations of the tables over clips; return a function that prints them."""
    keys = [(world, clips) for world in FIXED for clips in NUM_CLIPS]
    covered = [later(rows.over_clips, *key, int(2000 * share)) for key in keys]
    rejected = [later(rows.clip_tests, *key, int(4000 * share)) for key in keys]
    least = intervals.MIN_CLIPS

    def show() -> None:
        heads = ["test", "metric", *(f"{world.name}, {clips} clips" for world, clips in keys)]
        lines = []
        for method, what, name in covered[0].result():
            shown = [
                percent([run.result()[method, what, name]], c >= least)
                for (_, c), run in zip(keys, covered, strict=True)
            ]
            lines.append((method, what, DESCRIBED[name].title, *shown))
        table("Intervals over clips, of one trial and of the difference of two", ["interval", "of", *heads[1:]], lines)
        lines = []
        for name in rejected[0].result():
            test = ("sign-flip over clips", DESCRIBED[name].title) if name in METRICS else (name, "")
            lines.append((*test, *(percent([run.result()[name]]) for run in rejected)))
        table("Tests over clips: rejections at 5 % where two cells are equally good", heads, lines)

    return show


def rare_tables(later: Later, share: float) -> Callable[[], None]:
    """Start the computations for shares near 0 and cells that hardly differ; return a function that prints them."""
    runs = {
        (world, clips): later(rows.rare_clips, world, clips, max(1, int(3000 * share)))
        for world in RARE
        for clips in NUM_CLIPS[1:]
    }

    def show() -> None:
        lines = []
        for world in RARE:
            of_world = [runs[world, clips].result() for clips in NUM_CLIPS[1:]]
            for method in of_world[0]:
                shown = [" / ".join(percent([each]) for each in one[method]) for one in of_world]
                lines.append((method, world.name, *shown))
        heads = ["interval", "simulated", *(f"{clips} clips" for clips in NUM_CLIPS[1:])]
        table("Shares with few clips that tell something: intervals there / of these cover / of all miss", heads, lines)

    return show


def test_tables(later: Later, share: float) -> Callable[[], None]:
    """Start the computations of the tables of the sign-flip test; return a function that prints them."""
    sizes = (5, 6, 8, 10, 16, 20)
    runs = {(kind, n): later(rows.seed_tests, kind, n, int(2000 * share)) for kind in rows.SEED_VALUES for n in sizes}
    planned = {
        (effect, family): num_seeds_needed(effect, 1.0, num_comparisons=family) or 0
        for family in (1, 5)
        for effect in EFFECTS
    }
    found = {
        key: later(rows.power_of_seeds, key[0], n, int(10_000 * share), 0.05 / key[1]) for key, n in planned.items()
    }

    def show() -> None:
        lines = []
        for kind in rows.SEED_VALUES:
            for place, what in enumerate(("one comparison", "any of 10 after Holm")):
                lines.append((what, f"{kind} differences", *(percent([runs[kind, n].result()[place]]) for n in sizes)))
        heads = ["sign-flip over seeds", "simulated", *(f"n = {n}" for n in sizes)]
        table("Sign-flip test over n seeds: rejections at 5 % where the mean difference is 0", heads, lines)
        lines = []
        for (d, family), n in planned.items():
            level = 0.05 / family
            powers = (found[d, family].result(), sign_flip_power(d, n, level), t_power(d, n, level))
            lines.append((d, family, n, *(percent([power]) for power in powers)))
        heads = ["difference / std", "comparisons", "seeds planned for 80 %", "found by the sign-flip test", "claimed"]
        heads.append("t test would find")
        table("Power at the number of seeds that reports name", heads, lines)

    return show


PARTS = (seed_tables, two_level_tables, clip_tables, rare_tables, test_tables)


def main() -> None:
    """Run everything on two processes and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of the repetitions")
    names = [part.__name__ for part in PARTS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="of the tables")
    said = parser.parse_args()
    with ProcessPoolExecutor(2, get_context("spawn"), initializer=rows.unlock) as pool:
        for show in [part(pool.submit, said.share) for part in PARTS if part.__name__ in said.only]:
            show()


if __name__ == "__main__":
    main()
