"""report.html without a browser: what stands in it, and that nothing in it comes from elsewhere."""

import base64
import hashlib
import re

import pytest

from helpers import tiny_trials
from helpers.html_page import parse
from helpers.made_corpora import write_meld
from helpers.page_trials import finish, finished_plan
from helpers.recorded import recorded_plan
from omni_msa.evidence.gather import gather
from omni_msa.ledger.ledger import Ledger
from omni_msa.planning.plan import make_plan
from omni_msa.report.figures.canvas import Figure
from omni_msa.report.page import page
from omni_msa.report.page.measured import measured_on
from omni_msa.report.page.page import write_page
from omni_msa.report.page.players import clips_of
from omni_msa.sweep.sweep import load_sweep

COMMAND = "python orchestrate.py sweeps/sweep.yaml"
COMPARE = "{against: {readout: discriminative}}"
AXES = "{readout: [discriminative, generative, constant]}"
SAID = {
    "discriminative": {1: [-2.0, 0.8, 0.9, 1.0], 2: [-1.0, 0.8, 1.9, 0.8]},
    "generative": {1: [(2.5, "<img src=x onerror='window.pwned=1'>"), 0.8, 1.9, 1.2]},
    "constant": {None: [0.0, 0.0, 0.0, 0.0]},
}
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=")


@pytest.fixture
def figures(tmp_path):
    def draw(name, svg):
        (tmp_path / f"{name}.svg").write_text(svg)
        (tmp_path / f"{name}.png").write_bytes(PNG)
        files = tmp_path / f"{name}.svg", tmp_path / f"{name}.png"
        return Figure(name, f"The {name}", "What is shown.", "What it <says>", *files)

    return draw


@pytest.fixture
def evidence(tmp_path, write_sweep, text_clips):
    return gather(finished_plan(tmp_path / "mlruns", write_sweep, SAID, axes=AXES, compare=COMPARE))


def test_the_page_answers_in_the_order_that_readers_ask(evidence, tmp_path):
    path = write_page(evidence, [], tmp_path, COMMAND)
    headings = re.findall(r"<h([12])[^>]*>(.*?)</h", path.read_text(encoding="utf-8"))
    assert headings == [
        ("1", "Does it work?"),
        *(("2", "Result"), ("2", "Differences between cells"), ("2", "What was held equal")),
        *(("2", "What was chosen, and from how many"), ("2", "Clips to inspect"), ("2", "Trials"), ("2", "Failures")),
        *(("2", "Environment"), ("2", "Reproduce")),
    ]
    text = parse(path).text
    answer = evidence.summary.verdict.text.partition(": ")[2]
    assert text.index("Does it work?") < text.index(answer[1:]) < text.index("trials complete")
    assert COMMAND in text.rpartition("Reproduce")[2]


def test_the_badge_is_not_repeated_by_the_answer(evidence, tmp_path):
    text = parse(write_page(evidence, [], tmp_path, COMMAND)).text
    assert "Incomplete Not decided yet, with 4 of 5 trials finished: on MAE, " in text
    whole = gather(recorded_plan("readout_comparison", tmp_path / "recorded"))
    assert whole.summary.verdict.text.startswith("Not decided: on MAE, ")
    text = parse(write_page(whole, [], tmp_path, COMMAND)).text
    assert "Not decided On MAE, " in text and "Not decided:" not in text


def test_one_is_no_plural(tmp_path, write_sweep, text_clips):
    keys = {"axes": "{readout: [discriminative]}", "seeds": "[1]"}
    alone = gather(finished_plan(tmp_path / "mlruns", write_sweep, SAID, **keys))
    text = parse(write_page(alone, [], tmp_path, COMMAND)).text
    assert "1 of 1 trial complete; 1 cell, seed 1; profile" in text


def test_the_page_says_what_it_was_measured_on(evidence, tmp_path):
    parsed = parse(write_page(evidence, [], tmp_path, COMMAND))
    assert f"{measured_on(evidence)} " in parsed.text
    assert "vader_av: real sentences and ratings, synthetic voice and face: not comparable" in parsed.text


def test_what_it_was_measured_on_is_known_without_data(tmp_path, write_sweep, text_clips):
    def said(**keys):
        return measured_on(gather(finished_plan(tmp_path, write_sweep, SAID, **keys))).split(" · ")

    assert said() == ["vader_av: 8/4/4 clips (train/valid/test)", "text+audio+video", "tiny"]
    assert said(axes="{modalities: [[text], [text, audio]]}")[1:] == ["several sets of modalities", "tiny"]
    assert said(axes="{num_train_clips: [4, 8]}")[0] == "vader_av: several numbers of clips (train/valid/test)"


def test_nothing_comes_from_elsewhere(evidence, tmp_path, figures):
    path = write_page(evidence, [figures("bars", "<svg xmlns='http://www.w3.org/2000/svg'/>")], tmp_path, COMMAND)
    parsed = parse(path)
    addresses = [
        attributes[name]
        for _, attributes in parsed.elements
        for name in ("src", "href", "srcset")
        if name in attributes
    ]
    assert addresses and all(address.startswith(("data:", "#")) for address in addresses)
    assert not re.search(r"url\(|@import", path.read_text(encoding="utf-8"))
    (policy,) = [one["content"] for one in parsed.all("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none';") and "http" not in policy
    (script,) = re.findall(r"<script>(.*?)</script>", path.read_text(encoding="utf-8"), re.DOTALL)
    assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy


def test_texts_from_data_are_texts(tmp_path, write_sweep, own_cache):
    sentences = [
        (split, label, f"<script>window.pwned=1</script>{text}") for split, label, text in tiny_trials.SENTENCES
    ]
    tiny_trials.make_clips(own_cache, with_media=False, sentences=sentences)
    keys = {"question": '"Is <b>this</b> a \\"question\\"?"', "axes": AXES, "compare": COMPARE}
    plan = finished_plan(tmp_path / "mlruns", write_sweep, SAID, **keys)
    (failing,) = [trial for trial in plan.trials if trial.name == "generative, seed 2"]
    folder = plan.ledger.trial(failing.trial_id)
    folder.begin(failing.config, {})
    folder.fail("bug", "<script>window.pwned=1</script>", "</script><script>window.pwned=1</script>")
    evidence = gather(finished_plan(tmp_path / "mlruns", write_sweep, {}, **keys))
    parsed = parse(write_page(evidence, [], tmp_path, COMMAND + " question='<i>'"))
    assert len(parsed.all("script")) == 1
    assert parsed.all("i") == parsed.all("img") == []
    for text in (
        *("<script>window.pwned=1</script>a tedious and empty mess", "<img src=x onerror='window.pwned=1'>"),
        *('Is <b>this</b> a "question"?', "</script><script>window.pwned=1</script>", "question='<i>'"),
    ):
        assert text in parsed.text


def test_the_same_evidence_gives_the_same_bytes(evidence, tmp_path):
    first = write_page(evidence, [], tmp_path, COMMAND).read_bytes()
    assert write_page(evidence, [], tmp_path, COMMAND).read_bytes() == first


def test_figures_stand_where_they_belong(evidence, tmp_path, figures):
    small, large = "<svg xmlns='http://www.w3.org/2000/svg'/>", f"<svg><!--{'x' * page.SVG_BYTES_MAX}--></svg>"
    drawn = [figures("differences", small), figures("bars", small), figures("scatter", large)]
    path = write_page(evidence, drawn, tmp_path, COMMAND)
    parsed = parse(path)
    images = {one["src"].partition(";")[0] for one in parsed.all("img")}
    assert images == {"data:image/svg+xml", "data:image/png"}
    assert {one["alt"] for one in parsed.all("img")} == {"What it <says>"}
    text = path.read_text(encoding="utf-8")
    order = [text.index(part) for part in ('id="result"', 'id="figure-bars"', 'id="differences"')]
    order += [
        text.index(part) for part in ('id="figure-differences"', 'id="figures"', 'id="figure-scatter"', 'id="controls"')
    ]
    assert order == sorted(order)


def test_files_beside_are_linked_where_they_are(evidence, tmp_path):
    for name in ("table.csv", "other.csv"):
        (tmp_path / name).touch()
    parsed = parse(write_page(evidence, [], tmp_path, COMMAND))
    assert [one["href"] for one in parsed.all("a") if not one["href"].startswith("#")] == ["table.csv"]


def test_failures_and_provenance_are_told(evidence, tmp_path, write_sweep):
    trial = next(trial for trial in evidence.plan.trials if trial.name == "generative, seed 2")
    folder = evidence.plan.ledger.trial(trial.trial_id)
    folder.begin(trial.config, {})
    folder.fail("not finite", "loss is nan at step 3", "Traceback\nFloatingPointError: loss is nan at step 3")
    again = gather(finished_plan(tmp_path / "mlruns", write_sweep, {}, axes=AXES, compare=COMPARE))
    text = parse(write_page(again, [], tmp_path, COMMAND)).text
    assert "not finite: FloatingPointError: loss is nan at step 3" in text
    assert "No attempt of any trial failed" not in text and "1 failed" in text
    assert "git checkout c0ffee" in text and "somewhere" not in text


def test_a_sweep_without_comparison_or_results_has_a_page(tmp_path, write_sweep, own_cache):
    parsed = parse(write_page(gather(finished_plan(tmp_path / "mlruns", write_sweep, {})), [], tmp_path, COMMAND))
    assert "No trial has predictions yet." in parsed.text and "No trial recorded where it ran." in parsed.text
    assert "Differences between cells" not in parsed.text


def test_clips_that_are_not_here_are_named(tmp_path, own_cache):
    evidence = gather(recorded_plan("readout_comparison", tmp_path / "mlruns"))
    parsed = parse(write_page(evidence, [], tmp_path, COMMAND))
    assert (
        parsed.text.count("The media and transcript of this clip are not on the machine that wrote this report.") == 18
    )
    assert not parsed.all("video") and not own_cache.exists()  # nothing was rendered for it


def test_media_can_be_left_out(tmp_path, write_sweep, rendered_clips):
    keys = {"axes": AXES, "compare": COMPARE}
    evidence = gather(finished_plan(tmp_path / "mlruns", write_sweep, SAID, **keys, embed_media="false"))
    parsed = parse(write_page(evidence, [], tmp_path, COMMAND))
    assert not parsed.all("video") and "clip_12.mp4 (embed_media is false)" in parsed.text


def test_all_settings_equal_and_differing_are_there(evidence, tmp_path):
    parsed = parse(write_page(evidence, [], tmp_path, COMMAND))
    controls = evidence.summary.controls
    assert f"{controls[0].num_equal_settings} settings are equal" in parsed.text
    assert f"{controls[0].name} against {controls[0].against}" in parsed.text
    assert "Also differs: nothing" in parsed.text
    marks = [one for one in parsed.all("article") if one.get("class") == "control"]
    assert len(marks) == len(controls)
    assert [one["data-controlled"] for one in marks] == [str(one.controlled).lower() for one in controls]


def test_a_corpus_of_classes_is_told_in_its_words(tmp_path, write_sweep, own_cache):
    rows = [
        (split, str(nth), "0", "well", "joy", sentiment)
        for nth, (split, sentiment) in enumerate(
            [("train", "positive"), ("dev", "negative"), ("test", "negative"), ("test", "positive")]
        )
    ]
    dataset = f"{{name: meld, root: {write_meld(tmp_path / 'meld', rows)}, allow_other_counts: true}}"
    keys = {"dataset": dataset, "axes": "{readout: [constant, frozen_probe]}", "select": "{metric: accuracy}"}
    plan = make_plan(load_sweep(write_sweep(**keys)), Ledger(tmp_path / "mlruns"))
    (options,) = {cell.config.dataset for cell in plan.sweep.cells}
    labels = {clip.id: clip.label for clip in clips_of(options).values() if clip.split == "test"}
    for trial, answers in zip(plan.trials, ([2.0, 2.0], [(-1.0, "who knows"), 2.0]), strict=True):
        finish(plan, trial, answers, labels)
    path = write_page(gather(make_plan(plan.sweep, plan.ledger)), [], tmp_path, COMMAND)
    text = parse(path).text
    assert "Error: share of seeds that were wrong" in text and "Label negative , mean error 1.00" in text
    assert "no class 1.00 “who knows”" in text and "positive 0.00" in text and "Accuracy" in text
