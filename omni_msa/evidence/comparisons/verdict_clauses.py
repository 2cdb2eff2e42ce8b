"""The clauses of a verdict: one for each kind of comparison."""

from collections.abc import Callable, Mapping, Sequence

from omni_msa.evidence.comparisons import wording
from omni_msa.evidence.comparisons.comparison import Comparison
from omni_msa.evidence.comparisons.controls import Control
from omni_msa.evidence.comparisons.decisions import NUM_SEEDS_MORE_MAX, Findings, Kind, SweepProgress
from omni_msa.evidence.comparisons.pair_note import OTHER_CLIPS
from omni_msa.stats.metrics import METRICS
from omni_msa.text import count

Ones = Sequence[Comparison]


def clauses(
    metric: str, found: Findings, controls: Sequence[Control], progress: SweepProgress, kinds: Sequence[Kind]
) -> list[str]:
    """Return a clause for each kind that has comparisons.

    Args:
        metric: name of the metric compared.
        found: the comparisons by kind.
        controls: how far each comparison is controlled.
        progress: of the sweep.
        kinds: the kinds to include, in their order in the sentence.
    """
    said = [_CLAUSES[kind](metric, found.of(kind)) for kind in kinds if kind in _CLAUSES and found.of(kind)]
    if "waiting" in kinds and found.waiting:
        said.insert(0, _waiting(found, progress))
    if "uncontrolled" in kinds and found.of("uncontrolled"):
        said.append(_uncontrolled(found.of("uncontrolled"), {one.name: one.flags for one in controls}))
    return said + ([_undefined(metric, one, progress) for one in found.of("undefined")] if "undefined" in kinds else [])


def _names(ones: Ones) -> tuple[str, str]:
    """Return the names of the cells, and the name of the cell that they are compared with."""
    return wording.names([one.name for one in ones]), wording.name(ones[0].against)


def _waiting(found: Findings, progress: SweepProgress) -> str:
    """Return how many further seeds the comparisons need that more seeds can decide."""
    cells, many = wording.names([one.name for one in found.waiting]), len(found.waiting) > 1
    lowest, highest = min(found.more_seeds), max(found.more_seeds)
    if not highest:
        return f"for {cells} the trials still to run may be enough"
    num = f"{highest}" if lowest == highest else f"{lowest} to {highest}"
    seeds = "seed" if highest == 1 else "seeds"
    which = f"{num} {seeds} beyond those planned" if progress.is_open else f"{num} more {seeds}"
    return f"{cells} {'need' if many else 'needs'} {which}"


def _uncertain(metric: str, ones: Ones) -> str:
    cells, base = _names(ones)
    if len(ones) > 1:
        more = f"it would take more than {NUM_SEEDS_MORE_MAX} further seeds to tell them"
        return f"the differences between {base} and {cells} are too uncertain: {more}"
    text = f"the difference between {cells} and {base} is too uncertain"
    if ones[0].widest is None:
        return text
    return f"{text}: with {count(ones[0].n, 'seed')} anything from {wording.span(metric, ones[0].widest)} is possible"


def _same_values(metric: str, ones: Ones) -> str:
    cells = wording.names([*(one.name for one in ones), ones[0].against])
    seeds = " at every seed" if max(one.n for one in ones) > 1 else ""
    return f"{cells} have the same {METRICS[metric].title}{seeds}"


def _equal(metric: str, ones: Ones) -> str:
    cells, base = _names(ones)
    within = wording.size(metric, ones[0].stated_difference)
    if len(ones) > 1:
        return f"{cells} equal {base} within {within}"
    seeds = "" if ones[0].is_over_clips else f", {count(ones[0].n, 'seed')}"
    return f"{cells} equals {base} within {within} ({wording.estimate(metric, ones[0])}{seeds})"


def _could_turn(metric: str, ones: Ones) -> str:
    cells, base = _names(ones)
    if len(ones) > 1 or ones[0].interval_two_level is None:
        return f"seeds tell {cells} from {base}, but on other test clips it could turn"
    turn = wording.span(metric, ones[0].interval_two_level)
    return f"over seeds {_ahead(metric, ones[0])}, but on other test clips it could turn: {turn}"


def _collapsed(metric: str, ones: Ones) -> str:
    if len(ones) > 1:
        cells, base = _names(ones)
        title = METRICS[metric].title
        return f"where there is a {title}, seeds tell {cells} from {base}, but the better cell collapsed (no {title})"
    one = ones[0]
    num = one.num_collapsed_label if one.better == "label" else one.num_collapsed_against
    better = wording.collapsed(one.names[0], metric, num, one.n + one.num_collapsed)
    return f"at the seeds where neither collapsed, {_ahead(metric, one)}, but {better}"


def _ahead(metric: str, one: Comparison) -> str:
    better, worse = map(wording.name, one.names)
    corrected = " after correction" if one.family > 1 else ""
    chance = f"p = {wording.p_text(one.p_holm or 0.0)}{corrected}, {count(one.n, 'seed')}"
    return f"{better} is ahead of {worse} by {wording.size(metric, one.mean)} ({chance})"


def _over_clips(metric: str, ones: Ones) -> str:
    cells, base = _names(ones)
    which = "neither" if len(ones) == 1 else "none of them"
    return f"the test clips cannot tell {cells} from {base}, and more seeds cannot help as {which} is random"


def _no_predictions(metric: str, ones: Ones) -> str:
    cells, base = _names(ones)
    return f"only the test clips could tell {cells} from {base}, and their predictions are missing"


def _other_clips(metric: str, ones: Ones) -> str:
    cells, base = _names(ones)
    was = "was" if len(ones) == 1 else "were"
    return f"{cells} {was} {OTHER_CLIPS.replace('other clips', f'other clips than {base}')}"


def _uncontrolled(ones: Ones, flags: Mapping[str, Sequence[str]]) -> str:
    cells, base = _names(ones)
    if len(ones) > 1:
        return f"no difference between {base} and {cells} can be put down to an axis"
    why = next(iter(flags.get(ones[0].name, [])), "more than an axis differs")
    return f"the difference between {cells} and {base} cannot be put down to an axis: {why}"


def _undefined(metric: str, one: Comparison, progress: SweepProgress) -> str:
    title, failed = METRICS[metric].title, progress.failed.get(one.name, ())
    if one.num_collapsed:
        why = f"no seed has a {title} in both"
    elif is_wholly_failed(one.name, progress):
        why = "its trial failed" if None in failed else "all its seeds failed"
    elif one.pairing == "none":
        why = "the sweep has no cell for it"
    else:
        why = "no seed is complete in both"
    return f"{wording.name(one.name)} cannot be compared: {why}"


def is_wholly_failed(label: str, progress: SweepProgress) -> bool:
    """Return whether all trials of a cell have failed."""
    failed = progress.failed.get(label, ())
    return None in failed or len(failed) >= progress.num_seeds


_CLAUSES: Mapping[Kind, Callable[[str, Ones], str]] = {
    "equal": _equal,
    "uncertain": _uncertain,
    "same values": _same_values,
    "could turn": _could_turn,
    "collapsed": _collapsed,
    "over clips": _over_clips,
    "no predictions": _no_predictions,
    "other clips": _other_clips,
}
