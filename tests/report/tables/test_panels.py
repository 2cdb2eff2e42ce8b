"""Tables of single cells: the deciding metric in detail, best of n beside the mean, other people's numbers."""

from dataclasses import replace

from helpers.summaries import cell, summary
from omni_msa.evidence import published
from omni_msa.report.tables.panels import detail_grid, elsewhere_grid, selection_grid


def column(grid, heading):
    place = grid.headings.index(heading)
    return [row[place].text for row in grid.rows]


def made(**more):
    values = {1: {"mae": 0.5}, 2: {"mae": 0.6}, 3: {"mae": 1.0}}
    return summary(cell("a", values, gap_share={"mae": 0.876}), cell("b", {None: {"mae": 0.9}}), **more)


def test_the_deciding_metric_in_detail():
    grid = detail_grid(made())
    assert grid.title == "MAE in detail"
    parts = ["mean", "median", "min", "max", "95 % over seeds", "gap closed (%)"]
    assert [column(grid, part)[0] for part in parts] == ["0.700", "0.600", "0.500", "1.000", "[0.043, 1.357]", "88"]
    assert column(grid, "95 % over seeds")[1] == column(grid, "gap closed (%)")[1] == "–"  # noqa: RUF001
    assert "95 % over clips" not in grid.headings and not any("clips:" in note for note in grid.notes)
    assert any(note.startswith("Gap closed: 0 is the constant row") for note in grid.notes)


def test_intervals_over_clips_come_with_what_they_mean():
    one = made()
    found = replace(one.cells[1].metrics["mae"], interval_clips_95=(0.8, 1.05))
    grid = detail_grid(replace(one, cells=[one.cells[0], replace(one.cells[1], metrics={"mae": found})]))
    assert column(grid, "95 % over clips") == ["–", "[0.800, 1.050]"]  # noqa: RUF001
    assert any(note.startswith("Over clips:") for note in grid.notes)


def test_a_share_near_nothing_has_no_sign():
    one = replace(made().cells[0], gap_share={"mae": -0.001})
    assert column(detail_grid(summary(one)), "gap closed (%)")[0] == "0"


def test_best_of_n_stands_beside_the_mean_and_is_called_so():
    grid = selection_grid(made())
    assert column(grid, "cell") == ["a"]  # of one trial there is no best
    assert [column(grid, name)[0] for name in ("mean", "best of n", "n", "seed of the best")] == [
        "0.700",
        "0.500",
        "3",
        "1",
    ]
    assert "the seed with the best value on test" in grid.notes[0]
    assert selection_grid(summary(cell("b", {None: {"mae": 0.9}}))) is None
    assert selection_grid(summary(cell("b", {}))) is None


def test_numbers_from_elsewhere_are_labelled_and_sourced():
    grid = elsewhere_grid(published.elsewhere("mosi"), "standard")
    assert column(grid, "MAE")[0] == "0.947" and column(grid, "Acc-7 (%)")[0] == "34.5"
    assert column(grid, "source")[0] == "Zadeh et al., EMNLP 2017, arXiv 1707.07250"
    assert "0.570 ± 0.014" in column(grid, "MAE") and "–" in column(grid, "Corr")  # noqa: RUF001
    assert set(grid.kinds) == {"reported"} and grid.align == "lrrrrrl"
    assert "not a threshold" in grid.notes[0] and sum("MMSA framework" in note for note in grid.notes) == 1
    assert column(elsewhere_grid(published.elsewhere("mosi"), "mmsa"), "MAE (x100)")[0] == "94.70"
