"""The ledger of proposals."""

import json

import pytest

from omni_msa.search.study_folder import PriorResult, Proposal, StudyFolder, study_id
from omni_msa.sweep.search_space import read_space
from omni_msa.system.files import write_json

SPACE = read_space({"space": {"adapter.rank": {"choice": [4, 8]}, "adapter.dropout": {"uniform": [0.0, 0.5]}}})
POINT = {"adapter.rank": 4, "adapter.dropout": 0.25}


@pytest.fixture
def folder(tmp_path) -> StudyFolder:
    return StudyFolder(tmp_path / "study", SPACE)


def test_what_is_written_is_read_again(folder):
    assert folder.proposals() == [] and folder.next_number() == 0
    for number in (0, 1):
        folder.write(Proposal(number, POINT, 0, {"1": "ab"}, "", {"x": "y"}))
    assert [each.number for each in folder.proposals()] == [0, 1] and folder.next_number() == 2
    first = folder.proposals()[0]
    assert first.parameters == POINT and first.time and first.notes == {"x": "y"}
    folder.write(Proposal(**{**vars(first), "rung": 2}))
    assert folder.proposals()[0] == Proposal(**{**vars(first), "rung": 2})


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        json.dumps({**vars(Proposal(0, POINT)), "rung": "1"}),
        json.dumps({**vars(Proposal(0, POINT)), "rung": -1}),
        json.dumps(vars(Proposal(1, POINT))),
        json.dumps(vars(Proposal(0, {**POINT, "adapter.rank": 5}))),
        json.dumps(vars(Proposal(0, {"adapter.rank": 4}))),
    ],
)
def test_a_torn_or_foreign_file_is_no_proposal_and_its_number_is_not_given_again(folder, text):
    folder.write(Proposal(0, POINT))
    (file,) = (folder.path / "proposals").iterdir()
    file.write_text(text)
    assert folder.proposals() == [] and folder.next_number() == 1


def test_what_was_known_before_is_settled_once(folder):
    assert folder.known() is None
    folder.write_known([PriorResult(POINT, (0.5,))])
    assert folder.known() == [PriorResult(POINT, (0.5,))]
    folder.write_known([PriorResult({"adapter.rank": 5}, (0.5,))])
    assert folder.known() == []


def test_every_naming_of_a_winner_is_kept(folder):
    def named(number):
        return {"winner": number, "candidate": number, "seeds": [1, 2], "valid": {"default": 0.5, str(number): 0.25}}

    assert folder.winner() == {} and folder.winners() == []
    for number in (3, 5, 6):
        folder.write_winner(named(number))
    assert folder.winner()["winner"] == 6 and [each["winner"] for each in folder.winners()] == [6, 5, 3]


@pytest.mark.parametrize(
    "change",
    [
        {"candidate": [3]},
        {"winner": 99},
        {"winner": None},
        {"seeds": 1},
        {"seeds": ["1"]},
        {"valid": {"x": 1}},
        {"valid": []},
    ],
)
def test_what_is_no_naming_is_left_out(folder, change):
    whole = {"winner": 3, "candidate": 3, "seeds": [1], "valid": {"default": 0.5, "3": 0.25}}
    write_json(folder.path / "winner.json", {**whole, **change, "earlier": [whole, 7]})
    assert [each["seeds"] for each in folder.winners()] == [[1]]


def test_what_was_spent_survives(folder):
    assert folder.spent() == {"wall_s": 0.0, "work_s": 0.0}
    folder.write_spent({"wall_s": 1.5, "work_s": 2.5})
    assert folder.spent() == {"wall_s": 1.5, "work_s": 2.5}


def test_a_study_is_named_by_what_it_depends_on():
    assert study_id({"a": 1}) == study_id({"a": 1}) != study_id({"a": 2}) and len(study_id({})) == 16
