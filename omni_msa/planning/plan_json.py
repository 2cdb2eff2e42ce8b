"""A plan as JSON values, for `--json`."""

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
    """Return the plan as JSON values."""
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
    """Return what is known of a plan whose searches end after some hours, None if no search does.

    Returns:
        `trials_at_least` and `trials_at_most`, the number of trials to run (None: no limit); `proposing_s` and
        `proposing_hours`, the seconds and the GPU- or core-hours that are left for proposals (None: no such limit);
        `num_searches`, how many searches end that way; `confirming_s`, the time that the default and the best
        proposals with fresh seeds take in addition (None: not known).
    """
    ahead = [look_ahead(study) for study in plan.studies]
    open_ended = [look for look in ahead if look.is_least]
    if not open_ended:
        return None
    least, most = len(plan.missing()), [look.most for look in ahead]
    defaults = {cell.name for cell in plan.sweep.cells if cell.axes.get(PROPOSAL) == DEFAULT}
    last = [trial for trial in plan.missing() if trial.detail == "confirmed" or not defaults.isdisjoint(trial.cells)]
    seconds = [look.seconds_left for look in open_ended if look.seconds_left is not None]
    work_s = [look.work_s_left for look in open_ended if look.work_s_left is not None]
    num_more = None if None in most else sum(number or 0 for number in most) - sum(look.num_new for look in ahead)
    return {
        "trials_at_least": least,
        "trials_at_most": None if num_more is None else least + num_more,
        "proposing_s": max(seconds, default=None),
        "proposing_hours": max(work_s) / 3600 if work_s else None,
        "num_searches": len(open_ended),
        "confirming_s": total([plan.costs[it.trial_id] for it in last], min(plan.num_slots, len(last) or 1)).seconds,
    }


def _trial_json(trial: PlannedTrial, plan: Plan) -> dict[str, Any]:
    ids = (trial.trial_id, trial.fit_id) if plan.is_readable else (None, None)
    folder = str(plan.ledger.trial(trial.trial_id).path) if plan.is_readable else None
    values = {"trial_id": ids[0], "fit_id": ids[1], "cells": list(trial.cells), "seed": trial.config.seed}
    cost = plan.costs.get(trial.trial_id)
    details = {"expected_s": cost.seconds if cost else 0.0, "last_line": last_line(trial, plan.ledger)}
    return {**values, "folder": folder, "status": vars(trial.status), **details}


def last_line(trial: PlannedTrial, ledger: Ledger) -> str:
    """Return the last line of a failed trial's `error.txt`, else the message in its status; "" if it has not failed."""
    if trial.status.state != "failed":
        return ""
    last = (ledger.trial(trial.trial_id).error_text().strip().splitlines() or [""])[-1]
    is_heading = last.startswith("== attempt ")  # the attempt wrote nothing below its heading
    return (trial.status.failure or {}).get("message", "") if is_heading or not last else last
