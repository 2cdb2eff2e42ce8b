"""Everything a sweep's report is made from, gathered once from the plan and the ledger; nothing is written here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omni_msa.plan import Plan
from omni_msa.records import TrialRecord


@dataclass(frozen=True)
class Evidence:
    """What tables, figures, report.html and MLflow are made from.

    Args:
        plan: with the states as they are now.
        records: of every trial, in the plan's order.
        summary: the content of `aggregate.json`: cells, comparisons, controls, selection, verdict, notes.
        dataset: the plug-in's name where all cells have the same one, else "".
        human: metrics of a human rater on test, None where the dataset has none.
    """

    plan: Plan
    records: Sequence[TrialRecord]
    summary: dict[str, Any]
    dataset: str = ""
    human: Mapping[str, float] | None = None

    def of_cell(self, label: str) -> list[TrialRecord]:
        """Return the complete trials of a cell, in the order of its seeds."""
        return [record for record in self.records if record.is_complete and label in record.trial.cells]
