"""What a search is expected to run, against what it then runs on a known surface."""

import json
import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

from helpers.searched import NUM_EPOCHS, Searched
from omni_msa.execution import ray_runner, run
from omni_msa.execution.monitor import Monitor
from omni_msa.search import confirmation
from omni_msa.search.forecast import Ahead, Outlook, look_ahead, lookout
from omni_msa.system.files import write_json

HALVING = {"halving": {"epochs": [1, 2, 4], "keep": 0.5}}
ONE = {"best": 1, "seeds": [11, 12]}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Nothing here cuts the power: what is written need not reach the disk."""
    monkeypatch.setattr(os, "fsync", lambda number: None)


def ahead(place: Searched) -> Ahead:
    return look_ahead(place.study())


def stops(found: Ahead) -> list[int]:
    """Return after how many epochs the trials end that are expected."""
    return [config.stops_after_epoch or NUM_EPOCHS for config in found.proposed]


def test_without_halving_every_proposal_is_run_with_all_seeds_and_the_best_with_fresh_ones(tmp_path):
    place = Searched(tmp_path)
    found = ahead(place)
    assert stops(found) == [NUM_EPOCHS] * 6 * 2 and len(found.confirmed) == 2 * 2 and not found.again
    assert found.num_new == found.most == 16 and not found.is_least
    place.run(num_jobs=5)  # two proposals, and the first seed of the third
    assert len(ahead(place).proposed) == 3 * 2 and len(ahead(place).confirmed) == 2 * 2


def test_with_halving_a_share_goes_on_at_each_rung_and_further_seeds_are_trials_of_their_own(tmp_path):
    place = Searched(tmp_path, seeds=(1, 2, 3), pruning=HALVING, budget={"proposals": 16})
    # 16 reach epoch 1, 8 epoch 2, 4 epoch 4, 2 the end; as two are to be confirmed, both have two further seeds.
    found = ahead(place)
    assert sorted(stops(found)) == [1] * 8 + [2] * 4 + [4] * 2 + [8] * (2 + 4) and not found.again
    assert len(found.confirmed) == 4
    place.set(seeds=(1, 2, 3), pruning=HALVING, budget={"proposals": 16}, confirm=ONE)
    assert sorted(stops(ahead(place))) == [1] * 8 + [2] * 4 + [4] * 2 + [8] * (2 + 2)
    assert len(ahead(place).confirmed) == 2


def test_those_that_were_stopped_go_on_and_are_no_further_trials(tmp_path):
    place = Searched(tmp_path, pruning=HALVING, budget={"proposals": 4}, confirm=ONE)
    assert stops(ahead(place)) == [8, 8, 2, 1, 1] and place.run(num_jobs=1) == 1
    found = ahead(place)
    # One has epoch 1. Of three to come the first two go to epoch 2, and the first to the end; the first has two seeds.
    assert stops(found) == [8, 8, 2, 1] and not found.again
    place.set(pruning=HALVING, budget={"proposals": 1}, confirm=ONE)
    found = ahead(place)
    assert stops(found) == [8]  # its second seed
    assert [config.stops_after_epoch for config in found.again] == [1, 2, 4]  # epochs that are still to be trained


def test_a_proposal_that_failed_does_not_count_among_those_that_go_on(tmp_path):
    place = Searched(tmp_path, pruning=HALVING, budget={"proposals": 3}, confirm=ONE)
    place.train = lambda *arguments: (_ for _ in ()).throw(FloatingPointError("nan"))
    place.run(num_jobs=1)
    assert [one.state for one in place.study().scores()] == ["failed"]
    found = ahead(place)
    assert stops(found) == [8, 8, 1] and not found.again  # of two one goes on to the end, where it has two seeds


@pytest.mark.parametrize(
    ("seeds", "changes"),
    [((1, 2), {}), ((1, 2, 3), {"pruning": HALVING, "budget": {"proposals": 9}})],
)
def test_done_is_never_more_than_expected_and_in_the_end_all_there_is(tmp_path, seeds, changes):
    place = Searched(tmp_path, seeds=seeds, **changes)
    first, look = ahead(place), lookout(place.plan().studies)
    num_first, begun = len(place.plan().trials) + first.num_new, 1
    while begun:
        begun = place.run(num_jobs=4)
        plan, outlook = place.plan(), look()
        num_done = sum(trial.status.state in ("complete", "pruned") for trial in plan.trials)
        assert num_done <= len(plan.trials) + outlook.num_new
        assert outlook.num_new == ahead(place).num_new  # the reader of its own knows what a new one knows
        assert plan.missing() or confirmation.is_over(place.study())
    ids = {trial.trial_id for trial in plan.trials}
    assert outlook == Outlook(0, frozenset(ids)) and plan.is_complete()
    assert abs(len(ids) - num_first) <= (0 if not changes else 4)  # halving is guessed


def test_after_the_search_what_is_confirmed_is_known_and_the_best_and_the_default_are_opened(tmp_path):
    place = Searched(tmp_path, budget={"proposals": 2})
    place.run(num_jobs=4)  # all proposals
    found = ahead(place)
    assert place.study().is_searched() and found.num_new == 0
    assert [config.stops_after_epoch for config in found.again] == [0] * 4  # two seeds each, nothing to train
    place.run()
    assert ahead(place) == Ahead()


def test_who_is_confirmed_already_is_expected_again_only_where_better_ones_may_come(tmp_path):
    place = Searched(tmp_path)
    place.run()
    place.set(confirm={"best": 3, "seeds": [11, 12]})
    assert not ahead(place).proposed and not ahead(place).confirmed  # the third is in its cells already
    place.set(budget={"proposals": 9})
    assert len(ahead(place).proposed) == 3 * 2 and len(ahead(place).confirmed) == 2 * 2


def test_without_randomness_a_proposal_is_one_trial_and_its_fresh_one_is_the_same(tmp_path):
    space = {"readout.pooling": {"choice": ["last", "mean", "text"]}}
    place = Searched(tmp_path, space=space, sampler="grid")
    profile = tmp_path / "profiles" / "small.yaml"
    profile.write_text(profile.read_text().replace("discriminative", "frozen_probe"))

    def train(config, folder, *others):
        folder.write_test_metrics({"mae": 1.0}) if config.opens_test else None
        folder.complete({"valid": {"mae": float(len(config.readout.pooling))}, "cost": {"train_s": 1.0}})

    place.train = train
    found = ahead(place)
    assert len(found.proposed) == 3 and not found.confirmed
    place.run()
    assert len(place.plan().trials) == 3 and confirmation.is_over(place.study())  # the default is one of them


def test_hours_bound_the_proposing_and_the_least_is_expected(tmp_path):
    place = Searched(tmp_path, budget={"hours": 2.0})
    found = ahead(place)
    assert found.is_least and len(found.proposed) == 2 and len(found.confirmed) == 2 and found.most is None
    assert (found.seconds_left, found.work_s_left) == (7200.0, None)
    write_json(place.study().folder.path / "spent.json", {"wall_s": 200.0, "work_s": 600.0})
    place.set(budget={"hours": 2.0, "gpu_hours": 1.0, "proposals": 6})
    found = ahead(place)
    assert found.is_least and found.num_new == 4 and found.most == 6 * 2 + 2 * 2
    assert (found.seconds_left, found.work_s_left) == (7000.0, 3000.0)
    place.set(budget={"gpu_hours": 0.1, "proposals": 6})
    assert not ahead(place).is_least and not ahead(place).proposed  # it is spent


def test_the_outlook_follows_what_another_thread_writes(tmp_path):
    place = Searched(tmp_path)
    studies = place.plan().studies
    look = lookout(studies)
    assert look() == Outlook(16)
    place.run(num_jobs=2)
    assert look().num_new == 16 - 2 and len(look().done) == 2
    assert not studies[0].proposals  # those of the other are left alone
    json.dumps(sorted(look().done))


@pytest.mark.parametrize(
    ("budget", "num_workers"), [({"hours": 5.0}, 8), ({"proposals": 1}, 4), ({"hours": 5.0, "proposals": 1}, 4)]
)
def test_a_search_that_hours_end_may_use_every_gpu(tmp_path, monkeypatch, budget, num_workers):
    found: list[int] = []
    monkeypatch.setattr(ray_runner, "run", lambda queue, workers, *others: bool(found.append(workers.num_slots)))
    plan = Searched(tmp_path, seeds=(1,), budget=budget, confirm={"best": 1, "seeds": [11]}).plan()
    eight = replace(plan, slots=replace(plan.slots, num=8))
    seat = SimpleNamespace(scratch=tmp_path)
    run._run_on_ray(eight, None, seat, SimpleNamespace(is_overdue=None), None)
    assert found == [num_workers]


def test_what_was_stopped_early_in_an_earlier_run_tells_nothing_of_the_pace_of_this_one(tmp_path):
    place = Searched(tmp_path, pruning=HALVING, budget={"proposals": 8})
    place.run(num_jobs=6)
    plan = place.plan()
    progress = run.progress_of(plan)
    Monitor(list(plan.trials), plan.ledger, progress.update, lambda *what: None, lookout(plan.studies)).look()
    assert plan.counts()["pruned"] and plan.missing() and progress.seconds_left() is None
