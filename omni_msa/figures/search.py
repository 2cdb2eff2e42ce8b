"""What a search found: its history, what mattered, search value beside fresh seeds, and the front of two objectives."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from omni_msa.evidence import Evidence
from omni_msa.figures import canvas, search_space, tradeoff
from omni_msa.figures.canvas import Figure
from omni_msa.figures.shown import Spread, unit
from omni_msa.metrics import METRICS

Found = Mapping[str, Any]
"""One search, as `search.json` has it."""

DEFAULT = "default"
_HOLLOW: dict[str, Any] = {"linestyle": "none", "markersize": 6, "color": canvas.GREY}
_WIDTH = 18


@canvas.styled()
def draw(evidence: Evidence, folder: Path) -> list[Figure]:
    """Draw all figures of all searches; those of a second search end in `_2`, and so on."""
    figures: list[Figure] = []
    for number, found in enumerate(evidence.searches, 1):
        name = "" if number == 1 else f"_{number}"
        of = f" of {found['study']}" if len(evidence.searches) > 1 else ""
        figures += _draw(found, folder, name, of)
    return figures


def _draw(found: Found, folder: Path, ending: str, of: str) -> Iterator[Figure]:
    if any(_last_value(row) is not None for row in found["history"]):
        yield draw_history(found, folder, f"search_history{ending}", f"History of the search{of}")
    if any(row["fresh_values"] for row in found["confirmed"]):
        title = f"The best proposals with fresh seeds{of}"
        yield draw_confirmed(found, folder, f"search_confirmed{ending}", title)
    if found["importances"]:
        yield draw_importance(found, folder, f"search_importance{ending}", f"Which parameters mattered{of}")
    yield from search_space.draw(found, folder, ending, of)
    if found["pareto_front"]:
        yield draw_pareto(found, folder, f"search_pareto{ending}", f"Both objectives{of}")


def _last_value(row: Found) -> float | None:
    """Return the value of the first objective at the highest rung that a proposal has reached."""
    last = max(row["by_rung"], key=int, default=None)
    value: float | None = row["values"][0] if row["values"] else row["by_rung"].get(last)
    return value


def draw_history(found: Found, folder: Path, name: str, title: str) -> Figure:
    """Draw the value of each proposal in the order they were made, and the best so far.

    Args:
        found: one search; a proposal has a value.
        folder, name, title: of the figure.
    """
    metric, rows = found["objectives"][0], found["history"]
    drawing = canvas.new_drawing(3.2)
    axes = drawing.subplots()
    _draw_states(axes, rows, unit(metric))
    best = [(row["proposal"], row["best_so_far"] * unit(metric)) for row in rows if row["best_so_far"] is not None]
    if best:
        looks: dict[str, Any] = {"color": canvas.COLOURS[1], "linewidth": 1.6, "zorder": 1}
        axes.plot(*zip(*best, strict=True), drawstyle="steps-post", label="best complete so far", **looks)
    axes.set(xlabel="proposal", ylabel=search_space.axis_name(metric).replace(", ", "\n"))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.grid(True)
    canvas.add_legend(drawing, axes)
    is_halved = len(found["rungs"]) > 1
    caption = (
        f"{METRICS[metric].title} of each proposal, the mean over its search seeds"
        f"{'; of those that were cut, where they were cut: after less training or fewer seeds' if is_halved else ''}. "
        "The best so far was chosen for being low on these very seeds: it flatters."
    )
    if METRICS[metric].better == "higher":
        caption = caption.replace("being low", "being high")
    states = [row["state"] for row in rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    last = METRICS[metric].show(best[-1][1] / unit(metric)) if best else "none is complete"
    return canvas.save(drawing, folder, name, title, caption, f"{len(rows)} proposals ({counts}); best: {last}.")


def _draw_states(axes: Axes, rows: Sequence[Found], size: float) -> None:
    points = [(row["proposal"], value * size, row["state"]) for row in rows if (value := _last_value(row)) is not None]
    complete = [(number, value) for number, value, state in points if state == "complete"]
    cut = [(number, value) for number, value, state in points if state == "pruned"]
    failed = [row["proposal"] for row in rows if row["state"] == "failed"]
    if complete:
        looks: dict[str, Any] = {"linestyle": "none", "markersize": 6, "color": canvas.COLOURS[0]}
        axes.plot(*zip(*complete, strict=True), "o", label="complete", zorder=3, **looks)
    if cut:
        axes.plot(*zip(*cut, strict=True), "v", fillstyle="none", label="cut", **_HOLLOW)
    if failed:
        axes.plot(failed, [0.97] * len(failed), "x", transform=axes.get_xaxis_transform(), label="failed", **_HOLLOW)


def draw_confirmed(found: Found, folder: Path, name: str, title: str) -> Figure:
    """Draw for each confirmed proposal its value in the search and with fresh seeds, and the default beside them.

    Args:
        found: one search, of which something was confirmed.
        folder, name, title: of the figure.
    """
    metric, rows = found["objectives"][0], found["confirmed"]
    labels = [row["configuration"] if row["configuration"] == DEFAULT else _named(row) for row in rows]
    drawing = canvas.new_drawing(canvas.rows_height_in(labels, _WIDTH, 0.44) + 1.35)
    axes = drawing.subplots()
    for place, row in enumerate(rows):
        _draw_confirmed(axes, place, row, unit(metric))
    default = next((row["fresh_mean"] for row in rows if row["configuration"] == DEFAULT), None)
    if default is not None:
        axes.axvline(default * unit(metric), color=canvas.INK, linewidth=1, linestyle=(0, (4, 2)))
    _add_marks(axes)
    canvas.name_rows(axes, labels, _WIDTH)
    axes.set_xlabel(search_space.axis_name(metric))
    axes.grid(axis="x")
    canvas.add_legend(drawing, axes)
    num = len(found["confirm_seeds"])
    caption = (
        "Grey: the value that the search chose by. Blue: the mean of the same configuration with "
        f"{num} fresh {'seed' if num == 1 else 'seeds'}, which had no part in choosing; dots: each of them. "
        "How far blue lies from grey is what the choice flattered. Dashed: the default with the same fresh seeds."
    )
    return canvas.save(drawing, folder, name, title, caption, _describe(rows, labels, metric))


def _named(row: Found) -> str:
    return f"proposal {row['configuration']}"


_FRESH: dict[str, Any] = {"linestyle": "none", "color": canvas.COLOURS[0], "markersize": 7, "zorder": 5}


def _draw_confirmed(axes: Axes, place: int, row: Found, size: float) -> None:
    searched, fresh = row["search_value"], row["fresh_mean"]
    if searched is not None and fresh is not None:
        arrow = {"arrowstyle": "->", "color": canvas.GREY, "shrinkA": 4, "shrinkB": 5}
        axes.annotate("", (fresh * size, place), (searched * size, place), arrowprops=arrow, zorder=2)
    if searched is not None:
        axes.plot(searched * size, place, "o", fillstyle="none", zorder=6, **_HOLLOW)
    if fresh is not None:
        axes.plot(fresh * size, place, "D", **_FRESH)
    values = [value * size for value in row["fresh_values"]]
    axes.scatter(values, [place - 0.25] * len(values), **canvas.DOT)


def _add_marks(axes: Axes) -> None:
    axes.plot([], [], "o", fillstyle="none", label="in the search", **_HOLLOW)
    axes.plot([], [], "D", label="fresh seeds, mean", **_FRESH)
    axes.scatter([], [], label="one fresh seed", **canvas.DOT)
    axes.plot([], [], color=canvas.INK, linewidth=1, linestyle=(0, (4, 2)), label="default, fresh seeds")


def _describe(rows: Sequence[Found], labels: Sequence[str], metric: str) -> str:
    show = METRICS[metric].show
    each = "; ".join(
        f"{label}: {show(row['search_value'])} in the search, {show(row['fresh_mean'])} with fresh seeds"
        for label, row in zip(labels, rows, strict=True)
    )
    return f"{METRICS[metric].heading} of what was confirmed. {each}."


def draw_importance(found: Found, folder: Path, name: str, title: str) -> Figure:
    """Draw the share of the variance that each parameter explains.

    Args:
        found: one search with importances.
        folder, name, title: of the figure.
    """
    shares = found["importances"]
    labels = list(shares)
    drawing = canvas.new_drawing(canvas.rows_height_in(labels, 30) + 0.8)
    axes = drawing.subplots()
    axes.barh(range(len(labels)), [100 * share for share in shares.values()], height=0.6, **canvas.BAR)
    canvas.name_rows(axes, labels, 30)
    axes.set_xlim(left=0)
    axes.set_xlabel("share of the variance explained (%)")
    axes.grid(axis="x")
    caption = (
        f"fANOVA (Hutter et al., 2014) of {METRICS[found['objectives'][0]].title} at the first rung, over the "
        "proposals of this search and within this space; parameters that count only at times are left out. "
        "With few proposals it is a hint, no measurement."
    )
    alt = "; ".join(f"{path}: {100 * share:.0f} %" for path, share in shares.items())
    return canvas.save(drawing, folder, name, title, caption, f"Importance of parameters: {alt}.")


def draw_pareto(found: Found, folder: Path, name: str, title: str) -> Figure:
    """Draw all complete proposals by both objectives, and the front that no other beats.

    Args:
        found: one search with two objectives and a complete proposal.
        folder, name, title: of the figure.
    """
    up, across = found["objectives"]
    values = {str(row["proposal"]): row["values"] for row in found["history"] if row["values"]}
    points = [
        tradeoff.Point(label, _spread(value[1] * unit(across)), _spread(value[0] * unit(up)))
        for label, value in values.items()
    ]
    front = sorted(map(str, found["pareto_front"]), key=lambda label: (values[label][1], int(label)))
    drawing = canvas.new_drawing(3.4)
    axes = drawing.subplots()
    tradeoff.draw_panel(axes, points, front, {label: label for label in front})
    axes.set(xlabel=search_space.axis_name(across), ylabel=search_space.axis_name(up).replace(", ", "\n"))
    tradeoff.place_labels(drawing)
    caption = (
        "Each complete proposal, the mean over its search seeds. Numbered, on the green line: those that no other "
        "beats in both objectives (the Pareto front)."
    )
    alt = "; ".join(
        f"proposal {label}: {METRICS[up].title} {METRICS[up].show(values[label][0])}, "
        f"{METRICS[across].title} {METRICS[across].show(values[label][1])}"
        for label in front
    )
    return canvas.save(drawing, folder, name, title, caption, f"On the front: {alt}.")


def _spread(value: float) -> Spread:
    assert math.isfinite(value)
    return Spread(value, None, "", [value], 0)
