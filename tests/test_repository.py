"""The README and the sweep files tell the same story as the code."""

from pathlib import Path

import pytest

from omni_msa.sweep import load_sweep

ROOT = Path(__file__).parents[1]
SWEEPS = sorted((ROOT / "sweeps").glob("*.yaml"))
PROFILES = sorted(file.stem for file in (ROOT / "sweeps" / "profiles").glob("*.yaml"))


def test_the_readme_names_every_file_of_the_package() -> None:
    tree = (ROOT / "README.md").read_text(encoding="utf-8").partition("## The tree")[2].partition("\n## ")[0]
    files = [file for file in (ROOT / "omni_msa").rglob("*.py") if file.name != "__init__.py"]
    assert len(files) > 50
    named = {line.split()[0] for line in tree.splitlines() if line.startswith(" ")}
    assert sorted(file.name for file in files if file.name not in named) == []


def test_the_readme_lists_every_sweep_and_readout() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [file.name for file in SWEEPS if f"`sweeps/{file.name}`" not in text] == []
    readouts = [file.stem for file in (ROOT / "omni_msa" / "readouts").glob("[!_]*.py")]
    assert [name for name in readouts if f"| `{name}` |" not in text] == []


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_sweep_is_valid_at_every_scale(path: Path, profile: str) -> None:
    sweep = load_sweep(path, [f"profile={profile}"])
    assert len(sweep.cells) > 1


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_a_sweep_file_says_what_it_costs(path: Path) -> None:
    header = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    assert f"python orchestrate.py sweeps/{path.name}" in "\n".join(header)
    assert "trials" in "\n".join(header) and "min" in "\n".join(header)
