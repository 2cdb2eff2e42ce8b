"""Checks that a comparison is controlled: which settings of two cells and which recorded digests differ or agree."""

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
    """A digest that trials record: its name for readers, and the settings it depends on."""

    title: str
    depends_on: tuple[str, ...]


HASHES = {
    "adapter_init": Hash("initial adapter weights", ("adapter", "backbone")),
    "data_order": Hash("order of the training clips", ("dataset", "training", "num_train_clips", "dropped_clips")),
    "inputs": Hash("media inputs", ("dataset", "modalities", "media", "backbone", "num_train_clips", "dropped_clips")),
    "weights": Hash("frozen weights", ("backbone",)),
    "readout_init": Hash("initial weights of the readout", ("readout", "backbone", "dataset")),
}
_SORTED_BY_LENGTH = ("modalities", "media", "backbone")  # further causes with training.length_buckets


@dataclass(frozen=True)
class RecordedHash:
    """What the trials of two cells recorded of one digest.

    Args:
        what: name of the digest, a key of `HASHES`.
        state: the result of the comparison.
        seeds: the number of pairs compared.
        why: the reason for the state, "" if it needs none.
    """

    what: str
    state: Literal["identical", "differs", "explained", "not recorded", "not used"]
    seeds: int
    why: str


@dataclass(frozen=True)
class Control:
    """How far a comparison of two cells is controlled.

    Args:
        label, against: names of the cells.
        controlled: whether nothing is known to differ but axes of the sweep and what follows from them.
        axes: the axes on which the cells differ, and their values.
        other_settings: settings that differ, are no axis and do not follow from one.
        follows: settings that differ because an axis does; a section that only one cell uses is "used", "not used".
        irrelevant: settings that differ but on which the results of neither cell depend.
        num_equal_settings: number of `equal_settings`.
        equal_settings: settings that are equal and on which the results depend, by dotted path.
        hashes: the digests of initial weights, data order and inputs, compared.
        provenance: differences in code and machine.
        flags: sentences that a reader must know.
    """

    name: str
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
    """The settings of two cells, grouped by what a difference means for the comparison."""

    equal: dict[str, Any] = field(default_factory=dict)
    follows: dict[str, list[Any]] = field(default_factory=dict)
    irrelevant: dict[str, list[Any]] = field(default_factory=dict)
    others: dict[str, list[Any]] = field(default_factory=dict)


def prove(cell: Cell, against: Cell, pairs: Sequence[Pair]) -> Control:
    """Compare the full configurations of two cells and the digests that their trials recorded.

    Args:
        cell, against: of one sweep.
        pairs: complete trials of both, one pair for each common seed.
    """
    axes = _differing_axes(cell, against)
    settings = _sort_settings(cell.config, against.config, tuple(axes))
    hashes = [_hash(what, cell.config, against.config, tuple(axes), pairs) for what in HASHES]
    origins = origin_differences(pairs)
    flags = [f"{key} differs ({a} against {b}) and is no axis" for key, (a, b) in settings.others.items()]
    if len(axes) > 1:
        flags.append(f"{len(axes)} axes differ at once ({', '.join(axes)}): a difference belongs to them together")
    flags += [f"{HASHES[recorded.what].title}: {recorded.why}" for recorded in hashes if recorded.state == "differs"]
    unknown = [HASHES[recorded.what].title for recorded in hashes if recorded.state == "not recorded" and pairs]
    if unknown:
        flags.append(f"not recorded, so not proved equal: {', '.join(unknown)}")
    return Control(
        name=cell.name,
        against=against.name,
        controlled=not settings.others and all(recorded.state != "differs" for recorded in hashes),
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
    values_of = {axis: [value, against.axes.get(axis)] for axis, value in cell.axes.items()}
    for path in {**cell.parameters, **against.parameters}:  # of a search: the settings of a proposal replace its number
        values_of.pop("proposal", None)
        values_of[path] = [setting_at(side.config, path) for side in (cell, against)]
    return {axis: values for axis, values in values_of.items() if values[0] != values[1]}


def setting_at(config: TrialConfig, path: str) -> Any:
    """Return the setting of a configuration at a dotted path, as a plain value; None if there is none."""
    value: Any = config.model_dump(mode="json")
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _sort_settings(first: TrialConfig, second: TrialConfig, axes: Sequence[str]) -> _Settings:
    everything = _values(first), _values(second)
    used = _used(first, everything[0]), _used(second, everything[1])
    settings = _Settings()
    for section in _sections_of_one(first, second):
        group = settings.follows if _follows(f"{section}.", axes, True) else settings.others
        group[section] = ["used" if section in _uses(config) else NOT_USED for config in (first, second)]
    for key in dict.fromkeys([*everything[0], *everything[1]]):
        _sort_setting(key, everything, used, axes, settings)
    return settings


def _sort_setting(
    key: str,
    everything: tuple[dict[str, Any], dict[str, Any]],
    used: tuple[dict[str, Any], dict[str, Any]],
    axes: Sequence[str],
    settings: _Settings,
) -> None:
    a, b = (values.get(key) for values in everything)
    if key not in used[0] and key not in used[1]:
        if a != b:
            settings.irrelevant[key] = [a, b]
    elif key in used[0] and key in used[1] and a == b:
        settings.equal[key] = a
    elif (key in used[0]) != (key in used[1]) and key in everything[0] and key in everything[1]:
        section = key.partition(".")[0]
        if section not in {*settings.follows, *settings.others}:  # the whole section has been listed; here a part of it
            settings.follows[key] = [a, NOT_USED] if key in used[0] else [NOT_USED, b]
    elif key not in axes:
        group = settings.follows if _follows(key, axes, False) else settings.others
        group[key] = [a, b]


def _follows(key: str, axes: Sequence[str], by_readout: bool) -> bool:
    """Return whether a setting differs because an axis does: it is below the axis, or the readout determines it."""
    if by_readout:
        return any(axis == "readout" or axis.startswith("readout.") for axis in axes)
    return any(key.startswith(f"{axis}.") for axis in axes)


def _sections_of_one(first: TrialConfig, second: TrialConfig) -> list[str]:
    """Return the sections that the readout of one cell uses and that of the other does not."""
    names = [name for name in type(first).model_fields if name not in ("readout", "seed", "runtime")]
    return [name for name in names if (name in _uses(first)) != (name in _uses(second)) and name not in _TOP]


def _uses(config: TrialConfig) -> tuple[str, ...]:
    uses: tuple[str, ...] = plugins.load(READOUTS, config.readout.name).uses
    return uses


def _values(config: TrialConfig) -> dict[str, Any]:
    """Return all settings by dotted path, without seed, runtime and those, such as folders, that are not identity."""
    settings: dict[str, Any] = {}
    for name in type(config).model_fields:
        value = getattr(config, name)
        if name in ("seed", "runtime"):
            continue
        if isinstance(value, Section):
            settings |= {f"{name}.{key}": item for key, item in _section(value).items()}
        else:
            settings[name] = list(value) if isinstance(value, tuple) else value
    return settings


def _section(section: Section) -> dict[str, Any]:
    fields = type(section).model_fields
    extras = {name: field.json_schema_extra for name, field in fields.items()}
    names = {name for name, extra in extras.items() if not isinstance(extra, dict) or extra.get("identity", True)}
    return section.model_dump(mode="json", include=names)


def _used(config: TrialConfig, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings on which the cell's results, and so its id, depend."""
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
    """Return the differing axes on which a digest depends."""
    sections = HASHES[what].depends_on
    if what == "data_order" and max(first.training.length_buckets, second.training.length_buckets):
        sections += _SORTED_BY_LENGTH
    return [axis for axis in axes if axis.partition(".")[0] in sections]
