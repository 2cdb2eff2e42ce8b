"""Controlled-comparison proof: what differs between two cells, what is equal, and what their trials recorded of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from omni_msa.config import plugins
from omni_msa.config.sections import Section
from omni_msa.config.trial import MEDIA_OPTIONS, TrialConfig
from omni_msa.evidence.comparisons.provenance_diff import Pair, origin_differences, origin_flags
from omni_msa.readouts._base import READOUTS
from omni_msa.sweep.sweep import Cell

NOT_USED = "not used"
_TOP = ("repeat", "num_train_clips", "dropped_clips")  # settings of every trial, whatever its readout uses
_BY_FIT = ("adapter_init", "data_order", "readout_init")  # of trained readouts alone


@dataclass(frozen=True)
class Hash:
    """A digest that trials record, in words, and the settings it depends on."""

    title: str
    depends_on: tuple[str, ...]


HASHES = {
    "adapter_init": Hash("initial adapter weights", ("adapter", "backbone")),
    "data_order": Hash("order of the training clips", ("dataset", "training", "num_train_clips", "dropped_clips")),
    "inputs": Hash("media inputs", ("dataset", "modalities", "media", "backbone", "num_train_clips", "dropped_clips")),
    "weights": Hash("frozen weights", ("backbone",)),
    "readout_init": Hash("initial weights of the readout", ("readout", "backbone", "dataset")),
}
_SORTED_BY_LENGTH = ("modalities", "media", "backbone")  # what the order depends on with training.length_buckets


@dataclass(frozen=True)
class RecordedHash:
    """What the trials of two cells recorded of one digest.

    Args:
        what: its name, a key of `HASHES`.
        state: how it compares.
        seeds: the number of pairs compared.
        why: it is so, "" where there is nothing to explain.
    """

    what: str
    state: Literal["identical", "differs", "explained", "not recorded", "not used"]
    seeds: int
    why: str


@dataclass(frozen=True)
class Control:
    """How far a comparison of two cells is controlled.

    Args:
        label, against: the cells.
        controlled: nothing is known to differ but axes of the sweep and what follows from them.
        axes: the axes on which the cells differ, and their values.
        other_settings: settings that differ, and neither are nor follow from an axis.
        follows: settings that differ because an axis does; a section only one of them uses reads "used", "not used".
        irrelevant: settings that differ, and that the results of neither depend on.
        num_equal_settings: of those that either cell's results depend on.
        equal_settings: them, by dotted path.
        hashes: what their trials recorded of initial weights, data order and inputs.
        provenance: what differs of code and machine.
        flags: what a reader must know, sentences.
    """

    label: str
    against: str
    controlled: bool
    axes: dict[str, list[Any]] = field(default_factory=dict)
    other_settings: dict[str, list[Any]] = field(default_factory=dict)
    follows: dict[str, list[Any]] = field(default_factory=dict)
    irrelevant: dict[str, list[Any]] = field(default_factory=dict)
    num_equal_settings: int = 0
    equal_settings: dict[str, Any] = field(default_factory=dict)
    hashes: list[RecordedHash] = field(default_factory=list)
    provenance: dict[str, list[str]] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)


@dataclass
class _Settings:
    """The settings of two cells, sorted by what a difference means."""

    equal: dict[str, Any] = field(default_factory=dict)
    follows: dict[str, list[Any]] = field(default_factory=dict)
    irrelevant: dict[str, list[Any]] = field(default_factory=dict)
    others: dict[str, list[Any]] = field(default_factory=dict)


def prove(cell: Cell, against: Cell, pairs: Sequence[Pair]) -> Control:
    """Compare two cells' full configurations, and what their trials recorded.

    Args:
        cell, against: of one sweep.
        pairs: complete trials of the two, one pair for each seed that both have.
    """
    axes = _differing_axes(cell, against)
    settings = _sort_settings(cell.config, against.config, tuple(axes))
    hashes = [_hash(what, cell.config, against.config, tuple(axes), pairs) for what in HASHES]
    origins = origin_differences(pairs)
    flags = [f"{key} differs ({a} against {b}) and is no axis" for key, (a, b) in settings.others.items()]
    if len(axes) > 1:
        flags.append(f"{len(axes)} axes differ at once ({', '.join(axes)}): a difference belongs to them together")
    flags += [f"{HASHES[each.what].title}: {each.why}" for each in hashes if each.state == "differs"]
    unknown = [HASHES[each.what].title for each in hashes if each.state == "not recorded" and pairs]
    if unknown:
        flags.append(f"not recorded, so not proved equal: {', '.join(unknown)}")
    return Control(
        label=cell.label,
        against=against.label,
        controlled=not settings.others and all(each.state != "differs" for each in hashes),
        axes=axes,
        other_settings=settings.others,
        follows=settings.follows,
        irrelevant=settings.irrelevant,
        num_equal_settings=len(settings.equal),
        equal_settings=settings.equal,
        hashes=hashes,
        provenance=origins,
        flags=[*flags, *origin_flags(pairs, origins)],
    )


def _differing_axes(cell: Cell, against: Cell) -> dict[str, list[Any]]:
    both = {axis: [value, against.axes.get(axis)] for axis, value in cell.axes.items()}
    for path in {**cell.parameters, **against.parameters}:  # of a search: what a proposal sets takes its number's place
        both.pop("proposal", None)
        both[path] = [setting_at(each.config, path) for each in (cell, against)]
    return {axis: values for axis, values in both.items() if values[0] != values[1]}


def setting_at(config: TrialConfig, path: str) -> Any:
    """Return the setting of a configuration at a dotted path, as a plain value; None if there is none."""
    found: Any = config.model_dump(mode="json")
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _sort_settings(first: TrialConfig, second: TrialConfig, axes: Sequence[str]) -> _Settings:
    everything = _values(first), _values(second)
    used = _used(first, everything[0]), _used(second, everything[1])
    found = _Settings()
    for section in _sections_of_one(first, second):
        place = found.follows if _follows(f"{section}.", axes, True) else found.others
        place[section] = ["used" if section in _uses(each) else NOT_USED for each in (first, second)]
    for key in dict.fromkeys([*everything[0], *everything[1]]):
        _sort_setting(key, everything, used, axes, found)
    return found


def _sort_setting(
    key: str,
    everything: tuple[dict[str, Any], dict[str, Any]],
    used: tuple[dict[str, Any], dict[str, Any]],
    axes: Sequence[str],
    found: _Settings,
) -> None:
    a, b = (values.get(key) for values in everything)
    if key not in used[0] and key not in used[1]:
        if a != b:
            found.irrelevant[key] = [a, b]
    elif key in used[0] and key in used[1] and a == b:
        found.equal[key] = a
    elif (key in used[0]) != (key in used[1]) and key in everything[0] and key in everything[1]:
        section = key.partition(".")[0]
        if section not in {*found.follows, *found.others}:  # the whole section has been listed; here a part of it
            found.follows[key] = [a, NOT_USED] if key in used[0] else [NOT_USED, b]
    elif key not in axes:
        place = found.follows if _follows(key, axes, False) else found.others
        place[key] = [a, b]


def _follows(key: str, axes: Sequence[str], by_readout: bool) -> bool:
    """Return whether a setting differs because an axis does: it lies inside the axis, or the readout decides."""
    if by_readout:
        return any(axis == "readout" or axis.startswith("readout.") for axis in axes)
    return any(key.startswith(f"{axis}.") for axis in axes)


def _sections_of_one(first: TrialConfig, second: TrialConfig) -> list[str]:
    """Return the sections that the readout of one cell uses and that of the other does not."""
    names = [name for name in type(first).model_fields if name not in ("readout", "seed", "runtime")]
    return [name for name in names if (name in _uses(first)) != (name in _uses(second)) and name not in _TOP]


def _uses(config: TrialConfig) -> tuple[str, ...]:
    found: tuple[str, ...] = plugins.load(READOUTS, config.readout.name).uses
    return found


def _values(config: TrialConfig) -> dict[str, Any]:
    """Return every setting but seed and runtime by dotted path, without folders and the like that change nothing."""
    found: dict[str, Any] = {}
    for name in type(config).model_fields:
        value = getattr(config, name)
        if name in ("seed", "runtime"):
            continue
        if isinstance(value, Section):
            found |= {f"{name}.{key}": item for key, item in _section(value).items()}
        else:
            found[name] = list(value) if isinstance(value, tuple) else value
    return found


def _section(section: Section) -> dict[str, Any]:
    fields = type(section).model_fields
    extras = {name: field.json_schema_extra for name, field in fields.items()}
    kept = {name for name, extra in extras.items() if not isinstance(extra, dict) or extra.get("identity", True)}
    return section.model_dump(mode="json", include=kept)


def _used(config: TrialConfig, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those settings that the cell's results depend on, as its id does."""
    uses = {*_uses(config), *_TOP}
    media = {f"media.{name}" for modality in config.modalities for name in MEDIA_OPTIONS.get(modality, ())}
    return {
        key: value
        for key, value in values.items()
        if (section := key.partition(".")[0]) in uses and (section != "media" or key in media)
    }


def _hash(
    what: str, first: TrialConfig, second: TrialConfig, axes: Sequence[str], pairs: Sequence[Pair]
) -> RecordedHash:
    """Compare one recorded digest over all pairs of trials."""
    without = [config.readout.name for config in (first, second) if not _has(what, config)]
    values = [tuple(record.hashes.get(what, "") for record in pair) for pair in pairs]
    num_differing = sum(a != b and bool(a and b) for a, b in values)
    if without:
        why = f"{' and '.join(dict.fromkeys(without))} has none"
        return RecordedHash(what, "not used" if len(without) == 2 else "explained", len(values), why)
    if any(not (a and b) for a, b in values) or not values:
        why = "by the older of these trials" if values else "no pair of trials is complete"
        return RecordedHash(what, "not recorded", len(values), why)
    if not num_differing:
        return RecordedHash(what, "identical", len(values), "")
    if causes := _causes(what, first, second, axes):
        return RecordedHash(what, "explained", len(values), f"depends on {' and '.join(causes)}")
    why = f"not the same at {num_differing} of {len(values)} seeds, and no axis explains it"
    return RecordedHash(what, "differs", len(values), why)


def _has(what: str, config: TrialConfig) -> bool:
    readout = plugins.load(READOUTS, config.readout.name)
    if what in _BY_FIT:
        return bool(readout.trained)
    return {"inputs": "media", "weights": "backbone"}[what] in readout.uses


def _causes(what: str, first: TrialConfig, second: TrialConfig, axes: Sequence[str]) -> list[str]:
    """Return the axes that a digest depends on and that differ."""
    sections = HASHES[what].depends_on
    if what == "data_order" and max(first.training.length_buckets, second.training.length_buckets):
        sections += _SORTED_BY_LENGTH
    return [axis for axis in axes if axis.partition(".")[0] in sections]
