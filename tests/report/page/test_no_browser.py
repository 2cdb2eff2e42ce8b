"""What happens where there is no browser."""

import pytest

from helpers.browser import REQUIRED, need_browser


@pytest.fixture
def nothing_installed(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))


def test_a_plain_run_skips(nothing_installed, monkeypatch):
    monkeypatch.delenv(REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="chromium-driver"):
        need_browser()


def test_where_a_browser_is_required_its_lack_is_a_failure(nothing_installed, monkeypatch):
    monkeypatch.setenv(REQUIRED, "required")
    with pytest.raises(pytest.fail.Exception, match="chromium-driver"):
        need_browser()


def test_a_browser_without_its_driver_is_none(nothing_installed, monkeypatch, tmp_path):
    (tmp_path / "chromium").write_text("#!/bin/sh\n")
    (tmp_path / "chromium").chmod(0o755)
    monkeypatch.delenv(REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception):
        need_browser()
    (tmp_path / "chromedriver").write_text("#!/bin/sh\n")
    (tmp_path / "chromedriver").chmod(0o755)
    need_browser()
