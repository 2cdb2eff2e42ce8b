"""What is known of a run of MLflow's."""

import math
from pathlib import Path

import pytest

from omni_msa.tracking._runs import Run


def test_only_what_is_new_is_sent():
    run = Run("r", "RUNNING", {}, metrics={"same": 1.0, "undefined": math.nan, "other": 2.0})
    found = run.news({"same": 1.0, "undefined": math.nan, "other": 2.5, "unknown": math.inf}, 7)
    assert found == [("other", 2.5, 7, 0), ("unknown", math.inf, 7, 0)]


def test_what_is_forgotten_leaves_the_run_known():
    run = Run("r", "FINISHED", {"kind": "trial"}, "file:///a", {"p": "1"}, {"m": 1.0}, {"m": 3})
    run.forget()
    assert (run.params, run.metrics, run.last_steps, run.is_whole) == ({}, {}, {}, False)
    assert (run.run_id, run.status, run.tags, run.artifact_uri) == ("r", "FINISHED", {"kind": "trial"}, "file:///a")


@pytest.mark.parametrize(
    ("uri", "tracking", "folder"),
    [
        ("file:///place/a%20sweep/run/artifacts", "sqlite:////place/mlflow.db", Path("/place/a sweep/run/artifacts")),
        ("/place/50%/artifacts", "sqlite:////place/mlflow.db", Path("/place/50%/artifacts")),
        ("./mlruns/1/run/artifacts", "sqlite:///mlflow.db", Path("mlruns/1/run/artifacts")),
        ("mlflow-artifacts:/1/run/artifacts", "http://host:5000", None),
        ("file:///on/the/server", "https://host:5000", None),
        ("s3://bucket/run", "sqlite:////place/mlflow.db", None),
        (None, "sqlite:////place/mlflow.db", None),
    ],
)
def test_attached_files_lie_in_a_folder_or_with_a_server(uri, tracking, folder):
    assert Run("r", "RUNNING", {}, uri).folder(tracking) == folder
