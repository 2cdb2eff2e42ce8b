"""Files linked beside MLflow's runs, and what is tidied up there."""

import os

import pytest

from omni_msa.tracking._artifacts import link, prune


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.bin"
    path.write_bytes(b"first")
    return path


def test_a_link_is_the_same_file_under_another_name(source, tmp_path):
    target = tmp_path / "deep" / "down" / "copy.bin"
    assert link(source, target) and link(source, target)
    assert target.samefile(source) and source.stat().st_nlink == 2
    assert [path.name for path in target.parent.iterdir()] == ["copy.bin"]


def test_a_file_that_was_replaced_is_linked_anew(source, tmp_path):
    target = tmp_path / "copy.bin"
    link(source, target)
    (tmp_path / "new").write_bytes(b"second")
    os.replace(tmp_path / "new", source)
    assert target.read_bytes() == b"first"  # until it is linked again
    assert link(source, target) and target.read_bytes() == b"second"


def test_where_hard_links_are_refused_it_is_a_symbolic_one(source, tmp_path, monkeypatch):
    target = tmp_path / "copy.bin"
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.chdir(tmp_path)
    assert link(source.relative_to(tmp_path), target)
    assert target.is_symlink() and target.readlink() == source
    monkeypatch.setattr(os, "symlink", refuse)
    assert link(source, target)  # it is there already
    target.unlink()
    assert not link(source, target) and not target.exists()


def refuse(*paths):
    raise PermissionError("no links here")


def test_what_the_model_folder_no_longer_has_is_removed(tmp_path):
    like, folder = tmp_path / "like", tmp_path / "copy"
    for path in ("a.md", "figures/b.svg"):
        for place in (like, folder):
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_text(path)
    for path in ("old.md", "figures/old.svg", "gone/deep/old.svg"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("old")
    prune(folder, like)
    left = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    assert left == ["a.md", "figures", "figures/b.svg"]
    prune(tmp_path / "nothing", like)
