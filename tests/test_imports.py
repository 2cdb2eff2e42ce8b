"""What import-linter cannot say: heavy libraries stay in their place, no circle of files, light plug-ins and plans."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from hatchling.builders.wheel import WheelBuilder

from helpers.paths import ROOT, SWEEPS
from omni_msa.sweep import shipped

PACKAGE = ROOT / "omni_msa"

# Libraries that the files of a package may import at their top level, and further ones inside functions.
_SMALL = "numpy pydantic pydantic_core"
_NETWORK = f"{_SMALL} torch transformers peft safetensors tokenizers filelock"
LIBRARIES = {
    "": ("", ""),
    "cli": ("shtab", "rich"),
    "report": ("numpy matplotlib jinja2 markupsafe", "rich sklearn threadpoolctl"),
    "tracking": ("", "mlflow"),
    "evidence": ("numpy", "pyarrow"),
    "execution": ("psutil rich", "ray filelock"),
    "planning": ("", "psutil"),
    "training": (f"{_NETWORK} pandas psutil", ""),
    "search": ("", "optuna"),
    "readouts": (_NETWORK, ""),
    "backbones": (_NETWORK, "huggingface_hub"),
    "datasets": (_SMALL, "filelock"),
    "model": (_NETWORK, "huggingface_hub bitsandbytes accelerate"),
    "data": (_SMALL, "av decord librosa soundfile safetensors espeakng_loader"),
    "ledger": ("numpy", ""),
    "sweep": (_SMALL, ""),
    "config": (_SMALL, ""),
    "stats": ("numpy", "scipy"),
    "system": ("pebble yaml", "filelock pynvml"),
}
# Libraries that one file alone, or one folder, imports.
OWNERS = {
    "ray": "execution/ray_runner execution/ray_cluster",
    "mlflow": "tracking/mlflow",
    "optuna": "search/optuna_sampler",
    "matplotlib": "report/figures/*",
    "sklearn": "report/figures/embedding",
    "threadpoolctl": "report/figures/embedding",
    "jinja2": "report/page/page",
    "markupsafe": "report/page/page",
    "peft": "model/adapter",
    "pynvml": "system/nvml",
    "decord": "data/media/decode",
    "librosa": "data/media/decode",
    "soundfile": "data/media/decode",
    "espeakng_loader": "data/synthetic/speech",
    "yaml": "system/yaml_file",
    "pebble": "system/process_pool",
    "shtab": "cli/arguments",
}
PLUGIN_FOLDERS = ("datasets", "backbones", "readouts")
PLUGIN_TOP = {"numpy", "pydantic"}
# What looking at plug-ins, sweeps, plans and tables must not import.
HEAVY = (
    "torch transformers peft bitsandbytes ray mlflow optuna matplotlib sklearn pandas scipy decord librosa av soundfile"
)


class Import(NamedTuple):
    """A name as it is imported: inside a function, or for type checkers alone."""

    name: str
    inside: bool
    typing: bool = False


def imports_of(source: str) -> list[Import]:
    """Return every import of a module; relative ones raise."""
    found = []

    def walk(node: ast.AST, inside: bool, typing: bool) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for children, is_typing in ((node.body, True), (node.orelse, typing)):
                for child in children:
                    walk(child, inside, is_typing)
            return
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, inside, typing) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise AssertionError(f"line {node.lineno}: write the whole name instead of a relative import")
            found.extend(Import(f"{node.module}.{alias.name}", inside, typing) for alias in node.names)
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            walk(child, inside, typing)

    walk(ast.parse(source), False, False)
    return found


def own_file(name: str) -> str | None:
    """Return the key of the file of ours that a dotted name lies in (`data/clip`), or None if it is not ours."""
    first, *parts = name.split(".")
    if first != "omni_msa":
        return None
    for length in range(len(parts), 0, -1):
        path = PACKAGE.joinpath(*parts[:length])
        if path.with_suffix(".py").is_file() or (path / "__init__.py").is_file():
            return "/".join(parts[:length])
    return ""


def files() -> dict[str, Path]:
    """Return key -> path of every file of ours; a package's `__init__.py` has the folder's name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        key = path.relative_to(PACKAGE).with_suffix("").as_posix()
        found["" if key == "__init__" else key.removesuffix("/__init__")] = path
    return found


FILES = files()
CODE = [key for key, path in FILES.items() if path.name != "__init__.py"]
IMPORTS = {key: imports_of(path.read_text(encoding="utf-8")) for key, path in FILES.items()}
PLUGINS = [key for key in CODE if key.startswith(PLUGIN_FOLDERS) and "/_" not in key]


def package_of(key: str) -> str:
    return key.partition("/")[0] if "/" in key else ""


def libraries_of(key: str, inside: bool) -> set[str]:
    firsts = {name.split(".")[0] for name, is_inside, typing in IMPORTS[key] if is_inside is inside and not typing}
    return firsts - sys.stdlib_module_names - {"omni_msa"}


def test_the_walker_sees_what_it_should() -> None:
    source = """
import a.b as c, d
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import hidden
else:
    import seen
class C:
    from e.f import g, h
    def method(self):
        try:
            import i
        except ImportError:
            (lambda: __import__("no"))
        async def deep():
            from j import k
"""
    assert imports_of(source) == [
        *(Import(name, False) for name in ("a.b", "d", "typing.TYPE_CHECKING")),
        Import("hidden", False, True),
        *(Import(name, False) for name in ("seen", "e.f.g", "e.f.h")),
        *(Import(name, True) for name in ("i", "j.k")),
    ]
    with pytest.raises(AssertionError, match="relative"):
        imports_of("from . import a")
    assert own_file("omni_msa.data.clip.Clip") == own_file("omni_msa.data.clip") == "data/clip"
    assert own_file("omni_msa.data.nothing") == "data"
    assert own_file("omni_msa.__version__") == ""
    assert own_file("torch.nn") is None


@pytest.mark.parametrize("key", CODE)
def test_libraries_stay_in_their_packages(key: str) -> None:
    top, inside = (set(text.split()) for text in LIBRARIES[package_of(key)])
    assert libraries_of(key, inside=False) <= top, f"top level of {key}"
    assert libraries_of(key, inside=True) <= top | inside, f"functions of {key}"


@pytest.mark.parametrize("library", OWNERS)
def test_a_library_with_an_owner_is_imported_nowhere_else(library: str) -> None:
    users = {key for key in FILES if library in libraries_of(key, True) | libraries_of(key, False)}
    owners = set(OWNERS[library].split())
    assert {key for key in users if not {key, f"{key.rpartition('/')[0]}/*"} & owners} == set()


@pytest.mark.parametrize("key", PLUGINS)
def test_plug_ins_are_light_at_their_top_level(key: str) -> None:
    assert libraries_of(key, inside=False) <= PLUGIN_TOP


def test_folders_say_what_they_are_for_and_run_no_code_of_their_own() -> None:
    for key, path in FILES.items():
        if path.name == "__init__.py":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            code = [node for node in tree.body if not isinstance(node, ast.Expr)]
            assert all(isinstance(node, ast.Assign) for node in code), key
            assert len((ast.get_docstring(tree) or "").splitlines()) == 1, key
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert sorted(str(folder) for folder in folders if not (folder / "__init__.py").is_file()) == []


def test_the_root_of_the_package_stays_small() -> None:
    root = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert root == {"__init__.py", "__main__.py", "errors.py", "py.typed", "seeding.py", "text.py"}


def test_no_file_imports_itself_by_a_detour() -> None:
    arrows = {key: {own_file(name) for name, *_ in found} - {None, "", key} for key, found in IMPORTS.items()}
    left = dict(arrows)
    while free := [key for key, others in left.items() if not others & left.keys()]:
        for key in free:
            del left[key]
    assert not left, f"a circle runs through some of {sorted(left)}"


def test_names_are_looked_up_while_running_only_for_plug_ins() -> None:
    users = {key for key, path in FILES.items() if "import_module(" in path.read_text(encoding="utf-8")}
    assert users == {"config/plugins"}


# Whole packages that looking at sweeps, plans and tables brings, and what else must be as light.
LIGHT_PACKAGES = [
    "cli",
    "config",
    "data",
    "evidence",
    "execution",
    "ledger",
    "planning",
    "search",
    "stats",
    "sweep",
    "system",
    "tracking",
]
LIGHT = [*PLUGINS, "model/dimensions", *(key for key in CODE if package_of(key) in LIGHT_PACKAGES)]


def test_plug_ins_plans_and_tables_need_nothing_heavy() -> None:
    names = ["omni_msa." + key.replace("/", ".") for key in LIGHT]
    code = f"""
import importlib, sys
for name in {names!r}:
    importlib.import_module(name)
    for library in {HEAVY.split()!r}:
        assert library not in sys.modules, f"{{name}} brings {{library}}"
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]


def test_everything_that_is_not_python_is_in_the_wheel() -> None:
    packed = {file.distribution_path: Path(file.path) for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    other = {file for file in PACKAGE.rglob("*") if file.is_file() and file.suffix != ".pyc"}
    assert sorted(other - {*packed.values()}) == []
    assert any(file.name == "report.html.jinja" for file in other)
    assert {"py.typed", "__main__.py"} < {file.name for file in other}


def test_shipped_sweeps_and_profiles_are_in_the_wheel() -> None:
    settings = WheelBuilder(str(ROOT)).target_config["force-include"]
    assert settings == {"sweeps": "omni_msa/shipped_sweeps"}
    assert shipped.folder() == SWEEPS
