"""The arrows between files point downwards only, and heavy libraries stay in their place."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from helpers.paths import ROOT

PACKAGE = ROOT / "omni_msa"

# The layers, the highest first. A file may import files of its own layer and of the layers below it.
LAYERS = {
    "command line": "orchestrate execute driver reaper hazards watch ready check_data finish finish_search measure "
    "plantext",
    "services": "runner search tracking progress",
    "report": "figures/* page/*",
    "jobs": "dispatch search_queue attempt reactions cluster",
    "training": "train evaluate assembly fits",
    "model": "readouts/* readout generation answers layers forward decoding padding prefix probe prompt adapter "
    "resident backbones/* savings thinker hub checkpoint qwen_omni pocket/*",
    "data": "datasets/* corpus clip_row csv_table label_csv cmu_layout mosi_folds clips_csv splits demo/* "
    "loader shelf examine examine_all prepare prepared media decode container mel patches",
    "plain": "plan schema quarantine preflight slots memory estimate timing hardware guard gpus provenance sweep "
    "settings states system_metrics identity config denoiser explain plugins options ledger flatten "
    "axes search_space search_points search_checks search_rules proposals proposing study search_ahead "
    "transfer search_verdict search_report planjson runs attach database_file model_card lease process "
    "watchdog files folders records evidence metrics statistics/* comparisons/* grids/* aggregate "
    "tables reported sizes seeding pool fetch yamlfile cache clip errors",
}
SEPARATE = ("services",)  # the files of these layers never import each other; the command line joins them

# Libraries that a layer may import at a file's top level, and further ones inside functions.
_SMALL = "numpy pydantic pydantic_core yaml"
_NETWORK = f"{_SMALL} torch transformers peft safetensors tokenizers filelock"
LIBRARIES = {
    "command line": (f"{_SMALL} psutil", "rich"),
    "services": (f"{_SMALL} rich ray mlflow optuna", "pandas scipy psutil filelock"),
    "report": (f"{_SMALL} matplotlib jinja2 markupsafe", "sklearn threadpoolctl"),
    "jobs": (_SMALL, "ray"),
    "training": (f"{_NETWORK} pandas psutil", ""),
    "model": (_NETWORK, "huggingface_hub bitsandbytes accelerate"),
    "data": (f"{_SMALL} filelock", "av decord librosa soundfile safetensors espeakng_loader pandas"),
    "plain": (f"{_SMALL} pebble", "pandas pyarrow scipy rich psutil filelock pynvml"),
}
# Libraries that one file alone, or one folder, imports.
OWNERS = {
    "ray": "runner cluster",
    "mlflow": "tracking",
    "optuna": "search",
    "matplotlib": "figures/*",
    "sklearn": "figures/embedding",
    "threadpoolctl": "figures/embedding",
    "jinja2": "page/page",
    "markupsafe": "page/page",
    "peft": "adapter",
    "pynvml": "gpus",
    "decord": "decode",
    "librosa": "decode",
    "soundfile": "decode",
    "espeakng_loader": "demo/speech",
    "yaml": "yamlfile",
    "pebble": "pool",
}
PLUGIN_FOLDERS = ("datasets", "backbones", "readouts")
PLUGIN_TOP = {"numpy", "pydantic"}
# What looking at plug-ins, sweeps, plans and tables must not import.
HEAVY = (
    "torch transformers peft bitsandbytes ray mlflow optuna matplotlib sklearn pandas scipy decord librosa av soundfile"
)


class Import(NamedTuple):
    """A name as it is imported, and whether that happens inside a function."""

    name: str
    inside: bool


def imports_of(source: str) -> list[Import]:
    """Return every import of a module but those for type checkers alone; relative ones raise."""
    found = []

    def walk(node: ast.AST, inside: bool) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for child in node.orelse:
                walk(child, inside)
            return
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise AssertionError(f"line {node.lineno}: write the whole name instead of a relative import")
            found.extend(Import(f"{node.module}.{alias.name}", inside) for alias in node.names)
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            walk(child, inside)

    walk(ast.parse(source), False)
    return found


def own_file(name: str) -> str | None:
    """Return the key of the file of ours that a dotted name lies in (`demo/speech`), or None if it is not ours."""
    first, *parts = name.split(".")
    if first != "omni_msa":
        return "orchestrate" if first == "orchestrate" else None
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
    main = ROOT / "orchestrate.py"
    return {**found, "orchestrate": main} if main.exists() else found


FILES = files()
CODE = [key for key, path in FILES.items() if path.name != "__init__.py"]
IMPORTS = {key: imports_of(path.read_text(encoding="utf-8")) for key, path in FILES.items()}


def folder_of(key: str) -> str:
    return f"{key.partition('/')[0]}/*"


def layer_of(key: str) -> str | None:
    named = [layer for layer, text in LAYERS.items() if {key, folder_of(key)} & set(text.split())]
    return named[0] if len(named) == 1 else None


def libraries_of(key: str, inside: bool) -> set[str]:
    firsts = {name.split(".")[0] for name, is_inside in IMPORTS[key] if is_inside is inside}
    return firsts - sys.stdlib_module_names - {"omni_msa", "orchestrate"}


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
        *(Import(name, False) for name in ("a.b", "d", "typing.TYPE_CHECKING", "seen", "e.f.g", "e.f.h")),
        *(Import(name, True) for name in ("i", "j.k")),
    ]
    with pytest.raises(AssertionError, match="relative"):
        imports_of("from . import a")
    assert (
        own_file("omni_msa.data.synthetic.speech.speak") == own_file("omni_msa.data.synthetic.speech") == "demo/speech"
    )
    assert own_file("omni_msa.demo.nothing") == "demo"
    assert own_file("omni_msa.__version__") == ""
    assert own_file("torch.nn") is None


@pytest.mark.parametrize("key", CODE)
def test_every_file_has_one_layer(key: str) -> None:
    assert layer_of(key), f"name the layer of omni_msa/{key}.py in LAYERS (once)"


@pytest.mark.parametrize("key", CODE)
def test_arrows_point_downwards(key: str) -> None:
    order = list(LAYERS)
    for name, _ in IMPORTS[key]:
        other = own_file(name)
        if other and FILES[other].name != "__init__.py":
            layer, below = layer_of(key), layer_of(other)
            assert layer and below
            assert order.index(below) >= order.index(layer), f"{key} ({layer}) imports {other} ({below})"
            assert layer != below or layer not in SEPARATE, f"{key} imports {other}; both are {layer}"


@pytest.mark.parametrize("key", CODE)
def test_libraries_stay_in_their_layers(key: str) -> None:
    layer = layer_of(key)
    assert layer
    top, inside = (set(text.split()) for text in LIBRARIES[layer])
    assert libraries_of(key, inside=False) <= top, f"top level of {key} ({layer})"
    assert libraries_of(key, inside=True) <= top | inside, f"functions of {key} ({layer})"


@pytest.mark.parametrize("library", OWNERS)
def test_a_library_with_an_owner_is_imported_nowhere_else(library: str) -> None:
    users = {key for key in FILES if library in libraries_of(key, True) | libraries_of(key, False)}
    owners = set(OWNERS[library].split())
    assert {key for key in users if not {key, folder_of(key)} & owners} == set()


@pytest.mark.parametrize("key", [key for key in CODE if key.startswith(PLUGIN_FOLDERS)])
def test_plug_ins_are_light_at_their_top_level(key: str) -> None:
    assert libraries_of(key, inside=False) <= PLUGIN_TOP


def test_folders_that_hold_code_run_none_of_their_own() -> None:
    for key, path in FILES.items():
        if path.name == "__init__.py":
            body = ast.parse(path.read_text(encoding="utf-8")).body
            code = [node for node in body if not isinstance(node, ast.Expr)]
            assert all(isinstance(node, ast.Assign) for node in code), key


def test_no_file_imports_itself_by_a_detour() -> None:
    arrows = {key: {own_file(name) for name, _ in found} - {None, "", key} for key, found in IMPORTS.items()}
    left = dict(arrows)
    while free := [key for key, others in left.items() if not others & left.keys()]:
        for key in free:
            del left[key]
    assert not left, f"a circle runs through some of {sorted(left)}"


def test_names_are_looked_up_while_running_only_for_plug_ins() -> None:
    users = {key for key, path in FILES.items() if "import_module(" in path.read_text(encoding="utf-8")}
    assert users == {"plugins"}


LIGHT = [key for key in CODE if layer_of(key) in ("plain", "command line") or key.startswith(PLUGIN_FOLDERS)]


def test_plug_ins_plans_and_tables_need_nothing_heavy() -> None:
    names = [key if key == "orchestrate" else "omni_msa." + key.replace("/", ".") for key in LIGHT]
    code = f"""
import importlib, sys
for name in {names!r}:
    importlib.import_module(name)
    for library in {HEAVY.split()!r}:
        assert library not in sys.modules, f"{{name}} brings {{library}}"
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
