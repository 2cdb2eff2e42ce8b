"""Everything a sweep's report is made from, gathered once from the plan and the ledger; nothing is written here."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from omni_msa.config import plugins
from omni_msa.config.lookups import root_of
from omni_msa.datasets._base import DATASETS
from omni_msa.errors import InputError
from omni_msa.evidence.cell_trials import CellTrials, cell_trials
from omni_msa.evidence.comparisons.clip_scores import Resampler, common_seeds
from omni_msa.evidence.comparisons.compare import compare, pairs_of
from omni_msa.evidence.comparisons.comparison import Comparison
from omni_msa.evidence.comparisons.controls import Control, prove
from omni_msa.evidence.comparisons.decisions import SweepProgress
from omni_msa.evidence.comparisons.pairs import Pairs
from omni_msa.evidence.comparisons.selection import selection_of
from omni_msa.evidence.comparisons.verdict import Verdict, decide, leading
from omni_msa.evidence.records import TrialRecord, read_records
from omni_msa.evidence.summary import cell_summary, floor_of, gap_shares
from omni_msa.planning.plan import Plan
from omni_msa.seeding import derive
from omni_msa.stats.metrics import headline
from omni_msa.system.files import finite


@dataclass(frozen=True)
class Evidence:
    """What tables, figures, report.html and MLflow are made from.

    Args:
        plan: with the states as they are now.
        records: of every trial, in the plan's order.
        summary: the content of `aggregate.json`: cells, comparisons, controls, selection, verdict, notes.
        pairs: the comparisons among them, typed.
        dataset: the plug-in's name where all cells have the same one, else "".
        human: metrics of a human rater on test, None where the dataset has none.
        searches: what each search has found, as `search.json` has it.
    """

    plan: Plan
    records: Sequence[TrialRecord]
    summary: dict[str, Any]
    pairs: Pairs = field(default_factory=Pairs)
    dataset: str = ""
    human: Mapping[str, float] | None = None
    searches: Sequence[Mapping[str, Any]] = ()

    def of_cell(self, label: str) -> list[TrialRecord]:
        """Return the complete trials of a cell, in the order of its seeds."""
        return [record for record in self.records if record.is_complete and label in record.trial.cells]


def gather(plan: Plan) -> Evidence:
    """Read a sweep's trials and work out all that its report says; repeated, it gives the same numbers.

    Args:
        plan: with the states as they are now.
    """
    records = read_records(plan)
    cells = cell_trials(plan, records)
    dataset, human = _dataset(plan)
    dropped = dropped_clips(plan)
    if any(clip["split"] == "test" for clip in dropped):
        human = None  # it is over other clips
    summary, pairs = _summary(plan, cells, human, dropped)
    return Evidence(plan, records, finite(summary | {"dataset": dataset}), pairs, dataset, human)


def _summary(
    plan: Plan, cells: Sequence[CellTrials], human: Mapping[str, float] | None, dropped: list[dict[str, Any]]
) -> tuple[dict[str, Any], Pairs]:
    file = plan.sweep.file
    resampler = Resampler(derive(0, "report", plan.sweep.name.rpartition("/")[2]))
    rows = [cell_summary(trials, resampler) for trials in cells]
    floors = [floor_of(cells, trials) for trials in cells]
    by_label = {row["label"]: row for row in rows}
    for row, floor in zip(rows, floors, strict=True):
        row["gap_share"] = gap_shares(row["metrics"], by_label[floor.label]["metrics"] if floor else {}, human or {})
    metric = file.compare.metric if file.compare else file.select.metric
    pairs = _compared(plan, cells, metric, resampler)
    verdict = _verdict(plan, rows, metric, pairs, len(dropped))
    family = max((comparison.family for comparison in pairs.differences), default=0)
    summary = {
        "sweep": plan.sweep.name,
        "question": file.question,
        "style": file.style,
        "metric": metric,
        "cells": rows,
        **pairs.as_json(),
        "selection": selection_of(plan, family, metric, verdict.num_seeds_more),
        "verdict": asdict(verdict),
        "floor": next((floor.label for floor in floors if floor), None),
        "human": None if human is None else dict(human),
        "notes": [*_laid_over(plan), *data_notes(plan), *(note for trials in cells for note in trials.notes)],
        "dropped_clips": dropped,
    }
    return summary, pairs


def _compared(plan: Plan, cells: Sequence[CellTrials], metric: str, resampler: Resampler) -> Pairs:
    """Return the comparisons on the primary metric, those on other headline metrics, and how controlled they are."""
    compared = plan.sweep.file.compare
    if compared is None:
        return Pairs()
    pairs = pairs_of(cells, compared.against)
    names = {name for trials in cells for record in trials.records.values() for name in record.test}
    others = [name for name in headline(names) if name != metric and name in names]
    primary = compare(pairs, [metric], resampler, compared.smallest_difference)
    exploratory = compare(pairs, others, resampler)
    controls = [prove_pair(cell, other) for cell, other in pairs if other]
    known = {(one.label, one.against): one.controlled for one in controls}

    def with_control(one: Comparison) -> Comparison:
        return replace(one, controlled=known.get((one.label, one.against)) if one.n else None)

    return Pairs([*map(with_control, primary)], [*map(with_control, exploratory)], controls)


def prove_pair(cell: CellTrials, other: CellTrials) -> Control:
    """Return how far the comparison of two cells is controlled, by their settings and all trials that pair."""
    seeds = common_seeds(cell.seeds, other.seeds)
    sides = [[each.records[None if each.cell.deterministic else seed] for seed in seeds] for each in (cell, other)]
    return prove(cell.cell, other.cell, list(zip(*sides, strict=True)))


def _verdict(
    plan: Plan,
    rows: Sequence[Mapping[str, Any]],
    metric: str,
    pairs: Pairs,
    num_dropped: int,
) -> Verdict:
    counts, failed = plan.counts(), {row["label"]: row["failed"] for row in rows if row["failed"]}
    num_seeds = len(plan.sweep.file.seeds)
    progress = SweepProgress(counts["trials"], counts["complete"], counts["failed"], failed, num_seeds, num_dropped)
    if plan.sweep.file.compare is not None:
        return decide(metric, pairs.differences, pairs.controls, progress)
    found = {row["label"]: row["metrics"][metric] for row in rows if row["metrics"].get(metric, {}).get("n")}
    whole = {row["label"] for row in rows if row["label"] in found and found[row["label"]]["n"] == len(row["seeds"])}
    means = {label: found[label]["mean"] for label in found if label in whole}
    return leading(metric, means, progress, len(found) - len(means))


def dropped_clips(plan: Plan) -> list[dict[str, Any]]:
    """Return one row for each clip that every trial leaves out."""
    found = [store.found for store in plan.stores.values() if store.found is not None]
    return [{"dataset": one.dataset, **vars(fault)} for one in found for fault in one.clips.values()]


def _laid_over(plan: Plan) -> list[str]:
    """Say which settings stood on the command line: they can change what is compared, and with how many others."""
    given = plan.sweep.overrides
    return [f"On the command line, over the sweep file: {' '.join(given)}."] if given else []


def data_notes(plan: Plan) -> list[str]:
    """Return what a reader must know of the data: of these copies of the corpora, and of clips left out."""
    found = [store.found for store in plan.stores.values() if store.found is not None]
    return [*plan.data_notes, *(text for one in found if (text := one.text()))]


def _dataset(plan: Plan) -> tuple[str, Mapping[str, float] | None]:
    """Return name and human row of the dataset, if the whole sweep has the same one."""
    first, *others = {cell.config.dataset: None for cell in plan.sweep.cells}
    if others:
        return "", None
    try:
        human: Mapping[str, float] | None = plugins.load(DATASETS, first.name).human_row(root_of(first), first)
    except InputError:  # a report is possible without the data
        human = None
    if human is not None:  # with a handful of clips a correlation can be undefined
        human = {name: value for name, value in human.items() if math.isfinite(value)}
    return first.name, human
