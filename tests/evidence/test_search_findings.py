"""What is said of a search, on a known surface."""

import json
import math

import pytest
import yaml
from scipy import stats

from helpers.searched import Searched, train
from helpers.surface import SPACE
from omni_msa.evidence.search_findings import best_sweep, describe, find, history_rows, locked_cells
from omni_msa.evidence.search_verdict import NOT_DECIDED, NOTHING, REAL, UNFINISHED
from omni_msa.planning.plan import make_plan, opened
from omni_msa.report.search_files import lines, write_searches
from omni_msa.report.write import write_report
from omni_msa.search import confirmation, optuna_sampler
from omni_msa.search.rules import Rung
from omni_msa.search.study_folder import DEFAULT
from omni_msa.sweep.sweep import Cell, load_sweep
from omni_msa.tracking._numbers import cell_numbers

CONFIRM = {"best": 2, "seeds": [11, 12, 13]}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda number: None)


@pytest.fixture
def place(tmp_path) -> Searched:
    place = Searched(tmp_path, budget={"proposals": 8}, confirm=CONFIRM)
    place.run()
    return place


def test_search_value_and_fresh_value_stand_side_by_side_with_the_default(place):
    study = place.study()
    found = describe(study, {})
    rows = {row.configuration: row for row in found.confirmed}
    assert list(rows) == [DEFAULT, *map(str, confirmation.candidates(study))]
    default = [_result(place, study.default_cell(), seed)["valid"]["mae"] for seed in (1, 2)]
    assert rows[DEFAULT].search_value == pytest.approx(sum(default) / 2) and rows[DEFAULT].n == 3
    best = confirmation.candidates(study)[0]
    values = [result["valid"]["mae"] for result in fresh_results(place, best)]
    assert rows[str(best)].fresh_values == values
    assert rows[str(best)].fresh_mean == pytest.approx(sum(values) / 3)
    searched = study.scores()[best].values[0]
    assert rows[str(best)].search_value == searched
    assert rows[str(best)].search_gain == pytest.approx(sum(default) / 2 - searched)  # with the same seeds
    assert rows[str(best)].fresh_gain == pytest.approx(rows[DEFAULT].fresh_mean - rows[str(best)].fresh_mean)
    assert rows[DEFAULT].search_gain is rows[DEFAULT].fresh_gain is None


def fresh_results(place: Searched, number: int) -> list[dict]:
    study = place.study()
    cell = study.fresh_cell(number, False)
    return [_result(place, cell, seed) for seed in cell.seeds]


def _result(place: Searched, cell: Cell, seed: int) -> dict:
    return place.ledger.trial(place.study().id_of(cell, seed), opens_test=False).result()


def test_a_large_gain_on_three_fresh_seeds_is_not_decided_and_the_sentence_says_how_many_can(place):
    found = describe(place.study(), {})
    compared, verdict = found.comparison, found.verdict
    assert compared.interval_95[0] > 0 and (compared.p, compared.p_floor) == (0.5, 0.5)  # 2 / 2^3, twice
    assert verdict.state == NOT_DECIDED
    assert "3 fresh seeds are too few to show any; with 8 of them" in verdict.text  # 4 * 2 / 2^8 <= 0.05


def test_a_large_gain_on_seven_fresh_seeds_is_real_and_the_sentence_says_by_how_much(tmp_path):
    place = Searched(tmp_path, budget={"proposals": 8}, confirm={"best": 2, "seeds": list(range(11, 18))})
    place.run()
    found = describe(place.study(), {})
    compared, verdict = found.comparison, found.verdict
    candidate = compared.candidate
    default, ours = (next(r for r in found.confirmed if r.configuration == str(n)) for n in (DEFAULT, candidate))
    gained = [a - b for a, b in zip(default.fresh_values, ours.fresh_values, strict=True)]
    assert compared.gained == pytest.approx(gained) and compared.mean == pytest.approx(sum(gained) / 7)
    assert (compared.p, compared.p_floor, compared.n) == (2 * 2 / 2**7, 2 * 2 / 2**7, 7)  # the best of two
    corrected = stats.t(6, compared.mean, stats.sem(gained)).interval(1 - 0.05 / 2)
    assert compared.interval_95 == pytest.approx(corrected) and "the best of 2 confirmed." in verdict.text
    assert verdict.state == REAL and compared.interval_95[0] > 0
    assert f"{default.fresh_mean:.3f} of the default: better by {compared.mean:.3f}" in verdict.text
    assert found.winner == candidate and found.times_test_was_opened == 1


def verdict_where(tmp_path, shift) -> tuple[str, str]:
    """Return the verdict of a search whose proposals differ from the default on fresh seeds as `shift(seed)` says."""
    place = Searched(tmp_path, budget={"proposals": 2}, confirm={"best": 1, "seeds": [11, 12, 13, 14, 15, 16]})

    def shifted(config, folder, *others):
        complete = folder.complete

        def change(result):
            is_default = config.adapter.rank == 2 and config.adapter.dropout == 0.4
            mae = 1.0 if is_default else 1.0 - shift(config.seed)
            complete({**result, "valid": {"mae": mae}})

        folder.complete = change
        train(config, folder, *others)

    place.train = shifted
    place.run()
    found = describe(place.study(), {}).verdict
    return found.state, found.text


def test_a_gain_within_the_luck_of_seeds_is_not_decided(tmp_path):
    state, text = verdict_where(tmp_path, lambda seed: {11: 0.3, 12: -0.2, 13: 0.1}.get(seed, 0.5))
    assert state == NOT_DECIDED and "luck of seeds" in text and "In the search it had 0.500" in text


def test_what_only_the_search_saw_is_nothing(tmp_path):
    state, text = verdict_where(tmp_path, lambda seed: -0.1 if seed > 10 else 0.5)
    assert state == NOTHING and "which stays" in text and "worse by 0.100" in text


def test_before_its_end_a_search_says_nothing(tmp_path):
    place = Searched(tmp_path)
    assert describe(place.study(), {}).verdict.state == UNFINISHED
    place.run(num_jobs=5)
    found = describe(place.study(), {})
    assert found.verdict.state == UNFINISHED and found.winner is None and found.confirmed == []
    plan = place.plan()
    write_searches(plan, find(plan), tmp_path)
    assert (tmp_path / "search.json").exists() and not (tmp_path / "surface_best.yaml").exists()
    assert len(lines(plan, find(plan))) == 1


def test_while_a_larger_budget_runs_who_was_named_before_keeps_its_file(tmp_path):
    place = Searched(tmp_path)
    place.run()
    winner = place.winner()["winner"]
    place.set(budget={"proposals": 12}, confirm={"seeds": [21, 22]})
    place.run(num_jobs=1)
    plan, found = place.plan(), describe(place.study(), {})
    write_searches(plan, find(plan), tmp_path / "report")
    kept = yaml.safe_load((tmp_path / "report" / "surface_best.yaml").read_text())
    assert found.winner is None and kept["seeds"] == [11, 12] and f"proposal {winner}" in kept["question"]
    assert found.verdict.state == UNFINISHED and f"went on: proposal {winner}." in found.verdict.text
    assert f"; so far winner: proposal {winner} (" in lines(plan, find(plan))[0]
    place.run()
    plan = place.plan()
    assert "so far" not in lines(plan, find(plan))[0]


def test_the_history_has_the_best_so_far_and_a_column_for_each_parameter(place):
    found = describe(place.study(), {})
    rows = history_rows(found)
    lowest = math.inf
    for row in rows:
        lowest = min(lowest, row["mae"])
        assert row["best_so_far"] == lowest
    assert [row["proposal"] for row in rows] == list(range(8))
    assert set(SPACE) <= {name for row in rows for name in row}
    assert found.pareto_front is None and found.rungs == [Rung(2, None)]


def test_the_pareto_front_is_told_of_two_objectives(tmp_path):
    place = Searched(tmp_path, objectives=["mae", "peak_memory_gb"], budget={"proposals": 6}, confirm={"seeds": [11]})
    place.run()
    found = describe(place.study(), {})
    values = {row.proposal: row.values for row in found.history}
    front = found.pareto_front
    beaten = [
        number
        for number, each in values.items()
        if any(other[0] <= each[0] and other[1] <= each[1] and other != each for other in values.values())
    ]
    assert sorted(front + beaten) == sorted(values) and front


def test_the_best_configuration_is_a_sweep_whose_trials_are_done(place, tmp_path):
    folder = tmp_path / "report"
    found = find(place.plan())
    write_searches(place.plan(), found, folder)
    said = lines(place.plan(), found)
    assert len(said) == 1 and "winner: proposal" in said[0] and "readout.loss=" in said[0]
    plan = make_plan(load_sweep(folder / "surface_best.yaml"), place.ledger)
    assert {trial.status.state for trial in plan.trials} == {"complete"} and len(plan.trials) == 3
    winner = [trial.trial_id for trial in opened(place.plan()).trials if DEFAULT not in trial.cells[0]]
    assert sorted(trial.trial_id for trial in plan.trials) == sorted(winner)
    assert yaml.safe_load((folder / "surface_best.yaml").read_text())["seeds"] == [11, 12, 13]
    names = {"surface_best.yaml", "profiles", "search.json", "search_confirmed.csv", "search_history.csv"}
    assert {file.name for file in folder.iterdir()} == names | {"search_importance.csv"}
    header = (folder / "search_importance.csv").read_text().splitlines()
    assert header[0] == "study,parameter,share" and len(header) >= 3


def test_a_report_keeps_what_people_put_beside_the_best_sweep(place):
    folder = write_report(place.plan()).folder
    for name in ("surface_best_more.yaml", "profiles/mine.yaml", "surface_best_7.yaml"):
        (folder / name).write_text("x")
    write_report(place.plan())
    assert (folder / "surface_best_more.yaml").read_text() == (folder / "profiles" / "mine.yaml").read_text() == "x"
    assert (folder / "profiles" / "small.yaml").exists() and not (folder / "surface_best_7.yaml").exists()


def test_differences_on_test_carry_the_note_that_their_cell_was_chosen(place, tmp_path):
    table = (write_report(place.plan()).folder / "table.md").read_text()
    assert f"Proposal {place.winner()['candidate']} was chosen on valid, by these seeds, as the best of 2" in table
    (alone := tmp_path / "alone").mkdir()
    place = Searched(alone, budget={"proposals": 2}, confirm={"best": 1, "seeds": [11]})
    place.run()
    assert "was chosen on valid" not in (write_report(place.plan()).folder / "table.md").read_text()


def test_each_search_of_a_sweep_with_axes_has_a_best_sweep_of_its_own(tmp_path):
    place = Searched(tmp_path, axes={"adapter.alpha": [4.0, 8.0]}, budget={"proposals": 2}, confirm=CONFIRM)
    place.run()
    plan, folder = place.plan(), tmp_path / "report"
    write_searches(plan, find(plan), folder)
    for name, alpha in (("surface_best.yaml", 4.0), ("surface_best_2.yaml", 8.0)):
        best = make_plan(load_sweep(folder / name), place.ledger)
        assert {trial.status.state for trial in best.trials} == {"complete"} and len(best.trials) == 3
        assert {trial.config.adapter.alpha for trial in best.trials} == {alpha}


def test_an_error_in_the_importance_of_parameters_costs_nothing_else(place, monkeypatch):
    monkeypatch.setattr(optuna_sampler, "importances", lambda *given: 1 / 0)
    (found,) = find(place.plan())
    assert found.importances == {} and found.confirmed and found.winner is not None


def test_cells_whose_test_split_is_locked_have_means_over_their_seeds_on_valid(place):
    plan = place.plan()
    cells = {each.name: each for each in locked_cells(plan)}
    opened_labels = {cell.name for cell in opened(plan).sweep.cells}
    assert cells.keys() == {cell.name for cell in plan.sweep.cells} - opened_labels
    for row in find(plan)[0].history:
        numbers = cell_numbers(cells[f"proposal {row.proposal}, search"], of_valid=True)
        assert numbers["best_valid_mae"] == numbers["best_valid_mae_mean"] == pytest.approx(row.values[0])
        assert numbers["best_valid_mae_n"] == 2 and numbers["best_valid_mae_std"] > 0
        assert numbers["peak_memory_gb"] > 0 and not any(name.startswith(("test_", "mae")) for name in numbers)


def test_if_the_default_stays_the_best_sweep_is_the_default(tmp_path):
    confirm = {"best": 1, "seeds": [11, 12, 13]}
    place = Searched(tmp_path, space={"adapter.rank": {"choice": [64]}}, confirm=confirm, budget={"proposals": 1})
    place.run()
    assert place.winner()["winner"] == DEFAULT and place.winner()["candidate"] == 0
    assert best_sweep(place.study())["adapter"]["rank"] == 2


def test_search_json_has_its_keys_in_their_order(tmp_path):
    """Other people's scripts read this file: a field that is renamed here must not rename a key there."""
    place = Searched(tmp_path, objectives=["mae", "peak_memory_gb"], budget={"proposals": 3}, confirm={"seeds": [11]})
    place.run()
    (found,) = find(place.plan())
    values = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert list(values) == [
        *("study", "axes", "sampler", "seed", "objectives", "space", "seeds", "confirm_seeds", "rungs", "spent"),
        *(
            "num_known",
            "first_rung",
            "history",
            "importances",
            "pareto_front",
            "confirmed",
            "num_confirmed",
            "is_fresh",
        ),
        *("winner", "times_test_was_opened", "comparison", "verdict", "best"),
    ]
    assert list(values["history"][0]) == [
        *("proposal", "state", "rung", "values", "by_rung", "best_so_far", "parameters", "trials", "why", "time"),
    ]
    assert list(values["confirmed"][0]) == [
        *("study", "configuration", "search_value", "search_gain", "fresh_mean", "fresh_std", "n", "fresh_gain"),
        *("state", "fresh_values", "parameters"),
        *("search_peak_memory_gb", "fresh_peak_memory_gb", "fresh_peak_memory_gb_std"),
    ]
    assert list(values["comparison"]) == [
        *("candidate", "against", "best_of", "gained", "mean", "interval_95", "p", "p_floor", "n", "n_least", "n_next"),
    ]
    assert list(values["verdict"]) == ["state", "text"] and list(values["spent"]) == ["wall_s", "work_s"]
    assert list(values["history"][0]["by_rung"]) == ["0"] and values["rungs"] == [{"num_seeds": 2, "num_epochs": None}]
