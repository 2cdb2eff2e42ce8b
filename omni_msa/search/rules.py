"""The rules of a search: what a proposal is worth, which go on, which are confirmed. No files, no Optuna in here.

A proposal is a cell: its value is the mean over its seeds on valid. One whose seed failed is incomplete, not better.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from omni_msa.stats.metrics import METRICS
from omni_msa.sweep.search_space import Halving

Values = tuple[float, ...]


@dataclass(frozen=True)
class Rung:
    """How far a proposal is run before it is judged.

    Args:
        num_seeds: so many of the first seeds are run.
        num_epochs: of the first seed; None: to the end.
    """

    num_seeds: int
    num_epochs: int | None = None


@dataclass(frozen=True)
class SeedOutcome:
    """What is known of one trial of a proposal.

    Args:
        state: "waiting" until it is as far as its rung says, then "pruned", or how it ended.
        values: one for each objective, if it is complete.
        curve: epoch to the best value of the first objective until then, as far as it was trained.
    """

    state: Literal["waiting", "pruned", "complete", "failed"] = "waiting"
    values: Values | None = None
    curve: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ProposalValue:
    """What a proposal is worth.

    Args:
        state: "complete" if all its seeds are; "failed" if one failed, or has no value; "pruned" if it was stopped
            below the last rung; else "running".
        values: means over the seeds, one for each objective, if it is complete.
        by_rung: rung, from 0, to the value of the first objective there.
        by_seed: values of the first objective of the seeds that are complete, by their place.
    """

    state: Literal["running", "complete", "pruned", "failed"]
    values: Values | None = None
    by_rung: Mapping[int, float] = field(default_factory=dict)
    by_seed: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Observation:
    """A cell that a sampler learns from.

    Args:
        parameters: its point of the space.
        score: what it is worth so far.
        number: of the proposal; None for a cell that the ledger knew before.
        notes: what the sampler itself noted when it proposed the cell.
        facts: more about it, for people.
        span: when it was proposed and when the last of its trials ended, where that is shown.
    """

    parameters: Mapping[str, Any]
    score: ProposalValue
    number: int | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    span: tuple[datetime, datetime] | None = None


@dataclass(frozen=True)
class Suggestion:
    """What to try next, and what the sampler wants to be told again with the value."""

    parameters: dict[str, Any]
    notes: dict[str, Any] = field(default_factory=dict)


def rungs(halving: Halving | None, num_epochs: int, num_seeds: int) -> list[Rung]:
    """Return the rungs of a search: epochs of the first seed, all of them, then seeds one by one.

    Args:
        halving: None: one rung, everything.
        num_epochs: of a whole trial.
        num_seeds: of a whole proposal.
    """
    if halving is None:
        return [Rung(num_seeds)]
    early = [Rung(1, epochs) for epochs in halving.epochs if epochs < num_epochs]
    return [*early, *(Rung(number) for number in range(1, num_seeds + 1))]


def best_so_far(rows: Sequence[Mapping[str, object]], metric: str) -> dict[int, float]:
    """Return epoch to the best valid value until then, from the rows of `metrics.jsonl`; the epoch kept is the best."""
    sign, best = _sign(METRICS[metric].better), math.inf
    found: dict[int, float] = {}
    for row in rows:
        value, epoch = row.get(f"valid_{metric}"), row.get("epoch")
        if isinstance(epoch, int) and f"valid_{metric}" in row:
            if isinstance(value, int | float) and math.isfinite(value):
                best = min(best, sign * value)
            found[epoch] = sign * best
    return found


def score(trials: Sequence[SeedOutcome], steps: Sequence[Rung], rung: int) -> ProposalValue:
    """Return what a proposal is worth.

    Args:
        trials: of its seeds that its rung asks for, in the order of the seeds.
        steps: all rungs.
        rung: the highest it may climb so far, from 0.
    """
    by_seed = {place: trial.values[0] for place, trial in enumerate(trials) if trial.values}
    by_rung = {number: value for number in range(rung + 1) if (value := _at(trials, steps[number])) is not None}
    is_worthless = any(trial.state == "complete" and not _is_finite(trial.values) for trial in trials)
    if is_worthless or any(trial.state == "failed" for trial in trials):
        return ProposalValue("failed", None, {}, by_seed)
    if any(trial.state == "waiting" for trial in trials):
        return ProposalValue("running", None, by_rung, by_seed)
    if rung + 1 < len(steps):
        return ProposalValue("pruned", None, by_rung, by_seed)
    every = [trial.values for trial in trials if trial.values]
    return ProposalValue(
        "complete", tuple(math.fsum(each) / len(each) for each in zip(*every, strict=True)), by_rung, by_seed
    )


def _is_finite(values: Values | None) -> bool:
    return values is not None and all(map(math.isfinite, values))


def _at(trials: Sequence[SeedOutcome], rung: Rung) -> float | None:
    """Return the value of the first objective at a rung, None if the proposal is not that far."""
    if rung.num_epochs is not None:
        first = trials[0]
        value = first.curve.get(rung.num_epochs, first.values[0] if first.values else None)
        return value if value is not None and math.isfinite(value) else None
    values = [trial.values[0] for trial in trials[: rung.num_seeds] if trial.values]
    return math.fsum(values) / len(values) if len(values) == min(rung.num_seeds, len(trials)) > 0 else None


def next_to_promote(
    scores: Sequence[ProposalValue],
    reached: Sequence[int],
    steps: Sequence[Rung],
    halving: Halving,
    better: str,
    least: int,
) -> int | None:
    """Return the place of the proposal that goes on to its next rung, None if none may.

    Asynchronous successive halving (Li et al., MLSys 2020): of all that have a value at a rung, the best share goes on,
    however many are still to come. From two seeds on, those go on that are not worse on paired seeds than the best
    complete proposal (Wilcoxon's signed-rank test, one-sided). Where that leaves fewer complete than are to be
    confirmed, the furthest of the others go on.

    Args:
        scores: of the proposals.
        reached: for each the highest rung it may climb so far.
        steps: all rungs.
        halving: the rule.
        better: "lower" or "higher".
        least: how many are to be complete if no further proposal will come, 0 while some may: then the best goes on
            wherever the share would be none.
    """
    sign = _sign(better)
    for rung in reversed(range(len(steps) - 1)):
        at_rung = [place for place, one in enumerate(scores) if rung in one.by_rung]
        ranked = sorted(at_rung, key=lambda place: (sign * scores[place].by_rung[rung], place))
        share = int(len(ranked) * halving.keep + 1e-9)
        going = ranked[: max(share, min(least, 1))]
        if steps[rung].num_seeds > 1:
            going = [place for place in ranked if _is_not_worse(place, scores, sign, halving.p)]
        waiting = [place for place in going if reached[place] == rung and scores[place].state == "pruned"]
        if waiting:
            return waiting[0]
    is_enough = sum(one.state == "complete" for one in scores) >= least
    return None if is_enough else _furthest(scores, reached, sign)


def _furthest(scores: Sequence[ProposalValue], reached: Sequence[int], sign: int) -> int | None:
    """Return the place of the best of the pruned proposals that are furthest, None if none is pruned."""
    pruned = [
        (-rung, sign * one.by_rung[rung], place)
        for place, (one, rung) in enumerate(zip(scores, reached, strict=True))
        if one.state == "pruned" and rung in one.by_rung
    ]
    return min(pruned)[2] if pruned else None


def _is_not_worse(place: int, scores: Sequence[ProposalValue], sign: int, level: float) -> bool:
    complete = [one for one in scores if one.state == "complete" and one.values]
    if not complete:
        return True
    best = min(complete, key=lambda one: sign * (one.values or (math.inf,))[0])
    own = scores[place].by_seed
    paired = [sign * (own[seed] - best.by_seed[seed]) for seed in own.keys() & best.by_seed.keys()]
    return worse_p(paired) > level


def worse_p(differences: Sequence[float]) -> float:
    """Return the exact one-sided p-value of Wilcoxon's signed-rank test that differences lie above zero.

    Zeros are left out, ties get their mean rank (Wilcoxon, Biometrics Bulletin 1945).

    Args:
        differences: of pairs, finite; n differences cannot give less than 2^-n.
    """
    kept = sorted((abs(each), each > 0) for each in differences if each != 0)
    doubled = [_doubled_rank([size for size, _ in kept], size) for size, _ in kept]
    observed = sum(rank for rank, (_, is_above) in zip(doubled, kept, strict=True) if is_above)
    ways = {0: 1}  # doubled rank sum to the number of sign patterns that give it
    for rank in doubled:
        ways = {total: ways.get(total, 0) + ways.get(total - rank, 0) for total in {*ways, *(t + rank for t in ways)}}
    return sum(number for total, number in ways.items() if total >= observed) / 2 ** len(doubled)


def _doubled_rank(sizes: Sequence[float], size: float) -> int:
    """Return twice the mean rank of a size, a whole number."""
    return 2 * sum(other < size for other in sizes) + sum(other == size for other in sizes) + 1


def pareto_front(values: Sequence[Values], directions: Sequence[str]) -> list[int]:
    """Return the places of the values that no other beats in one objective without being worse in the other.

    Args:
        values: of complete proposals.
        directions: for each objective "lower" or "higher".
    """
    signs = [_sign(direction) for direction in directions]
    costs = [tuple(sign * value for sign, value in zip(signs, each, strict=True)) for each in values]
    return [place for place, each in enumerate(costs) if not any(_beats(other, each) for other in costs)]


def _beats(one: Values, other: Values) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def best(scores: Sequence[ProposalValue], directions: Sequence[str], num: int) -> list[int]:
    """Return the places of the best complete proposals, the best first; of two objectives, the Pareto front's first.

    Args:
        scores: of the proposals.
        directions: for each objective "lower" or "higher".
        num: at most so many.
    """
    complete = [(place, one.values) for place, one in enumerate(scores) if one.state == "complete" and one.values]
    if len(directions) > 1:
        front = pareto_front([values for _, values in complete], directions)
        complete = [complete[place] for place in front]
    ranked = sorted(complete, key=lambda item: (_sign(directions[0]) * item[1][0], item[0]))
    return [place for place, _ in ranked[:num]]


def _sign(better: str) -> int:
    return -1 if better == "higher" else 1
