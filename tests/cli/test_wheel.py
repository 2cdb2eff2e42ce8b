"""The built wheel, unpacked into an empty folder: the command finds shipped sweeps there and runs one."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.builders.wheel import WheelBuilder

from helpers.paths import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the unpacked wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    ZipFile(wheel).extractall(folder / "installed")
    return folder / "installed"


def run(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "OMNI_MSA_LEDGER"}
    code = "from omni_msa.cli.main import run_as_program; run_as_program()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_a_shipped_sweep_runs_by_name_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    ran = run(installed, tmp_path, "run", "smoke")
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "mlruns" / "reports" / "smoke" / "report.html").is_file()
    assert "omni-msa run smoke" in (tmp_path / "mlruns" / "reports" / "smoke" / "report.html").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlruns"]


def test_sweeps_of_a_subfolder_and_their_profile_are_found(installed: Path, tmp_path: Path) -> None:
    planned = run(installed, tmp_path, "run", "paper/lora_rank", "--plan")
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout.startswith("paper/lora_rank: ")


def test_the_command_s_entry_point_is_declared(installed: Path) -> None:
    (file,) = installed.glob("*.dist-info/entry_points.txt")
    assert "omni-msa = omni_msa.cli.main:run_as_program" in file.read_text()
