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
    """Draw every figure that the evidence has data for.

    Args:
        evidence: of the sweep.
        folder: of the report, new: figures go to `figures/` in it, `probe.csv` and `neighbours.csv` beside `table.csv`.

    Returns:
        The figures, those that answer the sweep's question first.
    """
    place = folder / "figures"
    found, limited = states.spaces(evidence)
    figures = [figure for draw in (*_FIRST, *_LATER) for figure in draw(evidence, place)]
    figures += states.draw(found, limited, evidence.summary.metric, place)
    for name, rows in (("probe.csv", probe.probe_rows(evidence)), ("neighbours.csv", states.neighbour_rows(found))):
        if rows:
            write_text(folder / name, csv_text(rows))
    return figures
