"""Gathers all data of a sweep's report once, from the plan and the ledger; nothing is written here."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from omni_msa.config import plugins
from omni_msa.config.lookups import root_of
from omni_msa.datasets._base import DATASETS
from omni_msa.errors import InputError
from omni_msa.evidence.cell_trials import CellTrials, cell_trials
from omni_msa.evidence.comparisons.clip_scores import Resampler, common_trials
from omni_msa.evidence.comparisons.compare import compare, pairs_of
from omni_msa.evidence.comparisons.comparison import Comparison
from omni_msa.evidence.comparisons.controls import Control, prove
from omni_msa.evidence.comparisons.decisions import SweepProgress
from omni_msa.evidence.comparisons.selection import selection_of
from omni_msa.evidence.comparisons.verdict import Verdict, decide, leading
from omni_msa.evidence.records import TrialRecord, read_records
from omni_msa.evidence.search_summary import SearchFindings
from omni_msa.evidence.summary import CellSummary, cell_summary, floor_of, gap_shares
from omni_msa.evidence.sweep_summary import DroppedClip, SweepSummary
from omni_msa.planning.plan import Plan
from omni_msa.seeding import derive
from omni_msa.stats.metrics import headline


@dataclass(frozen=True)
class Evidence:
    """The data behind tables, figures, report.html and MLflow.

    Args:
        plan: with the current states of its trials.
        records: of every trial, in the order of the plan.
        summary: statistics of the cells, comparisons of them, selection, verdict, notes.
        searches: the findings of each search.
    """

    plan: Plan
    records: Sequence[TrialRecord]
    summary: SweepSummary
    searches: Sequence[SearchFindings] = ()

    def of_cell(self, label: str) -> list[TrialRecord]:
        """Return the complete trials of a cell, in the order of its seeds."""
        return [record for record in self.records if record.is_complete and label in record.trial.cells]


def gather(plan: Plan) -> Evidence:
    """Read a sweep's trials and compute all that its report shows; the same trials give the same numbers.

    Args:
        plan: with the current states of its trials.
    """
    records = read_records(plan)
    return Evidence(plan, records, _summary(plan, cell_trials(plan, records)))


def _summary(plan: Plan, trials: Sequence[CellTrials]) -> SweepSummary:
    dataset, human = _dataset(plan)
    dropped = dropped_clips(plan)
    if any(clip.fault.split == "test" for clip in dropped):
        human = None  # it was measured on other clips
    file, resampler = plan.sweep.file, Resampler(derive(0, "report", plan.sweep.name.rpartition("/")[2]))
    cells, floor = _cells(trials, human or {}, resampler)
    metric = file.compare.metric if file.compare else file.select.metric
    differences, exploratory, controls = _compared(plan, trials, metric, resampler)
    progress = _progress(plan, cells, len(dropped))
    verdict = decide(metric, differences, controls, progress) if file.compare else _leading(metric, cells, progress)
    family = max((comparison.family for comparison in differences), default=0)
    return SweepSummary(
        sweep=plan.sweep.name,
        question=file.question,
        style=file.style,
        metric=metric,
        cells=cells,
        differences=differences,
        exploratory=exploratory,
        controls=controls,
        selection=selection_of(plan, family, metric, verdict.num_seeds_more),
        verdict=verdict,
        floor=floor,
        human=human,
        notes=[*_laid_over(plan), *data_notes(plan), *(note for each in trials for note in each.notes)],
        dropped_clips=dropped,
        dataset=dataset,
    )


def _cells(
    trials: Sequence[CellTrials], human: Mapping[str, float], resampler: Resampler
) -> tuple[list[CellSummary], str | None]:
    """Return the statistics of all cells, and the name of the first constant cell that is a reference, if any."""
    cells = {each.name: cell_summary(each, resampler) for each in trials}
    floors = {each.name: floor.name for each in trials if (floor := floor_of(trials, each))}
    shares = {
        name: gap_shares(cell.metrics, cells[floors[name]].metrics if name in floors else {}, human)
        for name, cell in cells.items()
    }
    return [replace(cell, gap_share=shares[name]) for name, cell in cells.items()], next(iter(floors.values()), None)


def _compared(
    plan: Plan, cells: Sequence[CellTrials], metric: str, resampler: Resampler
) -> tuple[list[Comparison], list[Comparison], list[Control]]:
    """Return the comparisons on the primary metric, those on other headline metrics, and the controls of all pairs."""
    compared = plan.sweep.file.compare
    if compared is None:
        return [], [], []
    pairs = pairs_of(cells, compared.against)
    names = {name for trials in cells for record in trials.records.values() for name in record.test}
    others = [name for name in headline(names) if name != metric and name in names]
    primary = compare(pairs, [metric], resampler, compared.smallest_difference)
    exploratory = compare(pairs, others, resampler)
    controls = [prove_pair(cell, other) for cell, other in pairs if other]
    known = {(control.name, control.against): control.controlled for control in controls}

    def with_control(pair: Comparison) -> Comparison:
        return replace(pair, controlled=known.get((pair.name, pair.against)) if pair.n else None)

    return [*map(with_control, primary)], [*map(with_control, exploratory)], controls


def prove_pair(cell: CellTrials, other: CellTrials) -> Control:
    """Return how far the comparison of two cells is controlled, from their settings and all pairs of their trials."""
    return prove(cell.cell, other.cell, list(common_trials(cell.records, other.records).values()))


def _progress(plan: Plan, cells: Sequence[CellSummary], num_dropped: int) -> SweepProgress:
    counts, failed = plan.counts(), {cell.name: cell.failed for cell in cells if cell.failed}
    num_seeds = len(plan.sweep.file.seeds)
    return SweepProgress(counts["trials"], counts["complete"], counts["failed"], failed, num_seeds, num_dropped)


def _leading(metric: str, cells: Sequence[CellSummary], progress: SweepProgress) -> Verdict:
    defined = {cell.name: mean for cell in cells if (mean := cell.of(metric).mean) is not None}
    means = {cell.name: defined[cell.name] for cell in cells if cell.is_whole(metric)}
    return leading(metric, means, progress, len(defined) - len(means))


def dropped_clips(plan: Plan) -> list[DroppedClip]:
    """Return each clip that every trial leaves out."""
    found = [store.found for store in plan.stores.values() if store.found is not None]
    return [DroppedClip(one.dataset, fault) for one in found for fault in one.clips.values()]


def _laid_over(plan: Plan) -> list[str]:
    """Return a note on settings given on the command line: they can change what is compared, and the correction."""
    given = plan.sweep.overrides
    return [f"On the command line, over the sweep file: {' '.join(given)}."] if given else []


def data_notes(plan: Plan) -> list[str]:
    """Return notes on the data: on these copies of the corpora, and on clips that are left out."""
    bad_clips = [store.found for store in plan.stores.values() if store.found is not None]
    return [*plan.data_notes, *(text for clips in bad_clips if (text := clips.text()))]


def _dataset(plan: Plan) -> tuple[str, Mapping[str, float] | None]:
    """Return name and human row of the dataset, "" and None if the cells have different ones."""
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
