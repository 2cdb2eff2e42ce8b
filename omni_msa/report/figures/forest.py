"""Paired differences between cells as a forest plot."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from omni_msa.evidence.comparisons.comparison import Comparison
from omni_msa.evidence.gather import Evidence
from omni_msa.report.figures import canvas
from omni_msa.report.figures.canvas import Figure
from omni_msa.report.figures.shown import span, unit
from omni_msa.report.tables.pair_notes import fixed_cells, interval_note, sign_flip_note
from omni_msa.stats.intervals import Interval
from omni_msa.stats.metrics import METRICS

_ROWS_MAX = 30
_WIDER_MAX = 3.0  # an interval of two seeds reaches 13 standard errors to each side: it would squeeze all others
_NARROW = 0.1  # tick labels of a shorter axis have so many digits that only a few fit


class _Line(NamedTuple):
    """A kind of interval: how to get it, its name in the legend, its offset from the row, and its style."""

    of: Callable[[Comparison], Interval | None]
    name: str
    offset: float
    looks: dict[str, Any]


_LINES = (
    _Line(
        lambda one: one.interval,
        "95 % t interval over seeds",
        0.0,
        {"linewidth": 2.6, "color": canvas.COLOURS[0], "solid_capstyle": "butt"},
    ),
    _Line(
        lambda one: one.interval_two_level,
        "95 % two-level interval, seeds and clips",
        0.22,
        {"linewidth": 1.4, "color": canvas.INK, "linestyle": (0, (3, 1.5))},
    ),
    _Line(
        lambda one: one.interval_clips,
        "95 % interval over clips, of one pair of trials",
        0.0,
        {"linewidth": 2.6, "color": canvas.GREY, "solid_capstyle": "butt"},
    ),
)
_OVER_CLIPS = _LINES[-1]
_MEAN: dict[str, Any] = {
    "marker": "D",
    "linestyle": "none",
    "color": canvas.COLOURS[0],
    "markersize": 6.5,
    "markeredgecolor": "white",
    "zorder": 6,
}


@canvas.styled()
def draw(evidence: Evidence, folder: Path) -> list[Figure]:
    """Draw each cell minus the one it is compared with: values of seeds, intervals, and the p-value if it has one."""
    rows = [one for one in evidence.summary.differences if one.mean is not None]
    if not rows:
        return []
    metric, fixed = rows[0].metric, fixed_cells(evidence.summary.cells)
    rows, limited = _chosen(rows)
    labels = [one.name for one in rows]
    drawing = canvas.new_drawing(canvas.rows_height_in(labels, 22, 0.44) + 1.35)
    axes = drawing.subplots()
    left, right = _range(rows, unit(metric))
    for row, one in enumerate(rows):
        _draw_row(axes, row, one, (left, right))
        axes.text(1.02, row, _p_text(one), transform=axes.get_yaxis_transform(), va="center", fontsize=canvas.SMALL)
    axes.axvline(0, color=canvas.INK, linewidth=1)
    axes.set_xlim(left, right)
    if right - left < _NARROW:
        axes.locator_params(axis="x", nbins=5)
    canvas.name_rows(axes, labels, 22)
    axes.grid(axis="x")
    targets = list(dict.fromkeys(one.against for one in rows))
    axes.set_xlabel(
        f"difference in {METRICS[metric].heading}, cell minus the one compared with\n{_sides(metric, targets)}"
    )
    _add_legend(drawing, axes, rows)
    title = f"Paired differences in {METRICS[metric].title}"
    return [canvas.save(drawing, folder, "differences", title, _caption(rows, fixed, limited), _describe(rows, metric))]


def _chosen(rows: Sequence[Comparison]) -> tuple[list[Comparison], str]:
    if len(rows) <= _ROWS_MAX:
        return list(rows), ""
    order = sorted(range(len(rows)), key=lambda place: -abs(rows[place].mean or 0.0))[:_ROWS_MAX]
    return [rows[place] for place in sorted(order)], f"The {_ROWS_MAX} largest of {len(rows)} differences are shown."


def _range(rows: Sequence[Comparison], size: float) -> Interval:
    """Return the ends of the axis: room for all seeds, and for intervals up to a multiple of the range of seeds."""
    core = [0.0, *(value * size for one in rows for value in one.values)]
    room = (max(core) - min(core) or 1.0) * _WIDER_MAX / 2
    ends = [end * size for one in rows for line in _lines(one) for end in line.of(one) or ()]
    low, high = max(min([*core, *ends]), min(core) - room), min(max([*core, *ends]), max(core) + room)
    if low == high:  # all differences are 0: ten units of the last digit to each side
        ten = 10.0 ** (1 - METRICS[rows[0].metric].decimals)
        return -ten, ten
    margin = 0.04 * (high - low)
    return low - margin, high + margin


def _lines(one: Comparison) -> list[_Line]:
    """Return the intervals that a row shows; that over clips is shown only if it is the only one."""
    there = [line for line in _LINES if line.of(one)]
    return [line for line in there if line is not _OVER_CLIPS] or there


def _draw_row(axes: Axes, row: int, one: Comparison, limits: Interval) -> None:
    size = unit(one.metric)
    for line in _lines(one):
        interval = line.of(one)
        assert interval is not None  # of `_lines`
        low, high = (end * size for end in interval)
        ends = [max(low, limits[0]), min(high, limits[1])]
        axes.plot(ends, [row + line.offset] * 2, **line.looks)
        for is_beyond, end, arrow in ((low < limits[0], ends[0], "<"), (high > limits[1], ends[1], ">")):
            if is_beyond:
                color = line.looks["color"]
                axes.plot(end, row + line.offset, arrow, color=color, markersize=6, clip_on=False, zorder=5)
    values = [value * size for value in one.values]
    axes.scatter(values, [row - 0.25] * len(values), **canvas.DOT)
    axes.plot((one.mean or 0.0) * size, row, **_MEAN)


def _add_legend(drawing: Drawing, axes: Axes, rows: Sequence[Comparison]) -> None:
    axes.scatter([], [], label="difference of one seed", **canvas.DOT)
    axes.plot([], [], label="mean difference", **_MEAN)
    drawn = [line for one in rows for line in _lines(one)]
    for line in (line for line in _LINES if line in drawn):
        axes.plot([], [], label=line.name, **line.looks)
    canvas.add_legend(drawing, axes)


def _p_text(one: Comparison) -> str:
    """Return the p-value of a row as text: over seeds or, where neither cell is random, over clips."""
    holm = one.p_holm
    if one.p is None and (holm is None or one.p_clips is None):
        return "no p-value"
    text = f"clips: p = {one.p_clips:.2g}" if one.p is None else f"p = {one.p:.2g}"
    if "not testable" in one.note:
        return f"{text}, not\ntestable (n = {one.n})"
    return text if holm is None or one.family < 2 else f"{text}\nHolm {holm:.2g}"


def _sides(metric: str, targets: Sequence[str]) -> str:
    other = canvas.cut(targets[0], 26) if len(targets) == 1 else "the other"
    left, right = ("the cell", other) if METRICS[metric].better == "lower" else (other, "the cell")
    if METRICS[metric].better == "none":
        return ""
    return f"\N{LEFTWARDS ARROW} favours {left}    |    favours {right} \N{RIGHTWARDS ARROW}"


def _caption(rows: Sequence[Comparison], fixed: Collection[str], limited: str) -> str:
    targets, pairs = list(dict.fromkeys(one.against for one in rows)), span(one.n for one in rows)
    against = f'"{targets[0]}"' if len(targets) == 1 else "the cell each is compared with"
    noun = "pair" if pairs == "1" else "pairs"
    sentences = [
        f"Each cell minus {against} on test, paired by seed ({pairs} {noun} per row); an interval beyond the panel "
        "ends in an arrow.",
        interval_note(rows),
        *_tests(rows, fixed),
        limited,
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _tests(rows: Sequence[Comparison], fixed: Collection[str]) -> list[str]:
    """Return sentences that explain the p-values on the right."""
    test, texts = sign_flip_note(rows, fixed), [_p_text(one) for one in rows]
    found = [f"p: {test}."] if test else []
    if any(text.startswith("clips:") for text in texts):
        found.append("clips: test over clips where neither cell is random; it says nothing about other seeds.")
    if any("testable" in text for text in texts):
        found.append("Not testable: with so few pairs p cannot go below 0.05 after correction.")
    return found + (
        ["Holm: corrected for all comparisons of the sweep."] if any("Holm" in text for text in texts) else []
    )


def _describe(rows: Sequence[Comparison], metric: str) -> str:
    show = METRICS[metric].show

    def text(one: Comparison) -> str:
        ends, over = (one.interval, "") if one.interval else (one.interval_clips, " over clips")
        within = f" (95 %{over} from {show(ends[0], True)} to {show(ends[1], True)})" if ends else ""
        return f"{one.name} minus {one.against}: {show(one.mean, True)}{within}"

    return f"Forest plot of paired differences in {METRICS[metric].heading}: " + "; ".join(map(text, rows)) + "."
