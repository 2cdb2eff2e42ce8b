"""The README, the pages of docs/ and the sweep files tell the same story as the code."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from helpers.paths import BENCHMARKS, ROOT, TESTS
from helpers.paths import SWEEPS as SWEEPS_FOLDER
from omni_msa.sweep.sweep import load_sweep

README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
SWEEPS = sorted((ROOT / "sweeps").glob("*.yaml"))
PAPER = sorted((ROOT / "sweeps" / "paper").glob("*.yaml"))
PROFILES = sorted(file.stem for file in (ROOT / "sweeps" / "profiles").glob("*.yaml"))

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+)$", re.MULTILINE)


def without_code(markdown: str) -> str:
    """Return a page without its blocks of code, where nothing is a link or a heading."""
    return re.sub(r"^```.*?^```", "", markdown, flags=re.MULTILINE | re.DOTALL)


def anchors(markdown: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page: lower case, no punctuation, hyphens for spaces.

    The second heading of the same text gets "-1", the third one "-2".
    """
    seen: Counter[str] = Counter()
    found = set()
    for heading in HEADING.findall(without_code(markdown)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip())
        anchor = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return found


def links(markdown: str) -> list[str]:
    """Return where the links and images of a page lead, without those inside code."""
    return LINK.findall(re.sub(r"`[^`\n]*`", "", without_code(markdown)))


def is_dead(link: str, page: Path) -> bool:
    """Return whether a relative link leads to no file of the repository, or to no heading of a page."""
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not (target.is_relative_to(ROOT.resolve()) and target.exists()):
        return True
    return bool(anchor) and anchor not in anchors(target.read_text(encoding="utf-8"))


def dead_links(page: Path) -> list[str]:
    """Return the relative links of a page that are dead; web addresses are not fetched."""
    relative = [link for link in links(page.read_text(encoding="utf-8")) if not re.match(r"[a-z]+:", link)]
    return [link for link in relative if is_dead(link, page)]


def test_anchors_are_those_of_github() -> None:
    page = "# A `b_c`: what, and [why](x.md)?\n```\n# no heading\n```\n## Two-way \u00b1 3\n## Same\n### Same\n"
    assert anchors(page) == {"a-b_c-what-and-why", "two-way--3", "same", "same-1"}


def test_a_dead_link_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "b.md").write_text("# Here\n", encoding="utf-8")
    page = tmp_path / "a.md"
    text = "# Top\n[1](b.md) [2](b.md#here) [3](#top) [4](https://x.org/y) `[5](no.md)`\n```\n[6](no.md)\n```\n"
    page.write_text(text + "[7](c.md) [8](b.md#there) [9](#bottom) ![10](d.svg) [11](../b.md)", encoding="utf-8")
    assert dead_links(page) == ["c.md", "b.md#there", "#bottom", "d.svg", "../b.md"]


@pytest.mark.parametrize("page", [README, *DOCS], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    assert dead_links(page) == []


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 200


def test_the_index_of_the_docs_has_one_line_for_each_page() -> None:
    lines = (ROOT / "docs" / "README.md").read_text(encoding="utf-8").splitlines()
    listed = [link for line in lines if line.startswith("- ") for link in links(line)[:1]]
    assert sorted(listed) == [page.name for page in DOCS if page.name != "README.md"]


def test_the_readme_lists_every_package() -> None:
    table = README.read_text(encoding="utf-8").partition("## The packages")[2].partition("\n## ")[0]
    folders = [file.parent for file in (ROOT / "omni_msa").glob("*/__init__.py")]
    assert len(folders) > 15
    said = {folder.name: ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) for folder in folders}
    assert [name for name, text in said.items() if f"| `{name}/` | {text} |" not in table] == []


@pytest.mark.parametrize("kind", ["readouts", "datasets", "backbones"])
def test_no_list_of_the_readme_has_to_name_a_new_plugin(kind: str) -> None:
    """A list or table that names all plug-ins of a kind as code would go stale; measured results name them in words."""
    names = {f"`{file.stem}`" for file in (ROOT / "omni_msa" / kind).glob("[!_]*.py")}
    blocks = re.findall(r"(?:^ *(?:[-*|]|\d+\.).*\n(?:^ +\S.*\n)*)+", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(blocks) >= 3 and len(names) >= 3
    assert [block for block in blocks if all(name in block for name in names)] == []


def test_tests_and_benchmarks_that_the_docs_name_exist() -> None:
    failures = (ROOT / "docs" / "failures.md").read_text(encoding="utf-8")
    tests = set(re.findall(r"`([\w/]+/test_\w+\.py)`", failures))
    assert len(tests) > 15
    assert sorted(name for name in tests if not (TESTS / name).exists()) == []
    text = "".join(page.read_text(encoding="utf-8") for page in [README, *DOCS])
    benchmarks = set(re.findall(r"benchmarks/(\w+\.py)", text))
    assert sorted(name for name in benchmarks if not (BENCHMARKS / name).exists()) == []


def test_the_search_that_the_docs_show_is_sound(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "search.md").read_text(encoding="utf-8")
    block = page.partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "profiles").mkdir()
    profile = (SWEEPS_FOLDER / "profiles" / "pocket.yaml").read_text(encoding="utf-8")
    (tmp_path / "profiles" / "pocket.yaml").write_text(profile, encoding="utf-8")
    (tmp_path / "a.yaml").write_text(f"question: Is it?\nprofile: pocket\n{block}", encoding="utf-8")
    search = load_sweep(tmp_path / "a.yaml").file.search
    assert search is not None
    assert (len(search.space), search.objectives, search.transfer) == (5, ("mae",), False)


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
