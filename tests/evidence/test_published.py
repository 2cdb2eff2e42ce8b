"""Numbers of other people: beside the right cells, as printed, each with its source."""

import json
import re

import pytest

from omni_msa.evidence import published


def found(axes, dataset="mosi"):
    return published.lookup(dataset, axes)


def test_rows_go_by_axes():
    def mae(axes, dataset="mosi"):
        row = found(axes, dataset)
        return row and row.metrics["mae"]

    assert mae({"modalities": ["text"]}) == (0.552, None)
    assert mae({"modalities": ["text"], "readout": "discriminative"}) == (0.552, None)
    assert mae({"modalities": ["audio"]}) is None
    assert mae({"modalities": ["text"], "readout": "generative"}) is None
    assert mae({"adapter.rank": 32}) == (0.570, 0.014)
    assert mae({"adapter.rank": 4}) is None
    assert mae({"dataset": {"name": "mosei"}, "readout": "generative_zero_shot"}) == (1.431, None)


def test_denoising_stands_beside_its_own_axis_alone():
    def metrics(axes, dataset="mosi"):
        row = found(axes, dataset)
        return row and (row.setting, *row.metrics.items())

    as_it_is = ("denoising", ("mae", (0.598, None)), ("corr", (0.878, None)), ("acc2_non0", (0.8963, None)))
    denoised = ("denoising", ("mae", (0.551, None)), ("corr", (0.888, None)), ("acc2_non0", (0.8952, None)))
    assert metrics({"media.denoise": "none"}) == as_it_is
    assert metrics({"media.denoise": "deepfilternet", "readout": "discriminative"}) == denoised
    assert metrics({"media.denoise": "deepfilternet"}, "mosei") is None
    assert metrics({"media.denoise": "none", "modalities": ["text"]}) is None
    assert metrics({"media.denoise": "none", "readout": "generative"}) is None
    assert metrics({"media.denoise": "none", "adapter.rank": 4}) is None
    assert metrics({"adapter.rank": 32})[0] == "main result"


def test_the_main_result_is_the_one_printed(pytestconfig):
    seeds = json.loads((pytestconfig.rootpath / "tests/fixtures/paper_seeds.json").read_text())
    metrics = found({}).metrics
    for name, printed in zip(seeds["columns"], seeds["printed"], strict=True):
        scale = 1 if name in ("mae", "corr") else 100
        assert metrics[name] == pytest.approx([float(number) / scale for number in printed.split("+-")]), name


def test_every_number_from_elsewhere_has_a_source_that_can_be_found():
    for row in published.ELSEWHERE:
        assert re.search(r"arXiv \d{4}\.\d{5}$|doi 10\.\d+/\S+$", row.source), row.method
        assert row.metrics and all(0 < mean < 1.6 for mean, _ in row.metrics.values()), row.method
    sources = {row.source for row in published.ELSEWHERE}
    assert len({source.rpartition(" ")[2] for source in sources}) == len(sources)  # no id stands for two papers


def test_elsewhere_is_by_corpus():
    assert [row.method for row in published.elsewhere("mosi")][:3] == ["TFN", "LMF", "MulT"]
    assert len(published.elsewhere("mosei")) == 2
    assert published.elsewhere("vader_av") == published.elsewhere("") == []


def test_the_best_seed_of_the_paper_is_called_so():
    best = next(row for row in published.elsewhere("mosi") if row.metrics["mae"][0] == 0.551)
    assert "best of four" in best.method and best.note
