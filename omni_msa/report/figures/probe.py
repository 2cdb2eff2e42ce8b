"""How well the label can be predicted from the hidden states of each layer of the frozen backbone."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from omni_msa.evidence.gather import Evidence
from omni_msa.report.figures import canvas
from omni_msa.report.figures.canvas import Figure

_TRIALS_MAX = 6
_PANELS = (
    ("valid_mae", "MAE on valid\nlower is better"),
    ("valid_corr", "Corr on valid\nhigher is better"),
    ("valid_accuracy", "Accuracy on valid\nhigher is better"),
    ("valid_f1_weighted", "F1 weighted on valid\nhigher is better"),
)

Row = Mapping[str, Any]


def probe_rows(evidence: Evidence) -> list[dict[str, Any]]:
    """Return the rows of the `probe.csv` of every complete trial with a valid one, with cell and trial id added."""
    rows: list[dict[str, Any]] = []
    for record in evidence.records:
        table = record.folder.table("probe") if record.is_complete else []
        if table and _is_whole(table):
            rows += [{"cell": record.trial.cells[0], "trial_id": record.trial_id, **row} for row in table]
    return rows


def _is_whole(rows: Sequence[Mapping[str, str]]) -> bool:
    """Return whether these are rows as the probe writes them: the file may have been edited."""
    try:
        return all(
            row["pooling"] and row["chosen"] in ("True", "False") and int(row["layer"]) >= 0 and _numbers(row)
            for row in rows
        )
    except (KeyError, TypeError, ValueError):
        return False


def _numbers(row: Mapping[str, str]) -> dict[str, float]:
    return {name: float(row[name]) if row[name] else math.nan for name, _ in _PANELS if name in row}


def draw(evidence: Evidence, folder: Path) -> list[Figure]:
    """Draw a figure for each trial that probed layers, at most six, with one line per pooling."""
    trials: dict[str, list[Row]] = {}
    for row in probe_rows(evidence):
        trials.setdefault(row["trial_id"], []).append(row)
    return [draw_trial(rows, folder, len(trials)) for rows in list(trials.values())[:_TRIALS_MAX]]


@canvas.styled()
def draw_trial(rows: Sequence[Row], folder: Path, num_trials: int = 1) -> Figure:
    """Draw the probe's metrics on valid by layer, one line per pooling.

    Args:
        rows: of one trial, as `probe_rows` returns them.
        folder: of the figure.
        num_trials: how many trials were probed, for the caption.
    """
    shown = [panel for panel in _PANELS if any(row.get(panel[0]) for row in rows)]
    drawing = canvas.new_drawing(2.3 * len(shown) + 1)
    panels = drawing.subplots(len(shown), 1, squeeze=False, sharex=True)[:, 0]
    for axes, (column, name) in zip(panels, shown, strict=True):
        _draw_panel(axes, rows, column)
        axes.set_ylabel(name)
        axes.grid(True)
    panels[-1].set_xlabel("layer (0: input of the first)")
    canvas.add_legend(drawing, panels[0])
    cell, chosen = rows[0]["cell"], next(row for row in rows if row["chosen"] == "True")
    limited = f" The first {_TRIALS_MAX} of {num_trials} such trials are shown." if num_trials > _TRIALS_MAX else ""
    where = f"layer {chosen['layer']}, pooling {chosen['pooling']}"
    caption = (
        f"{cell}: ridge regression on the frozen states of each layer, one line per pooling of tokens, on valid. "
        f"Ring: {where}, chosen on valid; only this one was tested.{limited}"
    )
    alt = f"Probe of {cell} by layer; the best on valid is {where}: " + ", ".join(
        f"{name.splitlines()[0]} {float(chosen[column]):.3f}" for column, name in shown if chosen.get(column)
    )
    return canvas.save(
        drawing, folder, f"probe_{rows[0]['trial_id']}", f"Probe of each layer: {cell}", caption, f"{alt}."
    )


def _draw_panel(axes: Axes, rows: Sequence[Row], column: str) -> None:
    for index, pooling in enumerate(dict.fromkeys(row["pooling"] for row in rows)):
        style = canvas.look(index)
        points = sorted((int(row["layer"]), _numbers(row)[column]) for row in rows if row["pooling"] == pooling)
        looks = {"label": f"pooling: {pooling}", "markersize": 4, "linewidth": 1.4, **style.of_line}
        axes.plot(*zip(*points, strict=True), **looks)
    for row in rows:
        if row["chosen"] == "True":
            axes.plot(int(row["layer"]), _numbers(row)[column], "o", color=canvas.INK, fillstyle="none", markersize=11)
