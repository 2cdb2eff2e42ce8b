"""Where the cache folder lies, by the environment."""

from pathlib import Path

import pytest

from omni_msa.cache import cache_folder


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"OMNI_MSA_CACHE": "/a/own", "XDG_CACHE_HOME": "/b"}, "/a/own"),
        ({"OMNI_MSA_CACHE": "~/own"}, "/home/her/own"),
        ({"OMNI_MSA_CACHE": "", "XDG_CACHE_HOME": "/b"}, "/b/omni_msa"),
        ({"XDG_CACHE_HOME": ""}, "/home/her/.cache/omni_msa"),
        ({}, "/home/her/.cache/omni_msa"),
    ],
)
def test_environment(environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMNI_MSA_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/her", **environment}.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)


def test_a_home_of_nobody_is_a_folder_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMNI_MSA_CACHE", "~nobody-here/cache")
    assert cache_folder() == tmp_path / "~nobody-here" / "cache"


def test_a_relative_folder_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMNI_MSA_CACHE", "here")
    assert cache_folder() == tmp_path / "here"
