"""A report folder is replaced whole or not at all."""

import os
import signal
import subprocess
import sys

import pytest

from omni_msa.system import files
from omni_msa.system.files import LEFT_OVER_S, new_folder


def is_ours(name: str) -> bool:
    return name.startswith("table") or name == "figures"


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "reports" / "sweep[1]"
    (folder / "figures").mkdir(parents=True)
    (folder / "notes").mkdir()
    for name in ("table.md", "table.old", "figures/bars.svg", "notes/mine.txt", "my.txt"):
        (folder / name).write_text(f"old {name}")
    return folder


@pytest.mark.parametrize("can_exchange", [True, False])
def test_the_new_takes_the_place_of_the_old_and_other_peoples_files_stay(folder, monkeypatch, can_exchange):
    if not can_exchange:
        monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    with new_folder(folder, is_ours) as draft:
        assert draft.parent == folder.parent and not list(draft.iterdir())
        (draft / "table.md").write_text("new")
        assert content(folder)["table.md"] == "old table.md"
    assert content(folder) == {"table.md": "new", "notes/mine.txt": "old notes/mine.txt", "my.txt": "old my.txt"}
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_what_is_new_wins_over_a_name_of_somebody_else(folder):
    with new_folder(folder, is_ours) as draft:
        (draft / "my.txt").write_text("new")
    assert content(folder)["my.txt"] == "new"


def test_a_folder_that_is_not_there_is_made(tmp_path):
    with new_folder(tmp_path / "reports" / "first", is_ours) as draft:
        (draft / "table.md").write_text("new")
    assert content(tmp_path / "reports" / "first") == {"table.md": "new"}


def test_an_error_leaves_the_old_one(folder):
    before = content(folder)
    with pytest.raises(ZeroDivisionError), new_folder(folder, is_ours) as draft:
        (draft / "table.md").write_text("new")
        raise ZeroDivisionError
    assert content(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_kill_leaves_the_old_one_and_its_draft_goes_later(folder):
    before = content(folder)
    code = """
import os, signal, sys
from pathlib import Path
from omni_msa.system.files import new_folder
with new_folder(Path(sys.argv[1]), lambda name: True) as draft:
    (draft / "table.md").write_text("new")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    ran = subprocess.run([sys.executable, "-c", code, str(folder)])
    assert ran.returncode == -signal.SIGKILL
    assert content(folder) == before
    (draft,) = [path for path in folder.parent.iterdir() if path != folder]
    elsewhere = draft.with_name(f".{folder.name}.draft-00000000-1-1")
    elsewhere.mkdir()
    with new_folder(folder, is_ours) as mine:
        with new_folder(folder.with_name("sweep"), is_ours):
            pass
        assert mine.exists()
    assert not draft.exists()
    assert elsewhere.exists()  # it might be at work on another machine
    old = elsewhere.stat().st_mtime - LEFT_OVER_S - 1
    os.utime(elsewhere, (old, old))
    with new_folder(folder, is_ours):
        pass
    assert not elsewhere.exists()
