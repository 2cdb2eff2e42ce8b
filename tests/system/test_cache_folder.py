"""Where the cache folder lies, by the environment."""

import math
from pathlib import Path

import pytest

from omni_msa.errors import InputError
from omni_msa.system.cache_folder import cache_folder, limit_gb


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


@pytest.mark.parametrize(("text", "expected"), [(None, math.inf), ("", math.inf), ("0", 0.0), ("12.5", 12.5)])
def test_the_limit_on_prepared_inputs(text: str | None, expected: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMNI_MSA_CACHE_GB", raising=False)
    if text is not None:
        monkeypatch.setenv("OMNI_MSA_CACHE_GB", text)
    assert limit_gb() == expected


@pytest.mark.parametrize("text", ["-1", "much", "nan", "5GB"])
def test_a_limit_that_is_no_size_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNI_MSA_CACHE_GB", text)
    with pytest.raises(InputError, match=rf"OMNI_MSA_CACHE_GB\n.*'{text}'"):
        limit_gb()
