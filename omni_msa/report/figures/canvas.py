"""The common style of all figures, and how they are saved: the same data give the same bytes."""

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from omni_msa.system.files import write_atomic

WIDTH_IN = 5.4  # inches; on a phone of 390 px, text of 9 points is still 8 px high
ROW_IN = 0.36
SMALL = 8.5
"""Size of the smallest text, in points."""
INK, GREY, PALE, FILL = "#222222", "#767676", "#c9c9c9", "#a6cfe8"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8a7a00")
"""Distinct with any colour vision, after Okabe and Ito (2008), Color Universal Design; yellow is darkened."""
DOT: Any = {"s": 15, "color": COLOURS[1], "edgecolor": "white", "linewidth": 0.5, "zorder": 4}
"""Marker for the value of one seed."""
BAR: Any = {"color": FILL, "edgecolor": GREY, "linewidth": 0.6}
_NO_BREAK = "\N{NO-BREAK SPACE}"
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_LINES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1)), (0, (9, 3)))
_SETTINGS: Any = {
    "svg.hashsalt": "omni_msa",
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,
    "font.size": 9.5,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.5,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "hatch.linewidth": 0.7,
    "figure.constrained_layout.w_pad": 0.07,
    "figure.constrained_layout.h_pad": 0.06,
    "image.cmap": "cividis",
}


@dataclass(frozen=True)
class Figure:
    """A figure on disk.

    Args:
        name: of its files, without extension.
        title: its heading.
        caption: what exactly is shown, one or more sentences.
        alt: alternative text for readers who cannot see the figure.
        svg, png: paths of its files.
    """

    name: str
    title: str
    caption: str
    alt: str
    svg: Path
    png: Path


@dataclass(frozen=True)
class Look:
    """Colour, marker and line style of one line or group of points, distinct from the others also without colour."""

    color: str
    marker: str
    line: Any

    @property
    def of_line(self) -> dict[str, Any]:
        """The keyword arguments of `Axes.plot` for a line with markers."""
        return {"color": self.color, "marker": self.marker, "linestyle": self.line}


def look(index: int) -> Look:
    """Return the style of the n-th line of a figure, counted from 0; the first 24 are distinct."""
    return Look(*(names[index % len(names)] for names in (COLOURS, _MARKERS, _LINES)))


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the common style within this context; also a decorator, `@styled()`."""
    with matplotlib.rc_context(_SETTINGS):
        yield


def new_drawing(height_in: float) -> Drawing:
    """Return an empty figure of the common width.

    Args:
        height_in: inches.
    """
    return Drawing(figsize=(WIDTH_IN, height_in), layout="constrained", facecolor="white")


def save(drawing: Drawing, folder: Path, name: str, title: str, caption: str, alt: str) -> Figure:
    """Write a figure as SVG and PNG.

    Args:
        drawing: a figure drawn within `styled`.
        folder: where the files go, made if missing.
        name, title, caption, alt: as in `Figure`.
    """
    drawing.draw_without_rendering()
    drawing.set_layout_engine("none")  # the layout is computed above, once for both files
    svg, png = folder / f"{name}.svg", folder / f"{name}.png"
    metadata = {"Date": None, "Creator": None, "Title": title}
    write_atomic(svg, lambda file: drawing.savefig(file, metadata=metadata))
    write_atomic(png, lambda file: drawing.savefig(file, dpi=180, metadata={"Software": None}))
    return Figure(name, title, caption, alt, svg, png)


def cut(text: str, width: int) -> str:
    """Return a text cut to at most `width` characters, by leaving out its middle."""
    half = (width - 3) // 2
    return text if len(text) <= width else f"{text[:half]} … {text[-half:]}"


def wrap(text: str, width: int, num_lines_max: int = 4) -> str:
    """Return a text in lines of at most `width` characters, broken after commas if possible, else at spaces.

    Args:
        text: without line breaks.
        width: in characters.
        num_lines_max: a text too long for this many lines is cut in its middle.
    """
    for length in range(width * num_lines_max, 0, -4):
        parts = cut(text, length).split(", ")
        whole = ", ".join(part.replace(" ", _NO_BREAK) if len(part) < width else part for part in parts)
        lines = textwrap.wrap(whole, width, break_on_hyphens=False) or [""]
        if len(lines) <= num_lines_max:
            return "\n".join(lines).replace(_NO_BREAK, " ")
    raise AssertionError("a text of one character fits into a line")


def name_rows(axes: Axes, labels: Sequence[str], width: int = 24) -> None:
    """Label the rows of a panel, the first one on top.

    Args:
        axes: its y axis counts rows from 0.
        labels: one per row.
        width: of a line, in characters.
    """
    axes.set_yticks(range(len(labels)), [wrap(label, width) for label in labels])
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def rows_height_in(labels: Sequence[str], width: int = 24, row_in: float = ROW_IN) -> float:
    """Return the height in inches that a panel with these labels (see `name_rows`) needs.

    Args:
        labels, width: as in `name_rows`.
        row_in: the least height of a row, in inches.
    """
    num_lines = max((wrap(label, width).count("\n") + 1 for label in labels), default=1)
    return max(row_in, 0.15 * num_lines + 0.12) * (len(labels) + 0.2)


def side_by_side(num: int, width: float) -> list[float]:
    """Return `num` evenly spaced offsets around 0, all within `width`."""
    return [width * (index / (num - 1) - 0.5) if num > 1 else 0.0 for index in range(num)]


def add_legend(drawing: Drawing, axes: Axes) -> None:
    """Put the legend of a panel below the whole figure: in two columns if its texts are short, else in one."""
    handles, texts = axes.get_legend_handles_labels()
    num_columns = 2 if max(map(len, texts), default=0) <= 28 else 1
    place: Literal["outside lower center"] = "outside lower center"
    if handles:
        drawing.legend(handles, [wrap(text, 64 // num_columns) for text in texts], loc=place, ncols=num_columns)
