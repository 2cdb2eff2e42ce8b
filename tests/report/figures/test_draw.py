"""All figures of recorded sweeps, and of sweeps with nothing to show."""

import csv
import re
from dataclasses import replace

import numpy as np
import pytest

from helpers.recorded import recorded_plan
from helpers.summaries import summary
from omni_msa.evidence.gather import Evidence, gather
from omni_msa.evidence.summary import CellSummary, MetricSummary
from omni_msa.ledger.hidden_states import States
from omni_msa.ledger.ledger import Ledger
from omni_msa.planning.plan import make_plan
from omni_msa.report.figures.draw import draw_all
from omni_msa.report.figures.probe import draw as draw_probe
from omni_msa.report.figures.probe import probe_rows
from omni_msa.sweep.sweep import load_sweep

COMMON = ["bars", "differences", "metrics"]
PROBE = [
    {"layer": layer, "pooling": pooling, "valid_mae": mae, "valid_corr": corr, "chosen": mae == 0.5}
    for pooling, layer, mae, corr in (
        ("last", 0, 1.25, "nan"),
        ("last", 1, 0.5, 0.75),
        ("mean", 1, 0.75, 0.5),
        ("mean", 0, 1.0, ""),
    )
]


def write_states(plan, label, signal):
    """Give the trials of a cell states that hold the label with some strength, and noise."""
    generator = np.random.default_rng(0)
    for trial in plan.trials:
        if label in trial.cells:
            folder, labels = plan.ledger.trial(trial.trial_id), generator.normal(size=60).astype(np.float32)
            values = generator.normal(size=(60, 6))
            values[:, 0] = values[:, 0] * (1 - signal) + 9 * signal * labels
            ids = np.array([f"clip_{place}" for place in range(60)])
            States(ids, labels, values.astype(np.float16)).write(folder.path / "states.test.npz")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The evidence of the recorded comparison of readouts, with states and a probe added, its folder and figures."""
    root = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMNI_MSA_CACHE", str(root / "cache"))
        plan = recorded_plan("readout_comparison", root)
        write_states(plan, "discriminative", 0.9)
        write_states(plan, "frozen_probe", 0.0)
        write_states(plan, "generative_zero_shot", 0.0)
        (probe,) = [trial for trial in plan.trials if "frozen_probe" in trial.cells]
        plan.ledger.trial(probe.trial_id).write_table("probe", PROBE)
        evidence = gather(plan)
    return evidence, root / "report", draw_all(evidence, root / "report"), probe.trial_id


def test_every_figure_with_data_is_drawn(report):
    _, folder, figures, probe = report
    names = [figure.name for figure in figures]
    assert names == [*COMMON, "predictions", "errors", "curves", "cost", f"probe_{probe}", "states", "neighbours"]
    files = {path.name for path in (folder / "figures").iterdir()}
    assert files == {f"{name}.{ending}" for name in names for ending in ("svg", "png")}


def test_figures_are_captioned_and_their_text_is_large_enough(report):
    for figure in report[2]:
        assert figure.title and figure.caption.endswith(".") and figure.alt.endswith(".") and len(figure.alt) > 60
        assert "  " not in figure.caption and "\n" not in figure.caption + figure.alt
        text = figure.svg.read_text()
        sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", text)]
        assert sizes and min(sizes) >= 8, figure.name
        assert figure.png.read_bytes().startswith(b"\x89PNG")


def test_captions_say_what_is_shown(report):
    captions = {figure.name: figure.caption for figure in report[2]}
    assert "1 to 3 per cell" in captions["bars"] and "BCa" in captions["bars"] and "Student t" in captions["bars"]
    assert "3 pairs per row" in captions["differences"] and "cannot go below 0.05" in captions["differences"]
    assert "120 test clips" in captions["predictions"]
    assert "median MAE" in captions["states"] and "perplexity 19.7" in captions["states"]


def test_the_numbers_are_in_the_alt_texts(report):
    alts = {figure.name: figure.alt for figure in report[2]}
    assert "discriminative 0.642" in alts["bars"] and "constant prediction 1.418" in alts["bars"]
    assert "generative minus discriminative: +0.245 (95 % from +0.104 to +0.387)" in alts["differences"]
    assert "generative and expected_value" not in alts["bars"]
    assert "MAE on valid from 1.223 to 0.698 at step 240" in alts["curves"]


def test_equal_states_are_drawn_once(report):
    figures = {figure.name: figure for figure in report[2]}
    assert figures["states"].alt.endswith("for discriminative; generative_zero_shot and frozen_probe.")
    assert figures["neighbours"].svg.read_text().count(">generative_zero_shot and frozen_probe<") == 1


def test_cells_that_share_a_fit_share_their_curve(report):
    (curves,) = [figure for figure in report[2] if figure.name == "curves"]
    assert ">generative and expected_value<" in curves.svg.read_text()


def test_the_tables_beside_the_figures(report):
    _, folder, _, probe = report
    with (folder / "neighbours.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = {(row["cell"], row["k"]): row for row in rows}
    both = "generative_zero_shot and frozen_probe"
    assert set(found) == {(cell, k) for cell in ("discriminative", both) for k in ("5", "10", "20")}
    assert float(found["discriminative", "5"]["ratio"]) < 0.3
    assert float(found[both, "5"]["ratio"]) == pytest.approx(1, abs=0.15)
    assert found["discriminative", "5"]["seed"] == "1113"  # of the three the one with the median error
    with (folder / "probe.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(PROBE) and {row["trial_id"] for row in rows} == {probe}


def test_drawing_again_gives_the_same_bytes(report, tmp_path):
    evidence, _, figures, _ = report
    again = draw_all(evidence, tmp_path)
    assert [replace(one, svg=two.svg, png=two.png) for one, two in zip(again, figures, strict=True)] == figures
    for one, two in zip(again, figures, strict=True):
        assert one.svg.read_bytes() == two.svg.read_bytes() and one.png.read_bytes() == two.png.read_bytes(), one.name


def test_a_probe_that_somebody_changed_is_not_drawn(report, tmp_path):
    evidence, _, _, probe = report
    path = evidence.plan.ledger.trial(probe).path / "probe.csv"
    whole = path.read_text()
    for damage in (whole.replace("0.75", "much"), whole.replace("True", "yes"), whole.replace("layer", "floor")):
        path.write_text(damage)
        assert draw_probe(evidence, tmp_path) == probe_rows(evidence) == []
    path.write_text(whole)
    assert len(draw_probe(evidence, tmp_path)) == 1 and len(probe_rows(evidence)) == len(PROBE)


def test_modalities_and_other_cells(tmp_path, own_cache):
    evidence = gather(recorded_plan("modality_ablation", tmp_path))
    figures = {figure.name: figure for figure in draw_all(evidence, tmp_path / "report")}
    assert list(figures) == [*COMMON, "modalities", "predictions", "errors", "curves", "cost"]
    assert "text+audio+video 0.642" in figures["modalities"].alt


def made(evidence, cells, **changes) -> Evidence:
    """Return evidence without trials, of cells with these labels, axes and values."""
    told = [CellSummary(name, axes, False, [], metrics={"mae": metric(values)}) for name, axes, values in cells]
    return Evidence(evidence.plan, [], summary(*told, **changes))


def metric(values) -> MetricSummary:
    """Return the statistics of some values, of one seed that collapsed if there are none."""
    interval = (min(values), max(values)) if len(values) > 1 else None
    mean = float(np.mean(values)) if values else None
    return MetricSummary(mean, num_collapsed=0 if values else 1, interval_95=interval, values=values or [None])


def test_an_axis_of_numbers_has_a_line_for_each_other_setting(report, tmp_path):
    cells = [
        (f"{readout}, rank {rank}", {"readout": readout, "adapter.rank": rank}, [0.5 + 1 / rank, 0.6 + 1 / rank])
        for rank in (32, 2, 8)
        for readout in ("discriminative", "generative")
    ]
    cells += [("constant, rank None", {"readout": "constant", "adapter.rank": None}, [1.5])]
    figures = draw_all(made(report[0], cells), tmp_path)
    assert [figure.name for figure in figures] == ["bars", "axis_adapter_rank"]
    assert "readout generative: 1.050 at 2, 0.675 at 8, 0.581 at 32" in figures[1].alt
    assert "no value: 1." in figures[1].caption
    text = figures[1].svg.read_text()
    assert "adapter.rank (log scale)" in text and ">32<" in text and ">readout generative<" in text


def test_a_repeat_is_no_scale(report, tmp_path):
    cells = [(f"repeat {place}", {"repeat": place}, [0.5, 0.6]) for place in range(3)]
    assert [figure.name for figure in draw_all(made(report[0], cells), tmp_path)] == ["bars"]


def test_many_cells_are_limited_and_said_so(report, tmp_path):
    cells = [(f"a cell with a long name, number {place}", {"readout": str(place)}, [place / 40]) for place in range(40)]
    (bars,) = draw_all(made(report[0], cells), tmp_path)
    assert "The 30 best of 40 cells by MAE are shown." in bars.caption
    assert "number 29 " in bars.alt and "number 30 " not in bars.alt


def test_constants_are_a_line_if_they_are_one(tmp_path, write_sweep, own_cache):
    axes = "{readout: [discriminative, constant], media.num_frames_max: [2, 4]}"
    plan = make_plan(load_sweep(write_sweep(axes=axes)), Ledger(tmp_path / "mlruns"))
    evidence = Evidence(plan, [], summary())
    labels = [cell.name for cell in plan.sweep.cells]

    def alt(*floors):
        cells = [(label, {}, [value]) for label, value in zip(labels, (0.5, 0.75, *floors), strict=True)]
        (bars, *_) = draw_all(made(evidence, cells, floor=labels[2]), tmp_path)
        return bars.alt

    assert "constant prediction 1.250" in alt(1.25, 1.25)
    assert "constant prediction" not in alt(1.25, 1.5)


def test_a_collapsed_cell_is_shown_as_such(report, tmp_path):
    (bars,) = draw_all(made(report[0], [("a", {}, []), ("b", {}, [0.5])]), tmp_path)
    assert "NaN" in bars.svg.read_text() and "a NaN" in bars.alt


def test_a_sweep_with_nothing_done_has_no_figures(tmp_path, write_sweep, own_cache):
    evidence = gather(make_plan(load_sweep(write_sweep()), Ledger(tmp_path / "mlruns")))
    assert draw_all(evidence, tmp_path / "report") == []
    assert not list(tmp_path.glob("report/**/*.*"))
