"""The tables of a search: proposals and default with fresh seeds, and the importance of parameters."""

from collections.abc import Sequence

from omni_msa.evidence.comparisons.wording import signed
from omni_msa.evidence.search_summary import Confirmed, SearchFindings
from omni_msa.report.tables.columns import ColumnOf, count, lay_out, number, percent, word
from omni_msa.report.tables.grid import Entry, Grid
from omni_msa.stats.metrics import METRICS, Metric
from omni_msa.text import count as counted

ConfirmedColumn = ColumnOf[Confirmed]


def confirmed_grid(found: SearchFindings) -> Grid | None:
    """Return the values of each confirmed configuration and of the default, in the search and with fresh seeds.

    Args:
        found: the findings of one search.

    Returns:
        None before anything was confirmed.
    """
    if not found.confirmed:
        return None
    metric, *others = (METRICS[name] for name in found.objectives)
    columns: list[ConfirmedColumn] = [
        ("configuration", lambda row: Entry(row.name, bold=row.configuration == str(found.winner))),
        *(_measured(metric, others) if found.is_fresh else _measured_once(metric, others)),
        ("state", lambda row: word(row.state)),
        ("parameters", lambda row: word(row.parameters)),
    ]
    where = " on valid" if metric.kind == "quality" else ""
    when = ", in the search and with fresh seeds" if found.is_fresh else ""
    grid = lay_out(f"{metric.heading}{where}{when}", found.confirmed, columns, words=("state", "parameters"))
    grid.notes.extend(_notes(found, metric))
    return grid


def _measured(metric: Metric, others: Sequence[Metric]) -> list[ConfirmedColumn]:
    """Return the columns of a search with seeds; further objectives have no gain, as they do not choose the winner."""
    return [
        ("in the search", lambda row: number(row.search_value, metric)),
        ("better than the default by (search)", lambda row: _gain(row.search_gain, metric)),
        ("fresh seeds, mean", lambda row: number(row.fresh_mean, metric)),
        ("std", lambda row: number(row.fresh_std, metric)),
        ("n", lambda row: count(row.n)),
        ("better than the default by (fresh)", lambda row: _gain(row.fresh_gain, metric)),
        *(column for other in others for column in _further(other)),
    ]


def _further(metric: Metric) -> list[ConfirmedColumn]:
    return [
        (f"{metric.heading}, in the search", lambda row: number(row.further[metric.name].search, metric)),
        (f"{metric.heading}, fresh seeds", lambda row: number(row.further[metric.name].fresh, metric)),
        (f"{metric.title}, std", lambda row: number(row.further[metric.name].fresh_std, metric)),
    ]


def _measured_once(metric: Metric, others: Sequence[Metric]) -> list[ConfirmedColumn]:
    """Return the columns of a search without seeds: one value, by which the winner was chosen."""
    return [
        ("value", lambda row: number(row.fresh_mean, metric)),
        ("better than the default by", lambda row: _gain(row.fresh_gain, metric)),
        *((other.heading, _further(other)[1][1]) for other in others),
    ]


def _gain(value: float | None, metric: Metric) -> Entry | None:
    return None if value is None else Entry(signed(metric.name, value), value=value)


def _notes(found: SearchFindings, metric: Metric) -> list[str]:
    bold = "" if found.winner is None else "Bold: the winner."
    return [note for note in (_about_numbers(found), _choice(found), _front(found, metric), _same(found), bold) if note]


def _about_numbers(found: SearchFindings) -> str:
    if not found.is_fresh:
        return (
            "The readout has no seeds: nothing is drawn at random, and the choice was made on this very number. "
            "It is optimistically biased for these clips, and further seeds cannot show by how much."
        )
    return (
        "In the search: the mean over the search seeds, by which proposals were chosen. The default has run on both "
        "sets of seeds, so each gain compares values on the same seeds (above 0: better). A gain that shrinks from "
        "search to fresh is the winner's curse."
    )


def _choice(found: SearchFindings) -> str:
    """Return what the fresh seeds chose and what they did not."""
    if not found.is_fresh:
        return ""
    num = sum(row is not found.default for row in found.confirmed)
    if max(num, found.num_confirmed) < 2:
        return "The fresh seeds did not choose this proposal: the search seeds did."
    these = f"these {num} proposals" if num > 1 else "this proposal"
    return (
        f"The fresh seeds did not choose {these}: the search seeds did. But they choose the best of all that were "
        f"confirmed, so its mean is slightly optimistic; the interval of the verdict is corrected for this "
        f"({counted(found.num_confirmed, 'confirmation')} so far)."
    )


def _front(found: SearchFindings, metric: Metric) -> str:
    if len(found.objectives) < 2:
        return ""
    return f"The first objective, {metric.title}, decides which one on the front is named."


def _same(found: SearchFindings) -> str:
    """Return which proposals have exactly the numbers of the default, "" if none has."""
    theirs = found.default
    if theirs is None or not theirs.fresh_values:
        return ""
    numbers = (theirs.search_value, theirs.fresh_values)
    others = [row for row in found.confirmed if row is not theirs]
    same = [row.name for row in others if (row.search_value, row.fresh_values) == numbers]
    if not same:
        return ""
    which = f"{' and '.join(same).capitalize()} {'has' if len(same) == 1 else 'have'}"
    return f"{which} exactly the numbers of the default: the settings that differ have no effect, or none differs."


def importance_grid(found: SearchFindings) -> Grid | None:
    """Return the table of the variance share that each parameter explains, None without importances."""
    columns: list[ColumnOf[tuple[str, float]]] = [
        ("parameter", lambda item: Entry(item[0])),
        ("share of the variance (%)", lambda item: percent(item[1])),
    ]
    early = f", {found.first_rung}" if found.first_rung else ""
    rows = list(found.importances.items())
    return lay_out(f"Which parameters mattered (fANOVA{early})", rows, columns) if rows else None
