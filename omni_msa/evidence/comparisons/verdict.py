"""The verdict of a sweep: the sentence that its statistics support, or what is needed to decide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from omni_msa.evidence.comparisons import wording
from omni_msa.evidence.comparisons.comparison import Comparison
from omni_msa.evidence.comparisons.controls import Control
from omni_msa.evidence.comparisons.decisions import Findings, Kind, SweepProgress, sort
from omni_msa.evidence.comparisons.verdict_clauses import clauses, is_wholly_failed
from omni_msa.stats.metrics import METRICS
from omni_msa.stats.multiplicity import LEVEL
from omni_msa.stats.power import num_seeds_least
from omni_msa.text import are, count

_OPEN: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind not in ("decided", "equal"))
State = Literal["supported", "not decided", "no comparison", "incomplete"]
SearchState = Literal["real", "not decided", "nothing found", "default failed", "unfinished"]


@dataclass(frozen=True)
class Verdict:
    """What a sweep has shown.

    Args:
        text: one sentence; of a sweep with searches, perhaps several.
        state: "supported" if a comparison is decided (or its cells differ by less than what matters) and no trial is
            outstanding, "not decided" if no comparison is, "no comparison" if the sweep names none, "incomplete" while
            trials are outstanding or if none is complete; of a sweep with searches, the state of their verdicts.
        num_seeds_more: number of further seeds that decide all that more seeds can decide; None if there is nothing.
    """

    text: str
    state: State | SearchState
    num_seeds_more: int | None = None


def leading(metric: str, means: Mapping[str, float], progress: SweepProgress, num_partial: int = 0) -> Verdict:
    """Return the verdict of a sweep that names no comparison.

    Args:
        metric: name of the primary metric.
        means: of the cells in which it is defined at every seed, by name.
        progress: of the sweep.
        num_partial: number of cells left out because it is defined only at some of their seeds.
    """
    shown = METRICS[metric]
    state: State = "incomplete" if progress.is_open else "no comparison"
    among = " among cells with every seed" if num_partial else ""
    if not means:
        text = f"The sweep names no comparison, and no cell has a {shown.title} at every seed"
        return Verdict(_with_tail(text, progress), state) if num_partial else _nothing(metric, progress)
    ordered = sorted(means, key=means.__getitem__, reverse=shown.better == "higher")
    first, *others = (
        f"{wording.name(label)} ({shown.show(means[label])}{' %' if shown.percent else wording.unit(metric)})"
        for label in ordered
    )
    text = f"The sweep names no comparison; the only mean {shown.title}{among} is that of {first}"
    if others:
        text = f"The sweep names no comparison; the best mean {shown.title}{among} is that of {first}, before "
        text += f"{others[0]}, which describes these trials and tests nothing"
    return Verdict(_with_tail(text, progress), state)


def decide(
    metric: str, differences: Sequence[Comparison], controls: Sequence[Control], progress: SweepProgress
) -> Verdict:
    """Return the verdict of a sweep that names a comparison; `decisions.sort` defines what is decided.

    Args:
        metric: name of the metric compared.
        differences: comparisons with the reference cell; those of a cell with its own trials are ignored.
        controls: how far each comparison is controlled.
        progress: of the sweep.
    """
    tested = [comparison for comparison in differences if comparison.pairing != "same trials"]
    if not any(comparison.n for comparison in tested):
        return _nothing(metric, progress, len(tested) < len(differences))
    findings = sort(tested, progress)
    settled = _settled(metric, findings, controls, progress)
    undecided = clauses(metric, findings, controls, progress, _OPEN)
    title = METRICS[metric].title
    if settled:
        so_far = f"So far, with {progress.so_far}, on" if progress.is_open else "On"
        text = f"{so_far} {title}, {settled}" + (f"; still open: {'; '.join(undecided)}" if undecided else "")
    else:
        yet = f" yet, with {progress.so_far}" if progress.is_open else ""
        text = f"Not decided{yet}: on {title}{_indecision(metric, findings, undecided, len(tested), progress)}"
    state: State = "supported" if settled else "not decided"
    more = max(findings.more_seeds, default=0) or None
    text = _with_tail(text + _collapses(metric, findings), progress, findings)
    return Verdict(text, "incomplete" if progress.is_open else state, more)


def _nothing(metric: str, progress: SweepProgress, has_same: bool = False) -> Verdict:
    """Return the verdict of a sweep in which no comparison has a value."""
    if progress.is_open:
        text = (
            "No trials that could be compared are finished yet" if progress.num_complete else "No trial is finished yet"
        )
        return Verdict(_with_tail(text, progress), "incomplete")
    if not progress.num_complete:
        return Verdict(f"No trial is complete: all {progress.num_failed} failed.", "incomplete")
    text = f"Not decided: no two cells have a {METRICS[metric].title} that could be compared"
    text += ", as they share their trials" if has_same else ""
    return Verdict(_with_tail(text, progress), "not decided")


def _settled(metric: str, findings: Findings, controls: Sequence[Control], progress: SweepProgress) -> str:
    """Return what is decided, and which cells differ by less than what matters."""
    decided = [_decision(metric, findings.of("decided"))] if findings.of("decided") else []
    return "; ".join([*decided, *clauses(metric, findings, controls, progress, ("equal",))])


def _decision(metric: str, decided: Sequence[Comparison]) -> str:
    """Return which cells are ahead of which; for one pair, the better one first and by how much."""
    strength = _strength(decided)
    small = [one for one in decided if one.stated_difference and abs(one.mean or 0.0) < one.stated_difference]
    less = f"less than the stated {wording.size(metric, small[0].stated_difference)} that matters" if small else ""
    if len(decided) == 1:
        winner, other = map(wording.name, decided[0].names)
        text = f"{winner} is ahead of {other} by {wording.size(metric, decided[0].mean)} ({strength})"
        return f"{text}, but by {less}" if small else text
    ways = {"ahead of": "against", "behind": "label"}
    groups = {way: [one.name for one in decided if one.better == side] for way, side in ways.items()}
    parts = [f"{way} {wording.names(labels)}" for way, labels in groups.items() if labels]
    text = f"{wording.name(decided[0].against)} is {' and '.join(parts)} ({strength})"
    return f"{text}, though {wording.names([one.name for one in small])} by {less}" if small else text


def _strength(decided: Sequence[Comparison]) -> str:
    """Return the p-value of a decision, its correction, and the number of seeds behind it."""
    highest, family = wording.p_text(max(one.p_holm or 0.0 for one in decided)), max(one.family for one in decided)
    p = f"p = {highest}" if len(decided) == 1 else f"p at most {highest}"
    p += f" after Holm's correction for {family} comparisons" if family > 1 else ""
    counts = sorted({one.n for one in decided if not one.is_over_clips})
    by_clips = [one.name for one in decided if one.is_over_clips]
    if not counts:
        return f"{p}, over clips alone as {'neither cell' if len(decided) == 1 else 'none of them'} is random"
    seeds = count(counts[0], "seed") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"
    return f"{p}, {seeds}" + (f", {wording.names(by_clips)} over clips alone" if by_clips else "")


def _indecision(metric: str, found: Findings, undecided: Sequence[str], num: int, progress: SweepProgress) -> str:
    """Return why nothing is decided: in detail if only seeds are missing, else one clause per reason."""
    first = next(one for ones in found.by_kind.values() for one in ones)
    if len(undecided) > 1:
        return f" against {wording.name(first.against)}, {'; '.join(undecided)}"
    if not found.waiting:
        return f", {undecided[0]}"
    ones = found.waiting
    return f", {_observed(metric, ones, num, progress)}, but {_chance(ones)}: {_needed(found, progress)}"


def _chance(undecided: Sequence[Comparison]) -> str:
    """Return why the observed differences do not decide anything."""
    n, many = max(one.n for one in undecided), len(undecided) > 1
    if n < num_seeds_least(LEVEL, max(one.family for one in undecided)):
        return f"{count(n, 'seed')} {are(n)} too few to show {'any difference' if many else 'it'}"
    if many:
        return f"with {count(n, 'seed')} all could be chance"
    return f"with {count(n, 'seed')} it could be chance (p = {wording.p_text(undecided[0].p_holm or 1.0)})"


def _observed(metric: str, ones: Sequence[Comparison], num: int, progress: SweepProgress) -> str:
    """Return the observed differences that are not decided; `num` is the number of all comparisons."""
    if len(ones) == 1:
        better, worse = map(wording.name, ones[0].names)
        alone = " at the one seed both have" if ones[0].n == 1 < progress.num_seeds else ""
        return f"{better} leads {worse} by {wording.size(metric, ones[0].mean)}{alone}"
    base, sides = wording.name(ones[0].against), {one.better for one in ones}
    if len(sides) > 1:
        nearest = [
            min((one for one in ones if one.better == side), key=lambda one: abs(one.mean or 0.0))
            for side in ("label", "against")
        ]
        return f"by the means {base} stands between {wording.names([one.name for one in nearest])}"
    return f"{base} {'leads' if sides == {'against'} else 'trails'} {wording.others(len(ones), num)}"


def _needed(findings: Findings, progress: SweepProgress) -> str:
    lowest, *higher = sorted(findings.more_seeds)
    beyond = " beyond those planned" if progress.is_open else ""
    text = (
        f"{count(lowest, 'more seed')}{beyond} {are(lowest)} needed"
        if lowest
        else "the trials still to run may be enough"
    )
    if higher:
        labels = [one.name for more in higher for one in findings.more_seeds[more]]
        text += f" ({'up to ' if len(higher) > 1 else ''}{higher[-1]} for {wording.names(labels)})"
    return text


def _collapses(metric: str, findings: Findings) -> str:
    """Return which cells have collapsed at some seeds, without those that the sentence has named already."""
    lost: dict[str, tuple[int, int]] = {}
    for one in (one for ones in findings.by_kind.values() for one in ones if one.n and one.num_collapsed):
        sides = {one.name: one.num_collapsed_label, one.against: one.num_collapsed_against}
        if len(findings.of("collapsed")) == 1 and one in findings.of("collapsed"):
            sides.pop(one.names[0])
        lost |= {label: (num, one.n + one.num_collapsed) for label, num in sides.items() if num}
    parts = [wording.collapsed(label, metric, *nums) for label, nums in lost.items()]
    if len(parts) > 2:
        parts = [f"{len(parts)} cells collapsed (no {METRICS[metric].title}) at some seeds"]
    return f", though {wording.listed(parts)}" if parts else ""


def _with_tail(text: str, progress: SweepProgress, found: Findings | None = None) -> str:
    """Return the sentence with what has failed or is left out: in parentheses, unless it ends in some already."""
    said = {one.name for one in (found.of("undefined") if found else ()) if is_wholly_failed(one.name, progress)}
    lacks = [wording.failed(label, seeds) for label, seeds in progress.failed.items() if label not in said]
    parts = lacks if len(lacks) <= 2 else [f"{progress.num_failed} trials failed"]
    if progress.num_dropped:
        clips = count(progress.num_dropped, "bad clip")
        parts.append(f"{clips} {are(progress.num_dropped)} left out of every trial")
    if not parts:
        return f"{text}."
    return f"{text}; {'; '.join(parts)}." if text.endswith(")") else f"{text} ({'; '.join(parts)})."
