"""The base of all configuration: frozen, strict, nothing unknown, nothing that is not a finite number."""

import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, ValidationError

from omni_msa.config.sections import DatasetOptions, Section, added_later, runtime_only


class Part(Section):
    count: int = 1
    share: float = 0.5
    name: str = "a"
    flag: bool = False
    model_x: int = 0
    names: tuple[str, ...] = Field(("a",), strict=False)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("count", "16"),
        ("count", 3.5),
        ("count", 3.0),
        ("count", True),
        ("share", "0.5"),
        ("share", math.nan),
        ("share", math.inf),
        ("name", 7),
        ("flag", 1),
        ("flag", "yes"),
        ("names", "ab"),
        ("names", {"a": 1}),
        ("names", [1]),
        ("unknown", 1),
    ],
)
def test_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        Part.model_validate({field: value})


def test_lists_of_files_become_tuples_and_whole_numbers_floats() -> None:
    part = Part.model_validate({"names": ["b", "c"], "share": 1})
    assert part.names == ("b", "c")
    assert type(part.share) is float  # so that 1 and 1.0 are one value in every id


def test_frozen() -> None:
    with pytest.raises(ValidationError):
        Part().count = 2  # type: ignore[misc]


def test_a_default_is_checked_as_a_given_value_is() -> None:
    class Wrong(Section):
        count: int = Field(0, ge=1)

    with pytest.raises(ValidationError):
        Wrong()


def test_special_fields_keep_their_constraints() -> None:
    class Special(Section):
        place: int = runtime_only(1, ge=1)
        later: int = added_later(2, ge=1)

    assert (Special().place, Special().later) == (1, 2)
    for field in ("place", "later"):
        with pytest.raises(ValidationError):
            Special.model_validate({field: 0})


@pytest.mark.parametrize(
    ("written", "read"),
    [("/a/b", "/a/b"), ("b/../c", "{here}/c"), ("~/b", "/home/her/b"), ("~nobody-here/b", "{here}/~nobody-here/b")],
)
def test_folders_are_made_absolute_where_they_are_read(
    written: str, read: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/her")
    assert DatasetOptions(name="a", root=written).root == read.format(here=tmp_path)
