"""YAML is read as people mean it, or refused with the place."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from omni_msa.errors import InputError, Problem
from omni_msa.system.yaml_file import parse, parse_value, read

BOMB = "a: &a [x, x]\nb: &b [*a, *a, *a, *a]\nc: [*b, *b, *b, *b]\n"


def problem_of(function: Any, *arguments: Any) -> Problem:
    with pytest.raises(InputError) as info:
        function(*arguments)
    (problem,) = info.value.problems
    return problem


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2e-4", 2e-4),
        ("2E4", 2e4),
        ("-1.5e+3", -1500.0),
        (".5e1", 5.0),
        ("5e-4x", "5e-4x"),
        ("e5", "e5"),
        ("1_000", 1000),
        ("0", 0),
        ("-7", -7),
        ("0.10", 0.1),
        ("'010'", "010"),
        ("12:30:00x", "12:30:00x"),
        ("", None),
        ("&name a", "a"),
        ("[text, audio]", ["text", "audio"]),
        ("{a: {b: null}}", {"a": {"b": None}}),
        ("'é'", "é"),
    ],
)
def test_values(text: str, value: Any) -> None:
    parsed = parse(text, "here")
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("a: 1\nb: 2\na: 3", "'a' is used twice at line 3"),
        ("x:\n  a: 1\n  'a': 2", "'a' is used twice at line 3"),
        (BOMB, "aliases (*name) are not supported at line 2"),
        ("a: !!python/object:os.system x", "tags (!name) are not supported"),
        ("a: !!int abc", "tags"),
        ("a: !!timestamp x", "tags"),
        ("a: !!set {b}", "tags"),
        ("a: 010", "010 is not written as a plain decimal number"),
        ("a: 1:30", "1:30 is not written as a plain decimal number"),
        ("a: 1:30.5", "1:30.5 is not written as a plain decimal number"),
        ("on: 1", "the key True is read as bool"),
        ("a: {1: 2}", "the key 1 is read as int"),
        ("? [a]\n: b", "unhashable"),
        ("a: 2024-01-01", "2024-01-01 is read as a date"),
        ("a: 2024-13-45", "month"),
        ("a: " + "9" * 30, "more than 64 bits"),
        ("a: " + "9" * 5000, ""),
        ("a: 0x" + "f" * 5000, "more than 64 bits"),
        ('a: "\\ud800"', "surrogates"),
        ("a: \x00", "special characters"),
        ("[" * 3000, "over 50 levels deep at line 1"),
        ("- " * 51 + "a", "over 50 levels deep"),
        ("a: [1, 2", "expected ',' or ']'"),
        ("a: 1\n---\nb: 2", "single document"),
        ("\ta: 1", "cannot start any token"),
    ],
)
def test_refused_with_the_reason(text: str, got: str) -> None:
    problem = problem_of(parse, text, "here")
    assert (problem.what, problem.where) == ("not valid YAML", "here")
    assert got in problem.got
    assert "unicode string" not in problem.got


def test_as_deep_as_allowed() -> None:
    value = parse("[" * 50 + "]" * 50, "here")
    assert str(value) == "[" * 50 + "]" * 50


def test_a_text_that_is_too_long() -> None:
    assert parse("x" * 200_000, "here") == "x" * 200_000
    assert problem_of(parse, "x" * 200_001, "here").what == "the text is too long"


@given(st.text(alphabet="ab:[]{}&*!|>-?#'\"\\,\n 012.e%@`~<=\t\x00é", max_size=40))
@example("a: !!bool x")
@example("<<: a")
@example("a: =")
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text, "here")
    except InputError as error:
        assert error.problems


def test_a_file_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("question: é\r\n".encode("utf-8-sig"))
    assert read(path) == {"question": "é"}


@pytest.mark.parametrize(
    ("content", "what", "got"),
    [
        (b"", "not a mapping", "nothing"),
        (b"- a\n- b\n", "not a mapping", "a list"),
        (b"just words", "not a mapping", "a str"),
        (b"\x89PNG\r\n\x1a\n\x00", "cannot read the file", "not UTF-8"),
        ("é: 1".encode("utf-16"), "cannot read the file", "not UTF-8"),
        (b"# " + b"x" * 200_000, "too large", "200000 bytes"),
    ],
)
def test_files_that_are_not_it(content: bytes, what: str, got: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    problem = problem_of(read, path)
    assert what in problem.what
    assert got in problem.got
    assert problem.where == str(path)


def test_missing_file_folder_and_a_file_without_an_end(tmp_path: Path) -> None:
    assert problem_of(read, tmp_path / "no.yaml").got == "No such file or directory"
    assert problem_of(read, tmp_path).got == "Is a directory"
    assert "too large" in problem_of(read, Path(os.devnull).with_name("zero")).what


@pytest.mark.parametrize(
    "text",
    [
        *(
            "DATA/a: b",
            "DATA/#1",
            "~",
            "~/MOSI",
            "*all",
            "!tag",
            "a # b",
            "2026-11-28",
            "- 1",
            "it's",
            'a"b',
            "&x",
            "%41",
            "@a",
        ),
        *("C:\\data", "a, b", "key: [1]", "? x", "| y", "café 数"),
    ],
)
def test_a_value_of_the_command_line_is_the_text_that_was_typed(text: str) -> None:
    assert parse_value(text, "command line x") == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("2", 2), ("2e-4", 2e-4), ("true", True), ("no", False), ("null", None), ("", None), ("1.5 ", 1.5)),
        *(("[a, 1]", ["a", 1]), ("{choice: [4, 8]}", {"choice": [4, 8]}), ('"~"', "~"), ("'a: b'", "a: b")),
    ],
)
def test_a_value_of_the_command_line_that_reads_as_yaml(text: str, value: Any) -> None:
    assert parse_value(text, "command line x") == value


def test_a_value_of_the_command_line_that_cannot_be_read() -> None:
    for text in ("[1, 2", "{a", "\ud800", "9" * 30):
        assert problem_of(parse_value, text, "command line x").where == "command line x"
