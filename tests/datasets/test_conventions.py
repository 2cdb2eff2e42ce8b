"""How a dataset wants its scores judged, from its plug-in through a trial to the tables; and what it says of itself."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from helpers.made_corpora import write_label_csv
from helpers.summaries import cell, summary
from helpers.tiny_trials import config
from omni_msa.config import plugins
from omni_msa.config.identity import trial_id
from omni_msa.config.trial import conventions_of, parse_trial
from omni_msa.errors import InputError
from omni_msa.ledger.ledger import Ledger
from omni_msa.model.backbone_cache import Resident
from omni_msa.planning.plan import make_plan
from omni_msa.planning.plan_json import as_json
from omni_msa.planning.plan_text import plan_text
from omni_msa.report.tables.files import build_grid, terminal_table
from omni_msa.report.write import write_report
from omni_msa.stats.metrics import HEADLINES, METRICS, compute, headline, metrics_of
from omni_msa.sweep.sweep import load_sweep
from omni_msa.training.train import train

ROWS = [
    ("a", "1", "fine", "0.7", "train"),
    ("a", "2", "", "0.4", "test"),
    ("b", "1", "bad", "-0.6", "train"),
    ("c", "1", "so so", "0.0", "valid"),
    ("d", "1", "awful", "-1.0", "test"),
]
TRIAL = {"backbone": {"name": "tiny"}, "readout": {"name": "constant"}}


def test_sims_by_hand():
    labels, scores = [0.0, 0.8, -0.8, 0.2, -0.1], [-0.1, 1.5, -0.7, 0.05, 0.1]
    values = compute(labels, scores, conventions="sims")
    assert values["mae"] == pytest.approx((0.1 + 0.2 + 0.1 + 0.15 + 0.2) / 5)  # 1.5 counts as 1
    assert values["corr"] == pytest.approx(np.corrcoef(labels, np.clip(scores, -1, 1))[0, 1])
    assert values["acc2"] == 4 / 5  # 0 and -0.1 are negative; only the last is wrong
    # positive: 2 hits, 2 there, 3 named; negative: 2 hits, 3 there, 2 named
    assert values["f1"] == pytest.approx(2 / 5 * 4 / 5 + 3 / 5 * 4 / 5)
    # classes of three, edges -0.1 and 0.1, each in the class below: labels 1 2 0 2 0, scores 0 2 0 1 1
    assert values["acc3"] == 2 / 5
    # classes of five, edges -0.7 -0.1 0.1 0.7: labels 2 4 0 3 1, scores 1 4 0 2 2
    assert values["acc5"] == 2 / 5
    assert list(values) == ["mae", "corr", "acc5", "acc3", "acc2", "f1"]


def test_f1_of_sims_takes_true_labels_first():
    three, one = [1, 1, 1, -1, -1], [1, -1, -1, -1, -1]
    assert compute(three, one, conventions="sims")["f1"] == pytest.approx(3 / 5 * 1 / 2 + 2 / 5 * 2 / 3)


def test_what_is_shown_is_there():
    for name, shown in HEADLINES.items():
        assert set(shown) <= set(metrics_of(name)) <= set(METRICS)
        assert headline(metrics_of(name)) == list(shown)
    assert headline([]) == list(HEADLINES["mosi"])
    assert headline({*metrics_of("mosi"), *metrics_of("sims")})[:6] == [*HEADLINES["mosi"], "acc5"]


def test_rates_stay_where_classes_change():
    values = compute([0.5, -0.5], [0.5, 0.0], parsed=[True, False], in_range=[True, True], conventions="plain")
    assert values["unparsable_rate"] == values["zero_rate"] == 0.5
    assert list(values)[:2] == ["mae", "corr"] and "acc2" not in values


def test_a_metric_that_the_dataset_does_not_have_chooses_and_compares_nothing(tmp_path):
    for metric, dataset in (("acc7", "sims"), ("acc3", "mosi")):
        with pytest.raises(InputError) as caught:
            parse_trial({**TRIAL, "dataset": {"name": dataset}, "training": {"select_metric": metric}}, "a.yaml")
        [problem] = caught.value.problems
        assert (problem.where, problem.got) == ("a.yaml training.select_metric", metric)
        assert problem.allowed.startswith("mae, corr")
    sweep = tmp_path / "sweep.yaml"
    compare = "compare: {against: {readout: constant}, metric: acc7}"
    sweep.write_text(f"question: Any?\naxes: {{readout: [constant, discriminative]}}\nseeds: [1]\n{compare}\n")
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "pocket.yaml").write_text("dataset: {name: sims}\nbackbone: {name: tiny}\n")
    with pytest.raises(InputError) as caught:
        load_sweep(sweep)
    [problem] = caught.value.problems
    assert (problem.what, problem.got) == ("this metric is not defined for sims", "acc7")
    assert problem.where.endswith("compare.metric")
    chosen = parse_trial({**TRIAL, "dataset": {"name": "sims"}, "training": {"select_metric": "acc3"}})
    assert conventions_of(chosen.dataset) == "sims"


def test_a_trial_is_scored_by_its_datasets_conventions(tmp_path):
    root = write_label_csv(tmp_path / "sims", ROWS)
    trial = config(
        dataset={"name": "sims", "root": str(root), "allow_other_counts": True}, readout={"name": "constant"}
    )
    fingerprint = plugins.load("datasets", "sims").fingerprint(root, trial.dataset)
    folder = Ledger(tmp_path / "mlruns").trial(trial_id(trial, fingerprint))
    folder.begin(trial, {})
    train(trial, folder, tmp_path / "fit", Resident(), lambda: False)
    tested = folder.test_metrics()
    assert tested["mae"] == pytest.approx((0.35 + 1.05) / 2)  # the median of 0.7 and -0.6 is 0.05
    assert tested["acc2"] == 0.5 and tested["acc3"] == 0.0 and "acc7" not in tested
    assert folder.result()["valid"]["acc3"] == 1.0


def test_tables_show_the_metrics_of_the_dataset():
    values = {1: compute([0.2, -0.4], [0.1, -0.3], conventions="sims") | {"train_s": 2.0}}
    table = summary(cell("constant", values, seeds=[1]))
    titles = ["MAE ↓", "Corr ↑", "Acc-5 (%) ↑", "Acc-3 (%) ↑", "Acc-2 (%) ↑", "F1 (%) ↑", "Training (s) ↓"]
    assert build_grid(table).headings == ["readout", "seeds", *titles]
    console = Console(width=200, file=io.StringIO())
    console.print(terminal_table(table))
    text = console.file.getvalue()
    assert "Acc-3" in text and "Acc-7" not in text


def test_plan_and_report_say_what_is_particular_about_the_copy(tmp_path):
    root = write_label_csv(tmp_path / "sims", ROWS)
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "small.yaml").write_text(
        f"dataset: {{name: sims, root: {root}, allow_other_counts: true}}\n"
        "modalities: [text]\nbackbone: {name: tiny}\nreadout: {name: constant}\nruntime: {device: cpu}\n"
    )
    sweep = tmp_path / "small.yaml"
    sweep.write_text("question: Any?\nprofile: small\naxes: {readout: [constant]}\nseeds: [1]\n")
    plan = make_plan(load_sweep(sweep), Ledger(tmp_path / "mlruns"))
    expected = [
        "sims: 2 train, 1 valid, 2 test, not the published 1368 train, 456 valid, 457 test",
        "sims: 1 of 4 videos have clips in several splits, which are not independent",
        "sims: 1 of 5 clips have an empty transcript: a$_$2",
    ]
    assert list(plan.data_notes) == expected
    assert [line for line in plan_text(plan).splitlines() if "sims: " in line] == [f"note: {it}" for it in expected]
    assert as_json(plan)["notes"][-3:] == expected
    write_report(plan)
    report = plan.ledger.report_folder("small")
    assert all(f"- {note}" in (report / "table.md").read_text(encoding="utf-8") for note in expected)
    assert json.loads((report / "aggregate.json").read_text())["notes"] == expected
    assert make_plan(load_sweep(sweep, ["dataset.root=/nowhere"]), plan.ledger).data_notes == ()
