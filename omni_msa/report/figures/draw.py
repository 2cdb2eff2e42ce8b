"""All figures of a sweep, in the order of a report."""

from pathlib import Path

from omni_msa.evidence.gather import Evidence
from omni_msa.report.figures import (
    bars,
    combinations,
    curves,
    forest,
    ordered,
    predictions,
    probe,
    search,
    states,
    tradeoff,
)
from omni_msa.report.figures.canvas import Figure
from omni_msa.system.files import csv_text, write_text

_FIRST = (bars.draw_bars, forest.draw, bars.draw_metrics, combinations.draw, ordered.draw, search.draw)
_LATER = (predictions.draw, curves.draw, tradeoff.draw, probe.draw)


def draw_all(evidence: Evidence, folder: Path) -> list[Figure]:
    """Draw every figure for which there is data.

    Args:
        evidence: of the sweep.
        folder: of the report: figures go to its `figures/`; `probe.csv` and `neighbours.csv` go beside `table.csv`.

    Returns:
        The figures, those that answer the sweep's question first.
    """
    figures_folder = folder / "figures"
    spaces, limited = states.spaces(evidence)
    figures = [figure for draw in (*_FIRST, *_LATER) for figure in draw(evidence, figures_folder)]
    figures += states.draw(spaces, limited, evidence.summary.metric, figures_folder)
    for name, rows in (("probe.csv", probe.probe_rows(evidence)), ("neighbours.csv", states.neighbour_rows(spaces))):
        if rows:
            write_text(folder / name, csv_text(rows))
    return figures
