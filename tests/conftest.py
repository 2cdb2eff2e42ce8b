"""Fixtures shared by the tests: a cache folder of one's own, and small sweep files."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from helpers.fake_nvml import FakeGpu, FakeNvml
from helpers.sweep_files import KEYS, PROFILE, WriteSweep

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a shell's background job ignores it, and so would its children
    signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")  # the same examples in each run, however busy the machine
pytest.register_assert_rewrite("helpers.kill_harness", "helpers.kill_checks")  # so that its assertions say what differs


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long tests out unless they are named: another `-m`, as in `-m "not network"`, must not bring them."""
    if "long" not in config.option.markexpr:
        left_out = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, so that a test neither sees nor changes what the user has fetched."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("OMNI_MSA_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def write_sweep(tmp_path_factory: pytest.TempPathFactory) -> WriteSweep:
    """Return a function that writes a sweep file, `KEYS` with changes (key to YAML; None leaves the key out)."""
    folder = tmp_path_factory.mktemp("sweeps")
    (folder / "profiles").mkdir()
    (folder / "profiles" / "small.yaml").write_text(PROFILE, encoding="utf-8")

    def write(**changes: str | None) -> Path:
        lines = [f"{key}: {value}" for key, value in {**KEYS, **changes}.items() if value is not None]
        path = folder / "sweep.yaml"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def rendered_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with a small dataset of rendered clips, made without the network, shared by all tests."""
    from helpers import tiny_trials  # imports torch, which most tests do without

    folder = tmp_path_factory.mktemp("rendered")
    tiny_trials.make_clips(folder, with_media=True)
    return folder


@pytest.fixture
def rendered_clips(rendered_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder with rendered clips, in use."""
    monkeypatch.setenv("OMNI_MSA_CACHE", str(rendered_cache))
    return rendered_cache


@pytest.fixture
def text_clips(own_cache: Path) -> Path:
    """A cache folder of one's own with the same small dataset, of which only the text is real."""
    from helpers import tiny_trials

    tiny_trials.make_clips(own_cache, with_media=False)
    return own_cache


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeNvml]:
    """Return a function that puts a library with these cards in the real one's place."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def use(*gpus: FakeGpu, **options: Any) -> FakeNvml:
        library = FakeNvml(*gpus, **options)
        monkeypatch.setitem(sys.modules, "pynvml", library)
        return library

    return use


@pytest.fixture
def assembled(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the trials that are run in this process are put together from (`tiny_trials.Assembled`)."""
    from helpers import tiny_trials

    return tiny_trials.Assembled(monkeypatch)
