"""Figures of a sweep. Only here is matplotlib."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from omni_msa.files import write_atomic

_SETTINGS: Any = {
    "svg.hashsalt": "omni_msa",
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_PANELS = (
    ("valid_mae", "MAE on valid"),
    ("valid_corr", "Corr on valid"),
    ("valid_accuracy", "Accuracy on valid"),
    ("valid_f1_weighted", "F1 weighted on valid"),
)


def draw_probe(rows: Sequence[Mapping[str, str]], title: str, path: Path) -> list[Path]:
    """Draw how well the score is readable in each layer, one line a pooling, as SVG and PNG.

    Args:
        rows: of a trial's `probe.csv`: layer, pooling, chosen, and valid_mae and valid_corr or, of classes,
            valid_accuracy and valid_f1_weighted.
        title: above the panels.
        path: of the figure, without ending.

    Returns:
        The files written; the same rows give the same bytes.
    """
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        shown = [panel for panel in _PANELS if any(row.get(panel[0]) for row in rows)]
        panels = figure.subplots(1, len(shown))
        for axes, (column, name) in zip(panels, shown, strict=True):
            _draw_panel(axes, rows, column)
            axes.set(xlabel="layer (0: what enters the first)", ylabel=name)
        panels[0].legend(title="pooling", frameon=False)
        figure.suptitle(title)
        write_atomic(path.with_suffix(".svg"), lambda file: figure.savefig(file, metadata={"Date": None}))
        write_atomic(path.with_suffix(".png"), lambda file: figure.savefig(file, dpi=150))
    return [path.with_suffix(".svg"), path.with_suffix(".png")]


def _draw_panel(axes: Axes, rows: Sequence[Mapping[str, str]], column: str) -> None:
    for pooling in dict.fromkeys(row["pooling"] for row in rows):
        points = [(int(row["layer"]), _number(row[column])) for row in rows if row["pooling"] == pooling]
        layers, values = zip(*sorted(points), strict=True)
        axes.plot(layers, values, marker=".", label=pooling)
    for row in rows:
        if row["chosen"] == "True":
            axes.plot(int(row["layer"]), _number(row[column]), "o", color="black", fillstyle="none", markersize=9)


def _number(text: str) -> float:
    return float(text) if text else math.nan
