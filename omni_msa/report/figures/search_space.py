"""The part of the space that a search explored: one panel per parameter, and parallel coordinates."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes

from omni_msa.evidence.search_summary import ProposalSummary, SearchFindings
from omni_msa.report.figures import canvas
from omni_msa.report.figures.canvas import Figure
from omni_msa.report.figures.shown import heading, unit
from omni_msa.stats.metrics import METRICS

_PARAMETERS_MAX = 16
_FEW = 2
_WIDTH = 36
"""Width of a panel with one parameter, in characters."""
_HALO = {"boxstyle": "square,pad=0.05", "facecolor": "white", "alpha": 0.75, "linewidth": 0}
Valued = list[tuple[ProposalSummary, float]]
"""Proposals that have a value at the first rung, each with that value in the unit of display."""


def draw(found: SearchFindings, folder: Path, ending: str, of: str) -> Iterator[Figure]:
    """Draw slices and parallel coordinates, if at least two proposals have values.

    Args:
        found: the findings of one search.
        folder: of the figures.
        ending: suffix of their names.
        of: suffix of their titles that names the search, "" if there is only one.
    """
    rows, (paths, limited) = _valued(found), _chosen(found)
    if len(rows) >= _FEW:
        yield draw_slices(found, rows, paths, limited, folder, f"search_slices{ending}", f"Each parameter alone{of}")
        title = f"All parameters together{of}"
        yield draw_parallel(found, rows, paths, limited, folder, f"search_parallel{ending}", title)


def axis_name(metric: str) -> str:
    """Return the label of an axis that shows an objective: quality is measured on valid, costs on no split."""
    return heading(metric, "valid" if METRICS[metric].kind == "quality" else "")


def _valued(found: SearchFindings) -> Valued:
    size = unit(found.objectives[0])
    return [(row, row.by_rung[0] * size) for row in found.history if 0 in row.by_rung]


def _chosen(found: SearchFindings) -> tuple[list[str], str]:
    """Return the parameters to show, and a sentence on their number if they are not all."""
    space, order = list(found.space), list(found.importances)
    if len(space) <= _PARAMETERS_MAX:
        return space, ""
    chosen = set([*order, *(path for path in space if path not in order)][:_PARAMETERS_MAX])
    return [path for path in space if path in chosen], f"{_PARAMETERS_MAX} of {len(space)} parameters are shown."


def kind_of(parameter: Mapping[str, Any]) -> str:
    """Return the kind of a parameter's range, such as `choice` or `log_uniform`."""
    return next(name for name in parameter if name != "when")


def place_of(parameter: Mapping[str, Any], value: Any) -> float:
    """Return the position of a value in its range, in [0, 1]; choices are evenly spaced.

    Args:
        parameter: as in the sweep file: the kind of its range, mapped to the range.
        value: in the range.
    """
    kind = kind_of(parameter)
    if kind == "choice":
        names = list(map(_text, parameter["choice"]))
        return names.index(_text(value)) / (len(names) - 1) if len(names) > 1 else 0.5
    low, high = parameter[kind]
    if kind.startswith("log_"):
        return math.log(value / low) / math.log(high / low)
    return float((value - low) / (high - low))


def early(found: SearchFindings) -> str:
    """Return the rung at which all proposals have a value, as text such as ` after 1 of 4 epochs of one seed`.

    Returns:
        The text with a leading space; "" if nothing is pruned: values are then those after the whole training.
    """
    return f" {found.first_rung}" if found.first_rung else ""


def choices_of(parameter: Mapping[str, Any]) -> list[str]:
    """Return the tick label of each choice: its text or, where that is too long, a letter.

    Args:
        parameter: a choice, as in the sweep file. If it has many numbers, only some get a label, the others "".
    """
    names = list(map(_text, parameter["choice"]))
    width = max(map(len, names)) + 2
    if len(names) * width <= _WIDTH + 2:
        return names
    if all(isinstance(value, int | float) for value in parameter["choice"]):
        step = math.ceil(len(names) * width / _WIDTH)
        return [name if index % step == 0 else "" for index, name in enumerate(names)]
    return [_letter(index) for index in range(len(names))]


def _letter(index: int) -> str:
    """Return the label of the n-th choice: a, b, ..., z, aa, ab and so on."""
    first, last = divmod(index, 26)
    return (chr(96 + first) if first else "") + chr(97 + last)


def _letters(found: SearchFindings, paths: Sequence[str]) -> str:
    """Return what the letters of choices stand for, as sentences; "" if there are none."""
    text = []
    for path in (path for path in paths if kind_of(found.space[path]) == "choice"):
        values = list(map(_text, found.space[path]["choice"]))
        shown = choices_of(found.space[path])
        if all(shown) and shown != values:
            each = ", ".join(f"{letter} {value}" for letter, value in zip(shown, values, strict=True))
            text.append(f"{path}: {each}.")
    return " ".join(text)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return value if isinstance(value, str) else json.dumps(value).replace('"', "")


def draw_slices(
    found: SearchFindings, rows: Valued, paths: Sequence[str], limited: str, folder: Path, name: str, title: str
) -> Figure:
    """Draw the value of all proposals by each parameter, those that were confirmed in orange.

    Args:
        found: the findings of one search.
        rows: proposals with values.
        paths: parameters that are shown.
        limited: what to say if they are not all.
        folder, name, title: of the figure.
    """
    num_rows = math.ceil(len(paths) / 2)
    drawing = canvas.new_drawing(1.75 * num_rows + 0.2)
    panels = drawing.subplots(num_rows, 2, squeeze=False, sharey=True).ravel()
    metric, chosen = found.objectives[0], _confirmed(found)
    for axes, path in zip(panels, paths, strict=False):
        shown = [(row.parameters[path], value, row.proposal) for row, value in rows if path in row.parameters]
        for value, up, number in sorted(shown, key=lambda one: one[2] in chosen):
            colour = canvas.COLOURS[1 if number in chosen else 0]
            axes.scatter(_across(found.space[path], value), up, s=22, color=colour, edgecolor="white", linewidth=0.5)
        _name_slice(axes, found.space[path], path)
    for axes in panels[len(paths) :]:
        axes.set_axis_off()
    drawing.supylabel(axis_name(metric), fontsize=9.5)
    caption = (
        f"{METRICS[metric].title} of each proposal{early(found)}, by one parameter at a time; orange: those that "
        "were run again with fresh seeds. A proposal that does not use a parameter has no dot in its panel. "
        f"{_letters(found, paths)} {limited}"
    )
    alt = f"{METRICS[metric].title} of {len(rows)} proposals by each of {', '.join(paths)}."
    return canvas.save(drawing, folder, name, title, " ".join(caption.split()), alt)


def _confirmed(found: SearchFindings) -> set[int]:
    return {int(row.configuration) for row in found.confirmed if row.configuration.isdecimal()}


def _across(parameter: Mapping[str, Any], value: Any) -> float:
    if kind_of(parameter) == "choice":
        return float([_text(each) for each in parameter["choice"]].index(_text(value)))
    return float(value)


def _name_slice(axes: Axes, parameter: Mapping[str, Any], path: str) -> None:
    kind = kind_of(parameter)
    if kind == "choice":
        names = choices_of(parameter)
        axes.set_xticks(range(len(names)), names)
        axes.set_xlim(-0.5, len(names) - 0.5)
    else:
        low, high = parameter[kind]
        if kind.startswith("log_"):
            axes.set_xscale("log")
            axes.minorticks_off()
            axes.set_xticks(ticks := log_ticks(low, high), [f"{value:.3g}" for value in ticks])
            axes.set_xlim(low / (high / low) ** 0.05, high * (high / low) ** 0.05)
        else:
            axes.set_xlim(low - 0.05 * (high - low), high + 0.05 * (high - low))
            axes.locator_params(axis="x", nbins=5)
    axes.set_title(canvas.cut(path, 36), fontsize=9)
    axes.grid(True)


def log_ticks(low: float, high: float) -> list[float]:
    """Return the ticks of a logarithmic axis: powers of ten, or ends and middle if it has fewer than two of these.

    Args:
        low, high: ends of the axis, above 0.
    """
    powers = [10.0**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
    few = powers[:: math.ceil(len(powers) / 4)] if powers else []
    return few if len(few) > 1 else [low, math.sqrt(low * high), high]


def draw_parallel(
    found: SearchFindings, rows: Valued, paths: Sequence[str], limited: str, folder: Path, name: str, title: str
) -> Figure:
    """Draw each proposal as a line through all parameters, from top to bottom; darker lines are better.

    Args:
        found: the findings of one search.
        rows: proposals with values.
        paths: parameters that are shown.
        limited: what to say if they are not all.
        folder, name, title: of the figure.
    """
    metric, chosen = found.objectives[0], _confirmed(found)
    sign = -1 if METRICS[metric].better == "higher" else 1
    ranked = sorted(rows, key=lambda item: -sign * item[1])  # the best is drawn last, on top
    drawing = canvas.new_drawing(0.5 * len(paths) + 0.5)
    axes = drawing.subplots()
    shades = matplotlib.colormaps["cividis"]
    for index, (row, _) in enumerate(ranked):
        line = [
            place_of(found.space[path], row.parameters[path]) if path in row.parameters else math.nan for path in paths
        ]
        looks: dict[str, Any] = {"color": shades(0.9 * (1 - index / max(1, len(ranked) - 1))), "linewidth": 1.0}
        if row.proposal in chosen:
            looks = {"color": canvas.COLOURS[1], "linewidth": 2.0, "zorder": 3}
        axes.plot(line, range(len(paths)), marker="o", markersize=3, **looks)
    for index, path in enumerate(paths):
        _name_axis(axes, index, found.space[path])
    canvas.name_rows(axes, list(paths), 30)
    axes.set_xlim(-0.04, 1.04)
    axes.set_xticks([])
    axes.spines[["bottom"]].set_visible(False)
    caption = (
        f"Each line is a proposal, from the first parameter to the last; the darker, the better its "
        f"{METRICS[metric].title}{early(found)}; orange: those that were run again with fresh seeds. A line is "
        f"broken where its proposal does not use a parameter. {_letters(found, paths)} {limited}"
    )
    alt = f"{len(rows)} proposals as lines through {', '.join(paths)}."
    return canvas.save(drawing, folder, name, title, " ".join(caption.split()), alt)


def _name_axis(axes: Axes, row: int, parameter: Mapping[str, Any]) -> None:
    """Write the values of a choice, or the ends of a range, above the line of the parameter."""
    kind = kind_of(parameter)
    values = parameter[kind]
    axes.axhline(row, color=canvas.PALE, linewidth=0.8, zorder=0)
    texts = choices_of(parameter) if kind == "choice" else list(map(_text, values))
    for value, text in zip(values, texts, strict=True):
        across = place_of(parameter, value)
        side = "left" if across == 0 else "right" if across == 1 else "center"
        looks: dict[str, Any] = {"fontsize": canvas.SMALL, "color": canvas.INK, "bbox": _HALO, "zorder": 4}
        axes.text(across, row - 0.17, text, ha=side, va="bottom", **looks)
