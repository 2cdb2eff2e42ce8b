"""Fixtures shared by the tests: a cache folder of one's own, and small sweep files."""

from collections.abc import Callable
from pathlib import Path

import pytest

PROFILE = """
dataset: {name: vader_av, num_train: 16, num_valid: 8, num_test: 8}
backbone: {name: tiny}
adapter: {rank: 4, alpha: 4.0, towers: [text], text_layers: last_2}
readout: {name: discriminative}
training: {epochs: 2, batch_size: 4}
"""
KEYS = {
    "question": "Does it work?",
    "profile": "small",
    "axes": "{readout: [discriminative, constant]}",
    "seeds": "[1, 2]",
}
WriteSweep = Callable[..., Path]


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
