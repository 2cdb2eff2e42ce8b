"""The tables of a search: what was run again with fresh seeds beside the default, and which parameters mattered."""

from typing import Any

from omni_msa.grids.columns import Column, Row, count, lay_out, number, percent, word
from omni_msa.grids.grid import Entry, Grid
from omni_msa.metrics import METRICS

DEFAULT = "default"


def confirmed_grid(found: Row) -> Grid | None:
    """Return search value and fresh-seed value of each confirmed configuration side by side, the default among them.

    Args:
        found: one search, as `search.json` has it.

    Returns:
        None before anything was confirmed.
    """
    if not found["confirmed"]:
        return None
    metric = METRICS[found["objectives"][0]]
    columns: list[Column] = [
        ("configuration", lambda row: Entry(_name(row["configuration"]))),
        ("in the search", lambda row: number(row["search_value"], metric)),
        ("fresh seeds, mean", lambda row: number(row["fresh_mean"], metric)),
        ("std", lambda row: number(row["fresh_std"], metric)),
        ("n", lambda row: count(row["n"])),
        ("flattered by", lambda row: number(_flattered(row, metric.better), metric)),
        ("state", lambda row: word(row["state"])),
        ("parameters", lambda row: word(row["parameters"])),
    ]
    title = f"{metric.heading} on valid, before and after" if metric.kind == "quality" else metric.heading
    grid = lay_out(title, found["confirmed"], columns, words=("state", "parameters"))
    grid.notes.append(
        "In the search: the mean over the search seeds, by which the proposal was chosen. Fresh seeds had no part in "
        "choosing. Flattered by: how much better the first looks than the second."
    )
    return grid


def _name(configuration: str) -> str:
    return configuration if configuration == DEFAULT else f"proposal {configuration}"


def _flattered(row: Row, better: str) -> float | None:
    if row["search_value"] is None or row["fresh_mean"] is None:
        return None
    sign = -1 if better == "higher" else 1
    gained: float = sign * (row["fresh_mean"] - row["search_value"])
    return gained


def importance_grid(found: Row) -> Grid | None:
    """Return the share of the variance that each parameter explains, None where there is none.

    Args:
        found: one search, as `search.json` has it.
    """
    rows: list[dict[str, Any]] = [{"parameter": path, "share": share} for path, share in found["importances"].items()]
    columns: list[Column] = [
        ("parameter", lambda row: Entry(row["parameter"])),
        ("share of the variance (%)", lambda row: percent(row["share"])),
    ]
    return lay_out("Which parameters mattered (fANOVA)", rows, columns) if rows else None
