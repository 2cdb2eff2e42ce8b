"""The rules of a search: the value of a proposal, which are promoted, which are best. No files, no Optuna in here.

A proposal is a cell; its value is the mean over its seeds on valid. If a seed failed, the proposal has no value.
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
    """How far a proposal is run before it is compared with others.

    Args:
        num_seeds: how many seeds are run, from the first on.
        num_epochs: how many epochs of the first seed; None means all.
    """

    num_seeds: int
    num_epochs: int | None = None


@dataclass(frozen=True)
class SeedOutcome:
    """The state of one trial of a proposal.

    Args:
        state: "waiting" until it has reached its rung, then "pruned"; or how it ended.
        values: one for each objective, None unless it is complete.
        curve: epoch to the best value of the first objective up to it, as far as it was trained.
    """

    state: Literal["waiting", "pruned", "complete", "failed"] = "waiting"
    values: Values | None = None
    curve: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ProposalValue:
    """The value of a proposal.

    Args:
        state: "complete" if all its seeds are; "failed" if a seed failed or has no finite value; "pruned" if it was
            stopped below the last rung; else "running".
        values: means over the seeds, one for each objective, None unless it is complete.
        by_rung: rung, from 0, to the value of the first objective at it.
        by_seed: index of each complete seed to its value of the first objective.
    """

    state: Literal["running", "complete", "pruned", "failed"]
    values: Values | None = None
    by_rung: Mapping[int, float] = field(default_factory=dict)
    by_seed: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Observation:
    """A result that a sampler learns from.

    Args:
        parameters: its point of the space.
        score: its value so far.
        number: of the proposal; None for an earlier result of the ledger.
        notes: notes of the sampler from when it proposed the point.
        facts: further facts, shown in `optuna-dashboard`.
        span: when it was proposed and when the last of its trials ended, None if that is not shown.
    """

    parameters: Mapping[str, Any]
    score: ProposalValue
    number: int | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    span: tuple[datetime, datetime] | None = None


@dataclass(frozen=True)
class Suggestion:
    """The parameters to try next, and notes that the sampler gets back together with their value."""

    parameters: dict[str, Any]
    notes: dict[str, Any] = field(default_factory=dict)


def rungs(halving: Halving | None, num_epochs: int, num_seeds: int) -> list[Rung]:
    """Return the rungs of a search: some epochs of the first seed, all its epochs, then one more seed at a time.

    Args:
        halving: the rule; None means a single rung with all seeds and epochs.
        num_epochs: number of epochs of a complete trial.
        num_seeds: number of seeds of a complete proposal.
    """
    if halving is None:
        return [Rung(num_seeds)]
    early = [Rung(1, epochs) for epochs in halving.epochs if epochs < num_epochs]
    return [*early, *(Rung(number) for number in range(1, num_seeds + 1))]


def best_so_far(rows: Sequence[Mapping[str, object]], metric: str) -> dict[int, float]:
    """Return for each epoch the best value on valid up to it.

    Args:
        rows: the rows of `metrics.jsonl`.
        metric: its name, without `valid_`.
    """
    sign, best = _sign(METRICS[metric].better), math.inf
    best_by_epoch: dict[int, float] = {}
    for row in rows:
        value, epoch = row.get(f"valid_{metric}"), row.get("epoch")
        if isinstance(epoch, int) and f"valid_{metric}" in row:
            if isinstance(value, int | float) and math.isfinite(value):
                best = min(best, sign * value)
            best_by_epoch[epoch] = sign * best
    return best_by_epoch


def score(trials: Sequence[SeedOutcome], steps: Sequence[Rung], rung: int) -> ProposalValue:
    """Return the value of a proposal.

    Args:
        trials: the trials that its rung requires, in the order of the seeds.
        steps: all rungs.
        rung: the highest rung it has been promoted to, from 0.
    """
    by_seed = {index: trial.values[0] for index, trial in enumerate(trials) if trial.values}
    by_rung = {number: value for number in range(rung + 1) if (value := _at(trials, steps[number])) is not None}
    is_worthless = any(trial.state == "complete" and not _is_finite(trial.values) for trial in trials)
    if is_worthless or any(trial.state == "failed" for trial in trials):
        return ProposalValue("failed", None, {}, by_seed)
    if any(trial.state == "waiting" for trial in trials):
        return ProposalValue("running", None, by_rung, by_seed)
    if rung + 1 < len(steps):
        return ProposalValue("pruned", None, by_rung, by_seed)
    complete_values = [trial.values for trial in trials if trial.values]
    return ProposalValue(
        "complete", tuple(math.fsum(each) / len(each) for each in zip(*complete_values, strict=True)), by_rung, by_seed
    )


def _is_finite(values: Values | None) -> bool:
    return values is not None and all(map(math.isfinite, values))


def _at(trials: Sequence[SeedOutcome], rung: Rung) -> float | None:
    """Return the value of the first objective at a rung, None if the proposal has not reached it."""
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
    """Return the index of the proposal that is promoted to its next rung, None if none may be.

    Asynchronous successive halving (Li et al., MLSys 2020): of all proposals with a value at a rung, the best share is
    promoted, however many are still to come. From two seeds on, those are promoted that are not worse on paired seeds
    than the best complete proposal (Wilcoxon's signed-rank test, one-sided). If fewer than `least` would then be
    complete, the pruned proposals that have come furthest are promoted, too.

    Args:
        scores: values of the proposals.
        reached: for each the highest rung it has been promoted to.
        steps: all rungs.
        halving: the rule.
        better: "lower" or "higher".
        least: how many proposals must become complete, once no more will be made; 0 before. If it is not 0, the best at
            a rung is promoted even if the share rounds to none.
    """
    sign = _sign(better)
    for rung in reversed(range(len(steps) - 1)):
        at_rung = [index for index, value in enumerate(scores) if rung in value.by_rung]
        ranked = sorted(at_rung, key=lambda index: (sign * scores[index].by_rung[rung], index))
        share = int(len(ranked) * halving.keep + 1e-9)
        promotable = ranked[: max(share, min(least, 1))]
        if steps[rung].num_seeds > 1:
            promotable = [index for index in ranked if _is_not_worse(index, scores, sign, halving.p)]
        waiting = [index for index in promotable if reached[index] == rung and scores[index].state == "pruned"]
        if waiting:
            return waiting[0]
    is_enough = sum(value.state == "complete" for value in scores) >= least
    return None if is_enough else _furthest(scores, reached, sign)


def _furthest(scores: Sequence[ProposalValue], reached: Sequence[int], sign: int) -> int | None:
    """Return the index of the best pruned proposal at the highest rung, None if none is pruned."""
    pruned = [
        (-rung, sign * value.by_rung[rung], index)
        for index, (value, rung) in enumerate(zip(scores, reached, strict=True))
        if value.state == "pruned" and rung in value.by_rung
    ]
    return min(pruned)[2] if pruned else None


def _is_not_worse(index: int, scores: Sequence[ProposalValue], sign: int, level: float) -> bool:
    complete = [value for value in scores if value.state == "complete" and value.values]
    if not complete:
        return True
    best = min(complete, key=lambda value: sign * (value.values or (math.inf,))[0])
    own_values = scores[index].by_seed
    paired = [sign * (own_values[seed] - best.by_seed[seed]) for seed in own_values.keys() & best.by_seed.keys()]
    return worse_p(paired) > level


def worse_p(differences: Sequence[float]) -> float:
    """Return the exact one-sided p-value of Wilcoxon's signed-rank test that differences lie above zero.

    Zeros are left out, ties get their mean rank (Wilcoxon, Biometrics Bulletin 1945).

    Args:
        differences: of pairs, finite; the p-value of n differences is at least 2^-n.
    """
    nonzero = sorted((abs(difference), difference > 0) for difference in differences if difference != 0)
    doubled_ranks = [_doubled_rank([size for size, _ in nonzero], size) for size, _ in nonzero]
    observed = sum(rank for rank, (_, is_above) in zip(doubled_ranks, nonzero, strict=True) if is_above)
    ways = {0: 1}  # doubled rank sum: number of sign patterns with that sum
    for rank in doubled_ranks:
        ways = {total: ways.get(total, 0) + ways.get(total - rank, 0) for total in {*ways, *(t + rank for t in ways)}}
    return sum(number for total, number in ways.items() if total >= observed) / 2 ** len(doubled_ranks)


def _doubled_rank(sizes: Sequence[float], size: float) -> int:
    """Return twice the mean rank of a size, which is a whole number."""
    return 2 * sum(other < size for other in sizes) + sum(other == size for other in sizes) + 1


def pareto_front(values: Sequence[Values], directions: Sequence[str]) -> list[int]:
    """Return the indices of the Pareto front: no other point is at least as good in all objectives and better in one.

    Args:
        values: of complete proposals, one number for each objective.
        directions: for each objective which values are better, "lower" or "higher".
    """
    signs = [_sign(direction) for direction in directions]
    costs = [tuple(sign * value for sign, value in zip(signs, point, strict=True)) for point in values]
    return [index for index, point in enumerate(costs) if not any(_beats(other, point) for other in costs)]


def _beats(costs: Values, other_costs: Values) -> bool:
    return costs != other_costs and all(a <= b for a, b in zip(costs, other_costs, strict=True))


def best(scores: Sequence[ProposalValue], directions: Sequence[str], num: int) -> list[int]:
    """Return the indices of the best complete proposals by the first objective, the best first.

    With two objectives only proposals of the Pareto front count.

    Args:
        scores: values of the proposals.
        directions: for each objective which values are better, "lower" or "higher".
        num: maximum number of indices.
    """
    complete = [(index, each.values) for index, each in enumerate(scores) if each.state == "complete" and each.values]
    if len(directions) > 1:
        front = pareto_front([values for _, values in complete], directions)
        complete = [complete[index] for index in front]
    ranked = sorted(complete, key=lambda item: (_sign(directions[0]) * item[1][0], item[0]))
    return [index for index, _ in ranked[:num]]


def _sign(better: str) -> int:
    return -1 if better == "higher" else 1
