"""A known surface to search: a function instead of training, with seeds that shift it and curves that cross."""

import math
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from omni_msa.search.rules import Observation, ProposalValue
from omni_msa.stats.metrics import METRICS
from omni_msa.sweep.search_space import Search

SPACE = {
    "training.learning_rate": {"log_uniform": [1e-5, 1e-1]},
    "adapter.rank": {"choice": [2, 4, 8, 16, 32]},
    "adapter.dropout": {"uniform": [0.0, 0.5]},
    "readout.loss": {"choice": ["l1", "huber"]},
    "readout.huber_delta": {"uniform": [0.1, 2.0], "when": {"readout.loss": "huber"}},
}


def search_of(sampler: str = "tpe", seed: int = 0, **changes: Any) -> Search:
    """Return a search of the surface."""
    confirm = {"best": 2, "seeds": [11, 12]}
    keys = {"space": SPACE, "sampler": sampler, "seed": seed, "budget": {"proposals": 20}, "objectives": ["mae"]}
    return Search.model_validate({**keys, "confirm": confirm, **changes})


def height(parameters: Mapping[str, Any]) -> float:
    """Return the value at a point; the lowest is 0.2, at rate 1e-3, rank 8, dropout 0.1, Huber with delta 1."""
    found = 0.3 * (math.log10(parameters["training.learning_rate"]) + 3) ** 2
    found += 0.1 * (math.log2(parameters["adapter.rank"]) - 3) ** 2 + (parameters["adapter.dropout"] - 0.1) ** 2
    delta = parameters.get("readout.huber_delta")
    return 0.2 + found + (0.1 if delta is None else 0.3 * (delta - 1) ** 2)


def measured(parameters: Mapping[str, Any], seed: int, noise: float = 0.01) -> float:
    """Return the value that a trial with a seed finds: the height, what the seed adds to all, and a little of its own.

    Cells differ by less than seeds (0.05) can hide: they are told apart on the same seeds.
    """
    shared = Random(f"seed {seed}").gauss(0, 0.05)
    return height(parameters) + shared + Random(f"{seed} {sorted(parameters.items())}").gauss(0, noise)


def shown(value: float, metric: str) -> float:
    """Return a value of the surface as a metric has it: where higher is better, the lowest point is the highest."""
    return 1 - value if METRICS[metric].better == "higher" else value


def rest(parameters: Mapping[str, Any]) -> float:
    """Return the share of what is left to learn that an epoch leaves, 0.3 to 0.85.

    High rates learn fast and end high; dropout, high ranks and Huber's loss learn slowly. So curves cross: what is low
    after an epoch is not what is low in the end.
    """
    slow = 0.5 * parameters["adapter.dropout"] + 0.02 * (math.log2(parameters["adapter.rank"]) - 3)
    slow += 0.08 if parameters["readout.loss"] == "huber" else 0.0
    return min(0.85, max(0.3, 0.5 - 0.08 * (math.log10(parameters["training.learning_rate"]) + 3) + slow))


def curve(parameters: Mapping[str, Any], seed: int, num_epochs: int) -> dict[int, float]:
    """Return the value after each epoch; the last is what was measured."""
    last, left = measured(parameters, seed), rest(parameters)
    return {epoch: last + 3 * (left**epoch - left**num_epochs) for epoch in range(1, num_epochs + 1)}


def told(parameters: Mapping[str, Any], number: int) -> Observation:
    """Return a proposal that three seeds have measured."""
    value = math.fsum(measured(parameters, seed) for seed in (1, 2, 3)) / 3
    return Observation(parameters, ProposalValue("complete", (value,), {0: value}), number)


def lowest(cells: Sequence[Observation]) -> float:
    """Return the true height of the cell that was measured lowest: what a search really finds."""
    chosen = min(cells, key=lambda each: (each.score.values or (math.inf,))[0])
    return height(chosen.parameters)
