"""Compares two sweeps: the cells that both have, their metrics, and their settings. No trial is run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from omni_msa.config.trial import PLUGIN_SECTIONS, conventions_of
from omni_msa.errors import InputError, Problem
from omni_msa.evidence.cell_trials import Seed
from omni_msa.evidence.comparisons.clip_scores import common_trials, tested_of
from omni_msa.evidence.comparisons.controls import NOT_USED, prove, setting_at
from omni_msa.evidence.comparisons.pair_note import OTHER_CLIPS, not_testable
from omni_msa.evidence.comparisons.paired_cells import on_other_clips
from omni_msa.evidence.comparisons.provenance_diff import Pair
from omni_msa.evidence.records import TrialRecord, read_records
from omni_msa.planning.plan import Plan
from omni_msa.stats.intervals import moments
from omni_msa.stats.metrics import METRICS, headline
from omni_msa.stats.paired import p_floor, sign_flip_p
from omni_msa.sweep.sweep import Cell


@dataclass(frozen=True)
class MetricDifference:
    """One metric of a cell in two sweeps.

    Args:
        metric: its name.
        mean, other_mean: over all seeds of each sweep at which it is defined, None without any.
        seeds: of the pairs; `values`: the first sweep's value minus the other's, for each pair.
        difference, std: mean and standard deviation (ddof 1) of `values`, None without (two) pairs.
        interval: 95 % Student-t interval of the mean, None with fewer than two pairs.
        p, p_floor: two-sided sign-flip p-value, and the smallest that so many pairs can give; None without pairs, and
            if the two cells were tested on different clips.
    """

    metric: str
    mean: float | None
    other_mean: float | None
    seeds: list[Seed]
    values: list[float]
    difference: float | None
    std: float | None
    interval: tuple[float, float] | None
    p: float | None
    p_floor: float | None


@dataclass(frozen=True)
class SharedCell:
    """A cell that both sweeps have.

    Args:
        label, other_label: its names in the two sweeps.
        same_trials: whether both sweeps have the same trials, so that nothing can differ.
        settings: settings that differ, by dotted path: the first sweep's value and the other's.
        controlled: whether at most one setting differs, and no recorded digest differs without an explanation.
        flags: sentences that a reader must know.
        metrics: the headline metrics that either sweep has; the primary metric of the first sweep comes first.
        other_clips: whether the two were tested on different clips, so that no test is made.
    """

    label: str
    other_label: str
    same_trials: bool
    settings: dict[str, list[Any]] = field(default_factory=dict)
    controlled: bool = True
    flags: list[str] = field(default_factory=list)
    metrics: list[MetricDifference] = field(default_factory=list)
    other_clips: bool = False

    def note(self, one: MetricDifference) -> str:
        """Return the note on the row of a metric: why it has no or no useful test, "" if it has one."""
        if self.same_trials:
            return "the same trials"
        return OTHER_CLIPS if self.other_clips else not_testable(len(one.values))


@dataclass(frozen=True)
class SweepDiff:
    """The difference between two sweeps.

    Args:
        name, other: names of the sweeps.
        counts, other_counts: numbers of trials by state, as `Plan.counts`.
        cells: the cells that both have, in the order of the first sweep.
        only, only_other: names of cells that only one of them has.
    """

    name: str
    other: str
    counts: dict[str, int]
    other_counts: dict[str, int]
    cells: list[SharedCell]
    only: list[str]
    only_other: list[str]

    def as_json(self) -> dict[str, Any]:
        """Return plain values, for `--json`."""
        return asdict(self)


def diff(plan: Plan, other: Plan) -> SweepDiff:
    """Compare two sweeps cell by cell.

    Args:
        plan, other: with the current states of their trials; both may be on the same ledger.

    Raises:
        InputError: they have no cell in common.
    """
    matched = dict(_match(plan.sweep.cells, other.sweep.cells))
    if not matched:
        got = f"{_axes_text(plan)}; {_axes_text(other)}"
        step = "compare sweeps with an axis in common"
        raise InputError(Problem("the two sweeps have no cell in common", "--diff", got, next_step=step))
    records, other_records = read_records(plan), read_records(other)
    first = plan.sweep.file.compare.metric if plan.sweep.file.compare else plan.sweep.file.select.metric
    cells = plan.sweep.cells
    others = other.sweep.cells
    shared = [
        _shared(cells[a], others[b], _of(records, cells[a]), _of(other_records, others[b]), first)
        for a, b in matched.items()
    ]
    return SweepDiff(
        plan.sweep.name,
        other.sweep.name,
        plan.counts(),
        other.counts(),
        shared,
        [cell.name for index, cell in enumerate(cells) if index not in matched],
        [cell.name for index, cell in enumerate(others) if index not in matched.values()],
    )


def _axes_text(plan: Plan) -> str:
    return f"{plan.sweep.name} has {', '.join(plan.sweep.file.axes)}"


def _match(cells: Sequence[Cell], others: Sequence[Cell]) -> Iterator[tuple[int, int]]:
    """Yield index pairs of cells with equal axis values; an axis of one sweep is matched with the other's setting."""
    free = list(range(len(others)))
    for index, cell in enumerate(cells):
        match = next((other for other in free if _is_same(cell, others[other])), None)
        if match is not None:
            free.remove(match)
            yield index, match


def _is_same(cell: Cell, other: Cell) -> bool:
    for axis in cell.axes.keys() & other.axes.keys():
        if cell.axes[axis] != other.axes[axis] and setting_at(cell.config, axis) != setting_at(other.config, axis):
            return False
    alone = [(other.config, axis, cell.axes[axis]) for axis in cell.axes.keys() - other.axes.keys()]
    alone += [(cell.config, axis, other.axes[axis]) for axis in other.axes.keys() - cell.axes.keys()]
    return all(_agrees(setting_at(config, axis), value) for config, axis, value in alone)


def _agrees(value: Any, written: Any) -> bool:
    """Return whether a setting agrees with an axis value, which may be a plug-in's name or some of its options."""
    if isinstance(value, dict) and isinstance(written, str):
        return bool(value.get("name") == written)
    if isinstance(value, dict) and isinstance(written, dict):
        return all(_agrees(value.get(key), item) for key, item in written.items())
    return bool(value == (list(written) if isinstance(written, tuple) else written))


def _of(records: Sequence[TrialRecord], cell: Cell) -> dict[Seed, TrialRecord]:
    """Return the complete trials of a cell by seed."""
    return {record.seed: record for record in records if record.is_complete and cell.name in record.trial.cells}


def _shared(
    cell: Cell, other: Cell, records: Mapping[Seed, TrialRecord], others: Mapping[Seed, TrialRecord], first: str
) -> SharedCell:
    pairs = common_trials(records, others)
    settings = _differing(cell, other)
    control = prove(_with(cell, settings, 0), _with(other, settings, 1), list(pairs.values()))
    there = {name for record in (*records.values(), *others.values()) for name in record.metrics}
    names = list(dict.fromkeys([*([first] if first in there else []), *headline(there)])) if there else [first]
    several = f"{len(settings)} axes differ at once"  # here the axes are the settings that differ, which are listed
    flags = [flag for flag in control.flags if not flag.startswith(several)]
    tested = [tested_of(side, conventions_of(of.config.dataset))[0] for of, side in ((cell, records), (other, others))]
    other_clips = on_other_clips(*tested)
    return SharedCell(
        cell.name,
        other.name,
        bool(pairs) and all(a.trial_id == b.trial_id for a, b in pairs.values()),
        settings,
        control.controlled and len(settings) < 2,
        flags,
        [_metric(name, records, others, pairs, not other_clips) for name in names],
        other_clips,
    )


def _differing(cell: Cell, other: Cell) -> dict[str, list[Any]]:
    """Return the settings that differ and affect results, without those that only follow from others.

    Different plug-ins count as one setting. A setting that only one of the two uses follows from another one.
    """
    control = prove(replace(cell, axes={}), replace(other, axes={}), [])
    settings = {key: values for key, values in control.other_settings.items() if NOT_USED not in values}
    for section in PLUGIN_SECTIONS:
        if f"{section}.name" in settings:
            named = settings[f"{section}.name"]
            settings = {key: values for key, values in settings.items() if key.partition(".")[0] != section}
            settings[section] = named
    return settings


def _with(cell: Cell, settings: Mapping[str, Sequence[Any]], side: int) -> Cell:
    """Return the cell with the differing settings as its axes: they are what is compared here."""
    return replace(cell, axes={key: values[side] for key, values in settings.items()})


def _metric(
    name: str,
    records: Mapping[Seed, TrialRecord],
    others: Mapping[Seed, TrialRecord],
    pairs: Mapping[Seed, Pair],
    tested: bool,
) -> MetricDifference:
    by_seed = {seed: (_value(a, name), _value(b, name)) for seed, (a, b) in pairs.items()}
    defined = {seed: a - b for seed, (a, b) in by_seed.items() if a is not None and b is not None}
    values = list(defined.values())
    difference, std, interval = moments(values)
    mean, other_mean = (
        moments([v for one in side.values() if (v := _value(one, name)) is not None])[0] for side in (records, others)
    )
    p, floor = (sign_flip_p(values), p_floor(len(values))) if values and tested else (None, None)
    return MetricDifference(name, mean, other_mean, list(defined), values, difference, std, interval, p, floor)


def _value(record: TrialRecord, name: str) -> float | None:
    """Return a metric of a trial, None where it is not defined (NaN is stored as null)."""
    value = record.metrics.get(name)
    return None if value is None or value != value or METRICS.get(name) is None else float(value)
