"""Figures of a search: history, parameter importance, values with search and fresh seeds, and the Pareto front."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from omni_msa.evidence.gather import Evidence
from omni_msa.evidence.search_summary import Confirmed, ProposalSummary, SearchFindings
from omni_msa.report.figures import canvas, search_space, tradeoff
from omni_msa.report.figures.canvas import Figure
from omni_msa.report.figures.shown import Spread, unit
from omni_msa.search.study_folder import DEFAULT
from omni_msa.stats.metrics import METRICS

_HOLLOW: dict[str, Any] = {"linestyle": "none", "markersize": 6, "color": canvas.GREY}
_WIDTH = 18


@canvas.styled()
def draw(evidence: Evidence, folder: Path) -> list[Figure]:
    """Draw all figures of all searches; those of a second search end in `_2`, and so on."""
    figures: list[Figure] = []
    for number, found in enumerate(evidence.searches, 1):
        name = "" if number == 1 else f"_{number}"
        of = f", {found.study}" if len(evidence.searches) > 1 else ""
        figures += _draw(found, folder, name, of)
    return figures


def _draw(found: SearchFindings, folder: Path, ending: str, of: str) -> Iterator[Figure]:
    if any(row.last_value is not None for row in found.history):
        yield draw_history(found, folder, f"search_history{ending}", f"History of the search{of}")
    if found.is_fresh and any(row.fresh_values for row in found.confirmed):
        title = f"The best proposals with fresh seeds{of}"
        yield draw_confirmed(found, folder, f"search_confirmed{ending}", title)
    if found.importances:
        yield draw_importance(found, folder, f"search_importance{ending}", f"Which parameters mattered{of}")
    yield from search_space.draw(found, folder, ending, of)
    if found.pareto_front:
        yield draw_pareto(found, folder, f"search_pareto{ending}", f"Both objectives{of}")


def draw_history(found: SearchFindings, folder: Path, name: str, title: str) -> Figure:
    """Draw the value of each proposal in the order they were made, and the best so far.

    Args:
        found: the findings of one search, in which at least one proposal has a value.
        folder, name, title: of the figure.
    """
    metric, rows = found.objectives[0], found.history
    drawing = canvas.new_drawing(3.2)
    axes = drawing.subplots()
    _draw_states(axes, rows, unit(metric))
    best = [(row.proposal, row.best_so_far * unit(metric)) for row in rows if row.best_so_far is not None]
    if best:
        looks: dict[str, Any] = {"color": canvas.COLOURS[1], "linewidth": 1.6, "zorder": 1}
        axes.plot(*zip(*best, strict=True), drawstyle="steps-post", label="best complete so far", **looks)
    axes.set(xlabel="proposal", ylabel=search_space.axis_name(metric).replace(", ", "\n"))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.grid(True)
    canvas.add_legend(drawing, axes)
    is_halved = len(found.rungs) > 1
    caption = (
        f"{METRICS[metric].title} of each proposal, the mean over its search seeds"
        f"{'; of the pruned ones, where they stopped: after less training or fewer seeds' if is_halved else ''}. "
        "The best so far was chosen by these same seeds, so its value is optimistically biased."
    )
    states = [row.state for row in rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    last = METRICS[metric].show(best[-1][1] / unit(metric)) if best else "none is complete"
    return canvas.save(drawing, folder, name, title, caption, f"{len(rows)} proposals ({counts}); best: {last}.")


def _draw_states(axes: Axes, rows: Sequence[ProposalSummary], size: float) -> None:
    points = [(row.proposal, value * size, row.state) for row in rows if (value := row.last_value) is not None]
    complete = [(number, value) for number, value, state in points if state == "complete"]
    pruned = [(number, value) for number, value, state in points if state == "pruned"]
    failed = [row.proposal for row in rows if row.state == "failed"]
    if complete:
        looks: dict[str, Any] = {"linestyle": "none", "markersize": 6, "color": canvas.COLOURS[0]}
        axes.plot(*zip(*complete, strict=True), "o", label="complete", zorder=3, **looks)
    if pruned:
        axes.plot(*zip(*pruned, strict=True), "v", fillstyle="none", label="pruned", **_HOLLOW)
    if failed:
        axes.plot(failed, [0.97] * len(failed), "x", transform=axes.get_xaxis_transform(), label="failed", **_HOLLOW)


def draw_confirmed(found: SearchFindings, folder: Path, name: str, title: str) -> Figure:
    """Draw for each confirmed proposal its value in the search and with fresh seeds, and the default beside them.

    Args:
        found: the findings of one search with at least one confirmed proposal.
        folder, name, title: of the figure.
    """
    metric, rows = found.objectives[0], found.confirmed
    labels = [row.name for row in rows]
    drawing = canvas.new_drawing(canvas.rows_height_in(labels, _WIDTH, 0.44) + 1.35)
    axes = drawing.subplots()
    for place, row in enumerate(rows):
        _draw_confirmed(axes, place, row, unit(metric))
    if default := found.default:
        for value, looks in ((default.search_value, _DEFAULT_SEARCH), (default.fresh_mean, _DEFAULT_FRESH)):
            if value is not None:
                axes.axvline(value * unit(metric), zorder=1, **looks)
    _add_marks(axes)
    canvas.name_rows(axes, labels, _WIDTH)
    axes.set_xlabel(search_space.axis_name(metric))
    axes.grid(axis="x")
    canvas.add_legend(drawing, axes)
    num = len(found.confirm_seeds)
    caption = (
        "Grey: the mean over the search seeds, by which proposals were chosen. Blue: the mean of the same "
        f"configuration with {num} fresh {'seed' if num == 1 else 'seeds'}; dots: each of them. The default has run "
        "on both: read grey against the dotted line and blue against the dashed one. A gain that shrinks from grey to "
        f"blue is the winner's curse.{_FLATTERED if found.num_confirmed > 1 else ''}"
    )
    return canvas.save(drawing, folder, name, title, caption, _describe(rows, metric))


_DEFAULT_SEARCH: dict[str, Any] = {"color": canvas.GREY, "linewidth": 1.2, "linestyle": (0, (1, 1.5))}
_DEFAULT_FRESH: dict[str, Any] = {"color": canvas.INK, "linewidth": 1, "linestyle": (0, (4, 2))}
"""Style of the lines through all rows at the two values of the default."""
_FLATTERED = " The best of these is chosen by its blue value, which makes that value slightly optimistic."
_FRESH: dict[str, Any] = {"linestyle": "none", "color": canvas.COLOURS[0], "markersize": 7, "zorder": 5}


def _draw_confirmed(axes: Axes, place: int, row: Confirmed, size: float) -> None:
    searched, fresh = row.search_value, row.fresh_mean
    if searched is not None and fresh is not None:
        arrow = {"arrowstyle": "->", "color": canvas.GREY, "shrinkA": 4, "shrinkB": 5}
        axes.annotate("", (fresh * size, place), (searched * size, place), arrowprops=arrow, zorder=2)
    if searched is not None:
        axes.plot(searched * size, place, "o", fillstyle="none", zorder=6, **_HOLLOW)
    if fresh is not None:
        axes.plot(fresh * size, place, "D", **_FRESH)
    values = [value * size for value in row.fresh_values]
    axes.scatter(values, [place - 0.25] * len(values), **canvas.DOT)


def _add_marks(axes: Axes) -> None:
    axes.plot([], [], "o", fillstyle="none", label="in the search", **_HOLLOW)
    axes.plot([], [], "D", label="fresh seeds, mean", **_FRESH)
    axes.scatter([], [], label="one fresh seed", **canvas.DOT)
    axes.plot([], [], label="default, in the search", **_DEFAULT_SEARCH)
    axes.plot([], [], label="default, fresh seeds", **_DEFAULT_FRESH)


def _describe(rows: Sequence[Confirmed], metric: str) -> str:
    show = METRICS[metric].show
    each = "; ".join(
        f"{row.name}: {show(row.search_value)} in the search, {show(row.fresh_mean)} with fresh seeds" for row in rows
    )
    return f"{METRICS[metric].heading} of the default and the confirmed proposals. {each}."


def draw_importance(found: SearchFindings, folder: Path, name: str, title: str) -> Figure:
    """Draw the share of the variance that each parameter explains.

    Args:
        found: the findings of one search with importances.
        folder, name, title: of the figure.
    """
    shares = found.importances
    labels = list(shares)
    drawing = canvas.new_drawing(canvas.rows_height_in(labels, 30) + 0.8)
    axes = drawing.subplots()
    axes.barh(range(len(labels)), [100 * share for share in shares.values()], height=0.6, **canvas.BAR)
    canvas.name_rows(axes, labels, 30)
    axes.set_xlim(left=0)
    axes.set_xlabel("share of the variance explained (%)")
    axes.grid(axis="x")
    caption = (
        f"fANOVA (Hutter et al., 2014) of {METRICS[found.objectives[0]].title}{search_space.early(found)}, over the "
        "proposals of this search and within this space; conditional parameters are left out. "
        "With few proposals it is an indication, not a measurement."
    )
    alt = "; ".join(f"{path}: {100 * share:.0f} %" for path, share in shares.items())
    return canvas.save(drawing, folder, name, title, caption, f"Importance of parameters: {alt}.")


def draw_pareto(found: SearchFindings, folder: Path, name: str, title: str) -> Figure:
    """Draw all complete proposals by both objectives, the Pareto front, and the values with fresh seeds.

    Args:
        found: the findings of one search with two objectives and at least one complete proposal.
        folder, name, title: of the figure.
    """
    up, across = found.objectives
    values = {str(row.proposal): row.values for row in found.history if row.values}
    front = sorted(map(str, found.pareto_front or ()), key=lambda label: (values[label][1], int(label)))
    names = {label: label for label in (*front, DEFAULT)}
    again = found.confirmed if found.is_fresh else []
    if found.default is not None and (pair := _in_search(found.default, across)):
        values[DEFAULT] = pair
    points = [
        tradeoff.Point(label, _spread(value[1] * unit(across)), _spread(value[0] * unit(up)))
        for label, value in values.items()
    ]
    drawing = canvas.new_drawing(3.8)
    axes = drawing.subplots()
    draw_again(axes, found, again)
    tradeoff.draw_panel(axes, points, front, names)
    axes.set(xlabel=search_space.axis_name(across), ylabel=search_space.axis_name(up).replace(", ", "\n"))
    canvas.add_legend(drawing, axes)
    tradeoff.place_labels(drawing)
    caption = (
        "Each complete proposal and the default, the mean over the search seeds. Numbered, on the green line: those "
        "that no other proposal beats in both objectives (the Pareto front). "
        f"{_AGAIN if again else ''}The first objective, {METRICS[up].title}, decides which one on the front is named."
    )
    alt = "; ".join(f"proposal {label}: {_both(found, values[label])}" for label in front)
    fresh = [f"{row.name}: {_both(found, pair)}" for row in again if (pair := _with_fresh_seeds(row, across))]
    with_fresh = f" With fresh seeds: {'; '.join(fresh)}." if fresh else ""
    return canvas.save(drawing, folder, name, title, caption, f"On the front: {alt}.{with_fresh}")


_AGAIN = "A thin line leads from each confirmed configuration to its mean with fresh seeds. "


def _in_search(row: Confirmed, second: str) -> tuple[float, float] | None:
    """Return both objectives with the search seeds, None if one is not known."""
    return _known(row.search_value, row.further[second].search)


def _with_fresh_seeds(row: Confirmed, second: str) -> tuple[float, float] | None:
    """Return both objectives with fresh seeds, None if one is not known."""
    return _known(row.fresh_mean, row.further[second].fresh)


def _known(first: float | None, second: float | None) -> tuple[float, float] | None:
    return None if first is None or second is None else (first, second)


def draw_again(axes: Axes, found: SearchFindings, rows: Sequence[Confirmed]) -> None:
    """Draw a thin line from each confirmed configuration's value in the search to its value with fresh seeds.

    Args:
        axes: the panel, with the first objective on its y axis and the second on its x axis.
        found: the findings of one search with two objectives.
        rows: the confirmed configurations.
    """
    up, across = found.objectives
    looks: dict[str, Any] = {"fillstyle": "none", "color": canvas.INK, "markersize": 6}
    for row in rows:
        searched, fresh = _in_search(row, across), _with_fresh_seeds(row, across)
        ends = [(second * unit(across), first * unit(up)) for first, second in filter(None, (searched, fresh))]
        if fresh:
            axes.plot(*zip(*ends, strict=True), color=canvas.GREY, linewidth=0.8, zorder=1)
            axes.plot(*ends[-1], "D", clip_on=False, zorder=3, **looks)
    if rows:
        axes.plot([], [], "D", label="with fresh seeds", linestyle="none", **looks)


def _both(found: SearchFindings, pair: Sequence[float]) -> str:
    both = zip((METRICS[name] for name in found.objectives), pair, strict=True)
    return ", ".join(f"{metric.title} {metric.show(value)}" for metric, value in both)


def _spread(value: float) -> Spread:
    assert math.isfinite(value)
    return Spread(value, None, "", [value], 0)
