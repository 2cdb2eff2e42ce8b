"""Which cells figures show, and their numbers in people's units."""

import pytest

from helpers.summaries import summary
from omni_msa.evidence.summary import CellSummary, MetricSummary
from omni_msa.report.figures import shown
from omni_msa.report.figures.combinations import by_other_axes


def cell(name="a", axes=None, **metrics):
    return CellSummary(name, axes or {}, False, [], metrics=metrics)


def one_metric(*values, interval=None, clips=None):
    kept = [value for value in values if value is not None]
    mean = sum(kept) / len(kept) if kept else None
    more = {"interval_95": interval, "interval_clips_95": clips, "num_collapsed": len(values) - len(kept)}
    return MetricSummary(mean, n=len(kept), values=list(values), **more)


def test_shares_are_shown_in_percent():
    one = shown.spread(cell(acc7=one_metric(0.5, None, 0.25, interval=(0.25, 0.5))), "acc7")
    assert one == shown.Spread(37.5, (25.0, 50.0), "seeds", [50.0, 25.0], 1)
    assert shown.spread(cell(mae=one_metric(0.5)), "mae").values == [0.5]


def test_the_interval_over_clips_stands_in_where_there_is_none_over_seeds():
    assert shown.spread(cell(mae=one_metric(0.5, clips=(0.4, 0.6))), "mae").over == "clips"
    assert shown.spread(cell(mae=one_metric(0.5, 0.5, clips=(0.4, 0.6), interval=(0.5, 0.5))), "mae").over == "seeds"
    assert shown.spread(cell(), "mae") == shown.Spread(None, None, "", [], 0)


@pytest.mark.parametrize(("metric", "expected"), [("mae", "adc"), ("corr", "bec")])
def test_the_best_cells_keep_their_order_and_collapsed_ones_come_last(metric, expected):
    values = {"a": 0.1, "b": 0.9, "c": 0.5, "d": 0.2, "e": 0.6, "f": None}
    cells = [cell(name, mae=one_metric(value), corr=one_metric(value)) for name, value in values.items()]
    kept, text = shown.best(cells, metric, 3, keep=["c"])
    assert "".join(sorted(one.name for one in kept)) == "".join(sorted(expected))
    assert [one.name for one in kept] == [one.name for one in cells if one in kept]
    assert text.startswith("The 3 best of 6 cells by ")
    assert shown.best(cells, metric, 6) == (cells, "")
    assert all(one.name != "f" for one in shown.best(cells, metric, 5)[0])


def test_the_metric_of_the_sweep_comes_first():
    cells = [cell(**{name: one_metric(0.5) for name in ("mae", "corr", "acc7", "acc2_non0", "f1_non0", "latency_s")})]
    assert shown.quality_metrics(summary(*cells, metric="corr"))[:2] == ["corr", "mae"]
    assert shown.quality_metrics(summary(*cells, metric="latency_s"))[0] == "latency_s"
    assert len(shown.quality_metrics(summary(*cells, metric="mae"))) == 5


def test_sentences_say_what_dots_and_intervals_are():
    seeds, clips = shown.Spread(1, (0, 2), "seeds", [1, 1, 1], 0), shown.Spread(1, (0, 2), "clips", [1], 0)
    assert "(3 per cell)" in shown.explain([seeds]) and "Student t" in shown.explain([seeds])
    both = shown.explain([seeds, clips])
    assert "(1 to 3 per cell)" in both and "Student t" in both and "BCa" in both
    assert "no intervals" in shown.explain([shown.Spread(1, None, "", [1], 0)])
    assert "No seed" in shown.explain([shown.Spread(None, None, "", [], 3)])


def test_cells_are_grouped_by_the_axes_that_vary():
    cells = [
        cell("1", {"readout": "x", "adapter.rank": 2, "modalities": ["text"]}),
        cell("2", {"readout": "x", "adapter.rank": 4, "modalities": ["text"]}),
        cell("3", {"readout": {"name": "y", "decimals": 2}, "adapter.rank": 4, "modalities": ["text"]}),
    ]
    groups = by_other_axes(cells, "adapter.rank")
    assert {name: [one.name for one in group] for name, group in groups.items()} == {
        "readout x": ["1", "2"],
        "readout y(decimals=2)": ["3"],
    }
    assert list(by_other_axes(cells[:2], "adapter.rank")) == [""]
    assert shown.axis_values(cells, "adapter.rank", lambda value: value is not None) == [2, 4]
