"""MLflow's own page, served by `mlflow ui` and read in a browser: what was recorded can be found and compared there."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from urllib.parse import quote

import pytest

from helpers import tracked
from helpers.browser import need_browser, open_browser

pytestmark = pytest.mark.slow

WAIT_S = 180.0  # the machine may be busy; nothing here takes long by itself


def wait_for(what, ask):
    """Ask again and again until the answer is true, and return it."""
    deadline = time.monotonic() + WAIT_S
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"{what} did not appear"
        time.sleep(0.2)
    return answer


def is_up(address):
    try:
        return urllib.request.urlopen(f"{address}/health", timeout=5).status == 200
    except (OSError, http.client.HTTPException):
        return False


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A ledger of three trials in two cells, recorded."""
    need_browser()
    place = tmp_path_factory.mktemp("sweep")
    trials = [tracked.view(place, name, "disc", seed) for seed, name in enumerate(("a1", "a2"), 1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        tracker = tracked.record(place, [*trials, tracked.view(place, "b1", "gen", None)], is_whole=True)
    return tracker, place


@pytest.fixture(scope="module")
def address(recorded):
    """`mlflow ui` over that ledger, in a process group of its own."""
    _, place = recorded
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    store = ("--backend-store-uri", f"sqlite:///{place}/mlflow.db")
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "ui",
        *store,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    with (place / "server.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=quiet, start_new_session=True)
    try:
        wait_for("the server", lambda: server.poll() is not None or is_up(f"http://127.0.0.1:{port}"))
        assert server.poll() is None, (place / "server.log").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # it holds nothing that could be lost
        server.wait()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with open_browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def show(browser, address):
    """Return what opens a page and waits until it says all of some texts."""

    def shown(page, *texts):
        browser.open("about:blank")  # or the page would only change its part after the hash
        browser.open(f"{address}/#{page}", 1600, 1000)
        words = "return document.body.innerText"
        wait_for(" and ".join(texts), lambda: all(map(browser.run(words).__contains__, texts)))

    return shown


@pytest.fixture
def runs(recorded):
    """Return ids of runs by kind and key, and that of the experiment as `experiment`."""
    tracker, _ = recorded
    return {key: run.run_id for key, run in tracker._runs.items()} | {"experiment": tracker.experiment_id}


def open_row(browser, name):
    """Click the sign before a run's name that shows the runs below it."""
    script = """
    const link = [...document.querySelectorAll(".ag-row a")].find(each => each.innerText.trim() === arguments[0]);
    const button = link && link.closest(".ag-cell").querySelector("button");
    if (button) button.click();
    return Boolean(button);"""
    wait_for(f"what opens {name}", lambda: browser.run(script, name))


def test_the_sweep_its_cells_and_their_trials_are_nested(browser, show, runs):
    show(f"/experiments/{runs['experiment']}/runs?workflowType=machine_learning", "my sweep", "Which?")
    names = "return [...document.querySelectorAll('.ag-row a')].map(each => each.innerText.trim()).filter(Boolean)"
    wait_for("the sweep alone", lambda: browser.run(names) == ["my sweep"])
    open_row(browser, "my sweep")
    wait_for("its cells", lambda: set(browser.run(names)) == {"my sweep", "disc", "gen"})
    open_row(browser, "disc")
    trials = {"disc, seed 1", "disc, seed 2"}
    wait_for("the trials", lambda: set(browser.run(names)) == {"my sweep", "disc", "gen"} | trials)


def test_a_trial_tells_its_metrics_and_its_settings(show, runs):
    show(f"/experiments/{runs['experiment']}/runs/{runs['trial', 'a1']}", "test_mae", "best_valid_mae", "adapter.rank")


def test_system_metrics_have_a_page_with_curves(browser, show, runs):
    page = f"/experiments/{runs['experiment']}/runs/{runs['trial', 'a1']}/system-metrics"
    show(page, "System metrics", "cpu_percent", "memory_gb")
    points = "return document.querySelectorAll('.scatterlayer .point').length"
    wait_for("twice six points", lambda: browser.run(points) == 12)


def test_the_model_card_is_shown_and_the_weights_can_be_had(show, runs, address):
    page = f"/experiments/{runs['experiment']}/runs/{runs['trial', 'a1']}/artifacts/model_card.md"
    show(page, "adapter.safetensors", "model_card.md", "licence of its weights", "SHA-256")
    asked = f"{address}/get-artifact?path=adapter.safetensors&run_uuid={runs['trial', 'a1']}"
    assert urllib.request.urlopen(asked, timeout=30).read() == tracked.WEIGHTS


def test_the_report_is_attached_to_the_sweep(show, runs):
    page = f"/experiments/{runs['experiment']}/runs/{runs['sweep', '']}/artifacts/reports/table.md"
    show(page, "reports", "table.md")


@pytest.mark.parametrize("kind", ["trial", "cell"])
def test_runs_are_compared_along_parallel_coordinates(kind, browser, show, runs):
    ids = [run for key, run in runs.items() if key[0] == kind]
    places = f"runs={quote(json.dumps(ids))}&experiments={quote(json.dumps([runs['experiment']]))}"
    show(f"/compare-runs?{places}", f"Comparing {len(ids)} Runs", "Parallel Coordinates Plot", "test_mae", "readout")
    words = "return [...document.querySelectorAll('.parcoords text')].map(each => each.textContent)"
    wait_for("the axis of the readouts", lambda: {"readout", "disc", "gen"} <= set(browser.run(words)))
