"""Trials as trackers take them."""

import math
from dataclasses import replace
from pathlib import Path

from helpers.stand_ins import config, finished
from omni_msa.evidence.summary import CellSummary, MetricSummary
from omni_msa.system.files import digest
from omni_msa.text import as_text, flatten
from omni_msa.tracking._numbers import as_number, cell_numbers, final_metrics, milliseconds, shown_name


def test_nested_values_become_texts_by_dotted_path() -> None:
    values = {"a": {"b": {"c": 1}, "d": "x"}, "e": [1, None], "f": {}}
    assert flatten(values) == {"a.b.c": "1", "a.d": "x", "e": "[1, null]"}
    assert as_text("x" * 6000) == "x" * 5000


def test_numbers_and_times() -> None:
    assert as_number(2) == 2.0 and math.isnan(as_number(None))
    assert milliseconds("1970-01-01T00:00:01.5+00:00") == 1500
    present = milliseconds(None)
    assert all(0 <= milliseconds(odd) - present < 60_000 for odd in ("noon", "", 7, "9999999-01-01"))  # type: ignore[arg-type]


def test_the_numbers_of_a_trial(tmp_path: Path) -> None:
    folder = finished(tmp_path, "t1", config(), train_s=6.0)
    assert final_metrics(folder) == {"best_valid_mae": 1.0, "test_mae": 1.0, "test_corr": 0.5, "train_s": 6.0}


def test_a_digest_changes_with_content_names_and_absence(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    found = [digest("", [one])]
    one.write_text("")
    found.append(digest("", [one]))
    one.write_text("a")
    found += [digest("", [one]), digest("x", [one]), digest("", [one, other])]
    other.write_text("a")
    found.append(digest("", [other]))
    assert len(set(found)) == 6 and digest("", [one]) == found[2]


def test_a_cell_shares_names_with_its_trials():
    one = MetricSummary(0.5, n=1, median=0.5)
    metrics = {"mae": one, "train_s": replace(one, std=0.1), "corr": replace(one, mean=None, n=0)}
    cell = CellSummary("c", {}, False, [1], metrics=metrics)
    expected = {"mae_mean": 0.5, "mae_n": 1.0, "test_mae": 0.5}
    expected |= {"train_s_mean": 0.5, "train_s_std": 0.1, "train_s_n": 1.0, "train_s": 0.5, "corr_n": 0.0}
    assert cell_numbers(cell) == expected


def test_system_metrics_have_the_names_that_mlflow_shows_on_their_own_page():
    assert shown_name("system_cpu_percent") == "system/cpu_percent"
    assert [shown_name(name) for name in ("train_loss", "valid_system_x")] == ["train_loss", "valid_system_x"]
