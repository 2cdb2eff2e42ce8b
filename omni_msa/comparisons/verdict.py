"""The one sentence that a sweep's statistics support, or what it takes to find one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from omni_msa.comparisons import wording
from omni_msa.comparisons.comparison import LEVEL, Comparison
from omni_msa.comparisons.findings import Findings, Progress, sort
from omni_msa.comparisons.proof import Control
from omni_msa.metrics import METRICS
from omni_msa.statistics.power import num_seeds_least

State = Literal["supported", "not decided", "no comparison", "incomplete"]


@dataclass(frozen=True)
class Verdict:
    """What a sweep has shown.

    Args:
        text: one sentence.
        state: "supported" if a comparison is decided and no trial is outstanding, "not decided" if none is,
            "no comparison" if the sweep names none, "incomplete" while trials are outstanding or if none is complete.
        num_seeds_more: how many more seeds decide what more seeds can decide; None where they cannot or need not.
    """

    text: str
    state: State
    num_seeds_more: int | None = None


def leading(metric: str, means: Mapping[str, float], progress: Progress) -> Verdict:
    """Describe a sweep that names no comparison.

    Args:
        metric: the primary one.
        means: of the cells in which it is defined.
        progress: of the sweep.
    """
    if not means:
        return _nothing(metric, progress)
    shown = METRICS[metric]
    ordered = sorted(means, key=means.__getitem__, reverse=shown.better == "higher")
    first, *others = (
        f"{wording.name(label)} ({shown.show(means[label])}{' %' if shown.percent else wording.unit(metric)})"
        for label in ordered
    )
    text = f"The sweep names no comparison; the only mean {shown.title} is that of {first}"
    if others:
        text = f"The sweep names no comparison; the best mean {shown.title} is that of {first}, before {others[0]}, "
        text += "which describes these trials and tests nothing"
    return Verdict(f"{text}{_tail(progress)}.", "incomplete" if progress.is_open else "no comparison")


def decide(metric: str, differences: Sequence[Comparison], controls: Sequence[Control], progress: Progress) -> Verdict:
    """Return what comparisons with one cell have shown.

    A comparison is decided if its p-value on the primary metric, corrected for all comparisons of the sweep, is below
    0.05, and nothing but the sweep's axes is known to differ.

    Args:
        metric: the one compared.
        differences: of all cells to that one; their family of tests.
        controls: how controlled each comparison is.
        progress: of the sweep.
    """
    if not any(one.n for one in differences):
        return _nothing(metric, progress)
    found = sort(differences, progress)
    groups = _open_groups(metric, found, controls, progress)
    title = METRICS[metric].title
    if found.decided:
        so_far = f"So far, with {progress.so_far}, on" if progress.is_open else "On"
        text = f"{so_far} {title}, {_decision(metric, found.decided, len(differences))}"
        against = wording.name(found.decided[0].against)
        text += f"; not decided against {against}: {wording.listed(groups)}" if groups else ""
    else:
        yet = f" yet, with {progress.so_far}" if progress.is_open else ""
        text = f"Not decided{yet}: on {title}, {_indecision(metric, found, groups, len(differences), progress)}"
    state: State = "supported" if found.decided else "not decided"
    more = max(found.more_seeds, default=0) or None
    return Verdict(f"{text}{_tail(progress)}.", "incomplete" if progress.is_open else state, more)


def _nothing(metric: str, progress: Progress) -> Verdict:
    """Say why there is nothing to say."""
    if progress.is_open:
        text = (
            "No trials that could be compared are finished yet" if progress.num_complete else "No trial is finished yet"
        )
        return Verdict(f"{text}{_tail(progress)}.", "incomplete")
    if not progress.num_complete:
        return Verdict(f"No trial is complete: all {progress.num_failed} failed.", "incomplete")
    text = f"Not decided: no two cells have a {METRICS[metric].title} that could be compared"
    return Verdict(f"{text}{_tail(progress)}.", "not decided")


def _decision(metric: str, decided: Sequence[Comparison], family: int) -> str:
    """Say what is ahead of what; of one pair, the winner first and by how much."""
    strength = _strength(decided, family)
    if len(decided) == 1:
        winner, other = _in_order(decided[0])
        return f"{winner} is ahead of {other} by {wording.size(metric, decided[0].mean)} ({strength})"
    ways = {"ahead of": "against", "behind": "label"}
    groups = {way: [one.label for one in decided if one.better == side] for way, side in ways.items()}
    parts = [f"{way} {wording.names(labels)}" for way, labels in groups.items() if labels]
    return f"{wording.name(decided[0].against)} is {' and '.join(parts)} ({strength})"


def _in_order(one: Comparison) -> tuple[str, str]:
    """Return the names of the better and the worse cell."""
    first, second = wording.name(one.label), wording.name(one.against)
    return (first, second) if one.better == "label" else (second, first)


def _strength(decided: Sequence[Comparison], family: int) -> str:
    """Say how sure a decision is, and by which test."""
    highest = wording.odds(max(one.p_holm or 0.0 for one in decided))
    p = f"p = {highest}" if len(decided) == 1 else f"p at most {highest}"
    p += f" after Holm's correction for {family} comparisons" if family > 1 else ""
    counts = sorted({one.n for one in decided if not one.is_over_clips})
    by_clips = [one.label for one in decided if one.is_over_clips]
    if not counts:
        return f"{p}, over clips alone as {'neither cell' if len(decided) == 1 else 'none of them'} is random"
    seeds = wording.seeds(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"
    return f"{p}, {seeds}" + (f", {wording.names(by_clips)} over clips alone" if by_clips else "")


def _indecision(metric: str, found: Findings, groups: list[str], family: int, progress: Progress) -> str:
    """Say why nothing is decided: in full where there is one reason, else as a list."""
    undecided = [*found.waiting, *found.too_small, *found.over_clips, *found.uncontrolled]
    base, many = wording.name(undecided[0].against), len(undecided) > 1
    cells = wording.names([one.label for one in undecided])
    if len(groups) > 1:
        return f"no difference to {base} is beyond chance: {wording.listed(groups)}"
    if found.too_small:
        if many:
            return f"the differences between {base} and {cells} are too small to find"
        shown = wording.estimate(metric, undecided[0])
        return f"the difference between {cells} and {base} is too small to find ({shown})"
    if found.over_clips:
        return f"the test clips cannot tell {cells} from {base}, and more seeds cannot help as nothing here is random"
    if found.uncontrolled:
        reason = groups[0].partition(" (not controlled: ")[2].removesuffix(")")
        which = (
            f"the difference between {cells} and {base}" if not many else f"no difference between {base} and {cells}"
        )
        return f"{which} can{'' if many else 'not'} be put down to an axis{': ' + reason if reason else ''}"
    return f"{_seen(metric, undecided, family)}, but {_chance(undecided, family)}: {_needed(found, progress)}"


def _chance(undecided: Sequence[Comparison], family: int) -> str:
    """Say why what is seen is not enough."""
    n, many = max(one.n for one in undecided), len(undecided) > 1
    if n < num_seeds_least(LEVEL, family):
        return f"{wording.seeds(n)} {wording.are(n)} too few to show {'any difference' if many else 'it'}"
    if many:
        return f"with {wording.seeds(n)} all could be chance"
    return f"with {wording.seeds(n)} it could be chance (p = {wording.odds(undecided[0].p_holm or 1.0)})"


def _seen(metric: str, ones: Sequence[Comparison], family: int) -> str:
    """Describe differences that are not decided."""
    if len(ones) == 1:
        better, worse = _in_order(ones[0])
        return f"{better} leads {worse} by {wording.size(metric, ones[0].mean)}"
    base, sides = wording.name(ones[0].against), {one.better for one in ones}
    if len(sides) > 1:
        return f"{base} is neither the best nor the worst cell"
    return f"{base} {'leads' if sides == {'against'} else 'trails'} {wording.others(len(ones), family)}"


def _needed(found: Findings, progress: Progress) -> str:
    lowest, *higher = sorted(found.more_seeds)
    beyond = " beyond those planned" if progress.is_open else ""
    text = (
        f"{wording.more_seeds(lowest)}{beyond} {wording.are(lowest)} needed"
        if lowest
        else "the trials still to run may be enough"
    )
    if higher:
        labels = [one.label for more in higher for one in found.more_seeds[more]]
        text += f" ({'up to ' if len(higher) > 1 else ''}{higher[-1]} for {wording.names(labels)})"
    return text


def _open_groups(metric: str, found: Findings, controls: Sequence[Control], progress: Progress) -> list[str]:
    """Return what is not decided, cells of one reason together, and the reason."""
    flags = {control.label: control.flags for control in controls}

    def single(ones: Sequence[Comparison], text: str, more: str) -> str:
        return f"{text}: {more}" if len(ones) == 1 else text

    small, uncontrolled = found.too_small, found.uncontrolled
    shown = wording.estimate(metric, small[0]) if small else ""
    why = next(iter(flags.get(uncontrolled[0].label, [])), "more than an axis differs") if uncontrolled else ""
    groups = (
        (found.waiting, _needed_by(found, progress)),
        (small, single(small, "too small to find", shown)),
        (found.over_clips, "the test clips do not tell them apart, and seeds cannot"),
        (uncontrolled, single(uncontrolled, "not controlled", why)),
        (found.undefined, f"no {METRICS[metric].title} to compare"),
    )
    return [f"{wording.names([one.label for one in ones])} ({reason})" for ones, reason in groups if ones]


def _needed_by(found: Findings, progress: Progress) -> str:
    """Say how many seeds those need that more seeds can decide."""
    if not max(found.more_seeds, default=0):
        return "the trials still to run may be enough"
    lowest, highest = min(found.more_seeds), max(found.more_seeds)
    several = f"{lowest} to {wording.more_seeds(highest)}"
    beyond = " beyond those planned" if progress.is_open else ""
    return f"{wording.more_seeds(highest) if lowest == highest else several}{beyond} needed"


def _tail(progress: Progress) -> str:
    """Say what has failed and what is left out."""
    parts = []
    if progress.failed:
        lacks = [f"{wording.name(label)} lacks {wording.failed(seeds)}" for label, seeds in progress.failed.items()]
        parts += lacks if len(lacks) <= 2 else [f"{progress.num_failed} trials failed"]
    if progress.num_dropped:
        clips = wording.count(progress.num_dropped, "bad clip")
        parts.append(f"{clips} {wording.are(progress.num_dropped)} left out of every trial")
    return f", though {wording.listed(parts)}" if parts else ""
