"""Optuna's database, which people look at."""

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import optuna
import pytest

from helpers.surface import search_of, told
from omni_msa.search import optuna_sampler as service
from omni_msa.search.optuna_sampler import publish
from omni_msa.search.rules import Observation, ProposalValue


def cells_of(num: int) -> list[Observation]:
    points = (
        {"training.learning_rate": 10.0**-each, "adapter.rank": 2, "adapter.dropout": 0.1} for each in range(1, 5)
    )
    return [told({**point, "readout.loss": "l1"}, number) for number, point in zip(range(num), points, strict=False)]


def told_at(dropout: float, number: int) -> Observation:
    value = abs(dropout - 0.4)
    return Observation({"adapter.dropout": dropout}, ProposalValue("complete", (value,), {0: value}), number)


@pytest.fixture
def database(tmp_path):
    return tmp_path / "optuna.db"


def stored(database, name: str = "s") -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{database}").get_trials()


def test_the_database_holds_what_has_ended_once(database):
    cells = cells_of(3)
    for _ in range(2):
        publish(
            database,
            "s",
            search_of(),
            [*cells[:2], Observation(cells[2].parameters, ProposalValue("running"), 2)],
            False,
        )
        assert [trial.value for trial in stored(database)] == [each.score.values[0] for each in cells[:2]]
    publish(database, "s", search_of(), [*cells, Observation(cells[0].parameters, ProposalValue("failed"), 3)], False)
    assert [trial.user_attrs["proposal"] for trial in stored(database)] == [0, 1, 2, 3]
    assert stored(database)[3].state.name == "FAIL"


def test_it_says_from_when_to_when_each_proposal_took(database):
    began = datetime(2026, 7, 1, 12, tzinfo=UTC)
    told = [replace(cells_of(1)[0], span=(began, began + timedelta(minutes=7))), cells_of(2)[1]]
    publish(database, "s", search_of(), told, True)
    first, unknown = stored(database)
    assert first.datetime_start == began.astimezone().replace(tzinfo=None)  # local, as Optuna's own
    assert first.duration == timedelta(minutes=7) and unknown.duration < timedelta(seconds=1)


def test_it_names_the_objectives(database):
    publish(database, "s", search_of(objectives=["mae", "peak_memory_gb"]), [], False)
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{database}")
    assert study.metric_names == ["mae", "peak_memory_gb"]


def publish_halving(database, *told: Observation, is_over: bool) -> None:
    space = {"adapter.dropout": {"uniform": [0.0, 1.0]}}
    publish(database, "s", search_of(space=space, pruning={"halving": {"epochs": [1]}}), told, is_over)


def pruned(number: int) -> Observation:
    return Observation({"adapter.dropout": 0.1}, ProposalValue("pruned", None, {0: 0.9}), number)


def test_what_may_still_be_promoted_is_shown_when_it_has_ended(database, monkeypatch):
    """Optuna cannot change a trial that has ended: the study would have to be made anew for each promotion."""
    made, add = [], optuna.Study.add_trial
    monkeypatch.setattr(optuna.Study, "add_trial", lambda study, trial: made.append(trial) or add(study, trial))
    publish_halving(database, pruned(0), told_at(0.2, 1), pruned(2), is_over=False)
    assert [trial.user_attrs["proposal"] for trial in stored(database)] == [1]
    publish_halving(database, told_at(0.1, 0), told_at(0.2, 1), pruned(2), is_over=False)
    publish_halving(database, told_at(0.1, 0), told_at(0.2, 1), pruned(2), is_over=True)
    assert [trial.state.name for trial in stored(database)] == ["COMPLETE", "COMPLETE", "PRUNED"]
    assert stored(database)[2].intermediate_values == {1: 0.9} and len(made) == 3
    publish_halving(database, told_at(0.1, 0), told_at(0.2, 1), pruned(2), told_at(0.3, 3), is_over=False)
    assert len(stored(database)) == 4 == len(made)  # the budget was raised: what was shown stays


def test_a_study_that_holds_something_else_is_made_anew(database):
    publish(database, "other", search_of(), cells_of(1), True)
    publish_halving(database, pruned(0), is_over=True)
    publish_halving(database, told_at(0.1, 0), is_over=True)  # it was promoted after all
    assert [trial.state.name for trial in stored(database)] == ["COMPLETE"]
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{database}")
    study.ask()  # somebody else
    publish_halving(database, told_at(0.1, 0), is_over=True)
    assert [trial.state.name for trial in stored(database)] == ["COMPLETE"]
    assert len(stored(database, "other")) == 1
    with sqlite3.connect(database) as connection:
        assert connection.execute("select count(*) from trials where state = 'RUNNING'").fetchone() == (0,)


@pytest.mark.parametrize("content", [b"this is no database", b"SQLite format 3\x00 torn", b""])
def test_a_damaged_database_is_put_aside_and_made_anew(database, content):
    database.write_bytes(content)
    publish(database, "s", search_of(), cells_of(2), True)
    assert len(stored(database)) == 2
    assert [path.read_bytes() for path in database.parent.glob("optuna.db.damaged-*")] == [content] * bool(content)


def test_a_database_that_cannot_be_written_stays_as_it_was(database, monkeypatch):
    cells = cells_of(3)
    publish(database, "s", search_of(), cells[:2], True)
    before = database.read_bytes()
    (database.parent / "optuna.db-journal").mkdir()  # so that SQLite cannot begin
    with pytest.raises(sqlite3.OperationalError):
        publish(database, "s", search_of(), cells, True)
    (database.parent / "optuna.db-journal").rmdir()
    monkeypatch.setattr(service, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(service, "put_damaged_aside", lambda path: None)  # it would wait for five seconds
    with sqlite3.connect(database, isolation_level=None) as other:
        other.execute("begin exclusive")
        with pytest.raises(TimeoutError, match="locked by another program"):
            publish(database, "s", search_of(), cells, True)
        other.execute("rollback")
    assert database.read_bytes() == before
    publish(database, "s", search_of(), cells, True)
    assert len(stored(database)) == 3


def test_a_database_is_written_only_if_there_is_something_new(database):
    cells = cells_of(2)
    for _ in range(2):
        publish(database, "s", search_of(), cells, True)
        database.chmod(0o444)
        times = {path.name: path.stat().st_mtime_ns for path in (database, database.parent)}
    assert times == {path.name: path.stat().st_mtime_ns for path in (database, database.parent)}
