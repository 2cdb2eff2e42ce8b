"""Where a result comes from."""

import importlib.metadata
import json
import os
import socket
import subprocess

from helpers import tiny_trials
from omni_msa.execution.provenance import _commit, provenance


def test_names_versions_machine_and_process():
    about = provenance(tiny_trials.config())
    assert about["packages"]["torch"] == importlib.metadata.version("torch")
    assert (about["host"], about["pid"]) == (socket.gethostname(), os.getpid())
    assert json.loads(json.dumps(about)) == about


def git(folder, *arguments):
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def test_the_commit_and_whether_files_differ_from_it(tmp_path):
    assert _commit(tmp_path) == {"commit": None, "dirty": None}
    git(tmp_path, "init")
    (tmp_path / "other.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "somebody else's checkout")
    assert _commit(tmp_path)["commit"] is None
    (tmp_path / "provenance.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "ours")
    clean = _commit(tmp_path)
    assert len(clean["commit"]) == 40 and clean["dirty"] is False
    (tmp_path / "provenance.py").write_text("2")
    assert _commit(tmp_path) == {"commit": clean["commit"], "dirty": True}
