"""Whatever a sweep file or the command line says: a valid sweep, or a message that names what is wrong and where."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from helpers.fuzzing import FUZZ, MESSAGE_LENGTH_MAX, NUMBERS, VALUES, check_error, mutate_tree, outcome
from helpers.paths import ROOT
from omni_msa.config.trial import TrialConfig
from omni_msa.errors import InputError
from omni_msa.sweep.sweep import load_sweep

FILES = sorted((ROOT / "sweeps").rglob("*.yaml"))
SMALL = """
question: Does it work?
profile: tiny
axes: {readout: [discriminative, constant], adapter.rank: [2, 4]}
seeds: [1, 2]
select: {metric: corr}
compare: {against: {readout: constant, adapter.rank: 4}, metric: acc7}
training: {epochs: 3}
"""
SWEEPS = [SMALL, *(path.read_text(encoding="utf-8") for path in FILES if path.parent.name == "sweeps")]
PROFILES = [path.read_text(encoding="utf-8") for path in FILES if path.parent.name == "profiles"]
BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"
SNIPPETS = [
    "&a ",
    "*a",
    "<<: *a",
    "!!python/object/apply:os.system [x]",
    "!x ",
    "---\n",
    "...\n",
    "\t",
    "\x00",
    "\ufeff",
]
SNIPPETS += [
    "{",
    "}",
    "[",
    "]",
    "|",
    ">",
    "? ",
    ": ",
    "- ",
    "#",
    "'",
    '"',
    "%YAML 9.9\n",
    "\r",
    "é",
    "0777",
    "2024-01-01",
]
SNIPPETS += [BOMB, "[" * 60, "x" * 300_000, "[1, " * 30, "\u2028", "@", "`", "a: 1\n" * 3000, "[0" + ", 1" * 9000 + "]"]


def fields(section: str) -> list[str]:
    """Return the options of a configuration section."""
    return list(TrialConfig.model_fields[section].annotation.model_fields)


PATHS = [f"dataset.{name}" for name in ("name", "root", "num_train", "num_test", "min_words", "seed", "domains")]
PATHS += [f"{part}.{name}" for part in ("media", "adapter", "training", "runtime") for name in fields(part)]
PATHS += [
    "backbone.weights",
    "backbone.name",
    "backbone.dtype",
    "readout.name",
    "readout.width",
    "modalities",
    "repeat",
]


def set_option(tree: Any, draw: Callable[..., Any]) -> None:
    """Give an option that exists another value."""
    section, _, name = draw(st.sampled_from(PATHS)).partition(".")
    if isinstance(tree, dict) and isinstance(tree.setdefault(section, {}), dict) and name:
        tree[section][name] = draw(st.sampled_from(NUMBERS) | VALUES)


def mutate_text(text: str, draw: Callable[..., Any]) -> str:
    """Put something in, leave a line out or write it twice, or cut the end off."""
    how = draw(st.sampled_from(["insert", "insert", "leave out", "twice", "cut"]))
    place = draw(st.integers(0, len(text)))
    lines = text.splitlines(keepends=True)
    row = draw(st.integers(0, max(0, len(lines) - 1)))
    if how == "insert":
        return text[:place] + draw(st.sampled_from(SNIPPETS)) + text[place:]
    if how == "cut":
        return text[:place]
    return "".join(lines[:row] + lines[row : row + 1] * (2 if how == "twice" else 0) + lines[row + 1 :])


@st.composite
def mutated(draw: Callable[..., Any], texts: list[str]) -> bytes:
    """One of the texts with some changes, as trees first and as text after that."""
    text = draw(st.sampled_from(texts))
    tree = yaml.safe_load(text)
    for change in draw(st.lists(st.sampled_from([mutate_tree, set_option]), max_size=3)):
        change(tree, draw)
    if tree != yaml.safe_load(text):
        text = yaml.safe_dump(tree, allow_unicode=draw(st.booleans()), sort_keys=False)
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        text = mutate_text(text, draw)
    return text.encode(errors="surrogatepass")


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a sweep and the profiles; cache and ledger of one's own."""
    folder = tmp_path_factory.mktemp("fuzz")
    shutil.copytree(ROOT / "sweeps" / "profiles", folder / "profiles")
    (folder / "small.yaml").write_text(SMALL, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMNI_MSA_CACHE", str(folder / "cache"))
        patch.setenv("OMNI_MSA_LEDGER", str(folder / "mlruns"))
        patch.chdir(folder)
        yield folder


def check_sweep(path: Path, *overrides: str) -> None:
    """A sweep, or an InputError; anything else is let through and fails the test."""
    try:
        sweep = load_sweep(path, overrides)
    except InputError as error:
        check_error(error)
    else:
        assert sweep.trials()
        json.dumps([config.model_dump(mode="json") for _, config in sweep.trials()[:100]], allow_nan=False).encode()


def check_command(*arguments: str) -> int:
    """A plan and nothing else, or exit 2 and a message and nothing else."""
    code, out, err = outcome(*arguments)
    assert "Traceback" not in err
    assert len(err) < MESSAGE_LENGTH_MAX
    assert (code, bool(out), bool(err)) in ((0, True, False), (2, False, True)), (code, out, err)
    if code == 0 and "--json" in arguments:
        json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    return code


@FUZZ
@given(content=mutated(SWEEPS))
def test_a_mutated_sweep_file(content: bytes, place: Path) -> None:
    path = place / "sweep.yaml"
    path.write_bytes(content)
    check_sweep(path)
    check_command(str(path), "--plan")


@FUZZ
@given(content=mutated(PROFILES), text=st.sampled_from(SWEEPS))
def test_a_mutated_profile(content: bytes, text: str, place: Path) -> None:
    path = place / "sweep.yaml"
    path.write_text(text, encoding="utf-8")
    (place / "profiles" / "mutated.yaml").write_bytes(content)
    check_sweep(path, "profile=mutated")
    check_command(str(path), "profile=mutated", "--plan", "--json")


def test_a_sweep_file_cut_at_every_byte(place: Path) -> None:
    path, content = place / "sweep.yaml", SMALL.encode()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        check_sweep(path)


@pytest.mark.parametrize("content", [b"", b"\x00", b"\xff\xfe", b"x" * 10_000_000, b"[" * 10_000_000, BOMB.encode()])
def test_files_that_are_no_sweep(content: bytes, place: Path) -> None:
    path = place / "sweep.yaml"
    path.write_bytes(content)
    assert check_command(str(path), "--status") == 2


OPTIONS = ["--plan", "--status", "--json", "--retry", "--local", "--report", "--address", "--nonsense", "-x", "--", "-"]
VALUE_TEXTS = st.sampled_from(
    [BOMB, "[1", "!!python/name:os.system", "&a [*a]", "null", "", "é", "\x00", "{a: b}", "1e999"]
)
SETTINGS = st.builds(
    "{}{}{}".format,
    st.sampled_from(
        [*PATHS, "seeds", "axes", "axes.readout", "axes.adapter.rank", "question", "profile", "select.metric"]
    )
    | st.sampled_from(["", ".", "..", "a.b.c.d", "axes.", "axes.seed", "training..epochs", "compare.against.readout.x"])
    | st.text(max_size=8),
    st.sampled_from(["=", "=", "=", "", "==", " = "]),
    VALUE_TEXTS | VALUES.map(lambda value: json.dumps(value)[:2000]) | st.text(max_size=20),
)


PLACES = ["no.yaml", ".", "", "profiles", "small.yaml/x", "/dev/null"]


@FUZZ
@given(data=st.data())
def test_any_arguments(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(["small.yaml"] * 30 + PLACES), "path")
    how = data.draw(st.sampled_from(["--plan", "--status"]), "how")
    extra = data.draw(st.sampled_from([[]] * 9 + [[option] for option in OPTIONS]), "option")
    arguments = data.draw(st.permutations([*data.draw(st.lists(SETTINGS, max_size=3), "settings"), *extra]), "order")
    check_command(how, path, *arguments)  # what stands behind -- is no option any more


def test_names_and_streams_that_cannot_take_every_character(place: Path) -> None:
    odd = place / os.fsdecode(b"\xff.yaml")
    shutil.copy(place / "small.yaml", odd)
    assert check_command(str(odd), "--plan") == 2
    command = [sys.executable, str(ROOT / "orchestrate.py"), "small.yaml", "question=é", "--plan"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, cwd=place, env=environment, capture_output=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, b"") and rb"small: \xe9" in ran.stdout
