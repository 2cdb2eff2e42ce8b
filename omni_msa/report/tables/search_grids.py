"""The tables of a search: what was run again with fresh seeds beside the default, and which parameters mattered."""

from collections.abc import Sequence
from typing import Any

from omni_msa.evidence.comparisons.wording import signed
from omni_msa.report.tables.columns import Column, Row, count, lay_out, number, percent, word
from omni_msa.report.tables.grid import Entry, Grid
from omni_msa.search.study_folder import DEFAULT
from omni_msa.stats.metrics import METRICS, Metric
from omni_msa.text import count as counted


def confirmed_grid(found: Row) -> Grid | None:
    """Return what each confirmed configuration reached in the search and with fresh seeds, and the default with both.

    Args:
        found: one search, as `search.json` has it.

    Returns:
        None before anything was confirmed.
    """
    if not found["confirmed"]:
        return None
    metric = METRICS[found["objectives"][0]]
    columns: list[Column] = [
        ("configuration", lambda row: Entry(_name(row), bold=row["configuration"] == str(found["winner"]))),
        *(_measured(found, metric) if found["is_fresh"] else _measured_once(found, metric)),
        ("state", lambda row: word(row["state"])),
        ("parameters", lambda row: word(row["parameters"])),
    ]
    where = " on valid" if metric.kind == "quality" else ""
    when = ", in the search and with fresh seeds" if found["is_fresh"] else ""
    grid = lay_out(f"{metric.heading}{where}{when}", found["confirmed"], columns, words=("state", "parameters"))
    grid.notes.extend(_notes(found, metric))
    return grid


def _measured(found: Row, metric: Metric) -> list[Column]:
    """The columns of a search with seeds; of a further objective both means and no gain: it names nobody."""
    columns = [
        _number("in the search", "search_value", metric),
        _gain("better than the default by (search)", "search_gain", metric),
        _number("fresh seeds, mean", "fresh_mean", metric),
        _number("std", "fresh_std", metric),
        ("n", lambda row: count(row["n"])),
        _gain("better than the default by (fresh)", "fresh_gain", metric),
    ]
    for other in (METRICS[name] for name in found["objectives"][1:]):
        columns += [
            _number(f"{other.heading}, in the search", f"search_{other.name}", other),
            _number(f"{other.heading}, fresh seeds", f"fresh_{other.name}", other),
            _number(f"{other.title}, std", f"fresh_{other.name}_std", other),
        ]
    return columns


def _measured_once(found: Row, metric: Metric) -> list[Column]:
    """The columns of a search without seeds: there is one number, by which was chosen."""
    others = [METRICS[name] for name in found["objectives"][1:]]
    return [
        _number("value", "fresh_mean", metric),
        _gain("better than the default by", "fresh_gain", metric),
        *(_number(other.heading, f"fresh_{other.name}", other) for other in others),
    ]


def _number(heading: str, key: str, metric: Metric) -> Column:
    return heading, lambda row: number(row[key], metric)


def _gain(heading: str, key: str, metric: Metric) -> Column:
    def show(row: Row) -> Entry | None:
        return None if row[key] is None else Entry(signed(metric.name, row[key]), value=row[key])

    return heading, show


def _name(row: Row) -> str:
    configuration = str(row["configuration"])
    return configuration if configuration == DEFAULT else f"proposal {configuration}"


def _notes(found: Row, metric: Metric) -> list[str]:
    bold = "" if found["winner"] is None else "Bold: the winner."
    return [note for note in (_about_numbers(found), _choice(found), _front(found, metric), _same(found), bold) if note]


def _about_numbers(found: Row) -> str:
    if not found["is_fresh"]:
        return (
            "The readout has no seeds: nothing is drawn at random, and the choice was made on this very number. "
            "It is flattered for these clips, and no seed can tell by how much."
        )
    return (
        "In the search: the mean over the search seeds, by which proposals were chosen. The default has run on both "
        "sets of seeds, so both gains compare like with like (above 0: better). A gain that shrinks from search to "
        "fresh is the winner's curse."
    )


def _choice(found: Row) -> str:
    """Say what fresh seeds chose and what they did not."""
    if not found["is_fresh"]:
        return ""
    num = sum(row["configuration"] != DEFAULT for row in found["confirmed"])
    if max(num, found["num_confirmed"]) < 2:
        return "The fresh seeds did not choose this proposal: the search seeds did."
    these = f"these {num} proposals" if num > 1 else "this proposal"
    return (
        f"The fresh seeds did not choose {these}: the search seeds did. But they choose the best of all that were "
        f"confirmed, so its mean is flattered a little; the interval of the verdict is corrected for it "
        f"({counted(found['num_confirmed'], 'confirmation')} so far)."
    )


def _front(found: Row, metric: Metric) -> str:
    if len(found["objectives"]) < 2:
        return ""
    return f"The first objective, {metric.title}, decides which of the front is named."


def _same(found: Row) -> str:
    """Say which proposals are the default itself, as far as numbers tell."""
    keys = ("search_value", "fresh_values")
    theirs = next((row for row in found["confirmed"] if row["configuration"] == DEFAULT), None)
    if theirs is None or not theirs["fresh_values"]:
        return ""
    rows = [row for row in found["confirmed"] if row is not theirs]
    same = [_name(row) for row in rows if all(row[key] == theirs[key] for key in keys)]
    if not same:
        return ""
    verb = "has" if len(same) == 1 else "have"
    return (
        f"{_sentence(same)} {verb} the numbers of the default to the last digit: what they set makes no "
        "difference, or is what the default has."
    )


def _sentence(names: Sequence[str]) -> str:
    text = " and ".join(names)
    return text[:1].upper() + text[1:]


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
    early = f", {found['first_rung']}" if found["first_rung"] else ""
    return lay_out(f"Which parameters mattered (fANOVA{early})", rows, columns) if rows else None
