"""The README and the sweep files tell the same story as the code."""

import ast
import re
from pathlib import Path

import pytest

from helpers.paths import ROOT
from omni_msa.sweep.sweep import load_sweep

SWEEPS = sorted((ROOT / "sweeps").glob("*.yaml"))
PAPER = sorted((ROOT / "sweeps" / "paper").glob("*.yaml"))
PROFILES = sorted(file.stem for file in (ROOT / "sweeps" / "profiles").glob("*.yaml"))


def test_the_readme_lists_every_package() -> None:
    table = (ROOT / "README.md").read_text(encoding="utf-8").partition("## The packages")[2].partition("\n## ")[0]
    folders = [file.parent for file in (ROOT / "omni_msa").glob("*/__init__.py")]
    assert len(folders) > 15
    said = {folder.name: ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) for folder in folders}
    assert [name for name, text in said.items() if f"| `{name}/` | {text} |" not in table] == []


def test_the_readme_lists_every_sweep_and_readout() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [file.name for file in SWEEPS if f"`sweeps/{file.name}`" not in text] == []
    readouts = [file.stem for file in (ROOT / "omni_msa" / "readouts").glob("[!_]*.py")]
    assert [name for name in readouts if f"| `{name}` |" not in text] == []


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_sweep_is_valid_at_every_scale(path: Path, profile: str) -> None:
    sweep = load_sweep(path, [f"profile={profile}"])
    assert len(sweep.cells) > 1 or sweep.file.search


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_the_sweeps_of_the_paper_are_at_its_scale(path: Path) -> None:
    for cell in load_sweep(path).cells:
        assert (cell.config.backbone.name, cell.config.backbone.quantization) == ("qwen2_5_omni_7b", "nf4")
        assert cell.config.dataset.name in ("mosi", "mosei")


@pytest.mark.parametrize("path", [*SWEEPS, *PAPER], ids=lambda path: path.stem)
def test_a_sweep_file_says_what_it_costs(path: Path) -> None:
    header = "\n".join(line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#"))
    assert f"python orchestrate.py {path.relative_to(ROOT)}" in header
    sweep = load_sweep(path)
    num_trials = len({config.model_dump_json() for _, config in sweep.trials()})
    size = r"\b\d+ proposals\b" if sweep.file.search else rf"\b{len(sweep.cells)} cells?, {num_trials} trials\b"
    assert re.search(size, header)
    assert re.search(r"about [^.]*(minute|min| h)\b|minutes|under a minute", header)


UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
UNSAFE_CALLS = {"exec", "__import__", "read_pickle", "unsafe_load", "full_load", "load_all", "unsafe_load_all"}


def unsafe_reads(source: str) -> list[str]:
    """Return what in a module could run code that a file brings along: pickles in any guise, and text that is code."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            modules = names if isinstance(node, ast.Import) else [node.module or "", *names]
            found += [name for name in modules if name.split(".")[0] in UNSAFE_MODULES]
        elif isinstance(node, ast.Call):
            found += [ast.unparse(node)] if _is_unsafe(node) else []
    return found


def _is_unsafe(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if name == "yaml.load":  # the loader of yamlfile.py is a SafeLoader, as its own tests show
        return [ast.unparse(argument) for argument in call.args[1:]] != ["_Loader"]
    if name in ("np.load", "numpy.load"):
        return options.get("allow_pickle") != "False"
    is_code = name in UNSAFE_CALLS or (isinstance(call.func, ast.Attribute) and call.func.attr in UNSAFE_CALLS)
    return is_code or name in ("eval", "torch.load") or options.get("trust_remote_code", "False") != "False"


def test_what_could_run_code_is_seen() -> None:
    for source in (
        *("import pickle", "from pickle import loads", "import joblib.memory", "from a import shelve", "eval('1')"),
        *(
            "torch.load(f, weights_only=True)",
            "np.load(f)",
            "np.load(f, allow_pickle=True)",
            "yaml.load(t, yaml.Loader)",
        ),
        *(
            "yaml.load(t)",
            "yaml.unsafe_load(t)",
            "pd.read_pickle(f)",
            "exec(t)",
            "A.from_pretrained(f, trust_remote_code=1)",
        ),
    ):
        assert len(unsafe_reads(source)) == 1, source
    for source in ("np.load(f, allow_pickle=False)", "model.eval()", "json.load(f)", "yaml.load(t, _Loader)"):
        assert unsafe_reads(source) == [], source


def test_no_file_that_is_read_can_run_code() -> None:
    files = [ROOT / "orchestrate.py", *(ROOT / "omni_msa").rglob("*.py")]
    found = {file.stem: unsafe_reads(file.read_text(encoding="utf-8")) for file in files}
    # The pool asks whether an exception can cross to another process; nothing of a file passes there.
    assert {name: what for name, what in found.items() if what} == {"process_pool": ["pickle"]}
