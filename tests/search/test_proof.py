"""What a search is worth, through plan, queue and ledger on a known surface: TPE against random, halving against all.

Every height is the true one of the proposal that a search found, without noise.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from helpers.searched import NUM_EPOCHS, Searched
from helpers.surface import height
from omni_msa.search import confirmation, optuna_sampler
from omni_msa.search import study as studies
from omni_msa.search.rules import worse_p
from omni_msa.stats.intervals import t_interval
from omni_msa.stats.paired import sign_flip_p

pytestmark = pytest.mark.slow

NUM_REPETITIONS, NUM_PROPOSALS = 20, 24
NUM_WHOLE, NUM_HALVED = 16, 24
FIRST_SEED = 100  # the numbers of proposals, epochs and the share kept were tried out with others
MARGIN = 0.1
"""A result this much higher is the same: as a rank one step off the best; half of all points lie 0.65 above it."""

CONFIRM = {"best": 1, "seeds": [11]}
HALVING = {"halving": {"epochs": [1, 2, 4], "keep": 0.4}}
OTHER = {"lower": "higher", "higher": "lower"}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Nothing here cuts the power: what is written need not reach the disk."""
    monkeypatch.setattr(os, "fsync", lambda number: None)


@pytest.fixture
def find(tmp_path):
    """Run a search; return the true height of what it found, and the epochs that it took to find it."""

    def run(seeds: Sequence[int], **changes: Any) -> tuple[float, int]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        place = Searched(folder, seeds=tuple(seeds), confirm=CONFIRM, **changes)
        place.run()
        study = place.study()
        others = (len(seeds) + 2) * NUM_EPOCHS  # the default with all seeds, the best with a fresh one
        return height(study.proposal(confirmation.candidates(study)[0]).parameters), place.num_epochs() - others

    return run


def test_tpe_beats_random_at_equal_budget_over_20_repetitions(find, monkeypatch):
    def heights(sampler: str, num: int = NUM_REPETITIONS) -> list[float]:
        budget = {"proposals": NUM_PROPOSALS}
        return [find((1,), sampler=sampler, seed=seed, budget=budget)[0] for seed in range(num)]

    random, tpe = heights("random"), heights("tpe")
    gained = [one - other for one, other in zip(random, tpe, strict=True)]
    assert _is_better(gained), (t_interval(gained), sign_flip_p(gained))
    suggest = optuna_sampler.suggest
    monkeypatch.setattr(
        optuna_sampler, "suggest", lambda section, told, number: suggest(section, _turned(told), number)
    )
    wrong = [one - other for one, other in zip(random[:3], heights("tpe", 3), strict=True)]
    assert sum(wrong) < 0  # told of the highest as the lowest


def _is_better(gained: Sequence[float]) -> bool:
    interval = t_interval(gained)
    return interval is not None and interval[0] > 0 and max(sign_flip_p(gained), worse_p(gained)) < 0.05


def _turned(told):
    values = [each.score.values and tuple(-value for value in each.score.values) for each in told]
    return [replace(each, score=replace(each.score, values=own)) for each, own in zip(told, values, strict=True)]


def test_halving_reaches_the_same_with_at_most_half_the_epochs(find, monkeypatch):
    """It tries more proposals, and trains each as far as it deserves; early values are a poor guide: curves cross."""
    seeds, runs = (1, 2, 3), range(FIRST_SEED, FIRST_SEED + 12)
    budgets = {"whole": {"proposals": NUM_WHOLE}, "halved": {"proposals": NUM_HALVED}}
    whole = [find(seeds, seed=seed, budget=budgets["whole"]) for seed in runs]
    halved = [find(seeds, seed=seed, budget=budgets["halved"], pruning=HALVING) for seed in runs]
    assert {epochs for _, epochs in whole} == {NUM_WHOLE * len(seeds) * NUM_EPOCHS}
    assert all(epochs <= whole[0][1] / 2 for _, epochs in halved), [epochs for _, epochs in halved]
    lost = [one - other for (one, _), (other, _) in zip(halved, whole, strict=True)]
    assert _is_same(lost), (lost, t_interval(lost))
    promote = studies.next_to_promote
    monkeypatch.setattr(  # keeps the worst share of each rung
        studies, "next_to_promote", lambda *given: promote(*given[:4], OTHER[given[4]], *given[5:])
    )
    wrong = [find(seeds, seed=FIRST_SEED + each, budget=budgets["halved"], pruning=HALVING)[0] for each in range(3)]
    assert all(one - other > MARGIN for one, (other, _) in zip(wrong, whole, strict=False))


def _is_same(lost: Sequence[float]) -> bool:
    """Return whether what was lost is below the margin: the upper end of its interval is."""
    interval = t_interval(lost)
    return interval is not None and interval[1] < MARGIN
