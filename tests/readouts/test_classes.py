"""Labels that are classes: their metrics and tables, the question, and what every readout does with them."""

import dataclasses
import io

import numpy as np
import pytest
import torch
from rich.console import Console

from helpers import tiny_trials
from helpers.summaries import cell, summary
from omni_msa.config import plugins
from omni_msa.config.trial import AdapterConfig, parse_trial
from omni_msa.data.clip import Clip
from omni_msa.data.inputs.clip_inputs import ClipInputs
from omni_msa.data.splits import Splits
from omni_msa.model.adapter import attached
from omni_msa.model.forward import Forward
from omni_msa.model.prompt import build_prompt
from omni_msa.readouts._answers import class_tree, parse_class
from omni_msa.readouts._task import NO_CLASS
from omni_msa.report.figures.probe import draw_trial
from omni_msa.report.tables.files import build_grid, terminal_table
from omni_msa.stats.metrics import compute

CLASSES = ("negative", "neutral", "positive")
LABELS = torch.tensor([2.0, 0.0, 1.0, 0.0, 2.0, 0.0])
OF_CLASSES = {"dataset": {"name": "meld", "root": "/corpus"}, "training": {"select_metric": "f1_weighted"}}


def takes_classes(name: str) -> bool:
    """Return whether a readout's own check has nothing against a corpus with classes."""
    config = parse_trial(tiny_trials.config(readout={"name": name}).model_dump(mode="json") | OF_CLASSES)
    return plugins.load("readouts", name).check(config, 4) == []


READOUTS = [name for name in plugins.names("readouts") if takes_classes(name)]
TRAINED = [name for name in READOUTS if plugins.load("readouts", name).trained]


@pytest.fixture(scope="module")
def backbone():
    return tiny_trials.tiny_backbone()


@pytest.fixture(scope="module")
def task(backbone):
    return dataclasses.replace(tiny_trials.tiny_task(backbone), label_range=(0.0, 2.0), classes=CLASSES, label_mode=1.0)


@pytest.fixture(scope="module")
def prompts(backbone):
    return tiny_trials.make_prompts(backbone, num=6)


def ready(name, task, prompts, **options):
    """Build a readout for classes and fit it, where that is done in closed form."""
    plugin = plugins.load("readouts", name)
    torch.manual_seed(0)
    readout = plugin.build(plugin.Options(**options), task).eval()
    if readout.closed_form:
        readout.fit(Forward(tiny_trials.tiny_backbone()), (prompts[:4], LABELS[:4]), (prompts[4:], LABELS[4:]), 2)
    return readout


def test_metrics_by_hand():
    # class 0: 2 there, 1 hit, 1 named; class 1: 1 there, 1 hit, 2 named; class 2: 1 there, none named; one of no class
    values = compute([0, 0, 1, 2], [0, 1, 1, NO_CLASS], [True, True, True, False], [True] * 4, "classes")
    assert values == {
        "accuracy": 0.5,
        "f1_weighted": pytest.approx(2 / 4 * 2 / 3 + 1 / 4 * 2 / 3),
        "unparsable_rate": 0.25,
    }
    assert compute([1, 1], [1, 1], conventions="classes") == {"accuracy": 1.0, "f1_weighted": 1.0}
    assert compute([1, 1], [0, 2], conventions="classes") == {"accuracy": 0.0, "f1_weighted": 0.0}


def test_weighted_f1_takes_true_labels_first():
    three, one = [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]  # F1 is 1/2 for class 1, 2/3 for class 0 either way
    assert compute(three, one, conventions="classes")["f1_weighted"] == pytest.approx(3 / 5 * 1 / 2 + 2 / 5 * 2 / 3)
    assert compute(one, three, conventions="classes")["f1_weighted"] == pytest.approx(1 / 5 * 1 / 2 + 4 / 5 * 2 / 3)


@pytest.mark.parametrize("seed", range(6))
def test_weighted_f1_against_precision_and_recall_item_by_item(seed):
    generator = np.random.default_rng(seed)
    true, named = generator.integers(0, 7, 41).tolist(), generator.integers(-1, 7, 41).tolist()
    total = 0.0
    for each in range(7):
        hits = sum(a == b == each for a, b in zip(true, named, strict=True))
        precision = hits / named.count(each) if each in named else 0.0
        recall = hits / true.count(each) if each in true else 0.0
        total += true.count(each) / 41 * (2 * precision * recall / (precision + recall) if hits else 0.0)
    assert compute(true, named, conventions="classes")["f1_weighted"] == pytest.approx(total)


def test_tables_show_accuracy_f1_and_unparsable_answers():
    values = {1: compute([0, 1], [0, NO_CLASS], [True, False], [True, True], "classes")}
    table = summary(cell("generative", values, seeds=[1]))
    titles = ["Accuracy (%) ↑", "F1 weighted (%) ↑", "Unparsable (%) ↓"]
    assert build_grid(table).headings == ["readout", "seeds", *titles]
    console = Console(width=200, file=io.StringIO())
    console.print(terminal_table(table))
    assert "F1 weighted" in console.file.getvalue() and "Corr" not in console.file.getvalue()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("positive", 2),
        (" Neutral.", 1),
        ("The speaker is NEGATIVE, not positive", 0),
        ("non-neutral", 1),
        ("positively", None),
        ("2", None),
        ("", None),
    ],
)
def test_the_first_name_in_a_text_counts(text, number):
    found = parse_class(text, CLASSES)
    assert (found.score, found.parsed, found.text) == (NO_CLASS if number is None else number, number is not None, text)


def test_of_names_that_begin_alike_the_whole_word_counts():
    assert parse_class("very sad", ("very", "very sad")).score == 1
    assert parse_class("sadness", ("sad", "sadness")).score == 1
    assert parse_class("C++", ("C", "C++")).score == 1


def test_the_question_names_the_classes_and_no_range(backbone):
    clip = Clip("a", "a", 0, "train", 1.0, "so good", None, None)
    args = clip, ("text",), ClipInputs(), "", backbone.tokenizer, (0.0, 2.0)
    text = backbone.tokenizer.decode(build_prompt(*args, CLASSES).token_ids)
    assert "Answer with exactly one of these words: negative, neutral, positive.<|im_end|>" in text
    assert "number" not in text and "most negative" not in text
    assert "number" in backbone.tokenizer.decode(build_prompt(*args).token_ids)


def test_the_most_frequent_class_is_the_lowest_of_equals():
    def splits(*labels):
        clips = [Clip(f"{n}", f"{n}", 0, "train", label, "", None, None) for n, label in enumerate(labels)]
        others = [Clip(name, name, 0, name, 2.0, "", None, None) for name in ("valid", "test")]
        return Splits(clips + others)

    assert splits(2.0, 1.0, 1.0).label_mode() == 1.0
    assert splits(2.0, 2.0, 1.0, 1.0, 0.0).label_mode() == 1.0


@pytest.mark.parametrize("name", READOUTS)
def test_every_readout_predicts_classes_one_clip_like_many(name, backbone, task, prompts):
    readout, forward = ready(name, task, prompts), Forward(backbone)
    together = readout.predict(forward, prompts)
    assert [type(each.score) for each in together] == [float] * 6
    for each in together:
        assert each.in_range and each.score in ((0.0, 1.0, 2.0) if each.parsed else (NO_CLASS,))
    assert together == [readout.predict(forward, [prompt])[0] for prompt in prompts]
    assert name != "constant" or {each.score for each in together} == {1.0}


@pytest.mark.parametrize("name", TRAINED)
def test_losses_and_gradients(name, backbone, task, prompts):
    readout, forward = ready(name, task, prompts), Forward(backbone)
    together = readout.losses(forward, prompts[:3], LABELS[:3])
    alone = [readout.losses(forward, prompts[n : n + 1], LABELS[n : n + 1]) for n in range(3)]
    assert (together.shape, together.dtype) == ((3,), torch.float32) and together.min() > 0
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5)
    with attached(backbone, AdapterConfig(rank=2, dropout=0.0), seed=1) as adapter:
        tiny_trials.move(adapter)
        readout.losses(forward, prompts[:3], LABELS[:3]).sum().backward()
        trained = [*adapter.parameters(), *readout.parameters()]
        assert all(tensor.grad is not None and tensor.grad.abs().max() > 0 for tensor in trained)


def test_the_heads_loss_is_cross_entropy_by_hand(backbone, task, prompts):
    readout = ready("discriminative", task, prompts, width=0)
    torch.nn.init.zeros_(readout.head.layers[-1].weight)
    with torch.no_grad():
        readout.head.layers[-1].bias.copy_(torch.log(torch.tensor([0.5, 0.25, 0.25])))
    losses = readout.losses(Forward(backbone), prompts[:3], LABELS[:3])
    assert losses.tolist() == pytest.approx([np.log(4), np.log(2), np.log(4)])
    assert [each.score for each in readout.predict(Forward(backbone), prompts)] == [0.0] * 6


def test_the_answer_is_the_classs_name_and_constrained_ones_are_always_one(backbone, task, prompts):
    readout = ready("generative", task, prompts)
    assert backbone.tokenizer.decode(readout.answer(0.0)) == "negative<|im_end|>"
    free = readout.predict(Forward(backbone), prompts)
    assert {each.parsed for each in free} == {False}  # random weights write no word
    for name in ("generative", "generative_zero_shot"):
        chosen = ready(name, task, prompts, constrained=True, num_tokens_max=1)
        for each in chosen.predict(Forward(backbone), prompts):
            assert each.parsed and each.text == CLASSES[int(each.score)]


def test_the_tree_of_names_writes_whole_names(backbone):
    names = ("sad", "sadness", "joy")
    tree = class_tree(backbone.tokenizer, names)
    assert tree.values == (0.0, 1.0, 2.0)
    written = [backbone.tokenizer.decode([token for _, token in path]) for path in tree.paths]
    assert [text.removesuffix("<|im_end|>") for text in written] == list(names)
    assert written[0] == "sad<|im_end|>"  # or "sadness" could never be told from it


def test_the_probe_is_ridge_on_one_column_for_each_class(backbone, task, prompts):
    features = torch.cat([Forward(backbone).states([prompt])[:, -1] for prompt in prompts]).double().numpy()
    readout = ready("frozen_probe", task, prompts, strengths=(3.0,))
    mean, std = features[:4].mean(0), features[:4].std(0)
    x = np.hstack([(features - mean) / std, np.ones((6, 1))])
    penalty = 3.0 * np.diag([1.0] * features.shape[1] + [0.0])
    columns = [(LABELS[:4].numpy() == number).astype(float) for number in range(3)]
    scores = [x @ np.linalg.solve(x[:4].T @ x[:4] + penalty, x[:4].T @ column) for column in columns]
    found = readout.predict(Forward(backbone), prompts)
    assert [each.score for each in found] == np.argmax(scores, axis=0).tolist()
    [row] = readout.rows
    valid = compute(LABELS[4:], [each.score for each in found[4:]], conventions="classes")
    assert (row["valid_accuracy"], row["valid_f1_weighted"]) == (valid["accuracy"], valid["f1_weighted"])


def test_the_probes_figure_shows_the_metrics_of_classes(tmp_path):
    rows = [
        {"layer": "0", "pooling": "last", "valid_accuracy": "0.5", "valid_f1_weighted": "0.25", "chosen": "True"},
        {"layer": "1", "pooling": "last", "valid_accuracy": "0.4", "valid_f1_weighted": "0.3", "chosen": "False"},
    ]
    rows = [{"cell": "a probe", "trial_id": "1", **row} for row in rows]
    text = draw_trial(rows, tmp_path).svg.read_text()
    assert "Accuracy on valid" in text and "F1 weighted on valid" in text and "MAE" not in text
