"""Searches through plan, queue and ledger, on a known surface."""

import json
import os

import pytest

from helpers.searched import NUM_EPOCHS, Searched, train
from helpers.surface import height
from omni_msa.errors import NotFinite
from omni_msa.evidence.gather import gather
from omni_msa.ledger.trials import planned
from omni_msa.planning.plan import opened
from omni_msa.search import confirmation, optuna_sampler
from omni_msa.search.rules import Suggestion
from omni_msa.search.study_folder import DEFAULT
from omni_msa.sweep.search_space import text


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Nothing here cuts the power: what is written need not reach the disk."""
    monkeypatch.setattr(os, "fsync", lambda number: None)


@pytest.fixture
def place(tmp_path) -> Searched:
    return Searched(tmp_path)


def test_a_search_proposes_confirms_names_a_winner_and_opens_its_test_split(place):
    assert len(place.plan().missing()) == 2 * 2 + 6 * 2 + 2 * 2  # the default with both seeds, proposals, the best two
    assert place.run() == 6 * 2 + 4 * 2 + 2 * 2  # the winner and the default twice: the second time for test
    study, plan = place.study(), place.plan()
    assert len(study.proposals) == 6 and confirmation.is_over(study) and not plan.missing() and plan.is_complete()
    winner = place.winner()
    assert winner["candidate"] == winner["winner"] and winner["winner"] in confirmation.candidates(study)
    assert height(place.parameters()[winner["winner"]]) < height(
        {"training.learning_rate": 5e-2, "adapter.rank": 2, "adapter.dropout": 0.4, "readout.loss": "l1"}
    )
    opened_cells = [cell.axes for cell in opened(plan).sweep.cells]
    assert opened_cells == [
        {"proposal": DEFAULT, "stage": "fresh"},
        {"proposal": winner["winner"], "stage": "fresh"},
    ]
    tested = {file.parent.name for file in place.ledger.root.glob("trials/*/test.json")}
    assert tested == {trial.trial_id for trial in opened(plan).trials} and len(tested) == 4
    assert not place.repeated()  # a fit that was trained is not trained again for test
    assert place.run() == 0
    assert plan.sweep.file.compare.against == {"proposal": DEFAULT, "stage": "fresh"}


def test_until_a_winner_is_named_no_test_file_is_written_and_reading_one_raises(place):
    seen = []

    def looking(config, folder, *others):
        train(config, folder, *others)
        has_test = bool(list(place.ledger.root.glob("trials/*/*test*")))
        named = bool(list(place.ledger.root.glob("searches/*/winner.json")))
        seen.append((has_test, named, config.opens_test))
        if not config.opens_test:
            for touch in (folder.test_metrics, lambda: folder.write_test_metrics({"mae": 1.0})):
                with pytest.raises(PermissionError, match="locked for a search"):
                    touch()
            with pytest.raises(PermissionError, match="locked for a search"):
                folder.write_predictions("test", None)

    place.train = looking
    place.run()
    assert all(named or not (has_test or opens) for has_test, named, opens in seen) and seen[-1] == (True, True, True)


def test_a_result_with_test_is_used_without_its_test(place):
    """An ordinary sweep ran the cell before: the search reads valid, and test stays locked for it."""
    place.run()
    study = place.study()
    cell = study.fresh_cell(place.winner()["winner"], False)
    assert [one.state for one in study.seen(cell)] == ["complete", "complete"]
    trial = next(trial for trial in place.plan().trials if trial.config.opens_test)
    assert place.ledger.trial(trial.trial_id).test_metrics()
    with pytest.raises(PermissionError):
        place.ledger.trial(trial.trial_id, opens_test=False).test_metrics()


def test_one_at_a_time_a_seed_settles_everything_also_across_kills(tmp_path):
    whole, killed = (Searched(tmp_path / name) for name in ("whole", "killed") if not (tmp_path / name).mkdir())
    whole.run()
    for num in (1, 0, 2, 5, 1, 3, 7, 2):  # so many jobs, and the driver is gone
        killed.run(num_jobs=num)
    killed.run()
    assert killed.parameters() == whole.parameters() and killed.ended() == whole.ended()
    one, other = whole.winner(), killed.winner()
    assert {**one, "time": ""} == {**other, "time": ""} and not killed.repeated()


def test_a_driver_killed_before_it_wrote_the_proposal_proposes_the_same(place, monkeypatch):
    replaced = os.replace
    place.run(num_jobs=5)
    before = place.parameters()

    def killed(source, target):
        if "proposals" in str(target):
            raise KeyboardInterrupt
        replaced(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        place.run()
    monkeypatch.undo()
    assert place.parameters() == before
    place.run()
    (place.folder / "again").mkdir()
    again = Searched(place.folder / "again")
    again.run()
    assert place.parameters() == again.parameters()


def test_raising_the_budget_goes_on(tmp_path):
    first, second = (Searched(tmp_path / name) for name in "ab" if not (tmp_path / name).mkdir())
    first.run()
    before = first.parameters()
    for place in (first, second):
        place.set(budget={"proposals": 9})
    assert 3 * 2 <= len(first.plan().missing()) <= 3 * 2 + 2 * 2
    first.run()
    second.run()
    assert first.parameters()[:6] == before and first.parameters() == second.parameters()
    assert confirmation.is_over(first.study()) and len(first.winner()["earlier"]) == 1 and not first.plan().missing()


@pytest.mark.parametrize("num", [2, 3, 5])
def test_proposals_run_together_without_duplicates(tmp_path, num):
    place = Searched(tmp_path, budget={"proposals": 12})
    place.run(num_at_once=num)
    found = place.parameters()
    assert len(found) == 12 and confirmation.is_over(place.study()) and not place.repeated()
    assert len({text(each) for each in found}) == 12


@pytest.mark.parametrize("budget", [{"proposals": 7}, {"hours": 1.0}, {"gpu_hours": 1.0}])
def test_a_space_is_searched_when_all_its_points_were_proposed(tmp_path, budget):
    space = {"adapter.rank": {"choice": [2, 4]}}
    place = Searched(tmp_path, space=space, sampler="random", budget=budget, confirm={"seeds": [11]})
    begun = place.run()
    study = place.study()
    assert len(study.proposals) == 2 and confirmation.is_over(study)
    assert begun == 2 * 2 + 2 + 2  # two cells, one of them the default; with a fresh seed; test


def test_a_sampler_that_insists_ends_the_search_and_a_cell_suggested_twice_costs_nothing(tmp_path, monkeypatch):
    parameters = {"adapter.dropout": 0.25, "adapter.rank": 4, "readout.loss": "l1", "training.learning_rate": 1e-3}
    monkeypatch.setattr(optuna_sampler, "suggest", lambda *given: Suggestion(parameters))
    place = Searched(tmp_path, budget={"hours": 1.0}, confirm={"seeds": [11]})
    assert place.run() == 2 + 2 + 1 + 1 + 2  # the cell, the default, each with a fresh seed; test
    study = place.study()
    assert len(study.proposals) == 21 and len({one.values for one in study.scores()}) == 1
    assert len(confirmation.candidates(study)) == 1 and confirmation.is_over(study)


def test_a_grid_ends_when_every_point_was_tried(tmp_path):
    space = {"adapter.rank": {"choice": [2, 4, 8]}, "readout.loss": {"choice": ["l1", "mse"]}}
    place = Searched(tmp_path, space=space, sampler="grid", budget={"proposals": 50})
    place.run()
    assert len(place.parameters()) == 6 and confirmation.is_over(place.study())


def test_one_study_for_each_cell_of_the_axes(tmp_path):
    place = Searched(tmp_path, axes={"training.batch_size": [4, 8]}, budget={"proposals": 3})
    place.run(num_at_once=2)
    plan = place.plan()
    assert [len(study.proposals) for study in plan.studies] == [3, 3] and not plan.missing()
    assert [cell.axes["training.batch_size"] for cell in opened(plan).sweep.cells] == [4, 4, 8, 8]
    assert plan.sweep.file.compare.against == {"proposal": DEFAULT, "stage": "fresh"}
    pairs = [(one.name, one.against) for one in gather(opened(plan)).summary.differences]
    assert [[label.split(", ")[0] for label in pair] for pair in pairs] == [["batch_size 4"] * 2, ["batch_size 8"] * 2]


def failing(bad_rank: int):
    def one(config, folder, *others):
        if config.adapter.rank == bad_rank and config.seed == 2:
            raise NotFinite({"loss": "nan", "gradient_norm": "nan", "step": "1", "clips": "a"})
        train(config, folder, *others)

    return one


def test_a_cell_with_a_failed_seed_is_never_chosen_and_can_be_retried(tmp_path):
    place = Searched(tmp_path, space={"adapter.rank": {"choice": [2, 8]}}, sampler="grid")
    place.train = failing(8)  # 8 would be the best
    place.run()
    study = place.study()
    assert [one.state for one in study.scores()] == ["complete", "failed"] and confirmation.candidates(study) == [0]
    assert "failed" in place.ended().values() and place.run() == 0
    place.train = train
    place.run(retry=True)
    assert [one.state for one in place.study().scores()] == ["complete", "complete"]
    assert place.winner()["winner"] == 1 and place.winner()["earlier"][0]["candidate"] == 0


def test_if_everything_fails_the_search_ends_without_a_winner(tmp_path):
    place = Searched(tmp_path, budget={"proposals": 2})
    place.train = lambda *arguments: (_ for _ in ()).throw(FloatingPointError("nan"))
    place.run()
    plan = place.plan()
    assert confirmation.is_over(plan.studies[0]) and not plan.missing() and not plan.is_complete()
    assert not list(place.ledger.root.glob("searches/*/winner.json"))
    assert [cell.name for cell in opened(plan).sweep.cells] == ["default, fresh"]


HALVING = {"halving": {"epochs": [1, 2, 4], "keep": 0.5}}


def test_what_is_pruned_keeps_its_checkpoint_and_what_is_promoted_resumes(tmp_path):
    place = Searched(tmp_path, pruning=HALVING, budget={"proposals": 4})
    place.run()
    states = place.ended()
    assert "pruned" in states.values() and set(states.values()) == {"pruned", "complete"}
    assert not place.repeated() and place.plan().is_complete() and place.run() == 0
    study = place.study()
    whole = [one for one in study.scores() if one.state == "complete"]
    assert whole and all(len(one.by_seed) == 2 for one in whole)  # cells are pruned, never seeds of a cell
    for proposal, one in zip(study.proposals, study.scores(), strict=True):
        if one.state == "pruned":
            done = json.loads(next(place.ledger.root.glob(f"fits/{fit_of(place, proposal)}/done.json")).read_text())
            assert done["epochs"] == (study.steps[proposal.rung].num_epochs or NUM_EPOCHS)


def fit_of(place: Searched, proposal) -> str:
    first = proposal.trials["1"]
    return next(trial.fit_id for trial in place.plan().trials if trial.trial_id == first)


def test_a_sweep_that_wants_all_of_a_pruned_trial_runs_the_rest(tmp_path):
    place = Searched(tmp_path, pruning={"halving": {"epochs": [1], "keep": 0.4}}, budget={"proposals": 3})
    place.run()
    pruned = next(trial for trial in place.plan().trials if trial.status.state == "pruned")
    config = pruned.config.model_copy(update={"stops_after_epoch": None, "opens_test": True})
    fingerprint = place.study().fingerprint
    assert planned(config, fingerprint, place.ledger, ("x",)).status.state == "pending"


def test_halving_is_the_same_across_kills(tmp_path):
    whole, killed = (
        Searched(tmp_path / name, pruning=HALVING, seeds=(1, 2, 3))
        for name in ("whole", "killed")
        if not (tmp_path / name).mkdir()
    )
    whole.run()
    for num in (1, 2, 3, 1, 2, 4, 1):
        killed.run(num_jobs=num)
    killed.run()
    assert killed.parameters() == whole.parameters() and killed.ended() == whole.ended() and not killed.repeated()


def test_earlier_trials_are_told_if_asked_but_for_seeds_that_will_confirm(tmp_path):
    place = Searched(tmp_path, budget={"proposals": 4})
    place.run()
    before = place.study()
    place.set(budget={"proposals": 4}, seed=7, transfer=True)
    place.queue()
    known = place.study().folder.known()
    assert len(known) == 5  # the default, too
    values = {json.dumps(one.parameters, sort_keys=True): one.values for one in known}
    for proposal, one in zip(before.proposals, before.scores(), strict=True):
        assert values[json.dumps(proposal.parameters, sort_keys=True)] == pytest.approx(one.values)
    assert [one.facts.get("known") for one in place.study().told()] == [True] * 5
    place.run()
    assert len(place.study().folder.known()) == 5  # settled at the start
    place.set(budget={"proposals": 4}, seed=8)
    assert place.study().told() == []


def test_two_objectives_make_a_front_and_the_first_names_the_winner(tmp_path):
    place = Searched(
        tmp_path, objectives=["mae", "peak_memory_gb"], budget={"proposals": 10}, confirm={"best": 3, "seeds": [11]}
    )
    place.run()
    study = place.study()
    values = [one.values for one in study.scores()]
    chosen = [values[number] for number in confirmation.candidates(study)]
    assert chosen == sorted(chosen) and len(chosen) <= 3
    for each in chosen:
        assert not any(other != each and other[0] <= each[0] and other[1] <= each[1] for other in values)
    assert place.winner()["winner"] is not None


def test_hours_end_a_search_and_more_hours_go_on(tmp_path):
    place = Searched(tmp_path, budget={"hours": 1e-9})
    place.run()
    first = len(place.parameters())
    assert first >= 1 and confirmation.is_over(place.study())
    before = place.study().folder.spent()
    assert before["work_s"] > 0 and before["wall_s"] > 0
    place.set(budget={"gpu_hours": 1e-9})
    assert not place.study().may_propose() and place.run() == 0
    place.set(budget={"gpu_hours": 1e-9}, confirm={"best": 2, "seeds": [31, 32]})
    assert place.run() > 0 and place.study().folder.spent() == before  # confirming is not limited, nor counted
    place.set(budget={"hours": 100.0, "proposals": first + 2})
    place.run()
    assert len(place.parameters()) == first + 2
