"""The command line as a user meets it: the whole of it on the tiny backbone, in processes of its own."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.place import ROOT, Place

HEAVY = ("torch", "transformers", "ray", "pandas", "scipy", "mlflow")


@pytest.fixture
def place(tmp_path) -> Place:
    return Place(tmp_path)


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> tuple[Place, subprocess.CompletedProcess]:
    """A sweep run once, through Ray."""
    place = Place(tmp_path_factory.mktemp("done"))
    return place, place.run()


def test_a_sweep_ends_in_a_table_and_says_where_it_is(done):
    place, ran = done
    assert ran.returncode == 0, ran.stderr
    assert "7 of 7 trials complete, 0 failed" in ran.stdout
    assert "Does it run?" in ran.stdout and "expected_value" in ran.stdout
    assert "mlflow ui --backend-store-uri sqlite:///" in ran.stdout
    assert "7/7 trials done" in ran.stderr and "Traceback" not in ran.stderr
    reports = place.ledger / "reports" / "small"
    assert {"table.md", "table.csv", "table.tex", "aggregate.json", "trials.csv"} <= {p.name for p in reports.iterdir()}
    cells = json.loads((reports / "aggregate.json").read_text())["cells"]
    assert [cell["metrics"]["mae"]["n"] for cell in cells] == [2, 2, 2, 1]


def test_what_shares_a_fit_is_trained_once(done):
    place, _ = done
    trained = list(place.ledger.glob("fits/*/fit.json"))
    assert len(trained) == 4  # discriminative and generative, two seeds each


def test_the_same_again_runs_nothing_starts_no_ray_and_records_nothing_twice(done):
    from mlflow.tracking import MlflowClient

    place, _ = done
    before = place.trial_files()
    code = (
        "import runpy, sys; sys.argv[0] = 'orchestrate.py'\ntry: runpy.run_path(%r, run_name='__main__')\nfinally: %s"
    )
    check = "assert not {'ray', 'torch', 'transformers'} & set(sys.modules), 'heavy'"
    command = [sys.executable, "-c", code % (str(ROOT / "orchestrate.py"), check), str(place.sweep)]
    again = subprocess.run(command, env=place.environment, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    assert place.trial_files() == before
    client = MlflowClient(f"sqlite:///{place.ledger / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("small").experiment_id])
    trials = [run.data.tags["trial_id"] for run in runs if run.data.tags["kind"] == "trial"]
    assert len(trials) == len(set(trials)) == 7
    assert {run.info.status for run in runs} == {"FINISHED"}


@pytest.mark.slow
def test_a_new_seed_runs_only_its_own_trials(done):
    place, _ = done
    before = place.trial_files()
    ran = place.run("seeds=[1, 2, 3]", "axes.readout=[discriminative, constant]", "--local")
    assert ran.returncode == 0 and "4 of 4 trials complete" in ran.stdout
    after = place.trial_files()
    assert {name: after[name] for name in before} == before
    assert len({Path(name).parent for name in after.keys() - before.keys()}) == 1


@pytest.mark.slow
def test_reports_are_rebuilt_from_the_ledger(done):
    import shutil

    place, _ = done
    table = place.ledger / "reports" / "small" / "table.md"
    assert place.run("--report").returncode == 0  # other runs of the same file may have written it
    before = table.read_text()
    shutil.rmtree(place.ledger / "reports")
    (place.ledger / "mlflow.db").unlink()
    ran = place.run("--report", "--json")
    assert ran.returncode == 0 and table.read_text() == before
    assert json.loads(ran.stdout)["counts"]["complete"] == 7
    assert (place.ledger / "mlflow.db").exists()


@pytest.mark.slow
def test_a_report_beside_a_running_driver_leaves_mlflow_alone(place):
    from omni_msa.execution.driver import sole_driver
    from omni_msa.ledger.ledger import Ledger

    with sole_driver(Ledger(place.ledger)):
        ran = place.run("--report")
    assert ran.returncode == 0, ran.stderr
    assert "left to the run in progress" in ran.stdout
    assert (place.ledger / "reports" / "small" / "table.md").exists()
    assert not (place.ledger / "mlflow.db").exists()
    assert place.run("--report").returncode == 0
    assert (place.ledger / "mlflow.db").exists()


def test_two_sweeps_are_compared_and_nothing_is_run(done):
    place, _ = done
    other = place.folder / "other.yaml"
    other.write_text(place.sweep.read_text().replace("seeds: [1, 2]", "seeds: [2, 3]") + "training: {epochs: 3}\n")
    before = place.trial_files()
    ran = place.run("--diff", str(other))
    assert ran.returncode == 0 and "small minus other" in ran.stdout, ran.stderr
    assert "nothing but this setting differs: training.epochs 2 (A), 3 (B)" in ran.stdout
    assert "constant: the same trials in both sweeps" in ran.stdout
    assert {"diff_other.md", "diff_other.csv", "diff_other.html"} <= {
        path.name for path in (place.ledger / "reports" / "small").iterdir()
    }
    alike = json.loads(place.run("--diff", str(other), "training.epochs=2", "--json").stdout)  # laid over both
    assert [cell["same_trials"] for cell in alike["cells"]] == [True] * 4
    assert alike["cells"][0]["metrics"][0]["seeds"] == [2] and alike["files"]
    assert place.trial_files() == before


def test_a_second_sweep_that_cannot_be_read_or_compared_is_told_in_one_message(place):
    strange = place.folder / "strange.yaml"
    strange.write_text(place.sweep.read_text().replace("[discriminative, generative, expected_value, constant]", "[x]"))
    foreign = place.folder / "foreign.yaml"
    foreign.write_text("question: Any?\nprofile: small\naxes: {readout: [frozen_probe]}\nseeds: [1]\n")
    for other, said in (
        (place.folder / "no.yaml", "there is no such sweep"),
        (strange, "readout"),
        (foreign, "no cell in common"),
    ):
        ran = place.run("--diff", str(other))
        assert ran.returncode == 2 and said in ran.stderr and "Traceback" not in ran.stderr and ran.stdout == ""
    both = place.run("--diff", str(foreign), "--report")
    assert both.returncode == 2 and "not allowed with" in both.stderr
    assert not (place.ledger / "trials").exists()


def test_plan_and_status_are_quick_and_import_nothing_heavy(place):
    code = """
import runpy, sys
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print(sorted(set(%r) & set(sys.modules)))
"""
    for what in ("--plan", "--status"):
        shim = f"import sys; sys.argv[0] = {str(ROOT / 'orchestrate.py')!r}\n" + code % (HEAVY,)
        command = [sys.executable, "-c", shim, str(place.sweep), what]
        ran = subprocess.run(command, env=place.environment, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert ran.returncode == 0 and ran.stdout.endswith("[]\n"), ran.stdout + ran.stderr
    assert not place.ledger.exists()  # nothing was started


def test_settings_may_stand_before_and_after_options(place):
    ran = place.run("seeds=[5]", "--plan", "--json", "training.epochs=3")
    values = json.loads(ran.stdout)
    assert values["seeds"] == [5] and values["counts"]["trials"] == 4


def test_bad_input_is_told_without_a_traceback_and_starts_nothing(place):
    cases = {
        ("axes.readout=[discriminativ, constant]", "--plan"): 'did you mean "discriminative"',
        ("axes={}",): "axes",
        ("runtime.device=cuda",): "need a GPU",
        (f"dataset.root={place.ledger / 'nowhere'}",): "nowhere",
    }
    for arguments, expected in cases.items():
        if "cuda" in arguments[0] and os.path.exists("/dev/nvidia0"):
            continue
        ran = place.run(*arguments)
        assert ran.returncode == 2, arguments
        assert expected in ran.stderr
        assert "Traceback" not in ran.stderr and ran.stdout == ""
    assert not (place.ledger / "trials").exists()


def test_a_plan_lists_what_a_run_would_refuse(place):
    ran = place.run(f"dataset.root={place.ledger / 'nowhere'}", "--plan")
    assert ran.returncode == 0 and "a run would be refused" in ran.stdout and "nowhere" in ran.stdout


@pytest.mark.slow
def test_a_failure_leaves_the_others_running_and_is_retried_only_when_asked(place):
    too_fast = "training.learning_rate_readout=1e30"
    ran = place.run("--local", too_fast, "axes.readout=[discriminative, constant]")
    assert ran.returncode == 1
    assert "1 of 3 trials complete, 2 failed" in ran.stdout and "0/2" in ran.stdout
    assert "the loss is" in ran.stderr and "error.txt" in ran.stderr
    rows = list(csv.DictReader((place.ledger / "reports" / "small" / "trials.csv").open()))
    assert sorted(row["state"] for row in rows) == ["complete", "failed", "failed"]
    before = place.trial_files()
    again = place.run("--local", too_fast, "axes.readout=[discriminative, constant]")
    assert again.returncode == 1 and place.trial_files() == before
    retried = place.run("--local", "--retry", too_fast, "axes.readout=[discriminative, constant]")
    assert retried.returncode == 1 and place.trial_files() != before


@pytest.mark.slow
@pytest.mark.parametrize("how", [(), ("--local",)], ids=["ray", "local"])
def test_an_interrupted_run_goes_on_where_it_was(place, how):
    longer = ("training.epochs=100", "axes.readout=[discriminative, constant]", "seeds=[1]")
    with place.start(*longer, *how) as process:
        deadline = time.monotonic() + 120
        while not _steps(place) and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
        _, err = process.communicate(timeout=90)
    assert process.returncode == 75, err
    assert "run the same command again to continue" in err and "Traceback" not in err
    assert not (place.ledger / "stop").exists() and not (place.ledger / "driver.json").exists()
    reached = _steps(place)[-1]
    assert 0 < reached < 200  # 2 steps an epoch
    states = json.loads(place.run("--status", "--json", *longer).stdout)["trials"]
    assert [trial["status"]["state"] for trial in states if trial["seed"] == 1] == ["pending"]
    ran = place.run(*longer, "--local")
    assert ran.returncode == 0
    steps = _steps(place)
    assert steps[-1] == 200 and steps == sorted(set(steps))
    status = json.loads(place.run("--status", "--json", *longer).stdout)["trials"][0]["status"]
    assert status["attempt"] == 2


def _steps(place: Place) -> list[int]:
    lines = [line for file in place.ledger.glob("trials/*/metrics.jsonl") for line in file.read_text().splitlines()]
    return [json.loads(line)["step"] for line in lines]


@pytest.mark.slow
def test_a_driver_that_was_killed_leaves_nothing_that_stops_the_next(place):
    longer = ("training.epochs=100", "axes.readout=[discriminative, constant]", "seeds=[1]")
    with place.start(*longer) as process:
        deadline = time.monotonic() + 120
        while not _steps(place) and time.monotonic() < deadline:
            time.sleep(0.1)
        process.kill()
        process.communicate(timeout=60)
    ran = place.run(*longer)
    assert ran.returncode == 0, ran.stderr
    assert "2 of 2 trials complete" in ran.stdout
    assert _steps(place)[-1] == 200


def test_a_name_that_another_question_holds_is_refused_with_the_line_to_add(done):
    place, _ = done
    other = place.folder / "elsewhere" / place.sweep.name
    other.parent.mkdir()
    other.write_text(place.sweep.read_text().replace("Does it run?", "Does it fly?"))
    (other.parent / "profiles").symlink_to(place.sweep.parent / "profiles")
    for option in ([], ["--report"], ["--check-data"]):
        refused = place.run(*option, sweep=other)
        assert refused.returncode == 2
        assert '"name: small_2"' in refused.stderr and "Does it run?" in refused.stderr
    assert "would be refused" in place.run("--plan", sweep=other).stdout
    other.write_text("name: small_2\n" + other.read_text())
    assert place.run("--report", sweep=other).returncode == 0
    assert (place.ledger / "reports" / "small_2").is_dir()


def test_other_settings_replace_the_report_and_that_is_said(done):
    place, _ = done
    again = place.run("--report", "seeds=[1]")
    assert "this report replaces one that was made without settings on the command line" in again.stderr
    back = place.run("--report")
    assert "this report replaces one that was made with 'seeds=[1]'" in back.stderr
    assert "replaces" not in place.run("--report").stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["list"], 0, "readout_comparison"),
        (["schema"], 0, '"title": "omni-msa sweep"'),
        (["completion", "bash"], 0, "complete -o"),
        (["--help"], 0, "completion"),
        (["smoke"], 2, "omni-msa run smoke"),
        (["lst"], 2, 'did you mean "list"?'),
        (["run", "readout_comparisn"], 2, 'did you mean "readout_comparison"?'),
    ],
)
def test_commands_of_the_package(place, arguments, code, said):
    command = [sys.executable, "-m", "omni_msa", *arguments]
    ran = subprocess.run(command, env=place.environment, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == code
    assert said in ran.stdout + ran.stderr and "Traceback" not in ran.stderr
