"""Damaged databases are put aside, whole ones are left alone."""

import os
import sqlite3
from contextlib import closing

import pytest

from omni_msa.system.sqlite import put_damaged_aside


@pytest.fixture
def base(tmp_path):
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as found, found:
        found.execute("create table runs (name text)")
        found.executemany("insert into runs values (?)", [(f"run {number}" * 50,) for number in range(2000)])
        found.execute("create index names on runs (name)")
    return path


def test_a_whole_one_and_none_at_all_are_left_alone(base, tmp_path):
    before = base.read_bytes()
    assert put_damaged_aside(base) is None
    assert base.read_bytes() == before
    assert put_damaged_aside(tmp_path / "none.db") is None


def test_one_that_is_being_written_is_not_damaged(base):
    with closing(sqlite3.connect(base, isolation_level=None)) as other:
        other.execute("begin exclusive")
        assert put_damaged_aside(base) is None


def garbage(path):
    path.write_bytes(os.urandom(50_000))


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty_folder(path):
    path.unlink()
    path.mkdir()


def torn_page(path):
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 4] = os.urandom(4096)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [garbage, cut, empty_folder, torn_page])
def test_a_damaged_one_is_kept_under_another_name(base, damage):
    damage(base)
    aside = put_damaged_aside(base)
    assert aside is not None and aside.exists() and not base.exists()
    assert aside.name.startswith("mlflow.db.damaged-")
