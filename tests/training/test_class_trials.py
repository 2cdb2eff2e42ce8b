"""Trials on a corpus with classes: a toy task that every readout can learn, and what is refused before they run."""

from pathlib import Path

import pytest

from helpers import tiny_trials
from helpers.made_corpora import write_meld
from omni_msa.config import plugins
from omni_msa.config.identity import fit_id, trial_id
from omni_msa.config.trial import check_metric, parse_trial
from omni_msa.datasets._base import DATASETS
from omni_msa.errors import InputError
from omni_msa.execution.check_data import check_data
from omni_msa.ledger.ledger import Ledger
from omni_msa.ledger.trial_folder import TrialFolder
from omni_msa.model.backbone_cache import Resident
from omni_msa.planning import preflight
from omni_msa.stats.metrics import metrics_of
from omni_msa.sweep.sweep import load_sweep
from omni_msa.training.train import train

meld = plugins.load(DATASETS, "meld")

WORDS = {
    "negative": ("bad awful", "ugly bad", "awful ugly", "bad bad", "ugly awful"),
    "positive": ("great love", "lovely great", "love lovely", "great great", "lovely love"),
}


def trial_of(root: Path, **sections):
    dataset = {"name": "meld", "root": str(root), "allow_other_counts": True}
    training = {"select_metric": "f1_weighted", **sections.pop("training", {})}
    return tiny_trials.config(dataset=dataset, training=training, **sections)


def corpus(root: Path) -> Path:
    """Write a corpus in which sentiment is plain from the words: 16 train, 4 valid, 4 test."""
    rows = []
    for nth, split in enumerate(["train"] * 8 + ["dev"] * 2 + ["test"] * 2):
        for utterance, (sentiment, emotion) in enumerate((("negative", "anger"), ("positive", "joy"))):
            rows.append((split, str(nth), str(utterance), WORDS[sentiment][nth % 5], emotion, sentiment))
    return write_meld(root, rows)


def run(root: Path, ledger: Path, trial) -> TrialFolder:
    folder = Ledger(ledger).trial(trial_id(trial, meld.fingerprint(root, trial.dataset)))
    folder.begin(trial, {})
    train(trial, folder, ledger / "fit" / fit_id(trial, ""), Resident(), lambda: False)
    return folder


LEARNS = {"training": {"epochs": 6, "learning_rate": 1e-2, "learning_rate_readout": 1e-2}}
LEARNS_TO_WRITE = {  # random weights have to learn whole words
    "training": {"epochs": 16, "learning_rate": 3e-2},
    "adapter": {"text_layers": "all", "rank": 8, "dropout": 0.0},
}


@pytest.mark.parametrize(
    "readout",
    [
        {"name": "discriminative", "dropout": 0.0},
        {"name": "frozen_probe"},
        {"name": "generative", "constrained": True},
        {"name": "generative_zero_shot"},
        {"name": "constant"},
    ],
    ids=lambda readout: readout["name"],
)
def test_a_trial_of_each_readout_on_a_task_that_can_be_learnt(readout, own_cache, tmp_path):
    root = corpus(tmp_path / "meld")
    sections = LEARNS_TO_WRITE if readout["name"] == "generative" else LEARNS
    folder = run(root, tmp_path / "mlruns", trial_of(root, readout=readout, **sections))
    tested = folder.test_metrics()
    assert {"accuracy", "f1_weighted", "unparsable_rate"} <= set(tested) and not {"mae", "zero_rate"} & set(tested)
    if readout["name"] in ("discriminative", "frozen_probe", "generative"):
        assert tested["accuracy"] == tested["f1_weighted"] == 1.0
        assert tested["unparsable_rate"] == 0.0
    elif readout["name"] == "constant":  # of two classes alike in number the first
        assert (tested["accuracy"], tested["f1_weighted"]) == (0.5, pytest.approx(0.5 * 2 / 3))
    else:
        assert (tested["accuracy"], tested["unparsable_rate"]) == (0.0, 1.0)


def test_the_check_of_the_data_counts_classes_by_name(own_cache, tmp_path):
    root = corpus(tmp_path / "meld")
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "small.yaml").write_text(
        f"dataset: {{name: meld, root: {root}, allow_other_counts: true}}\nbackbone: {{name: tiny}}\n"
    )
    sweep = tmp_path / "sweep.yaml"
    axes = "axes: {readout: [constant], dataset.task: [sentiment, emotion]}\nselect: {metric: accuracy}"
    sweep.write_text(f"question: Any?\nprofile: small\n{axes}\nseeds: [1]\n")
    text = check_data(load_sweep(sweep), tmp_path, lambda *_: None, 1).text
    shown = [line.split() for line in text.splitlines() if line.startswith(("labels", "  train"))]
    assert shown == [["labels", "negative", "positive"], ["train", "8", "8"], ["labels", "anger", "joy"], shown[1]]


def test_metrics_of_scores_are_refused_with_those_of_classes():
    trial = {"dataset": {"name": "meld"}, "backbone": {"name": "tiny"}, "readout": {"name": "constant"}}
    with pytest.raises(InputError) as caught:
        parse_trial(trial, "a.yaml")
    [problem] = caught.value.problems
    assert (problem.what, problem.where) == ("this metric is not defined for meld", "a.yaml training.select_metric")
    assert (problem.got, problem.allowed) == ("mae", "accuracy, f1_weighted")
    assert metrics_of("classes") == ("accuracy", "f1_weighted")
    dataset = parse_trial({**trial, "training": {"select_metric": "accuracy"}}).dataset
    for name in ("corr", "mae_parsable", "out_of_range_rate", "zero_rate"):
        assert check_metric(name, dataset, "compare.metric"), name
    for name in ("accuracy", "unparsable_rate", "latency_s"):
        assert not check_metric(name, dataset, "compare.metric"), name


def test_what_has_no_meaning_for_classes_is_refused_before_anything_runs(own_cache, tmp_path):
    root = corpus(tmp_path / "meld")

    def problems(readout, **dataset):
        return preflight.check([trial_of(root, readout=readout)], tmp_path)

    [problem] = problems({"name": "expected_value"})
    assert problem.where == "readout.name" and problem.what.startswith("this readout cannot predict classes")
    for name, changed, value in (
        ("discriminative", "loss", "mse"),
        ("discriminative", "huber_delta", 2.0),
        ("generative", "decimals", 2),
        ("generative_zero_shot", "sign", "negative"),
    ):
        [problem] = problems({"name": name, changed: value})
        assert (problem.where, problem.got) == (f"readout.{changed}", str(value))
        assert problem.what == "this option has no meaning for the classes of meld"
        assert problems({"name": name}) == []
        assert plugins.load("readouts", name).check(tiny_trials.config(readout={"name": name, changed: value}), 4) == []
    assert plugins.load("readouts", "expected_value").check(tiny_trials.config(), 4) == []
