"""What the page shows of trials, failures, environments and settings, as rows of plain text."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omni_msa.evidence.gather import Evidence
from omni_msa.evidence.records import TrialRecord
from omni_msa.planning.plan_json import last_line
from omni_msa.stats.metrics import METRICS
from omni_msa.sweep.labels import axis_text
from omni_msa.text import flatten

_OF_ONE_ATTEMPT = ("host", "pid", "attempt", "started", "ended", "attempt_s")
_HISTORY_FIELDS = ("attempt", "time", "retried", "reaction", "kind", "message")


@dataclass(frozen=True)
class SortableText:
    """One entry of a sortable table: the text shown, and the key that it is sorted by ("" goes last)."""

    text: str
    key: str = ""
    is_number: bool = False


@dataclass(frozen=True)
class TrialTable:
    """All trials: headings, one row for each trial of each cell, and the number of rows in each state."""

    headings: list[SortableText]
    rows: list[list[SortableText]]
    states: dict[str, int]


def trial_table(evidence: Evidence) -> TrialTable:
    """Return one row for each trial of each cell: axes, seed, state, every metric and cost, id, failure.

    Args:
        evidence: of the sweep.
    """
    axes = {cell.name: cell.axes for cell in evidence.plan.sweep.cells}
    names = list(dict.fromkeys(axis for values in axes.values() for axis in values))
    there = {name for record in evidence.records for name in record.metrics}
    metrics = [name for name in METRICS if name in there]
    rows = [
        [
            *(_word(axis_text(axes[label].get(axis, ""))) for axis in names),
            _number("–" if record.seed is None else str(record.seed), record.seed),  # noqa: RUF001
            _word(record.trial.status.state),
            *(_metric(record, name) for name in metrics),
            _attempts(record),
            _word(record.trial_id),
            _word(_failure(record, evidence)),
        ]
        for record in evidence.records
        for label in record.trial.cells
    ]
    head = [*map(_word, names), _number("seed", None), _word("state")]
    head += [_number(METRICS[name].heading, None) for name in metrics]
    head += [_number("attempts", None), _word("trial"), _word("failure")]
    states = [row[len(names) + 1].text for row in rows]
    return TrialTable(head, rows, {state: states.count(state) for state in dict.fromkeys(states)})


def _word(text: str) -> SortableText:
    return SortableText(text, text)


def _number(text: str, value: float | None) -> SortableText:
    return SortableText(text, "" if value is None or math.isnan(value) else repr(value), True)


def _metric(record: TrialRecord, name: str) -> SortableText:
    if not record.is_complete or name not in record.metrics:
        return SortableText("", is_number=True)
    value = record.metrics[name]
    return SortableText("NaN", is_number=True) if value is None else _number(METRICS[name].show(value), value)


def _attempts(record: TrialRecord) -> SortableText:
    attempt = record.trial.status.attempt
    return _number(str(attempt or ""), attempt or None)


def _failure(record: TrialRecord, evidence: Evidence) -> str:
    status = record.trial.status
    if status.state != "failed":
        return ""
    return f"{(status.failure or {}).get('kind', 'unknown')}: {last_line(record.trial, evidence.plan.ledger)}"


@dataclass(frozen=True)
class Failure:
    """A trial with failed attempts; `message` is "" unless the trial itself has failed."""

    label: str
    trial_id: str
    state: str
    message: str
    details: str
    history: list[dict[str, str]]


def failures(evidence: Evidence) -> list[Failure]:
    """Return every trial that failed or had failed attempts, with the reaction to each failure."""
    return [
        _of_trial(record, evidence)
        for record in evidence.records
        if record.trial.status.state == "failed" or record.trial.status.history
    ]


def _of_trial(record: TrialRecord, evidence: Evidence) -> Failure:
    status = record.trial.status
    history = [{name: str(entry.get(name, "")) for name in _HISTORY_FIELDS} for entry in status.history]
    more = {name: value for name, value in (status.failure or {}).items() if name not in _HISTORY_FIELDS}
    details = "; ".join(f"{name}: {value}" for name, value in more.items())
    return Failure(record.trial.name, record.trial_id, status.state, _failure(record, evidence), details, history)


@dataclass(frozen=True)
class Group:
    """Trials that ran in the same environment; `values` has only what differs between the groups."""

    values: dict[str, str]
    trials: list[str]


@dataclass(frozen=True)
class Environment:
    """What complete trials recorded of code, versions and machines.

    Args:
        common: values that all of them share, by dotted path.
        groups: trials with equal values, the largest group first.
        ended: ISO dates on which the first and the last trial ended, "" if not known.
        attempt_s: total duration of the last attempts, in seconds.
    """

    common: dict[str, str]
    groups: list[Group]
    ended: tuple[str, str]
    attempt_s: float


def environment(records: Sequence[TrialRecord]) -> Environment:
    """Return the environments of the complete trials, grouped by equal values.

    Args:
        records: of the sweep.
    """
    known = [record for record in records if record.is_complete and record.provenance]
    recorded = [flatten({k: v for k, v in record.provenance.items() if k not in _OF_ONE_ATTEMPT}) for record in known]
    common, _ = split_common(recorded)
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for record, values in zip(known, recorded, strict=True):
        own = tuple(sorted((name, value) for name, value in values.items() if name not in common))
        groups.setdefault(own, []).append(record.trial.name)
    dates = sorted(str(record.provenance.get("ended", ""))[:10] for record in known) or [""]
    seconds = sum(float(record.provenance.get("attempt_s") or 0) for record in known)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    return Environment(common, [Group(dict(own), trials) for own, trials in ordered], (dates[0], dates[-1]), seconds)


def split_common(mappings: Sequence[Mapping[str, str]]) -> tuple[dict[str, str], list[str]]:
    """Return the entries that all mappings share, and the names of all other entries.

    Args:
        mappings: name to text, not nested.
    """
    names = dict.fromkeys(name for values in mappings for name in values)
    common = {name: mappings[0][name] for name in names if len({values.get(name) for values in mappings}) == 1}
    return common, [name for name in names if name not in common]


@dataclass(frozen=True)
class Configuration:
    """Settings of all cells: those they share, and a table of the others, with cells or settings across: the fewer."""

    common: dict[str, str]
    headings: list[str]
    rows: list[tuple[str, list[str]]]


def configuration(evidence: Evidence) -> Configuration:
    """Return the full configurations of the cells, without the seed.

    Args:
        evidence: of the sweep.
    """
    cells = evidence.plan.sweep.cells
    values = [flatten(_settings(cell.config.model_dump(mode="json"))) for cell in cells]
    common, names = split_common(values)
    labels = [cell.name for cell in cells]
    if len(labels) > len(names):
        rows = [(label, [own.get(name, "") for name in names]) for label, own in zip(labels, values, strict=True)]
        return Configuration(common, ["cell", *names], rows)
    rows = [(name, [own.get(name, "") for own in values]) for name in names]
    return Configuration(common, ["setting", *labels], rows)


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    dropped = config.get("dropped_clips")
    more = {"dropped_clips": len(dropped)} if isinstance(dropped, list | tuple) else {}
    return {name: value for name, value in config.items() if name not in ("seed", "dropped_clips")} | more
