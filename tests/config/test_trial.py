"""One trial's configuration: what is accepted, what is refused, and how it is said."""

import json
from typing import Any, get_args

import pytest

from helpers.least_options import least_sections
from omni_msa.config import plugins
from omni_msa.config.sections import MODALITIES, Modality, Section
from omni_msa.config.trial import LINEAR_LAYERS, PLUGIN_SECTIONS, AdapterConfig, TrialConfig, parse_trial
from omni_msa.config.validation import shorten
from omni_msa.errors import InputError, Problem
from omni_msa.stats.metrics import METRICS

PLAIN: dict[str, Any] = {
    "dataset": {"name": "vader_av", "num_train": 16},
    "backbone": {"name": "tiny"},
    "readout": {"name": "generative"},
}


def problems_of(**changes: Any) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as info:
        parse_trial({**PLAIN, **changes}, "a.yaml")
    return info.value.problems


def test_values_and_defaults() -> None:
    config = parse_trial({**PLAIN, "adapter": {"rank": 4}, "seed": 3})
    assert (config.adapter.rank, config.adapter.alpha, config.seed) == (4, 32.0, 3)
    assert config.dataset.num_train == 16  # type: ignore[attr-defined]
    assert config.readout.num_tokens_max == 8  # type: ignore[attr-defined]
    assert config.modalities == MODALITIES == get_args(Modality)


def test_the_protocol_is_the_default() -> None:
    config = parse_trial(PLAIN)
    assert (config.adapter.rank, config.adapter.alpha, config.adapter.dropout) == (32, 32.0, 0.1)
    assert config.adapter.targets == LINEAR_LAYERS
    assert len(LINEAR_LAYERS) == 7
    assert config.adapter.towers == MODALITIES
    training = config.training
    assert (training.learning_rate, training.learning_rate_readout, training.weight_decay) == (2e-4, 1e-3, 0.01)
    assert (training.batch_size, training.epochs, training.clip_norm, training.warmup_fraction) == (8, 5, 1.0, 0.05)
    assert (config.media.num_frames_max, config.media.frame_rate_hz, config.media.frame_pixels_max) == (16, 2, 100_352)


@pytest.mark.parametrize("kind", PLUGIN_SECTIONS)
def test_every_plug_in_comes_back_from_json(kind: str) -> None:
    for name in plugins.names(PLUGIN_SECTIONS[kind]):
        config = parse_trial({**PLAIN, **least_sections(kind, name), "seed": 1})
        assert parse_trial(json.loads(config.model_dump_json())) == config
        assert isinstance(getattr(config, kind), plugins.load(PLUGIN_SECTIONS[kind], name).Options)


def test_one_set_of_modalities_is_written_in_one_way() -> None:
    config = parse_trial({**PLAIN, "modalities": ["video", "text"], "adapter": {"towers": ["audio", "text"]}})
    assert config.modalities == ("text", "video")
    assert config.adapter.towers == ("text", "audio")


CASES: list[tuple[dict[str, Any], Problem]] = [
    (
        {"adapter": {"rnk": 4}},
        Problem(
            "unknown key",
            "a.yaml adapter.rnk",
            "'rnk'",
            "rank, alpha, dropout, targets, towers, text_layers",
            'did you mean "rank"?',
        ),
    ),
    (
        {"readout": {"name": "generative", "decimal": 1}},
        Problem(
            "unknown key",
            "a.yaml readout.decimal",
            "'decimal'",
            "name, decimals, num_tokens_max, sign, constrained",
            'did you mean "decimals"?',
        ),
    ),
    ({"adapter": {"rank": "16"}}, Problem("wrong value", "a.yaml adapter.rank", "'16'", "a valid integer")),
    ({"adapter": {"rank": True}}, Problem("wrong value", "a.yaml adapter.rank", "True", "a valid integer")),
    ({"adapter": {"rank": 0}}, Problem("wrong value", "a.yaml adapter.rank", "0", "greater than or equal to 1")),
    ({"adapter": 7}, Problem("wrong value", "a.yaml adapter", "7", "a mapping of names to values")),
    ({"media": None}, Problem("wrong value", "a.yaml media", "None", "a mapping of names to values")),
    ({"modalities": "text"}, Problem("wrong value", "a.yaml modalities", "'text'", "a list in square brackets")),
    (
        {"modalities": ["text", "vidio"]},
        Problem("wrong value", "a.yaml modalities.1", "'vidio'", "'text', 'audio' or 'video'", 'did you mean "video"?'),
    ),
    (
        {"modalities": ["text", "text"]},
        Problem("a modality is listed twice", "a.yaml modalities", "['text', 'text']"),
    ),
    (
        {"adapter": {"targets": ["q_proj", "q_proj"]}},
        Problem("a layer name is listed twice", "a.yaml adapter.targets", "['q_proj', 'q_proj']"),
    ),
    (
        {"media": {"num_frames_max": 5}},
        Problem("wrong value", "a.yaml media.num_frames_max", "5", "a multiple of 2"),
    ),
    (
        {"training": {"learning_rate": float("inf")}},
        Problem("wrong value", "a.yaml training.learning_rate", "inf", "a finite number"),
    ),
    (
        {"training": {"select_metric": "maee"}},
        Problem(
            "unknown metric",
            "a.yaml training.select_metric",
            "'maee'",
            ", ".join(name for name, metric in METRICS.items() if metric.kind == "quality"),
            'did you mean "mae"?',
        ),
    ),
    (
        {"dataset": {"num_train": 4}},
        Problem("a key is missing", "a.yaml dataset.name", "", ", ".join(plugins.names("datasets")), "add name"),
    ),
    (
        {"backbone": {"name": 7}},
        Problem("not the name of a plug-in", "a.yaml backbone.name", "7", ", ".join(plugins.names("backbones"))),
    ),
]


@pytest.mark.parametrize(("changes", "expected"), CASES, ids=lambda value: str(value)[:40])
def test_one_mistake_gives_one_problem(changes: dict[str, Any], expected: Problem) -> None:
    assert problems_of(**changes) == (expected,)


@pytest.mark.parametrize("value", [None, 7, 1.5, "generative", ["generative"], True])
@pytest.mark.parametrize("section", PLUGIN_SECTIONS)
def test_a_plug_in_section_of_another_shape(section: str, value: Any) -> None:
    (problem,) = problems_of(**{section: value})
    assert (problem.what, problem.where) == ("not the name of a plug-in", f"a.yaml {section}")
    assert problem.got == repr(value)
    assert all(name in problem.allowed for name in plugins.names(PLUGIN_SECTIONS[section]))


@pytest.mark.parametrize("section", PLUGIN_SECTIONS)
def test_a_missing_plug_in_section(section: str) -> None:
    with pytest.raises(InputError) as info:
        parse_trial({key: value for key, value in PLAIN.items() if key != section}, "a.yaml")
    assert info.value.problems == (Problem("a key is missing", f"a.yaml {section}", next_step=f"add {section}"),)
    (problem,) = problems_of(**{section: {}})
    assert (problem.what, problem.where) == ("a key is missing", f"a.yaml {section}.name")


def test_everything_wrong_is_said_at_once() -> None:
    found = problems_of(
        readout={"name": "generativ", "decimals": 1},
        dataset=None,
        backbone={"name": "tiny", "dtype": "float23"},
        adapter={"rank": "16", "alpha": -1.0},
        seed=-1,
        bogus=1,
    )
    assert {problem.where.removeprefix("a.yaml ") for problem in found} == {
        "readout.name",
        "dataset",
        "backbone.dtype",
        "adapter.rank",
        "adapter.alpha",
        "seed",
        "bogus",
    }
    assert len(found) == 7


def test_unknown_keys_inside_lists_and_optional_sections_are_explained() -> None:
    from pydantic import ValidationError

    from omni_msa.config.validation import explain

    class Inner(Section):
        rank: int = 1

    class Outer(Section):
        one: Inner | None = None
        many: tuple[Inner, ...] = ()

    with pytest.raises(ValidationError) as info:
        Outer.model_validate({"one": {"rnk": 1}, "many": ({"rnk": 1},)})
    one, many = explain(info.value, Outer)
    assert (one.where, one.allowed, one.next_step) == ("one.rnk", "rank", 'did you mean "rank"?')
    assert (many.what, many.where) == ("unknown key", "many.0.rnk")


def test_long_values_are_shortened() -> None:
    assert shorten("a" * 10) == "'aaaaaaaaaa'"
    assert len(shorten("a" * 1000)) == 200
    assert shorten("a" * 1000).endswith("...")


def test_no_default_of_a_section_breaks_its_own_rules() -> None:
    assert AdapterConfig() == AdapterConfig.model_validate(json.loads(AdapterConfig().model_dump_json()))
    assert TrialConfig.model_fields["seed"].default is None
