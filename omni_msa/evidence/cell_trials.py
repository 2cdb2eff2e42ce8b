"""Cells and the records of their trials."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from omni_msa.config.trial import conventions_of
from omni_msa.evidence.comparisons.clip_scores import ClipScores, tested_of
from omni_msa.evidence.records import TrialRecord
from omni_msa.planning.plan import Plan
from omni_msa.sweep.sweep import Cell

Seed = int | None


@dataclass(frozen=True)
class CellTrials:
    """One cell and the records of its trials.

    Args:
        cell: of the sweep.
        records: its complete trials by seed, in the order of the seeds; a deterministic cell has one, with seed None.
        failed: seeds of its failed trials.
        tested: the usable test predictions of its trials, None without any.
        notes: why predictions of some trials are left out.
        trial_ids: of all its trials, finished or not; cells with equal ids share their trials.
    """

    cell: Cell
    records: Mapping[Seed, TrialRecord]
    failed: tuple[Seed, ...] = ()
    tested: ClipScores | None = None
    notes: tuple[str, ...] = ()
    trial_ids: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The cell's name."""
        return self.cell.name

    @property
    def seeds(self) -> list[Seed]:
        """The seeds of its complete trials, in order."""
        return list(self.records)

    def at(self, seed: Seed, metric: str) -> float | None:
        """Return a metric of the trial with a seed (of the only trial, if the cell is deterministic).

        Returns:
            None if there is no such trial, or its metric is undefined.
        """
        record = self.records.get(None if self.cell.deterministic else seed)
        value = record.metrics.get(metric) if record else None
        return value if value is not None and math.isfinite(value) else None


def cell_trials(plan: Plan, records: Sequence[TrialRecord]) -> list[CellTrials]:
    """Group the trials of a plan by cell and seed, and read their test predictions.

    Args:
        plan: with the current states of its trials.
        records: of all its trials.

    Returns:
        One entry for each cell, in the order of the sweep.
    """
    by_cell: dict[str, dict[Seed, TrialRecord]] = {cell.name: {} for cell in plan.sweep.cells}
    for record in records:
        for label in record.trial.cells:
            by_cell[label][record.seed] = record
    return [_cell_trials(cell, by_cell[cell.name]) for cell in plan.sweep.cells]


def _cell_trials(cell: Cell, by_seed: Mapping[Seed, TrialRecord]) -> CellTrials:
    done = {seed: by_seed[seed] for seed in cell.seeds if seed in by_seed and by_seed[seed].is_complete}
    failed = tuple(seed for seed in cell.seeds if seed in by_seed and by_seed[seed].trial.status.state == "failed")
    tested, notes = tested_of(done, conventions_of(cell.config.dataset))
    trial_ids = tuple(by_seed[seed].trial_id for seed in cell.seeds if seed in by_seed)
    return CellTrials(cell, done, failed, tested, tuple(notes), trial_ids)
