"""How figures look and are saved."""

import itertools

import pytest
from matplotlib.transforms import Bbox

from omni_msa.report.figures import canvas

LONG = "generative(decimals=2, constrained=True), text+audio+video, rank 16, layers last_8, num_train_clips 1284"


def test_a_long_text_loses_its_middle():
    assert canvas.cut("0123456789", 10) == "0123456789"
    assert canvas.cut("01234567890", 9) == "012 … 890"
    assert len(canvas.cut("x" * 500, 40)) <= 40


def test_lines_break_after_commas():
    assert canvas.wrap("readout generative, rank 16, text", 20) == "readout generative,\nrank 16, text"
    assert canvas.wrap("", 10) == ""


@pytest.mark.parametrize("width", [10, 24])
@pytest.mark.parametrize("text", [LONG, "x" * 300, "many short words " * 30])
def test_wrapped_texts_fit(text, width):
    lines = canvas.wrap(text, width, 3).split("\n")
    assert len(lines) <= 3 and max(map(len, lines)) <= width


def test_24_lines_differ_and_neighbours_in_every_way():
    looks = [canvas.look(place) for place in range(24)]
    assert len(set(looks)) == 24
    for one, other in itertools.pairwise(looks):
        assert one.color != other.color and one.marker != other.marker and one.line != other.line


def luminance(color: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_is_dark_on_white():
    assert luminance("#ffffff") == pytest.approx(1) and luminance("#000000") == 0
    assert 1.05 / (luminance(canvas.INK) + 0.05) > 7  # contrast of WCAG's level AAA


@pytest.mark.parametrize("num", [2, 30])
@pytest.mark.parametrize("label", ["text", LONG])
@canvas.styled()
def test_labels_of_rows_do_not_touch(num, label):
    labels = [f"{label} {place}" for place in range(num)]
    drawing = canvas.new_drawing(canvas.rows_height_in(labels) + 0.7)
    axes = drawing.subplots()
    canvas.name_rows(axes, labels)
    drawing.draw_without_rendering()
    boxes = [tick.get_window_extent() for tick in axes.get_yticklabels()]
    assert all(upper.y0 > lower.y1 for upper, lower in itertools.pairwise(boxes))  # the first is on top
    assert min(box.x0 for box in boxes) >= 0 and axes.get_window_extent().width > 0.4 * drawing.bbox.width


@canvas.styled()
def drawn(folder, texts=("a line",)):
    drawing = canvas.new_drawing(2)
    axes = drawing.subplots()
    for place, text in enumerate(texts):
        axes.plot([0, 1], [place, 0], label=text)
    canvas.add_legend(drawing, axes)
    return drawing, canvas.save(drawing, folder, "name", "A title", "A caption.", "An alt text.")


def test_a_figure_is_saved_twice_with_its_texts(tmp_path):
    _, figure = drawn(tmp_path / "new")
    assert (figure.name, figure.title, figure.caption, figure.alt) == ("name", "A title", "A caption.", "An alt text.")
    assert figure.png.read_bytes().startswith(b"\x89PNG") and figure.png == tmp_path / "new" / "name.png"
    text = figure.svg.read_text()
    assert ">a line</text>" in text and "A title" in text and "<dc:date>" not in text


def test_drawing_again_gives_the_same_bytes(tmp_path):
    figures = [drawn(tmp_path / name)[1] for name in "ab"]
    assert len({figure.svg.read_bytes() for figure in figures}) == 1
    assert len({figure.png.read_bytes() for figure in figures}) == 1


@pytest.mark.parametrize("texts", [("one", "two", "three"), (LONG, "short")])
def test_a_legend_lies_below_the_panel_and_within_the_figure(tmp_path, texts):
    drawing, _ = drawn(tmp_path, texts)
    legend, panel = drawing.legends[0].get_window_extent(), drawing.axes[0].get_tightbbox()
    assert Bbox.intersection(legend, panel) is None and legend.x0 >= 0 and legend.x1 <= drawing.bbox.width
