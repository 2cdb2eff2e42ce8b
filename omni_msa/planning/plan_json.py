"""A plan as plain values, for `--json`."""

from typing import Any

from omni_msa.ledger.ledger import Ledger
from omni_msa.ledger.trials import PlannedTrial
from omni_msa.planning.plan import Plan
from omni_msa.planning.timing import total
from omni_msa.search import confirmation
from omni_msa.search.forecast import look_ahead
from omni_msa.search.study import PROPOSAL
from omni_msa.search.study_folder import DEFAULT


def as_json(plan: Plan) -> dict[str, Any]:
    """Return the plan as plain values, for `--json`."""
    expected, bounds = plan.expected, open_end(plan)
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
            "seconds": expected.seconds if bounds is None else None,
            "hours": plan.hours(expected.work_s) if bounds is None else None,
            "hours_of": plan.hours_of,
            "basis": expected.basis,
            "open_ended": bounds,
        },
        "cells": [{"cell": cell, "hours": hours} for cell, hours in plan.cell_hours().items()],
        "models": [vars(model) for model in plan.models],
        "memory_gb": {"total": plan.largest.memory.total, **vars(plan.largest.memory)} if plan.largest else None,
        "searches": [confirmation.standing(study) for study in plan.studies],
        "would_refuse": [vars(problem) for problem in plan.refusals],
        "trials": [_trial_json(trial, plan) for trial in plan.trials],
    }


def open_end(plan: Plan) -> dict[str, Any] | None:
    """Return what is known of a plan whose searches end by time, None if none does.

    Returns:
        `trials_at_least` to run and `trials_at_most` (None: nobody knows); what is left to propose in: `proposing_s`,
        and `proposing_hours` of cards or cores (None: not bounded so); `num_searches` that are; `confirming_s`, which
        the default and the best with fresh seeds take on top (None: not known).
    """
    ahead = [look_ahead(study) for study in plan.studies]
    timed = [one for one in ahead if one.is_least]
    if not timed:
        return None
    least, most = len(plan.missing()), [one.most for one in ahead]
    defaults = {cell.label for cell in plan.sweep.cells if cell.axes.get(PROPOSAL) == DEFAULT}
    last = [one for one in plan.missing() if one.detail == "confirmed" or not defaults.isdisjoint(one.cells)]
    seconds = [one.seconds_left for one in timed if one.seconds_left is not None]
    work_s = [one.work_s_left for one in timed if one.work_s_left is not None]
    more = None if None in most else sum(number or 0 for number in most) - sum(one.num_new for one in ahead)
    return {
        "trials_at_least": least,
        "trials_at_most": None if more is None else least + more,
        "proposing_s": max(seconds, default=None),
        "proposing_hours": max(work_s) / 3600 if work_s else None,
        "num_searches": len(timed),
        "confirming_s": total([plan.costs[one.trial_id] for one in last], min(plan.num_slots, len(last) or 1)).seconds,
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
    last = (ledger.trial(trial.trial_id).error_text().strip().splitlines() or [""])[-1]
    is_heading = last.startswith("== attempt ")  # the attempt left no more than that
    return (trial.status.failure or {}).get("message", "") if is_heading or not last else last
