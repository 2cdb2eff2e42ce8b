"""A plan as text: the output of `--plan` and `--status`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from omni_msa.ledger.trials import PlannedTrial
from omni_msa.planning.memory import LargestTrial
from omni_msa.planning.plan import ModelSize, Plan
from omni_msa.planning.plan_json import last_line, open_end
from omni_msa.search import confirmation
from omni_msa.text import count, duration

_HEADINGS = ("cell", "seeds", "done", "failed", "running", "to run")
_SHOWN = {"pending": "missing"}


def plan_text(plan: Plan) -> str:
    """Return the output of `--plan`: counts, sizes, a table of cells, time and cost, and why a run would be refused."""
    lines = [_head(plan), *(f"model: {_model_text(model)}" for model in plan.models)]
    lines += [*([_memory_text(plan.largest)] if plan.largest else []), ""]
    lines += _table([(*_HEADINGS, plan.hours_of), *_cell_rows(plan)])
    lines += [
        "",
        _time_text(plan, len(plan.missing())),
        *(f"note: {note}" for note in (*plan.slots.notes, *plan.data_notes)),
    ]
    if not plan.is_readable:
        lines.append("the number of done trials may be wrong, because of the problems below")
    if plan.refusals:
        lines += ["", "a run would be refused:", *(f"{number}. {it}" for number, it in enumerate(plan.refusals, 1))]
    return "\n".join(lines)


def _head(plan: Plan) -> str:
    counts, file = plan.counts(), plan.sweep.file
    seeds = ", ".join(map(str, file.seeds))
    size = f"{count(len(plan.sweep.cells), 'cell')}, {count(len(file.seeds), 'seed')} ({seeds})"
    done = f"{counts['complete']} done, {counts['failed']} failed, {counts['running']} running"
    first = f"{plan.sweep.name}: {file.question}"
    second = f"profile {file.profile}: {size}, {count(counts['trials'], 'trial')}: {done}"
    left_out = (store.found.text() for store in plan.stores.values() if store.found)
    return "\n".join(
        [first, second, *(confirmation.standing(study) for study in plan.studies), *filter(None, left_out)]
    )


def _model_text(model: ModelSize) -> str:
    text = f"{model.backbone}, {model.num_parameters / 1e6:.1f} M weights, {model.weights_gb:.2f} GB"
    if not model.adapter:
        return f"{text}, no adapter"
    share = model.num_trainable / (model.num_parameters + model.num_trainable)
    return f"{text}; adapter {model.adapter}: {model.num_trainable:,} trainable parameters ({share:.2%})"


def _memory_text(largest: LargestTrial) -> str:
    where = "GPU" if largest.on_gpu else "host"
    conditions = f"with clips of {largest.clip_s:g} s and {largest.how} (cell {largest.cell})"
    return f"memory per trial on the {where}: at most {largest.memory}, {conditions}"


def _time_text(plan: Plan, num_left: int) -> str:
    if not num_left:
        return "to run: nothing"
    bounds, expected = open_end(plan), plan.expected
    if bounds is not None:
        return _open_text(plan, bounds)
    time = "unknown" if expected.seconds is None else f"about {duration(expected.seconds)}"
    cost = f"{_hours(plan.hours(expected.work_s))} {plan.hours_of}"
    first = f"to run: {count(num_left, 'trial')}, {plan.num_slots} at once"
    return f"{first}; expected time {time}, cost {cost} ({expected.basis})"


def _open_text(plan: Plan, bounds: Mapping[str, Any]) -> str:
    """Return the line on trials and time for a plan whose searches end after some hours."""
    least, most, confirming_s = (bounds[name] for name in ("trials_at_least", "trials_at_most", "confirming_s"))
    number = f"{count(least, 'trial')} at least" if most is None else f"{least} to {count(most, 'trial')}"
    ends = [] if bounds["proposing_s"] is None else [duration(bounds["proposing_s"])]
    ends += [] if bounds["proposing_hours"] is None else [f"{_hours(bounds['proposing_hours'])} {plan.hours_of}"]
    until = " or ".join(ends) + (f" in each of {num} searches" if (num := bounds["num_searches"]) > 1 else "")
    latest = "" if most is None else " at the latest"
    confirming_time = "an unknown time" if confirming_s is None else f"about {duration(confirming_s)}"
    first = f"to run: {number}, {plan.num_slots} at once; proposing ends after {until}{latest}"
    return f"{first}, confirming takes {confirming_time} more ({plan.expected.basis})"


def _hours(hours: float | None) -> str:
    if hours is None:
        return "unknown"
    return "0" if hours == 0 else "<0.01" if hours < 0.01 else f"{hours:.2f}"


def _cell_rows(plan: Plan) -> list[tuple[str, ...]]:
    of_cell: dict[str, list[PlannedTrial]] = {cell.name: [] for cell in plan.sweep.cells}
    for trial in plan.trials:
        for cell in trial.cells:
            of_cell[cell].append(trial)
    to_run, hours = {trial.trial_id for trial in plan.missing()}, plan.cell_hours()
    rows = []
    for label, trials in of_cell.items():
        states = [trial.status.state for trial in trials]
        seeds = "any" if trials[0].config.seed is None else str(len(trials))
        numbers = [states.count(state) for state in ("complete", "failed", "running")]
        num_left = sum(trial.trial_id in to_run for trial in trials)
        rows.append((label, seeds, *map(str, numbers), str(num_left), _hours(hours[label])))
    return rows


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align rows of text as a table: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def status_text(plan: Plan) -> str:
    """Return the output of `--status`: for each trial a line with its state, where it runs, how far, why it failed."""
    rows = [("trial", "state", "attempt", "trial_id"), *(_trial_row(trial) for trial in plan.trials)]
    lines = [_head(plan), "", *_table(rows), *failures_text(plan), "", _summary(plan)]
    if not plan.is_readable:
        lines += ["", "these states may be wrong, because of the following problems:"]
        lines += [f"{number}. {it}" for number, it in enumerate(plan.refusals, 1)]
    return "\n".join(lines)


def _summary(plan: Plan) -> str:
    states = [trial.status.state for trial in plan.trials]
    shown = {"complete": "done", "running": "running", "failed": "failed", "pruned": "pruned", "pending": "missing"}
    counts = {name: states.count(state) for state, name in shown.items()}
    text = ", ".join(f"{number} {name}" for name, number in counts.items() if number or name != "pruned")
    return f"{text}, {len(plan.ahead)} more expected from the search" if plan.ahead else text


def _trial_row(trial: PlannedTrial) -> tuple[str, ...]:
    status = trial.status
    state, position = _SHOWN.get(status.state, status.state), f"epoch {status.epoch}, step {status.step}"
    if status.state == "running":
        state += f" on {status.host}:{status.pid} since {status.since}, {position}, last heartbeat {status.heartbeat}"
    elif status.state == "failed":
        state += f" ({(status.failure or {}).get('kind', 'unknown')})"
    elif status.state == "pending":
        state += f", stopped at {position}" if status.step else ""
        state += f", again after: {status.history[-1].get('kind', 'unknown')}" if status.history else ""
    return trial.name, state, str(status.attempt), trial.trial_id


def closing_text(plan: Plan) -> str:
    """Return the last line of a run: how many trials are complete, stopped early, or failed."""
    counts = plan.counts()
    num = counts["trials"] + sum(stand_in.detail != "again" for stand_in in plan.ahead)
    least = "at least " if plan.ahead and open_end(plan) is not None else ""
    stopped = f", {counts['pruned']} stopped early" if counts.get("pruned") else ""
    return f"{counts['complete']} of {least}{count(num, 'trial')} complete{stopped}, {counts['failed']} failed"


def failures_text(plan: Plan) -> Iterable[str]:
    """Yield for each failed trial its name, the kind of failure, the last line of `error.txt` and the file's path."""
    for trial in plan.trials:
        if trial.status.state == "failed":
            kind = (trial.status.failure or {}).get("kind", "unknown")
            yield f"\nfailed: {trial.name} ({kind})\n    {last_line(trial, plan.ledger)}"
            yield f"    {plan.ledger.trial(trial.trial_id).error_file}"
