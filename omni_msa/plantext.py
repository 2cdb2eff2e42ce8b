"""A plan as text: what `--plan` and `--status` print."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from omni_msa.plan import ModelSize, Plan, PlannedTrial
from omni_msa.progress import duration

_HEADINGS = ("cell", "seeds", "done", "failed", "running", "to run")


def plan_text(plan: Plan) -> str:
    """Return what would run: counts, sizes, time, a table of cells, and what a run would refuse."""
    num_left = len(plan.missing())
    lines = [_head(plan), *(f"model: {_model_text(model)}" for model in plan.models), ""]
    lines += _table([_HEADINGS, *(_cell_row(plan, cell.label) for cell in plan.sweep.cells)])
    lines += ["", _time_text(plan, num_left)]
    if not plan.is_readable:
        lines.append("the data cannot be read, so what is done already is not known")
    if plan.refusals:
        lines += ["", "a run would refuse:", *(f"{number}. {it}" for number, it in enumerate(plan.refusals, 1))]
    return "\n".join(lines)


def _head(plan: Plan) -> str:
    counts, file = plan.counts(), plan.sweep.file
    seeds = ", ".join(map(str, file.seeds))
    size = f"{_number(len(plan.sweep.cells), 'cell')}, {_number(len(file.seeds), 'seed')} ({seeds})"
    done = f"{counts['complete']} done, {counts['failed']} failed, {counts['running']} running"
    first = f"{plan.sweep.name}: {file.question}"
    return f"{first}\nprofile {file.profile}: {size}, {_number(counts['trials'], 'trial')}: {done}"


def _number(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _model_text(model: ModelSize) -> str:
    text = f"{model.backbone}, {model.num_parameters / 1e6:.1f} M weights, {model.weights_gb:.2f} GB"
    if not model.adapter:
        return f"{text}, no adapter"
    share = model.num_trainable / (model.num_parameters + model.num_trainable)
    return f"{text}; adapter {model.adapter}: {model.num_trainable:,} trainable parameters ({share:.2%})"


def _time_text(plan: Plan, num_left: int) -> str:
    if not num_left:
        return "to run: nothing"
    seconds = plan.expected.seconds
    time = "unknown" if seconds is None else f"about {duration(seconds)}"
    return (
        f"to run: {_number(num_left, 'trial')}, {plan.num_slots} at once; expected time {time} ({plan.expected.basis})"
    )


def _cell_row(plan: Plan, label: str) -> tuple[str, ...]:
    trials = [trial for trial in plan.trials if label in trial.cells]
    left = {trial.trial_id for trial in plan.missing()}
    states = [trial.status.state for trial in trials]
    seeds = "any" if trials[0].config.seed is None else str(len(trials))
    numbers = [states.count(state) for state in ("complete", "failed", "running")]
    return label, seeds, *map(str, numbers), str(sum(trial.trial_id in left for trial in trials))


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay out rows of text: the first column to the left, the others to the right."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def status_text(plan: Plan) -> str:
    """Return what is done, running, failed and why, one line a trial."""
    rows = [("trial", "state", "attempt", "trial_id"), *(_trial_row(trial) for trial in plan.trials)]
    lines = [_head(plan), "", *_table(rows), *failures_text(plan)]
    if not plan.is_readable:
        lines += ["", "the data cannot be read, so what is done already is not known:"]
        lines += [f"{number}. {it}" for number, it in enumerate(plan.refusals, 1)]
    return "\n".join(lines)


def _trial_row(trial: PlannedTrial) -> tuple[str, ...]:
    status = trial.status
    where = f" epoch {status.epoch}, step {status.step}" if status.state == "running" else ""
    return trial.label, status.state + where, str(status.attempt), trial.trial_id


def failures_text(plan: Plan) -> Iterable[str]:
    """Yield for each failed trial its name, what was wrong, the last line of `error.txt`, and where that file is."""
    for trial in plan.trials:
        if trial.status.state == "failed":
            file = plan.ledger.trial(trial.trial_id).path / "error.txt"
            failure = trial.status.failure or {}
            yield f"\nfailed: {trial.label} ({failure.get('kind', 'unknown')})"
            yield f"    {_last_line(file) or failure.get('message', '')}\n    {file}"


def _last_line(file: Path) -> str:
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""
