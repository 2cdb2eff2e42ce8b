"""A plan as plain values, for `--json`."""

from typing import Any

from omni_msa.ledger import Ledger
from omni_msa.plan import Plan, PlannedTrial


def as_json(plan: Plan) -> dict[str, Any]:
    """Return the plan as plain values, for `--json`."""
    expected = plan.expected
    return {
        "sweep": plan.sweep.name,
        "question": plan.sweep.file.question,
        "profile": plan.sweep.file.profile,
        "num_cells": len(plan.sweep.cells),
        "seeds": list(plan.sweep.file.seeds),
        "counts": {**plan.counts(), "missing": len(plan.missing())},
        "num_slots": plan.num_slots,
        "slots": {"num_gpus": plan.slots.num_gpus, "visible_devices": plan.slots.visible_devices},
        "notes": [*plan.slots.notes, *plan.data_notes],
        "expected": {
            "seconds": expected.seconds,
            "hours": plan.hours(expected.work_s),
            "hours_of": plan.hours_of,
            "basis": expected.basis,
        },
        "cells": [{"cell": cell, "hours": hours} for cell, hours in plan.cell_hours().items()],
        "models": [vars(model) for model in plan.models],
        "memory_gb": {"total": plan.largest.memory.total, **vars(plan.largest.memory)} if plan.largest else None,
        "searches": [study.text() for study in plan.studies],
        "would_refuse": [vars(problem) for problem in plan.refusals],
        "trials": [_trial_json(trial, plan) for trial in plan.trials],
    }


def _trial_json(trial: PlannedTrial, plan: Plan) -> dict[str, Any]:
    ids = (trial.trial_id, trial.fit_id) if plan.is_readable else (None, None)
    folder = str(plan.ledger.trial(trial.trial_id).path) if plan.is_readable else None
    values = {"trial_id": ids[0], "fit_id": ids[1], "cells": list(trial.cells), "seed": trial.config.seed}
    cost = plan.costs.get(trial.trial_id)
    more = {"expected_s": cost.seconds if cost else 0.0, "last_line": last_line(trial, plan.ledger)}
    return {**values, "folder": folder, "status": vars(trial.status), **more}


def last_line(trial: PlannedTrial, ledger: Ledger) -> str:
    """Return the last line of a failed trial's `error.txt`, or what its status says; "" if it has not failed."""
    if trial.status.state != "failed":
        return ""
    try:
        text = (ledger.trial(trial.trial_id).path / "error.txt").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    last = (text.strip().splitlines() or [""])[-1]
    is_heading = last.startswith("== attempt ")  # the attempt left no more than that
    return (trial.status.failure or {}).get("message", "") if is_heading or not last else last
