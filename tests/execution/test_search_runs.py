"""Searches from the command line with real training of tiny trials, killed at exact moments and gone on with."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing

import pandas as pd
import pytest

from helpers.kill_harness import KILLED, KillPlace, Moment, rows
from helpers.place import ROOT

pytestmark = pytest.mark.slow

SEARCH = """
question: Can it be bettered?
profile: small
search:
  space:
    adapter.rank: {choice: [2, 4, 8]}
    training.learning_rate: {log_uniform: [1.0e-4, 1.0e-1]}
    readout.loss: {choice: [l1, huber]}
    readout.huber_delta: {uniform: [0.5, 2.0], when: {readout.loss: huber}}
  budget: {proposals: 4}
  pruning: {halving: {epochs: [2], keep: 0.5}}
  confirm: {best: 1, seeds: [11]}
seeds: [1, 2]
"""


class SearchPlace(KillPlace):
    """A search of four proposals, whose driver is killed. A trial that is to be tested is written a second time."""

    def __init__(self, folder) -> None:
        super().__init__(folder, sweep=SEARCH)

    def _finished_folders(self):
        confirmed = {file.parent.name for file in self.ledger.glob("trials/*/config.json") if _seed(file) == 11}
        return [folder for folder in super()._finished_folders() if folder.name not in confirmed]

    def proposals(self) -> list[dict]:
        files = sorted(self.ledger.glob("searches/*/proposals/*.json"))
        kept = ("number", "parameters", "rung", "trials")
        return [{name: json.loads(file.read_text())[name] for name in kept} for file in files]

    def winner(self) -> dict:
        (file,) = self.ledger.glob("searches/*/winner.json")
        return {name: value for name, value in json.loads(file.read_text()).items() if name != "time"}

    def optuna(self) -> list[tuple]:
        """Return (state, content) of all trials of Optuna's database, of the study the newest."""
        with closing(sqlite3.connect(f"file:{self.ledger / 'optuna.db'}?mode=ro", uri=True)) as base:
            query = (
                "select state, value_json from trials join trial_user_attributes using (trial_id) where key = 'content'"
            )
            return base.execute(query).fetchall()


def _seed(file) -> int | None:
    return json.loads(file.read_text()).get("seed")


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> SearchPlace:
    """The search run once, one trial at a time, never disturbed."""
    place = SearchPlace(tmp_path_factory.mktemp("reference"))
    ran = place.go_on("--local")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    place.said = ran.stdout
    return place


def check(place: SearchPlace, reference: SearchPlace) -> None:
    """Everything that was found is the reference's, bit for bit, and told once."""
    assert place.proposals() == reference.proposals() and place.winner() == reference.winner()
    assert place.states() == reference.states()
    assert not [file for file in place.ledger.glob("searches/**/*") if file.name.startswith(".")]
    names = {folder.name for folder in reference.ledger.glob("trials/*")}
    assert {folder.name for folder in place.ledger.glob("trials/*")} == names
    for name in names:
        ours, theirs = (each.ledger / "trials" / name for each in (place, reference))
        assert rows(ours) == rows(theirs)
        assert sorted(file.name for file in ours.glob("*.parquet")) == sorted(
            file.name for file in theirs.glob("*.parquet")
        )
        for file in ours.glob("*.parquet"):
            pd.testing.assert_frame_equal(pd.read_parquet(file), pd.read_parquet(theirs / file.name), check_exact=True)
    assert sorted(place.optuna()) == sorted(reference.optuna())
    assert [path for path, times in place.written().items() if times > 1 and "fit.json" in path] == []


def test_a_search_ends_with_a_winner_that_alone_was_tested(reference):
    proposals, winner = reference.proposals(), reference.winner()
    assert [each["number"] for each in proposals] == [0, 1, 2, 3] and winner["candidate"] in range(4)
    states = reference.states()
    assert {"complete", "pruned"} == set(states.values())
    tested = {file.parent.name for file in reference.ledger.glob("trials/*/test.json")}
    fresh = {file.parent.name for file in reference.ledger.glob("trials/*/config.json") if _seed(file) == 11}
    assert tested == fresh and len(fresh) == 2
    table = pd.read_csv(reference.ledger / "reports" / "small" / "table.csv")
    assert [str(name) for name in table["proposal"].dropna()] == ["default", str(winner["candidate"])]
    assert "Can it be bettered?" in reference.said


def test_optunas_database_holds_each_proposal_once_and_none_is_running(reference):
    found = reference.optuna()
    assert len(found) == len({content for _, content in found}) == 4
    assert {state for state, _ in found} <= {"COMPLETE", "PRUNED"}
    with closing(sqlite3.connect(f"file:{reference.ledger / 'optuna.db'}?mode=ro", uri=True)) as base:
        spans = base.execute("select datetime_start, datetime_complete from trials order by datetime_start").fetchall()
    assert all(began <= ended for began, ended in spans) and any(began < ended for began, ended in spans)


def test_mlflow_shows_every_proposal_with_its_parameters(reference):
    with closing(sqlite3.connect(f"file:{reference.ledger / 'mlflow.db'}?mode=ro", uri=True)) as base:
        query = "select run_uuid, c.value from tags c join tags k using (run_uuid) where c.key = 'cell'"
        cells = base.execute(f"{query} and k.key = 'kind' and k.value = 'cell'").fetchall()
        statuses = {status for (status,) in base.execute("select status from runs")}
        run = next(run for run, cell in cells if cell == "proposal 0, search")
        params = dict(base.execute("select key, value from params where run_uuid = ?", (run,)).fetchall())
        query = "select value from latest_metrics where run_uuid = ? and key = 'best_valid_mae_mean'"
        (mean,) = base.execute(query, (run,)).fetchone()
        trials = "join tags k using (run_uuid) where k.key = 'kind' and k.value = 'trial' and m.key"
        tests = base.execute(f"select count(*) from latest_metrics m {trials} = 'test_mae'").fetchone()
        valid = base.execute(f"select count(*) from latest_metrics m {trials} = 'best_valid_mae'").fetchone()
    assert statuses == {"FINISHED"} and "adapter.rank" in params and params["proposal"] == "0"
    (study,) = json.loads((reference.ledger / "reports" / "small" / "search.json").read_text())["studies"]
    assert [mean] == study["history"][0]["values"]
    complete = sum(state == "complete" for state in reference.states().values())
    assert tests == (2,) and valid == (complete,)


def test_the_best_configuration_can_be_run_and_has_nothing_left_to_run(reference):
    report = reference.ledger / "reports" / "small"
    assert {"search.json", "search_history.csv", "search_confirmed.csv"} <= {file.name for file in report.iterdir()}
    command = [sys.executable, str(ROOT / "orchestrate.py"), str(report / "small_best.yaml"), "--plan"]
    ran = subprocess.run(command, env=reference.environment, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0 and "to run: nothing" in ran.stdout, ran.stdout + ran.stderr
    assert "winner: " in reference.said and "fresh seed" in reference.said


def test_the_report_has_a_section_and_figures_of_the_search(reference):
    report = reference.ledger / "reports" / "small"
    text = (report / "report.html").read_text(encoding="utf-8")
    assert '<section id="search"' in text and "4 proposals by tpe (seed 0)" in text
    assert "The test split was opened once, after a winner was named." in text
    found = {file.stem for file in (report / "figures").glob("search_*.svg")}
    assert {"search_history", "search_confirmed", "search_slices", "search_parallel"} <= found
    assert all(f'<figure id="figure-{name}"' in text for name in found)


def test_running_it_again_runs_nothing(reference):
    before = reference.trial_files()
    ran = reference.go_on("--local")
    assert ran.returncode == 0 and reference.trial_files() == before
    planned = reference.run("--plan").stdout
    assert "to run: nothing" in planned


MOMENTS = [
    Moment("rename", "proposals/.*json$"),
    Moment("rename", "proposals/.*json$", is_after=True),
    Moment("rename", "spent.json$"),  # the trial has ended, and nobody has noted it
    Moment("rename", "proposals/.*json$", is_after=True),
    Moment("rename", "result.json$"),
    Moment("rename", "result.json$", is_after=True),
    Moment("rename", "winner.json$"),
    Moment("rename", "winner.json$", is_after=True),
    Moment("rename", "trials/.*test.json$", is_after=True),
    Moment("open", "mlruns/optuna.db$"),  # everything is done, and the view is not written yet
]


def test_a_search_killed_at_any_write_goes_on_from_there(tmp_path, reference):
    place = SearchPlace(tmp_path)
    for moment in MOMENTS:
        ran = place.go_on("--local", moments=(moment,))
        assert (ran.returncode, place.hits()) == (KILLED, {moment.name}), (moment, ran.stderr)
    place.finish("--local")
    check(place, reference)


def test_trials_run_together_through_ray_and_a_killed_driver_is_followed_by_another(tmp_path):
    place = SearchPlace(tmp_path)
    ran = place.go_on(moments=(Moment("rename", "result.json$", 2, victim="orchestrate.py"),))
    assert ran.returncode == KILLED
    place.finish()
    found = [json.dumps(each["parameters"]) for each in place.proposals()]
    assert len(found) == len(set(found)) == 4 and set(place.states().values()) == {"complete", "pruned"}
    assert {state for state, _ in place.optuna()} <= {"COMPLETE", "PRUNED"} and len(place.optuna()) == 4


def test_a_bad_space_is_refused_with_all_that_is_wrong(reference):
    settings = ["search.space.adapter.rnk={choice: [1]}", "search.space.adapter.dropout={uniform: [0.5, 0.1]}"]
    ran = reference.run(*settings, "search.space.readout.width={log_int: [-1, 4]}", "axes.adapter.rank=[2]")
    assert ran.returncode == 2 and "Traceback" not in ran.stderr
    for text in ('did you mean "rank"?', "the range is empty", "-1 has no logarithm", "a parameter is also an axis"):
        assert text in ran.stderr
