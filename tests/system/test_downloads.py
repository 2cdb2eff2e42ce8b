"""Fetching with pip from a local folder, so that no network is needed."""

import hashlib
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from omni_msa.errors import InputError
from omni_msa.system.downloads import fetch, find_fetched, unpack

BACKEND = """
from pathlib import Path
Path({marker!r}).touch()
def prepare_metadata_for_build_wheel(folder, settings=None):
    information = Path(folder, "tiny_data-1.0.dist-info")
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\\nName: tiny-data\\nVersion: 1.0\\n")
    return information.name
def build_wheel(folder, settings=None, metadata=None):
    raise RuntimeError("not needed")
"""
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a folder that is all pip can see."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("OMNI_MSA_CACHE", str(tmp_path / "cache"))
    return folder


def make_wheel(folder: Path) -> str:
    file = folder / "tiny_data-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as wheel:
        wheel.writestr("tiny_data/numbers.txt", "1 2 3")
        wheel.writestr("tiny_data-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-data\nVersion: 1.0\n")
        wheel.writestr("tiny_data-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("tiny_data-1.0.dist-info/RECORD", "")
    return hashlib.sha256(file.read_bytes()).hexdigest()


def make_tar(file: Path, members: dict[str, str]) -> str:
    with tarfile.open(file, "w:gz") as tar:
        for name, text in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_wheel_is_downloaded_once(index: Path, tmp_path: Path) -> None:
    digest = make_wheel(index)
    assert find_fetched("tiny-data==1.0", digest, binary=True) is None
    reports: list[tuple[str, int, int]] = []
    file = fetch(
        "tiny-data==1.0", digest, binary=True, num_bytes=3_000_001, progress=lambda *report: reports.append(report)
    )
    assert file == tmp_path / "cache/downloads/tiny_data-1.0-py3-none-any.whl"
    assert reports[-1] == ("downloading tiny-data==1.0 (MB)", 4, 4)
    (index / file.name).unlink()  # pip would fail now
    assert fetch("tiny-data==1.0", digest, binary=True) == find_fetched("tiny-data==1.0", digest, binary=True) == file
    assert {path.name for path in file.parent.iterdir()} <= {file.name, f"{file.name}.lock"}


def test_code_of_a_package_runs_only_if_the_digest_is_right(index: Path, tmp_path: Path) -> None:
    marker = tmp_path / "it_ran"
    source = {"PKG-INFO": "", "pyproject.toml": PROJECT, "backend.py": BACKEND.format(marker=str(marker))}
    digest = make_tar(index / "tiny-data-1.0.tar.gz", {f"tiny-data-1.0/{name}": text for name, text in source.items()})
    with pytest.raises(InputError):
        fetch("tiny-data==1.0", "0" * 64, binary=False)
    assert not marker.exists()
    file = fetch("tiny-data==1.0", digest, binary=False)
    assert marker.exists()
    assert file.read_bytes() == (index / "tiny-data-1.0.tar.gz").read_bytes()


def test_a_file_put_there_by_hand_is_used(index: Path, tmp_path: Path) -> None:
    downloads = tmp_path / "cache/downloads"
    downloads.mkdir(parents=True)
    digest = make_wheel(downloads)
    assert fetch("tiny-data==1.0", digest, binary=True).parent == downloads


def test_without_a_network_the_message_says_which_file_to_put_where(index: Path, tmp_path: Path) -> None:
    downloads = tmp_path / "cache/downloads"
    downloads.mkdir(parents=True)
    (downloads / "tiny_data-1.0-py3-none-any.whl").write_bytes(b"cut off")
    with pytest.raises(InputError) as error:
        fetch("tiny-data==1.0", "ab" * 32, binary=True)
    message = str(error.value)
    assert f"copy tiny_data-1.0-py3-none-any.whl to {downloads}" in message
    assert "SHA-256 " + "ab" * 32 in message
    assert "has another digest" in message
    assert "No matching distribution found" in message


def test_only_the_members_asked_for_are_unpacked(tmp_path: Path) -> None:
    make_tar(tmp_path / "some.tar.gz", {"a/b.txt": "yes", "a/c.txt": "no"})
    [file] = unpack(tmp_path / "some.tar.gz", ["a/b.txt"], tmp_path / "out")
    assert file.read_text() == "yes"
    assert [path.name for path in (tmp_path / "out/a").iterdir()] == ["b.txt"]
    make_wheel(tmp_path)
    wheel = tmp_path / "tiny_data-1.0-py3-none-any.whl"
    assert unpack(wheel, ["tiny_data/numbers.txt"], tmp_path / "out")[0].read_text() == "1 2 3"
    with pytest.raises(KeyError):
        unpack(wheel, ["tiny_data/letters.txt"], tmp_path / "out")


def test_no_member_leaves_the_folder(tmp_path: Path) -> None:
    make_tar(tmp_path / "evil.tar.gz", {"../evil.txt": "out"})
    with pytest.raises(ValueError, match="outside the folder"):
        unpack(tmp_path / "evil.tar.gz", ["../evil.txt"], tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as zipped:
        zipped.writestr("../evil.txt", "out")
    [file] = unpack(tmp_path / "evil.zip", ["../evil.txt"], tmp_path / "out")
    assert file.resolve().is_relative_to(tmp_path / "out")
    assert not (tmp_path / "evil.txt").exists()
