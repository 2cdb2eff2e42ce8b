"""Who wins a search, and that nothing that happens later unseats the winner or opens the test split unseen."""

import os

import pytest

from helpers.searched import Searched, train
from omni_msa.errors import NotFinite
from omni_msa.evidence.gather import gather
from omni_msa.evidence.search_findings import describe, find
from omni_msa.evidence.search_summary import SearchFindings
from omni_msa.evidence.search_verdict import DEFAULT_FAILED, NOT_DECIDED, NOTHING, UNFINISHED
from omni_msa.planning.plan import make_plan, opened
from omni_msa.report.write import write_report
from omni_msa.search import confirmation, optuna_sampler
from omni_msa.search.rules import Suggestion
from omni_msa.search.study_folder import DEFAULT

GRID = {"adapter.rank": {"choice": [4, 8, 16]}}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda number: None)


@pytest.fixture
def place(tmp_path) -> Searched:
    return Searched(tmp_path, space=GRID, sampler="grid", confirm={"best": 2, "seeds": [11, 12]})


def described(place: Searched) -> SearchFindings:
    return describe(place.study(), {})


def num_tested(place: Searched) -> int:
    return len(list(place.ledger.root.glob("trials/*/test.json")))


def at_opening(change):
    """Return a training function that does something else where the test split is open."""

    def one(config, folder, *others):
        if config.opens_test:
            change(config, folder)
        train(config, folder, *others)

    return one


def measuring_otherwise(config, folder):
    complete = folder.complete
    folder.complete = lambda result: complete(
        result | {"valid": {"mae": 9.0}, "cost": {**result["cost"], "train_s": 0}}
    )


@pytest.mark.parametrize("num", [1, 2, 3])
def test_halving_leaves_as_many_as_are_to_be_confirmed(tmp_path, num):
    halving = {"halving": {"epochs": [1, 2], "keep": 0.3}}
    place = Searched(tmp_path, pruning=halving, confirm={"best": num, "seeds": [11, 12]})
    place.run()
    states = [one.state for one in place.study().scores()]
    assert (states.count("complete"), states.count("pruned")) == (num, 6 - num)
    assert len(confirmation.candidates(place.study())) == num and confirmation.is_over(place.study())


def test_opening_the_test_split_changes_nothing_of_what_was_chosen_by(place):
    place.train = at_opening(measuring_otherwise)
    place.run()
    found, winner = described(place), place.winner()
    assert place.run() == 0 and confirmation.is_over(place.study()) and place.plan().is_complete()
    assert found.winner == winner["winner"] and found.times_test_was_opened == 1 and num_tested(place) == 4
    for row in found.confirmed:
        assert row.fresh_mean == pytest.approx(winner["valid"][row.configuration]) and row.fresh_mean < 3


@pytest.mark.parametrize("is_lost", [False, True])
def test_an_attempt_to_open_test_that_fails_or_is_cut_off_unseats_nobody(place, is_lost):
    def ending(config, folder):
        if is_lost:
            raise KeyboardInterrupt
        raise NotFinite({"loss": "nan", "gradient_norm": "nan", "step": "1", "clips": "a"})

    place.train = at_opening(ending)
    place.run(num_jobs=3 * 2 + 4 * 2 + 2)
    winner = place.winner()
    place.train = train
    place.run(retry=True)
    assert place.winner() == winner and num_tested(place) == 4 and place.plan().is_complete()


def failing(wrong):
    def one(config, folder, *others):
        if wrong(config):
            raise NotFinite({"loss": "nan", "gradient_norm": "nan", "step": "1", "clips": "a"})
        train(config, folder, *others)

    return one


def test_what_fails_after_the_test_metrics_were_written_is_not_complete(place):
    def failing_late(config, folder, *others):
        if config.opens_test:
            folder.write_test_metrics({"mae": 0.001})
            raise NotFinite({"loss": "nan", "gradient_norm": "nan", "step": "1", "clips": "a"})
        train(config, folder, *others)

    place.train = failing_late
    place.run()
    plan = place.plan()
    assert plan.counts()["failed"] == 4 and not plan.is_complete() and place.winner()["candidate"] is not None
    assert "On test" not in write_report(plan).evidence.summary.verdict.text
    place.train = train
    assert place.run(retry=True) == 4 and place.plan().is_complete()
    assert all(record.test["mae"] > 0.001 for record in write_report(place.plan()).evidence.records)


def test_a_trial_that_can_be_neither_run_nor_recorded_is_tried_once(place):
    def cut_off(config, folder, *others):
        if config.adapter.rank == 8:
            raise KeyboardInterrupt
        train(config, folder, *others)

    place.train = cut_off
    assert place.run(num_jobs=100) == 3 * 2 + 2 * 2  # proposals and the default: one of them is never whole
    assert not place.study().is_searched() and place.plan().missing()


def test_against_a_default_that_failed_nobody_wins_and_no_test_is_opened(place):
    place.train = failing(lambda config: config.adapter.rank == 2 and config.seed == 12)
    place.run()
    found = described(place)
    assert found.verdict.state == DEFAULT_FAILED and "--retry" in found.verdict.text
    assert found.winner is None and not list(place.ledger.root.glob("searches/*/winner.json"))
    assert num_tested(place) == 0
    plan = place.plan()
    assert not plan.missing() and not plan.is_complete() and place.run() == 0
    assert find(plan)[0].best == "" and write_report(plan).evidence.summary.verdict.state == DEFAULT_FAILED
    place.train = train
    place.run(retry=True)
    assert described(place).winner is not None and num_tested(place) == 4


def test_if_no_confirmed_proposal_is_complete_the_default_stays(place):
    place.train = failing(lambda config: config.adapter.rank != 2 and config.seed == 11)
    place.run()
    found = described(place)
    assert found.winner == DEFAULT and found.verdict.state == UNFINISHED
    assert "no confirmed proposal is complete" in found.verdict.text
    assert num_tested(place) == 2  # the default's


def test_who_was_confirmed_stays_in_the_running_and_counts_when_the_budget_is_raised(tmp_path):
    place = Searched(tmp_path, budget={"proposals": 3}, confirm={"best": 1, "seeds": [11, 12, 13]})
    confirmed: set[str] = set()
    for num in (3, 6, 9):
        place.set(budget={"proposals": num}, confirm={"best": 1, "seeds": [11, 12, 13]})
        place.run()
        found = described(place)
        rows = {row.configuration: row.fresh_mean for row in found.confirmed}
        assert confirmed <= set(rows) and found.num_confirmed == len(rows) - 1
        confirmed = set(rows)
        del rows[DEFAULT]
        assert found.comparison.candidate == int(min(rows, key=rows.__getitem__))
        assert found.comparison.best_of == len(rows)
    assert len(confirmed) > 2  # this search has found better ones
    place.set(budget={"proposals": 9}, confirm={"best": 1, "seeds": [21, 22, 23]})
    place.run()
    found = described(place)
    assert len(found.confirmed) == 2 and found.num_confirmed == len(confirmed)  # the same one, other seeds
    assert f"the best of {len(confirmed)} confirmed" in found.verdict.text


def test_while_a_raised_search_goes_on_test_is_locked_again_and_its_openings_are_counted(tmp_path):
    place = Searched(tmp_path)
    place.run()
    write_report(place.plan())
    place.set(budget={"proposals": 9})
    place.run(num_jobs=3)
    found = described(place)
    assert found.winner is None and found.times_test_was_opened == 1 and num_tested(place) == 4
    evidence = write_report(place.plan()).evidence
    assert all(record.test == {} and record.test_predictions is None for record in evidence.records)
    assert all("mae" not in cell.metrics for cell in evidence.summary.cells)
    assert (place.ledger.report_folder("surface") / "surface_best.yaml").exists()  # of who was named before
    assert evidence.summary.verdict.state == UNFINISHED


def test_a_proposal_that_is_no_configuration_has_failed_and_the_search_goes_on(tmp_path, monkeypatch):
    wrong = {"adapter.rank": 4, "readout.name": "constant", "readout.loss": "l1"}
    right = {"adapter.rank": 4, "readout.name": "discriminative", "readout.loss": "l1"}
    space = {path: {"choice": sorted({each[path] for each in (wrong, right)})} for path in right}
    monkeypatch.setattr("omni_msa.sweep.sweep.check_space", lambda *given: [])
    monkeypatch.setattr(optuna_sampler, "suggest", lambda search, told, number: Suggestion([wrong, right][number]))
    place = Searched(tmp_path, space=space, budget={"proposals": 2})
    place.run()
    found = described(place)
    assert [row.state for row in found.history] == ["failed", "complete"] and found.winner is not None
    assert "readout.loss" in found.history[0].why and place.run() == 0
    assert place.plan().is_complete() and [one.score.state for one in place.study().told()] == ["failed", "complete"]


def test_a_deterministic_proposal_stands_beside_every_seed_of_the_default(tmp_path):
    def one(config, folder, *others):
        mae = 0.5 if config.seed is None else 0.6 + config.seed / 100
        if config.opens_test:
            folder.write_test_metrics({"mae": mae})
        folder.complete({"valid": {"mae": mae}, "cost": {"train_s": 1.0}})

    space = {"readout": {"choice": [{"name": "constant"}]}}
    place = Searched(tmp_path, space=space, budget={"proposals": 1}, confirm={"best": 1, "seeds": [11, 12, 13]})
    place.train = one
    place.run()
    found = described(place)
    assert found.comparison.gained == pytest.approx([0.21, 0.22, 0.23]) and found.is_fresh is True
    assert found.verdict.state == NOT_DECIDED and "on this very number" in found.verdict.text


def test_two_sweep_files_with_the_same_space_are_two_searches(place):
    place.run()
    other = place.folder / "other.yaml"
    other.write_text((place.folder / "surface.yaml").read_text())
    from omni_msa.sweep.sweep import load_sweep

    (study,) = make_plan(load_sweep(other), place.ledger).studies
    assert study.proposals == [] and study.folder.path != place.study().folder.path


def test_the_head_of_the_page_says_what_the_search_says_and_what_test_says(place):
    place.run()
    evidence = write_report(place.plan()).evidence
    (one,) = evidence.searches
    answer = evidence.summary.verdict
    assert answer.text.startswith(one.verdict.text) and answer.state == one.verdict.state
    assert "On test the same trials have" in answer.text and answer.state in (NOT_DECIDED, NOTHING, "real")
    means = [cell.metrics["mae"].mean for cell in gather(opened(place.plan())).summary.cells]
    assert all(f"{mean:.3f}" in answer.text for mean in means)
    assert f"**Answer:** {answer.text}" in (place.ledger.report_folder("surface") / "table.md").read_text()


def test_a_damaged_file_of_a_search_ends_nothing(place):
    place.run()
    folder = place.study().folder.path
    winner = folder / "winner.json"
    whole = winner.read_text()
    for text in (
        "",
        "[]",
        '{"earlier": 3}',
        '{"seeds": 1, "valid": {}}',
        whole.replace('"earlier": []', '"earlier": 3'),
    ):
        winner.write_text(text)
        described(place)
        find(place.plan())
    winner.write_text(whole)
    proposal = folder / "proposals" / "00001.json"
    proposal.write_text(proposal.read_text().replace('"rung": 0', '"rung": 99'))
    assert described(place).winner is not None


def test_a_rung_that_was_reached_stays_reached_whatever_another_sweep_does_with_the_trial(tmp_path):
    place = Searched(tmp_path, pruning={"halving": {"epochs": [1, 2], "keep": 0.5}})
    place.run()
    before, winner = described(place), place.winner()
    pruned = next(row for row in before.history if row.state == "pruned")
    folder = place.ledger.trial(pruned.trials["1"])
    folder.fail("bug", "of another sweep", "trace")
    assert described(place) == before and place.run() == 0 and place.winner() == winner and place.plan().is_complete()


def test_a_corner_of_the_space_with_a_bug_does_not_end_the_search(place):
    def buggy(config, folder, *others):
        if config.adapter.rank > 4:
            raise ValueError("this rank")
        train(config, folder, *others)

    place.train = buggy
    place.run()
    states = [row.state for row in described(place).history]
    assert states == ["complete", "failed", "failed"] and described(place).winner is not None
