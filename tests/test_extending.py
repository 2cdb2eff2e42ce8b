"""The package that docs/extending.md makes up: written as it stands there, installed, listed, planned and run."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.paths import ROOT

PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([\w/.]+)`\n\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


pytestmark = pytest.mark.slow


class Paper:
    """The package in a folder of its own, installed into another; commands run there with an empty ledger."""

    def __init__(self, folder: Path) -> None:
        source, self.installed, self.folder = folder / "paper", folder / "installed", folder / "work"
        for name, text in FILES.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(text)
        (source / "my_paper" / "__init__.py").write_text("")
        clips = self.folder / "my_clips"
        clips.mkdir(parents=True)
        (self.folder / "sweep.yaml").write_text(FILES["sweep.yaml"])
        splits = ["train"] * 8 + ["valid"] * 4 + ["test"] * 4
        rows = [f"c{n},v{n},{split},{n % 7 - 3},Sentence {n}.\n" for n, split in enumerate(splits)]
        (clips / "clips.csv").write_text("id,source,split,label,text\n" + "".join(rows))
        # Nothing is asked of an index.
        options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
        command = [sys.executable, "-m", "pip", "install", *options, "--target", str(self.installed), "."]
        subprocess.run(command, cwd=source, check=True, timeout=300)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `omni-msa` in a folder with the sweep and the clips."""
        paths = os.pathsep.join([str(self.installed), str(ROOT)])
        environment = os.environ | {"PYTHONPATH": paths, "OMNI_MSA_LEDGER": str(self.folder / "mlruns")}
        command = [sys.executable, "-m", "omni_msa", *arguments]
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=300)

    def write(self, name: str, text: str) -> None:
        """Replace an installed file."""
        (self.installed / "my_paper" / name).write_text(text)


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Paper:
    return Paper(tmp_path_factory.mktemp("extending"))


def test_every_kind_of_plug_in_has_an_example() -> None:
    kinds = re.findall(r'entry-points."omni_msa\.(\w+)"', FILES["pyproject.toml"])
    assert kinds == ["readouts", "datasets", "backbones", "tracking"]
    assert {path.parent.name for path in (ROOT / "omni_msa").glob("*/_base.py")} == set(kinds)


def test_they_are_listed_with_the_package_they_are_from(paper: Paper) -> None:
    listed = paper.run("list")
    assert listed.returncode == 0, listed.stderr
    for name in ("bounded_head", "my_corpus", "my_omni", "csv_file"):
        assert re.search(rf"^  {name} .*\(my-paper 0\.1\)$", listed.stdout, re.MULTILINE), listed.stdout


def test_the_sweep_runs_and_records_which_version_it_used(paper: Paper) -> None:
    ran = paper.run("run", "sweep.yaml", "--local")
    assert ran.returncode == 0, ran.stderr
    assert "4 of 4 trials complete" in ran.stdout
    assert "CSV: " in ran.stdout and "MLflow" not in ran.stdout
    files = [json.loads(file.read_text()) for file in paper.folder.glob("mlruns/trials/*/provenance.json")]
    assert [values["plugins"] for values in files] == [{"my-paper": "0.1"}] * 4
    with (paper.folder / "mlruns" / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["cell"] for row in rows) == ["bounded_head"] * 2 + ["discriminative"] * 2
    assert all(-3 <= float(row["mae"]) <= 6 for row in rows)
    (controls,) = json.loads((paper.folder / "mlruns/reports/sweep/aggregate.json").read_text())["controls"]
    assert controls["controlled"] is True


def test_a_backbone_that_is_not_here_would_be_refused(paper: Paper) -> None:
    planned = paper.run("run", "sweep.yaml", "backbone={name: my_omni}", "--plan")
    assert planned.returncode == 0, planned.stderr
    assert "my-lab/my-omni-3b" in planned.stdout


def test_a_package_that_cannot_be_imported_stops_only_sweeps_that_use_it(paper: Paper) -> None:
    text = FILES["my_paper/bounded_head.py"]
    paper.write("bounded_head.py", "import nothing_of_that_name\n")
    try:
        planned = paper.run("run", "sweep.yaml", "--plan")
        assert planned.returncode == 2
        assert "Traceback" not in planned.stderr
        assert "my-paper 0.1" in planned.stderr and "nothing_of_that_name" in planned.stderr
        assert paper.run("run", "sweep.yaml", "axes.readout=[discriminative]", "compare=null", "--plan").returncode == 0
        listed = paper.run("list")
        assert listed.returncode == 0 and "cannot be used: " in listed.stdout
        assert paper.run("schema").returncode == 0
    finally:
        paper.write("bounded_head.py", text)


def test_a_misspelt_optional_function_is_refused_by_name(paper: Paper) -> None:
    text = FILES["my_paper/bounded_head.py"]
    paper.write("bounded_head.py", f"{text}\n\ndef chekc(config, num_layers):\n    return []\n")
    try:
        planned = paper.run("run", "sweep.yaml", "--plan")
        assert planned.returncode == 2
        assert "chekc" in planned.stderr and 'did you mean "check"?' in planned.stderr
    finally:
        paper.write("bounded_head.py", text)


def test_a_name_that_is_taken_is_refused(paper: Paper) -> None:
    (points,) = paper.installed.glob("my_paper-*.dist-info/entry_points.txt")
    before = points.read_text()
    points.write_text(before.replace("bounded_head =", "discriminative ="))
    try:
        planned = paper.run("run", "sweep.yaml", "axes.readout=[discriminative]", "compare=null", "--plan")
        assert planned.returncode == 2
        assert "this package" in planned.stderr and "my-paper 0.1" in planned.stderr
    finally:
        points.write_text(before)
