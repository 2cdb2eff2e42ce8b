"""Ids: everything a result depends on changes them, nothing else does."""

from typing import Any, get_args

import pytest

from helpers.least_options import least_sections
from omni_msa.config import identity
from omni_msa.config.identity import fit_id, trial_id
from omni_msa.config.sections import DatasetOptions, Section, added_later, runtime_only
from omni_msa.config.trial import (
    MEDIA_OPTIONS,
    PLUGIN_SECTIONS,
    MediaConfig,
    TrialConfig,
    parse_trial,
    plugins,
)

FULL: dict[str, Any] = {
    "dataset": {"name": "vader_av", "num_train": 16, "num_valid": 8, "num_test": 8},
    "backbone": {"name": "tiny"},
    "adapter": {"rank": 4, "alpha": 8.0, "dropout": 0.0, "targets": ["q_proj", "v_proj"], "text_layers": "last_2"},
    "readout": {"name": "discriminative", "width": 16},
    "training": {"epochs": 2, "learning_rate": 1e-3},
    "media": {"num_frames_max": 4, "mel_hop_ms": 40},
    "modalities": ["text", "audio", "video"],
    "seed": 1,
}
OTHERS = {  # for fields with a rule of their own, and choices that no type shows
    "num_frames_max": 8,
    "towers": ("text",),
    "targets": ("k_proj",),
    "text_layers": "last_1",
    "modalities": ("text", "audio"),
    "domains": ("news",),
    "select_metric": "corr",
    "seed": 2,
    "attention": "eager",
    "quantization": "nf4",
    "dtype": "bfloat16",
    "strengths": (1.0,),
    "layer": 1,
}


def config(**changes: Any) -> TrialConfig:
    """Return FULL with changes; a mapping is laid over its section, unless it names another plug-in."""
    data = {**FULL}
    for key, value in changes.items():
        is_part = isinstance(value, dict) and "name" not in value
        data[key] = {**FULL.get(key, {}), **value} if is_part else value
    return parse_trial(data)


def ids(**changes: Any) -> tuple[str, str]:
    made = config(**changes)
    return trial_id(made, "data"), fit_id(made, "data")


def readout(name: str, **options: Any) -> dict[str, Any]:
    return {"readout": {"name": name, **options}}


def is_identity(field: Any) -> bool:
    return (field.json_schema_extra or {}).get("identity", True)


def other_value(name: str, field: Any, value: Any) -> Any:
    """Return a valid value of a field that differs from `value`; None if the field allows no second one."""
    if name in OTHERS and value != OTHERS[name]:
        return OTHERS[name]
    choices = [choice for choice in get_args(field.annotation) if choice != value and not isinstance(choice, type)]
    if choices or "Literal" in str(field.annotation):
        return choices[0] if choices else None
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return value / 3 + 0.05 if isinstance(value, float) else None


def changed_fields(made: TrialConfig) -> list[tuple[str, str, TrialConfig]]:
    """Return (section, field, the configuration with that field changed) for every field of identity."""
    result = []
    for section in ("dataset", "media", "backbone", "adapter", "readout", "training"):
        part = getattr(made, section)
        for name, field in type(part).model_fields.items():
            if name != "name" and is_identity(field):
                value = other_value(name, field, getattr(part, name))
                if value is not None:
                    changed = type(part).model_validate({**part.model_dump(), name: value})
                    result.append((section, name, made.model_copy(update={section: changed})))
    return result


@pytest.mark.parametrize("name", plugins.names("readouts"))
def test_every_field_used_changes_the_id_and_no_other_does(name: str) -> None:
    made = config(**readout(name))
    uses = plugins.load("readouts", name).uses
    before, seen = trial_id(made, "data"), set()
    changes = changed_fields(made)
    assert len(changes) >= 25
    for section, field, changed in changes:
        after = trial_id(changed, "data")
        assert (after != before) is (section in uses), f"{section}.{field}"
        if section in uses:
            assert after not in seen, f"{section}.{field} gives the id of another change"
            seen.add(after)


def test_the_walk_over_fields_leaves_out_only_fields_with_one_value() -> None:
    made = config()
    walked = {(section, field) for section, field, _ in changed_fields(made)}
    for section in ("dataset", "media", "backbone", "adapter", "readout", "training"):
        part = getattr(made, section)
        for name, field in type(part).model_fields.items():
            single = "Literal" in str(field.annotation) and len(get_args(field.annotation)) == 1
            assert (section, name) in walked or single or name == "name" or not is_identity(field), f"{section}.{name}"


@pytest.mark.parametrize("kind", PLUGIN_SECTIONS)
def test_the_name_of_a_plug_in_is_identity(kind: str) -> None:
    names = plugins.names(PLUGIN_SECTIONS[kind])
    found = {trial_id(config(**least_sections(kind, name)), "data") for name in names}
    assert len(found) == len(names)


def test_modalities_seed_data_and_protocol_are_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    before = ids()
    others = [ids(modalities=["text"]), ids(seed=2), ids(repeat=1), ids(repeat=2)]
    others.append((trial_id(config(), "other data"), fit_id(config(), "other data")))
    monkeypatch.setattr(identity, "PROTOCOL_VERSION", identity.PROTOCOL_VERSION + 1)
    others.append(ids())
    for place in (0, 1):
        assert len({before[place], *(pair[place] for pair in others)}) == 7


def test_where_and_how_fast_a_trial_runs_never_changes_an_id() -> None:
    runtime = {"device": "cpu", "micro_batch": 1, "eval_batch": 1, "prefix_cache": False, "seconds_per_clip": 9.0}
    assert ids(runtime=runtime) == ids()
    assert ids(dataset={"root": "/elsewhere"}, backbone={"weights": "/weights"}) == ids()


def test_values_are_hashed_not_how_they_are_written() -> None:
    assert ids(adapter={"alpha": 8}) == ids(adapter={"alpha": 8.0})
    assert ids(modalities=["video", "audio", "text"]) == ids()
    assert ids(adapter={"towers": ["video", "text", "audio"]}) == ids()
    assert ids(training={"batch_size": 8}) == ids()  # the default, written out


def test_a_constant_has_neither_rank_nor_modalities_nor_seed() -> None:
    before = ids(**readout("constant"))
    changes: list[dict[str, Any]] = [
        {"adapter": {"rank": 64}},
        {"training": {"epochs": 9}},
        {"backbone": {"name": "pocket"}},
        {"modalities": ["text"]},
        {"seed": None},
        {"seed": 7},
    ]
    assert all(ids(**readout("constant"), **change) == before for change in changes)
    assert ids(**readout("constant"), dataset={"num_train": 17}) != before


def test_text_alone_does_not_depend_on_media() -> None:
    media = {"media": {"num_frames_max": 8, "mel_hop_ms": 10}}
    assert ids(modalities=["text"], **media) == ids(modalities=["text"])
    assert ids(modalities=["audio"], **media) != ids(modalities=["audio"])


def test_each_modality_depends_on_its_own_media_options_only() -> None:
    assert ids(modalities=["audio"], media={"num_frames_max": 8}) == ids(modalities=["audio"])
    assert ids(modalities=["video"], media={"num_frames_max": 8}) != ids(modalities=["video"])
    assert sorted(name for names in MEDIA_OPTIONS.values() for name in names) == sorted(MediaConfig.model_fields)


def test_expected_value_reads_the_fit_of_generative() -> None:
    written, read = ids(**readout("generative")), ids(**readout("expected_value"))
    assert written[1] == read[1]
    assert written[0] != read[0]
    assert ids(**readout("generative", decimals=2))[1] == ids(**readout("expected_value", decimals=2))[1] != read[1]
    longer = ids(**readout("generative", num_tokens_max=16))  # matters to reading only
    assert longer[1] == written[1]
    assert longer[0] != written[0]
    assert ids()[1] != written[1]


def test_a_field_added_later_leaves_ids_as_they_were() -> None:
    class Before(DatasetOptions):
        name: str = "synthetic"
        size: int = 3

    class Inner(Section):
        depth: int = 1
        width: int = added_later(4)

    class After(Before):
        noise: float = added_later(0.0, ge=0)
        names: tuple[str, ...] = added_later(("a",), strict=False)
        folder: str | None = runtime_only(None)

    def identify(options: DatasetOptions) -> str:
        return trial_id(config(**readout("constant")).model_copy(update={"dataset": options}), "data")

    assert identify(After()) == identify(Before())
    assert identify(After(folder="/x")) == identify(Before())
    assert identify(After(size=4)) == identify(Before(size=4)) != identify(Before())
    different = {identify(After(noise=0.1)), identify(After(names=("b",))), identify(After(names=("a", "a")))}
    assert len(different | {identify(Before())}) == 4

    class Nested(Before):
        parts: tuple[Inner, ...] = (Inner(),)

    class Older(Before):
        parts: tuple[dict[str, int], ...] = ({"depth": 1},)

    assert identify(Nested()) == identify(Older())
    assert identify(Nested(parts=(Inner(width=5),))) != identify(Older())


@pytest.mark.parametrize("name", plugins.names("readouts"))
def test_clips_left_out_are_identity_of_every_trial_and_none_changes_nothing(name: str) -> None:
    before = ids(**readout(name))
    assert ids(**readout(name), dropped_clips=[]) == before
    one, other = ids(**readout(name), dropped_clips=["b"]), ids(**readout(name), dropped_clips=["b", "a"])
    assert len({before[0], one[0], other[0]}) == len({before[1], one[1], other[1]}) == 3
    assert ids(**readout(name), dropped_clips=["a", "b", "a"]) == other


def test_recorded_ids() -> None:
    """If this fails, no result of an earlier version is found again: raise PROTOCOL_VERSION, or mend the hashing."""
    assert ids() == ("6f1daf431423d4f4", "6f1daf431423d4f4")
    assert ids(**readout("constant"))[0] == "73142c18e5e8b050"


def test_ids_are_sixteen_hex_digits() -> None:
    for text in ids():
        assert len(text) == 16
        assert int(text, 16) >= 0
