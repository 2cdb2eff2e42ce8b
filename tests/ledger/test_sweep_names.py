"""A sweep's name belongs to one question; the same file with other settings replaces the report and says so."""

from dataclasses import replace
from pathlib import Path

import pytest

from omni_msa.ledger.ledger import Ledger
from omni_msa.ledger.sweep_names import NameHolder, hold, read_holder, refusal, replaced

FIRST = NameHolder("rank", "How much?", "/home/a/rank.yaml")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path)


def test_a_name_is_free_then_held(ledger: Ledger) -> None:
    assert read_holder(ledger, "rank") is None
    assert refusal(ledger, FIRST) is None
    hold(ledger, FIRST)
    assert read_holder(ledger, "rank") == FIRST
    assert refusal(ledger, FIRST) is None


def test_another_file_with_another_question_is_refused_with_the_line_to_add(ledger: Ledger) -> None:
    hold(ledger, FIRST)
    problem = refusal(ledger, replace(FIRST, question="Why?", file="/home/b/rank.yaml"))
    assert problem is not None
    assert problem.where == "/home/b/rank.yaml"
    assert "How much?" in problem.what and "/home/a/rank.yaml" in problem.what
    assert '"name: rank_2"' in problem.next_step


def test_the_same_file_may_ask_anew_and_the_same_question_may_move(ledger: Ledger) -> None:
    hold(ledger, FIRST)
    assert refusal(ledger, replace(FIRST, question="How much is enough?")) is None
    assert refusal(ledger, replace(FIRST, file="/mnt/rank.yaml")) is None


def test_names_that_share_a_folder_are_refused(ledger: Ledger) -> None:
    hold(ledger, replace(FIRST, name="paper/rank"))
    assert ledger.report_folder("paper/rank") == ledger.report_folder("paper__rank")
    assert refusal(ledger, replace(FIRST, name="paper__rank")) is not None


def test_a_report_that_replaces_another_says_so(ledger: Ledger) -> None:
    changed = replace(FIRST, settings=("training.epochs=2",))
    hold(ledger, FIRST)
    assert replaced(ledger, changed) == "", "no report stands yet"
    ledger.report_folder("rank").mkdir(parents=True)
    assert replaced(ledger, FIRST) == ""
    assert "made without settings on the command line" in replaced(ledger, changed)
    hold(ledger, changed)
    assert "made with training.epochs=2" in replaced(ledger, FIRST)
    assert "for the question: How much?" in replaced(ledger, replace(FIRST, question="Why?"))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"name": 1}', "\x00"])
def test_a_file_that_is_garbage_holds_nothing(ledger: Ledger, content: str) -> None:
    file = ledger.sweep_name("rank")
    file.parent.mkdir()
    file.write_text(content)
    assert read_holder(ledger, "rank") is None
    assert refusal(ledger, FIRST) is None
