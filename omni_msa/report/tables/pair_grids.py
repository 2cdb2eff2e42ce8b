"""The tables of pairs of cells: differences, their uncertainty, and what differs besides the axis."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from omni_msa.evidence.comparisons.comparison import Comparison
from omni_msa.evidence.comparisons.controls import Control, RecordedHash
from omni_msa.evidence.summary import CellSummary
from omni_msa.report.tables.columns import ColumnOf, count, ends, lay_out, p_text, percent, word
from omni_msa.report.tables.grid import DASH, Entry, Grid
from omni_msa.report.tables.pair_notes import fixed_cells, floor_note, interval_note, left_out_note, sign_flip_note
from omni_msa.stats.metrics import METRICS, Metric
from omni_msa.sweep.labels import axis_text

PairColumn = ColumnOf[Comparison]
_BETTER = {"lower": "Negative: the cell is better.", "higher": "Positive: the cell is better.", "none": ""}


def differences_grid(differences: Sequence[Comparison], cells: Sequence[CellSummary] = ()) -> Grid:
    """Return the table of paired differences.

    Args:
        differences: at least one, all on one metric.
        cells: of the summary.
    """
    metric = METRICS[differences[0].metric]
    targets = list(dict.fromkeys(one.against for one in differences if one.against))
    named = " and ".join(f'"{name}"' for name in targets) or "a cell that is missing"
    title = f"Paired differences in {metric.heading} against {named}"
    columns = [*_pair_columns(targets), *_difference_columns(metric)]
    grid = lay_out(title, differences, [*columns, _corrected(differences), *_NOTE], words=("against", "note"))
    grid.notes.append(
        f"{_BETTER[metric.better]} Pairs share a seed; a deterministic cell pairs with every seed.".strip()
    )
    grid.notes.extend(_pair_notes(differences, fixed_cells(cells), "named by the sweep"))
    return grid


def _pair_notes(rows: Sequence[Comparison], fixed: Collection[str], family: str = "") -> list[str]:
    """Return notes on intervals, on p-values over seeds and their correction, and on pairs that are left out.

    Args:
        rows: comparisons.
        fixed: labels of the cells without randomness.
        family: where the comparisons that are corrected together come from, in words.
    """
    test, tested = sign_flip_note(rows, fixed), [one.n for one in rows if one.p is not None]
    notes = [
        interval_note(rows),
        f"Sign-flip p: {test}. {floor_note(tested)}" if test else "",
        _holm_note(rows, family),
        left_out_note(rows, fixed),
    ]
    return [note for note in notes if note]


def _holm_note(rows: Sequence[Comparison], family: str) -> str:
    """Return for which comparisons the p-values are corrected, "" where there is nothing to correct."""
    num = _family(rows)
    if num < 2 or all(one.p_holm is None for one in rows):
        return ""
    once = " (rows with the same trials on both sides count once)" if num < len(rows) else ""
    named = f", {family}" if family else ""
    of_clips = "; where neither cell is random, of the clip p" if any(map(_is_over_clips, rows)) else ""
    return f"Holm p: corrected for all {num} comparisons{once}{named}{of_clips}."


def _corrected(rows: Sequence[Comparison]) -> PairColumn:
    """Return the column of corrected p-values; with one test, which needs no correction, that of p over clips."""
    if _family(rows) > 1:
        return "Holm p", lambda one: p_text(one.p_holm)
    return "clip p", lambda one: p_text(one.p_clips) if _is_over_clips(one) else None


def _family(rows: Sequence[Comparison]) -> int:
    return max(one.family for one in rows)


def _is_over_clips(one: Comparison) -> bool:
    return one.p is None and one.p_holm is not None


def strength_grid(differences: Sequence[Comparison], exploratory: Sequence[Comparison] = ()) -> Grid | None:
    """Return effect sizes, further tests and required seeds for `differences_grid`, None where none is known.

    Args:
        differences: as for `differences_grid`.
        exploratory: the same pairs on other metrics.
    """
    metric = METRICS[differences[0].metric]
    targets = list(dict.fromkeys(one.against for one in differences if one.against))
    stated = next((one.stated_difference for one in differences if one.stated_difference is not None), None)
    amount = _amount(stated, metric)
    seeds: list[PairColumn] = [
        ("seeds needed", lambda one: count(one.num_seeds_needed)),
        ("at the upper spread", lambda one: count(one.num_seeds_needed_pessimistic)),
        (f"for {amount}", lambda one: count(one.num_seeds_needed_stated)),
    ]
    known: list[PairColumn] = [
        *_STRENGTH,
        *_mcnemar_columns(differences),
        ("Williams p", lambda one: p_text(one.williams_p)),
        *_clip_corr_columns(exploratory),
        *seeds,
    ]
    if not any(show(one) for _, show in known for one in differences):
        return None
    grid = lay_out(
        f"Size and certainty of the differences in {metric.heading}",
        differences,
        [*_pair_columns(targets), *known],
        words=("against",),
    )
    grid.notes.extend(
        note for start, note in _STRENGTH_NOTES.items() if any(name.startswith(start) for name in grid.headings)
    )
    if combined := [test for test in ("McNemar", "Williams") if any(name.startswith(test) for name in grid.headings)]:
        grid.notes.append(f"{' and '.join(combined)}: {_COMBINED}")
    if f"for {amount}" in grid.headings:
        grid.notes.append(
            f"For {amount}: seeds needed to find a difference of {amount}, as stated in compare.smallest_difference."
        )
    return grid


def _amount(value: float | None, metric: Metric) -> str:
    """Return the stated difference with its unit."""
    text = metric.show(value)
    return f"{text} points" if metric.percent else f"{text} {metric.unit or f'in {metric.title}'}"


def _mcnemar_columns(differences: Sequence[Comparison]) -> list[PairColumn]:
    """Return a column for each accuracy; McNemar's test is on correct clips, so it has no F1."""

    def shown(name: str) -> Callable[[Comparison], Entry | None]:
        return lambda one: p_text(one.mcnemar.get(name))

    names = dict.fromkeys(name for one in differences for name in one.mcnemar)
    return [(f"McNemar p, {METRICS[name].title}", shown(name)) for name in names if not name.startswith("f1")]


def _clip_corr_columns(exploratory: Sequence[Comparison]) -> list[PairColumn]:
    """Return the column of p over clips of the correlation, if that is not the metric of the table."""
    known = {(one.name, one.against): one.p_clips for one in exploratory if one.metric == "corr"}
    return [("clip p, Corr", lambda one: p_text(known.get((one.name, one.against))))] if known else []


def exploratory_grid(exploratory: Sequence[Comparison], cells: Sequence[CellSummary] = ()) -> Grid:
    """Return the table of the same pairs on metrics other than the primary one.

    Args:
        exploratory: at least one.
        cells: of the summary.
    """
    targets = list(dict.fromkeys(one.against for one in exploratory if one.against))
    columns: list[PairColumn] = [
        *_pair_columns(targets),
        ("metric", lambda one: Entry(METRICS[one.metric].heading)),
        ("difference", lambda one: _difference(one, METRICS[one.metric])),
        ("pairs", lambda one: count(one.n)),
        ("95 % interval", lambda one: ends(one.interval, METRICS[one.metric], True)),
        ("over clips", lambda one: ends(one.interval_clips, METRICS[one.metric], True)),
        ("sign-flip p", lambda one: p_text(one.p)),
        ("clip p", lambda one: p_text(one.p_clips)),
        *([_corrected(exploratory)] if _family(exploratory) > 1 else []),
    ]
    grid = lay_out("Exploratory comparisons", exploratory, columns, words=("against", "metric"))
    against = f' Against "{targets[0]}".' if len(targets) == 1 else ""
    grid.notes.append(f"On metrics that were not named to decide the sweep: for ideas, not for conclusions.{against}")
    grid.notes.extend(_pair_notes(exploratory, fixed_cells(cells)))
    if "clip p" in grid.headings:
        grid.notes.append(_STRENGTH_NOTES["clip p"])
    return grid


def controls_grid(controls: Sequence[Control]) -> Grid:
    """Return the table of what differs between the two cells of each comparison.

    Args:
        controls: at least one.
    """
    columns: list[ColumnOf[Control]] = [
        ("cell", lambda one: Entry(one.name)),
        ("against", lambda one: Entry(one.against)),
        ("controlled", lambda one: Entry("yes" if one.controlled else "NO")),
        ("axis", lambda one: word(", ".join(one.axes))),
        ("also differs", lambda one: word(_settings(one.other_settings))),
        ("follows from the axis", lambda one: word(_followers(one))),
        ("equal settings", lambda one: count(one.num_equal_settings)),
        ("recorded hashes", lambda one: word(_hashes(one.hashes))),
    ]
    words = ("against", "controlled", "axis", "also differs", "follows from the axis", "recorded hashes")
    grid = lay_out("Controlled comparison", controls, columns, words=words)
    grid.notes.append(
        "Controlled: nothing is known to differ between the two cells but the axis and what follows from it. "
        "aggregate.json lists all settings, equal and different ones."
    )
    grid.notes.extend(once_each([(one.name, one.flags) for one in controls]))
    return grid


def once_each(said: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Return each sentence once, preceded by the labels of its cells unless it applies to all of them.

    Args:
        said: the label of each cell and the sentences about it.
    """
    about: dict[str, list[str]] = {}
    for label, sentences in said:
        for sentence in sentences:
            about.setdefault(sentence, []).append(label)
    return [text if len(labels) == len(said) else f"{'; '.join(labels)}: {text}" for text, labels in about.items()]


def _pair_columns(targets: Sequence[str]) -> list[PairColumn]:
    """Return the column of cells, and that of the cells they are compared with if these differ."""
    columns: list[PairColumn] = [("cell", lambda one: Entry(one.name))]
    return [*columns, ("against", lambda one: Entry(one.against or DASH))] if len(targets) > 1 else columns


def _difference_columns(metric: Metric) -> list[PairColumn]:
    return [
        ("difference", lambda one: _difference(one, metric)),
        ("pairs", lambda one: count(one.n)),
        ("95 % interval", lambda one: ends(one.interval, metric, True)),
        ("over seeds and clips", lambda one: ends(one.interval_two_level, metric, True)),
        ("over clips", lambda one: ends(one.interval_clips, metric, True)),
        ("sign-flip p", lambda one: p_text(one.p)),
        ("floor of p", lambda one: p_text(one.p_floor)),
    ]


def _difference(one: Comparison, metric: Metric) -> Entry:
    spread = "" if one.std is None else f" ± {metric.show(one.std)}"
    return Entry(metric.show(one.mean, True) + spread, value=one.mean)


def _settings(differ: Mapping[str, Sequence[Any]]) -> str:
    return "; ".join(f"{key}: {axis_text(one)}, {axis_text(other)}" for key, (one, other) in differ.items())


def _followers(one: Control) -> str:
    """Return the settings that follow from the axis; those below an axis are summed up as its options."""
    inside = [axis for axis in one.axes if any(key.startswith(f"{axis}.") for key in one.follows)]
    others = [key for key in one.follows if not any(key.startswith(f"{axis}.") for axis in inside)]
    return ", ".join([*others, *(f"options of {axis}" for axis in inside)])


def _hashes(hashes: Sequence[RecordedHash]) -> str:
    states = dict.fromkeys(one.state for one in hashes)
    named = {state: ", ".join(one.what for one in hashes if one.state == state) for state in states}
    return "; ".join(f"{state}: {names}" for state, names in named.items())


_NOTE: list[PairColumn] = [("note", lambda one: word(one.note))]
_STRENGTH: list[PairColumn] = [
    ("better in seeds (%)", lambda one: percent(one.improvement_seeds)),
    ("nearer in clips (%)", lambda one: percent(one.improvement_clips)),
    ("effect size", lambda one: None if one.effect_size is None else Entry(f"{one.effect_size:+z.2f}")),
    ("clip p", lambda one: p_text(one.p_clips)),
]
_COMBINED = (
    "several seed pairs are combined by Rueger's rule: the middle p times the number of pairs over its rank (1.5 with "
    "three pairs)."
)
_STRENGTH_NOTES = {
    "better in seeds": "Better in seeds: share of seed pairs in which the cell is better; nearer in clips: share of "
    "(seed, clip) pairs in which its score is nearer to the label; a tie counts half.",
    "effect size": "Effect size: mean difference over the standard deviation of the differences, corrected for few "
    "pairs (Hedges 1981).",
    "clip p": "Clip p: for these trained models on other clips; it says nothing about other seeds. A sign-flip test "
    "over 9,999 random patterns, so at least 0.0001; not corrected for the number of comparisons.",
    "McNemar": "McNemar: exact test on the clips that only one of the two cells got right.",
    "Williams": "Williams: test of two correlations with the same labels; it assumes normal errors. With skewed ones "
    "its error rate is up to 9 % at level 5 %: read the clip p beside it.",
    "seeds needed": "Seeds needed: total number for 80 % power at level 0.05 after correction, if difference and "
    "spread are as observed; at the upper spread: if the spread is at its upper 80 % limit.",
}
