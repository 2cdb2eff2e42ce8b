"""Sweeps and profiles that come with the package are found by name; own files come first."""

from pathlib import Path

import pytest

from helpers.paths import SWEEPS
from omni_msa.errors import InputError
from omni_msa.sweep import shipped
from omni_msa.sweep.sweep import load_sweep


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("text", ["smoke", "smoke.yaml", "sweeps/smoke.yaml", "sweeps/smoke"])
def test_a_shipped_sweep_is_found_from_any_folder(here: Path, text: str) -> None:
    assert shipped.find(text) == (SWEEPS / "smoke.yaml", "")


def test_every_file_is_listed_and_found(here: Path) -> None:
    files = {file for file in SWEEPS.rglob("*.yaml") if file.parent.name != "profiles"}
    assert {shipped.find(name)[0] for name in shipped.names()} == files
    assert [file.stem for file in sorted((SWEEPS / "profiles").iterdir())] == shipped.profile_names()


@pytest.mark.parametrize("own", ["smoke.yaml", "sweeps/smoke.yaml"])
def test_an_own_file_of_that_name_wins_and_that_is_said(here: Path, own: str) -> None:
    (here / own).parent.mkdir(exist_ok=True)
    (here / own).write_text("question: Mine?\n")
    path, note = shipped.find("smoke")
    assert path == Path(own)
    assert own in note


def test_a_shipped_file_named_by_its_path_needs_no_note() -> None:
    assert shipped.find(str(SWEEPS / "smoke.yaml")) == (SWEEPS / "smoke.yaml", "")


def test_an_unknown_sweep_is_told_with_the_nearest_and_all(here: Path) -> None:
    with pytest.raises(InputError) as info:
        shipped.find("paper/lora_rnk.yaml")
    (problem,) = info.value.problems
    assert problem.what == "there is no such sweep"
    assert "readout_comparison" in problem.allowed
    assert problem.next_step == 'did you mean "paper/lora_rank"?'


def test_two_files_of_one_stem_have_names_of_their_own() -> None:
    names = [load_sweep(SWEEPS / path).name for path in ("lora_rank.yaml", "paper/lora_rank.yaml")]
    assert names == ["lora_rank", "paper/lora_rank"]


def test_a_copy_elsewhere_has_its_stem_and_finds_the_shipped_profiles(here: Path) -> None:
    (here / "mine.yaml").write_text((SWEEPS / "smoke.yaml").read_text())
    copy, shipped_one = load_sweep(Path("mine.yaml")), load_sweep(SWEEPS / "smoke.yaml")
    assert copy.name == "mine"
    assert copy.cells == shipped_one.cells


def test_an_own_profile_wins_over_the_shipped_one(here: Path) -> None:
    (here / "mine.yaml").write_text((SWEEPS / "smoke.yaml").read_text())
    (here / "profiles").mkdir()
    own = (SWEEPS / "profiles" / "tiny.yaml").read_text().replace("num_train: 16", "num_train: 12")
    (here / "profiles" / "tiny.yaml").write_text(own)
    assert load_sweep(Path("mine.yaml")).cells[0].config.dataset.num_train == 12
    assert load_sweep(SWEEPS / "smoke.yaml").cells[0].config.dataset.num_train == 12


@pytest.mark.parametrize("name", ["paper/mine", "a b", "ü"])
def test_a_sweep_can_name_itself(write_sweep, name: str) -> None:
    assert load_sweep(write_sweep(name=f'"{name}"')).name == name
    assert load_sweep(write_sweep(), [f"name={name}"]).name == name


@pytest.mark.parametrize("name", ["../up", "/root", "a//b", ".", "x" * 201, ""])
def test_a_name_that_no_folder_can_have_is_refused(write_sweep, name: str) -> None:
    with pytest.raises(InputError, match=r"cannot be the name|name"):
        load_sweep(write_sweep(name=f'"{name}"'))


def test_an_unknown_tracker_is_refused(write_sweep) -> None:
    with pytest.raises(InputError) as info:
        load_sweep(write_sweep(trackers="[mlfow]"))
    (problem,) = info.value.problems
    assert problem.what == "unknown tracker"
    assert 'did you mean "mlflow"?' in problem.next_step
    assert load_sweep(write_sweep(trackers="[]")).file.trackers == ()


def test_a_shipped_file_is_known_by_its_name_wherever_the_package_is(here: Path) -> None:
    assert shipped.location_of(SWEEPS / "paper" / "seeds.yaml") == "sweeps/paper/seeds.yaml"
    assert shipped.location_of(Path("mine.yaml")) == str(here / "mine.yaml")
