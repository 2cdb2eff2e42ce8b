"""A file holds the old content or the new, and reading never raises."""

import json
import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from omni_msa.system.files import csv_text, is_about, is_number, read_json, write_atomic, write_json, write_text


def test_folders_are_made_and_content_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.json"
    write_json(path, {"x": [1, None, "é"]})
    assert read_json(path) == {"x": [1, None, "é"]}
    write_text(path, "zwei\n")
    assert path.read_bytes() == b"zwei\n"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("before", [None, "old"])
def test_a_writer_that_raises_changes_nothing(before: str | None, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    if before is not None:
        path.write_text(before)

    def half(temporary: Path) -> None:
        temporary.write_text("new, but onl")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, half)
    assert [file.name for file in tmp_path.iterdir()] == ([] if before is None else ["a.txt"])
    assert before is None or path.read_text() == before


def test_the_writer_sees_a_file_of_the_same_kind_in_the_same_folder(tmp_path: Path) -> None:
    seen: list[Path] = []

    def write(temporary: Path) -> None:
        seen.append(temporary)
        assert not path.exists()
        temporary.write_bytes(b"1")

    path = tmp_path / "predictions.valid.parquet"
    write_atomic(path, write)
    assert seen[0].parent == path.parent
    assert seen[0].suffix == ".parquet"
    assert seen[0].name.startswith(".")


def test_threads_that_write_one_file_do_not_mix(tmp_path: Path) -> None:
    path, both_open = tmp_path / "a.txt", threading.Barrier(2, timeout=10)

    def write(letter: str) -> None:
        def slowly(temporary: Path) -> None:
            with temporary.open("w") as file:
                file.write(letter * 1000)
                both_open.wait()
                file.write(letter * 1000)

        write_atomic(path, slowly)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, "ab"))
    assert path.read_text() in ("a" * 2000, "b" * 2000)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("value", [math.nan, math.inf, {"a": [-math.inf]}])
def test_json_without_numbers_that_json_lacks(value: object, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"", b'{"a": 1', b"[1]", b"7", b"null", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 51 + b"7" + b"}" * 51]
)
def test_json_that_is_torn_or_something_else_is_none(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    assert read_json(path) is None


def test_json_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert read_json(tmp_path / "no.json") is None
    assert read_json(tmp_path) is None
    os.symlink(tmp_path / "nowhere", tmp_path / "link.json")
    assert read_json(tmp_path / "link.json") is None


def test_json_as_deep_as_allowed(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'{"a":' * 50 + b"7" + b"}" * 50)
    assert json.dumps(read_json(tmp_path / "a.json")).count("{") == 50


def test_json_is_readable_by_others(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1})
    assert json.loads((tmp_path / "a.json").read_text()) == {"b": 1}
    assert (tmp_path / "a.json").read_text().endswith("}\n")


def test_numbers_that_can_be_calculated_with() -> None:
    assert all(map(is_number, (0, -3, 0.5, 1e308, 10**300)))
    assert not any(map(is_number, (True, None, "1", [1], math.nan, math.inf, -math.inf, 10**400, -(10**400))))


def test_where_an_error_of_the_file_system_was_met(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ledger = tmp_path / "file" / "mlruns"
    with pytest.raises(OSError) as info:
        (ledger / "trials").mkdir(parents=True)
    assert is_about(info.value, ledger)
    assert not is_about(info.value, tmp_path / "elsewhere")
    with pytest.raises(OSError) as info:
        os.replace(tmp_path / "file", tmp_path)
    assert is_about(info.value, tmp_path / "file") and not is_about(OSError("nameless"), tmp_path)


def test_rows_as_csv_have_the_columns_of_all_of_them():
    rows = [{"a": 1, "b": "x, y"}, {"c": None, "a": 2.5}]
    assert csv_text(rows) == 'a,b,c\n1,"x, y",\n2.5,,\n'
    assert csv_text([]) == "\n"
