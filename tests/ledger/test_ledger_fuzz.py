"""Whatever lies in a ledger's folder: a trial counts as done only with its own whole result, and nothing breaks."""

import csv
import json
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.fuzzing import FUZZ, MESSAGE_LENGTH_MAX, NUM_EXAMPLES, mutate_tree, outcome
from omni_msa.evidence.gather import gather
from omni_msa.ledger.ledger import Ledger
from omni_msa.ledger.trials import PlannedTrial
from omni_msa.planning.plan import Plan, make_plan
from omni_msa.planning.plan_json import as_json
from omni_msa.planning.plan_text import plan_text, status_text
from omni_msa.planning.timing import hardware_name, warm_up_file
from omni_msa.report.tables.files import write_tables
from omni_msa.report.tables.rows import trial_rows
from omni_msa.report.write import write_report
from omni_msa.sweep.sweep import Sweep, load_sweep
from omni_msa.system.files import write_json

PREDICTIONS = {"clip_id": ["a", "b"], "label": [0.5, -1.0], "score": [0.4, -2.0], "text": ["", ""]}
# As test.json and result.json have them; no two numbers of the ledger are alike.
METRICS = {"mae": 0.71, "corr": 0.62, "acc7": 0.43, "acc2_non0": 0.84, "f1_non0": 0.85}


def numbers(place: int) -> dict[str, float]:
    """Return what test.json and the costs of the trial at a place of the plan hold."""
    return {**{name: value + place / 1000 for name, value in METRICS.items()}, "train_s": 7.125 + place}


def is_failed(trial: PlannedTrial) -> bool:
    """Return whether the whole ledger has a trial as failed; all others are complete."""
    return trial.name.endswith("rank 4, seed 1") or trial.name.endswith("rank 4, seed 2")


def fill(sweep: Sweep, ledger: Ledger) -> None:
    """Complete or fail every trial through the ledger itself, and their fits; with a measured warm-up."""
    import pandas as pd

    plan = make_plan(sweep, ledger)
    for place, trial in enumerate(plan.trials):
        folder = ledger.trial(trial.trial_id)
        folder.begin(trial.config, {"packages": {"torch": "2.13.0+cpu"}, "attempt_s": 8.5})
        folder.write_metrics([{"step": 2, "epoch": 1, "time": "2026-01-01T00:00:00+00:00", "valid_mae": 0.9}])
        write_json(ledger.fit(trial.fit_id) / "fit.json", {"step": 2})
        if is_failed(trial):
            folder.fail("bug", "ValueError: it broke", "Traceback\nValueError: it broke")
            values = dict.fromkeys(("step_s", "eval_clip_s", "num_train", "num_valid", "num_test"), 2.0)
            values |= {"hardware": hardware_name(False), "time": "2026-01-01"}
            write_json(warm_up_file(trial.config, False, ledger), values)
            continue
        *quality, cost = numbers(place).items()
        for split in ("valid", "test"):
            folder.write_predictions(split, pd.DataFrame(PREDICTIONS))
        folder.write_test_metrics(dict(quality))
        folder.complete({"fit_id": trial.fit_id, "seed": trial.config.seed, "valid": METRICS, "cost": dict([cost])})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a sweep and a ledger called `whole`; `mlruns` is the one to damage."""
    folder = tmp_path_factory.mktemp("fuzz_ledger")
    axes = "{readout: [discriminative, constant], adapter.rank: [2, 4]}"
    text = f"question: Does it work?\nprofile: small\naxes: {axes}\nseeds: [1, 2]\ncompare: {{against: {{}}}}\n"
    (folder / "profiles").mkdir()
    profile = "dataset: {name: vader_av, num_train: 8, num_valid: 4, num_test: 4}\nbackbone: {name: tiny}\n"
    profile += "adapter: {text_layers: last_2}\nruntime: {device: cpu}\n"
    (folder / "profiles" / "small.yaml").write_text(profile, encoding="utf-8")
    text = text.replace("against: {}", "against: {readout: constant, adapter.rank: 2}")
    (folder / "sweep.yaml").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMNI_MSA_CACHE", str(folder / "cache"))
        patch.setenv("OMNI_MSA_LEDGER", str(folder / "mlruns"))
        patch.setenv("MLFLOW_TRACKING_URI", "nonsense://nowhere")  # not what is tested here, and slow
        fill(load_sweep(folder / "sweep.yaml"), Ledger(folder / "whole"))
        yield folder


def renew(place: Path) -> Ledger:
    """Return the ledger as it was before all damage."""
    root = place / "mlruns"
    if root.is_dir() and not root.is_symlink():
        shutil.rmtree(root)
    root.unlink(missing_ok=True)
    shutil.copytree(place / "whole", root)
    return Ledger(root)


def look(place: Path, shown: Literal["plan", "tables", "report"], rewritten: Collection[str] = ()) -> Plan:
    """Make what is made of a ledger; return its plan. Of the `rewritten` trials no numbers are expected.

    Args:
        place: with the ledger.
        shown: the plan alone; tables, too; or figures and the page, too, which take thirty times as long.
        rewritten: ids.
    """
    plan = make_plan(load_sweep(place / "sweep.yaml"), Ledger(place / "mlruns"), retry=True)
    assert plan_text(plan).encode(errors="backslashreplace")
    assert status_text(plan).encode(errors="backslashreplace")
    json.dumps(as_json(plan), allow_nan=False, indent=1)
    if shown == "tables":
        evidence = gather(plan)
        write_tables(plan.ledger.report_folder("sweep"), evidence.summary, trial_rows(evidence))
    if shown == "report":
        assert write_report(plan).problem == ""
    if shown != "plan":
        check_tables(plan, rewritten)
    return plan


def check_tables(plan: Plan, rewritten: Collection[str]) -> None:
    """Hold the numbers of `trials.csv` against what was written, and those of the aggregate likewise."""
    folder = plan.ledger.report_folder("sweep")
    with (folder / "trials.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["trial_id"]: row for row in csv.DictReader(file)}
    assert {name: row["state"] for name, row in rows.items()} == {t.trial_id: t.status.state for t in plan.trials}
    expected = set()
    for number, trial in enumerate(plan.trials):
        if trial.trial_id in rewritten:
            continue
        is_done = trial.status.state == "complete"
        known = numbers(number) if is_done else dict.fromkeys(numbers(number), "")
        assert {name: rows[trial.trial_id].get(name, "") for name in known} == {k: str(v) for k, v in known.items()}
        expected |= {known["mae"]} if is_done else set()
    cells = json.loads((folder / "aggregate.json").read_text(encoding="utf-8"))["cells"]
    found = {value for cell in cells for value in (cell["metrics"].get("mae") or {"values": []})["values"]}
    assert expected <= found and (rewritten or expected == found)


def test_the_whole_ledger_is_read_as_written(place: Path) -> None:
    renew(place)
    plan = look(place, "report")
    assert plan.counts() == {"trials": 5, "complete": 3, "failed": 2, "running": 0}
    assert plan.expected.basis == "2 measured by --measure on 2026-01-01"


FILES = ("result.json", "test.json", "status.json", "config.json", "provenance.json", "fit.json")


def cut_at(every: int, name: str, place: Path) -> None:
    """Cut a file of the first trial, or of its fit, and hold what is read against what must be known."""
    plan_before = look(place, "report") if renew(place) else None
    assert plan_before
    first = plan_before.trials[0]
    ledger = plan_before.ledger
    path = (ledger.fit(first.fit_id) if name == "fit.json" else ledger.trial(first.trial_id).path) / name
    whole = path.read_bytes()
    for length in {*range(0, len(whole), every), len(whole) - 2, len(whole) - 1}:
        path.write_bytes(whole[:length])
        is_outcome = name in ("result.json", "test.json")
        shown = "plan" if not is_outcome else "tables" if length % 32 else "report"
        plan = look(place, shown)
        is_done = not is_outcome or length >= len(whole) - 1  # but for the last line's end
        assert plan.trials[0].status.state == ("complete" if is_done else "pending"), length
        assert (plan.trials[0] in plan.missing()) is not is_done
        assert [trial.status for trial in plan.trials[1:]] == [trial.status for trial in plan_before.trials[1:]]


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_at_some_bytes(name: str, place: Path) -> None:
    cut_at(16, name, place)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_at_every_byte(name: str, place: Path) -> None:
    cut_at(1, name, place)


GARBAGE = [
    b"",
    b"\x00" * 300,
    b"\xff\xfe{}",
    b"null",
    b"[]",
    b"{}",
    b"7",
    b'"a"',
    b"NaN",
    b"[" * 100_000,
    b'{"a":' * 2000,
]
GARBAGE += [
    b'{"trial_id": 1e999, "mae": 1e999}',
    b'{"mae": NaN}',
    b'{"mae": ' + b"9" * 400 + b"}",
    b'{"mae": Infinity}',
]
GARBAGE += [
    b'{"step": 1, "time": 7, "loss": "x"}\n{"step": -5, "time": "never"}\n{',
    b'{"state": "running", "pid": -1}',
]


GARBAGE += [b'{"dataset": ' + b"[" * levels + b"]" * levels + b"}" for levels in (49, 50, 300, 900, 980)]


def replace_by_link(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    (path / "within").mkdir(parents=True)


def rewrite(path: Path, draw: Callable[..., Any]) -> None:
    """Change the values of a JSON file; what is no JSON is written anew from its half."""
    try:
        tree = [json.loads(path.read_text(encoding="utf-8"))]
    except ValueError:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        return
    for _ in range(draw(st.integers(1, 3))):
        mutate_tree(tree, draw)
    path.write_text(json.dumps(tree[0] if tree else None), encoding="utf-8")


DAMAGES: dict[str, Callable[[Path, Callable[..., Any]], Any]] = {
    "gone": lambda path, draw: path.unlink(),
    "garbage": lambda path, draw: path.write_bytes(draw(st.sampled_from(GARBAGE) | st.binary(max_size=40))),
    "cut": lambda path, draw: path.write_bytes(path.read_bytes()[: draw(st.integers(0, path.stat().st_size - 1))]),
    "folder": lambda path, draw: replace_by_folder(path),
    "link": lambda path, draw: replace_by_link(path, draw(st.sampled_from(["nowhere", path.name, "..", "/dev/null"]))),
    "rewritten": rewrite,
}


def damage(data: st.DataObject, place: Path) -> tuple[set[str], set[str]]:
    """Damage some files of the whole ledger; return the trials whose outcome was rewritten, and those without one."""
    root, rewritten, touched = renew(place).root, set(), set()
    files = sorted(path for path in root.rglob("*") if path.is_file())
    for path in data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=4, unique=True), "files"):
        how = data.draw(st.sampled_from(list(DAMAGES)), "how")
        DAMAGES[how](path, data.draw)
        if path.name in ("result.json", "test.json"):
            (rewritten if how in ("rewritten", "garbage", "cut") else touched).add(path.parent.name)
    return rewritten, touched


def check_damaged(data: st.DataObject, place: Path, shown: Literal["tables", "report"]) -> None:
    """Damage files, and hold what is made of the ledger against what is left."""
    rewritten, touched = damage(data, place)
    for trial in look(place, shown, rewritten=rewritten).trials:
        if trial.trial_id in touched:
            assert trial.status.state == "pending"
        elif trial.trial_id not in rewritten and not is_failed(trial):
            assert trial.status.state == "complete"


@FUZZ
@given(data=st.data())
def test_damaged_files(data: st.DataObject, place: Path) -> None:
    check_damaged(data, place, "tables")


@pytest.mark.slow
@settings(FUZZ, max_examples=NUM_EXAMPLES // 3)
@given(data=st.data())
def test_damaged_files_in_a_whole_report(data: st.DataObject, place: Path) -> None:
    check_damaged(data, place, "report")


def ask_of_damaged(data: st.DataObject, place: Path) -> None:
    """Damage files and folders, and ask the command line about them."""
    root = renew(place).root
    (root / "reports" / "sweep").mkdir(parents=True)
    (root / "reports" / "sweep" / "trials.csv").mkdir()
    write_json(root / "driver" / "00000001.json", {"host": "h", "pid": 1, "released": True})
    paths = sorted(root.rglob("*"))
    for path in data.draw(st.lists(st.sampled_from(paths), min_size=1, max_size=3, unique=True), "paths"):
        if path.is_file():
            DAMAGES[data.draw(st.sampled_from(list(DAMAGES)), "how")](path, data.draw)
        elif path.is_dir():
            shutil.rmtree(path)
            path.write_bytes(data.draw(st.sampled_from(GARBAGE)))
    how = data.draw(st.sampled_from(["--plan", "--status", "--report", "--report"]), "how")
    code, out, err = outcome(str(place / "sweep.yaml"), how, "--json")
    assert "Traceback" not in err and len(err) < MESSAGE_LENGTH_MAX
    assert code in ((0, 1, 2) if how == "--report" else (0,)), err
    assert bool(out) is (code != 2) and (err or code == 0)


@settings(FUZZ, max_examples=NUM_EXAMPLES // 10)
@given(data=st.data())
def test_damaged_files_on_the_command_line(data: st.DataObject, place: Path) -> None:
    ask_of_damaged(data, place)


@pytest.mark.slow
@FUZZ
@given(data=st.data())
def test_more_damaged_files_on_the_command_line(data: st.DataObject, place: Path) -> None:
    ask_of_damaged(data, place)


@pytest.mark.parametrize("how", [(), ("--local",), ("--report",), ("--plan",), ("--status",)], ids=str)
@pytest.mark.parametrize("root", ["file", "file/below", "loop", "/proc/nowhere", "/sys", "/dev/null"])
def test_a_ledger_that_cannot_be_one(root: str, how: tuple[str, ...], place: Path, monkeypatch: Any) -> None:
    (place / "file").touch()
    if not (place / "loop").is_symlink():
        (place / "loop").symlink_to("loop")
    monkeypatch.setenv("OMNI_MSA_LEDGER", str(place / root))
    code, out, err = outcome(str(place / "sweep.yaml"), *how)
    assert "Traceback" not in err
    if how in (("--plan",), ("--status",)):
        assert (code, err) == (0, "") and "5 trials" in out
    else:
        assert (code, out) == (2, "") and str(place / root) in err


def test_mlflow_takes_what_odd_files_leave(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    from omni_msa.tracking._mirror import LedgerMirror

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    ledger = renew(place)
    for folder in (ledger.root / "trials").iterdir():
        odd = {**json.loads((folder / "status.json").read_text()), "since": "yesterday", "failure": {"kind": ["x"]}}
        (folder / "status.json").write_text(json.dumps(odd))
        rows = [
            {"step": 1, "time": "noon", "loss": "x"},
            {"step": -5, "time": 7},
            {"step": 10**30},
            {"step": 2, "a b/!": 1},
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "{")
    plan = look(place, "report")
    mirror = LedgerMirror(plan)
    mirror.close(plan, write_report(plan).evidence.summary)
    assert mirror.errors() == {}
    client = MlflowClient(mirror.how_to_look()[0].split()[-1])
    runs = client.search_runs([client.get_experiment_by_name("sweep").experiment_id], "tags.kind = 'trial'")
    assert sorted(run.info.status for run in runs) == [*["FAILED"] * 2, *["FINISHED"] * 3]
    found = {run.data.tags["trial_id"]: run.data.metrics.get("test_mae") for run in runs}
    assert found == {t.trial_id: None if is_failed(t) else numbers(n)["mae"] for n, t in enumerate(plan.trials)}
