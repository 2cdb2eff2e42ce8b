"""The configuration of a trial: frozen sections, validated together, with all problems reported at once."""

from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SerializeAsAny, ValidationError, create_model, field_validator
from pydantic_core import PydanticCustomError

from omni_msa.config import plugins
from omni_msa.config.plugin_facts import BACKBONES, DATASETS, READOUTS, AnyPlugin
from omni_msa.config.sections import (
    MODALITIES,
    BackboneOptions,
    DatasetOptions,
    Modality,
    ReadoutOptions,
    Section,
    added_later,
    has_original_value,
)
from omni_msa.config.validation import explain, shorten
from omni_msa.errors import InputError, Problem
from omni_msa.stats.metrics import METRICS, metrics_of, rates_of

LINEAR_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
PLUGIN_SECTIONS: dict[str, plugins.Kind[AnyPlugin]] = {
    "dataset": DATASETS,
    "backbone": BACKBONES,
    "readout": READOUTS,
}


def _known_metric(kinds: tuple[str, ...]) -> AfterValidator:
    allowed = [name for name, metric in METRICS.items() if metric.kind in kinds and metric.better != "none"]

    def check(name: str) -> str:
        if name not in allowed:
            undirected = name in METRICS and METRICS[name].better == "none"
            what = (
                "this metric has no better direction, so it cannot choose between results"
                if undirected
                else "unknown metric"
            )
            raise PydanticCustomError("unknown_name", what, {"allowed": ", ".join(allowed)})
        return name

    return AfterValidator(check)


QualityMetric = Annotated[str, _known_metric(("quality",))]
AnyMetric = Annotated[str, _known_metric(("quality", "rate", "cost"))]


def in_order(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return modalities in the order of `MODALITIES`, so that equal sets compare as equal.

    Raises:
        ValueError: a name is listed twice.
    """
    if len(set(names)) != len(names):
        raise ValueError("a modality is listed twice")
    return tuple(name for name in MODALITIES if name in names)


class MediaConfig(Section):
    """How audio and video become network inputs."""

    num_frames_max: int = Field(16, ge=2, le=768, multiple_of=2, description="most frames used of a clip; even")
    frame_rate_hz: float = Field(2.0, gt=0, le=60, description="frames sampled per second of video")
    frame_pixels_max: int = Field(100_352, ge=784, description="area in pixels to which larger frames are scaled")
    sample_rate_hz: Literal[16_000] = 16_000
    mel_hop_ms: Literal[10, 20, 40] = Field(10, description="hop of the log-mel features; at 40, 6 tokens per second")
    num_mel_bins: Literal[80, 128] = 128
    audio_seconds_max: float = Field(30.0, gt=0, le=300, description="audio beyond this is cut off")
    denoise: Literal["none", "deepfilternet"] = added_later("none", description="deepfilternet: needs that program")


MEDIA_OPTIONS = {
    "audio": ("sample_rate_hz", "mel_hop_ms", "num_mel_bins", "audio_seconds_max", "denoise"),
    "video": ("num_frames_max", "frame_rate_hz", "frame_pixels_max"),
}
"""The options of `MediaConfig` that the inputs of each modality depend on."""


def media_options(media: MediaConfig, modality: str) -> dict[str, Any]:
    """Return the options that enter the content address of a modality's inputs.

    An option added later is left out while it has its original value, so that existing prepared inputs stay valid.

    Args:
        media: all options.
        modality: audio or video.
    """
    return {name: getattr(media, name) for name in MEDIA_OPTIONS[modality] if not has_original_value(media, name)}


class AdapterConfig(Section):
    """Trainable low-rank weights (LoRA, arXiv 2106.09685)."""

    rank: int = Field(32, ge=1, le=1024)
    alpha: float = Field(32.0, gt=0, description="the low-rank product is scaled by alpha / rank")
    dropout: float = Field(0.1, ge=0, lt=1)
    targets: tuple[str, ...] = Field(LINEAR_LAYERS, min_length=1, strict=False, description="last part of layer names")
    towers: tuple[Modality, ...] = Field(MODALITIES, min_length=1, strict=False)
    text_layers: str = Field("all", pattern=r"^(all|last_[1-9][0-9]*)$", description='"all" or "last_N"')

    @field_validator("towers")
    @classmethod
    def _canonical_towers(cls, towers: tuple[str, ...]) -> tuple[str, ...]:
        return in_order(towers)

    @field_validator("targets")
    @classmethod
    def _distinct_targets(cls, targets: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(targets)) != len(targets):
            raise ValueError("a layer name is listed twice")
        return targets


class TrainingConfig(Section):
    """The optimisation of a fit."""

    epochs: int = Field(5, ge=1)
    batch_size: int = Field(8, ge=1, description="clips per optimiser step (the effective batch)")
    learning_rate: float = Field(2e-4, gt=0, description="peak learning rate of the adapter")
    learning_rate_readout: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    warmup_fraction: float = Field(0.05, ge=0, lt=1, description="share of steps in which the learning rate rises")
    clip_norm: float = Field(1.0, gt=0, description="largest norm of the gradient; larger ones are scaled")
    select_metric: QualityMetric = Field("mae", description="metric on valid that selects the best epoch")
    length_buckets: int = added_later(
        0, ge=0, description="0: off; N: within each group of N batches, clips are sorted by length to reduce padding"
    )


class RuntimeConfig(Section):
    """What changes speed, memory or storage but not results; never part of an id."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    micro_batch: int = Field(8, ge=1, description="clips per forward pass in training")
    eval_batch: int = Field(8, ge=1, description="clips per forward pass in evaluation")
    trials_at_once: int | None = Field(None, ge=1, description="default: one per GPU; without GPU, one per core")
    prefix_cache: bool = Field(True, description="cache hidden states below the first adapted layer on disk")
    gradient_checkpointing: bool = False
    loader_workers: int = Field(2, ge=0, le=64, description="threads that prefetch clips, and limit on processes")
    hang_s: float = Field(900.0, gt=0, description="a trial that shows no progress for this long is killed")
    seconds_per_clip: float = Field(0.5, gt=0, description="assumed time of one training clip until it is measured")
    disk_reserve_gb: float | None = Field(None, ge=0, description="disk to keep free; default: space for checkpoints")
    clip_seconds_max: float = Field(60.0, gt=0, description="time limit for decoding a clip; slower clips count as bad")


class TrialConfig(Section):
    """Everything that defines one trial. `seed` is None if the readout is deterministic."""

    dataset: SerializeAsAny[DatasetOptions]
    modalities: tuple[Modality, ...] = Field(MODALITIES, min_length=1, strict=False)
    media: MediaConfig = MediaConfig()
    backbone: SerializeAsAny[BackboneOptions]
    adapter: AdapterConfig = AdapterConfig()
    readout: SerializeAsAny[ReadoutOptions]
    training: TrainingConfig = TrainingConfig()
    seed: int | None = Field(None, ge=0, lt=2**31)
    repeat: int = Field(0, ge=0, description="number of the rerun; 0 is the first run of the trial")
    num_train_clips: int | None = Field(None, ge=1, description="train on so many clips of the training split")
    dropped_clips: tuple[str, ...] = Field((), strict=False, description="ids of bad clips; on_bad_clip=drop sets it")
    opens_test: bool = Field(True, description="whether to evaluate on test; set to False by a search")
    stops_after_epoch: int | None = Field(None, ge=1, description="pause with a checkpoint; set by a search")
    runtime: RuntimeConfig = RuntimeConfig()

    @field_validator("modalities")
    @classmethod
    def _canonical_modalities(cls, modalities: tuple[str, ...]) -> tuple[str, ...]:
        return in_order(modalities)

    @field_validator("dropped_clips")
    @classmethod
    def _canonical_dropped_clips(cls, clips: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(clips)))


def parse_trial(data: dict[str, Any], where: str = "") -> TrialConfig:
    """Validate the configuration of one trial.

    Args:
        data: nested plain values; `dataset`, `backbone` and `readout` each name a plug-in.
        where: file (and cell) that the values come from, for messages.

    Raises:
        InputError: with every problem found.
    """
    problems: list[Problem] = []
    options: dict[str, Any] = dict.fromkeys(PLUGIN_SECTIONS, Any)  # Any: the other sections are still checked
    for section in (name for name in PLUGIN_SECTIONS if name in data):
        try:
            options[section] = _plugin_options(PLUGIN_SECTIONS[section], data[section], f"{where} {section}".strip())
        except InputError as error:
            problems += error.problems
    try:
        config = _trial_model(*options.values()).model_validate(data)
    except ValidationError as error:
        problems += explain(error, TrialConfig, where, options)
    if not problems:
        key = f"{where} training.select_metric".strip()
        problems += check_metric(config.training.select_metric, config.dataset, key)
    if problems:
        raise InputError(*problems)
    return config


def conventions_of(dataset: DatasetOptions) -> str:
    """Return the name of a dataset's conventions (a key of `metrics.HEADLINES`): which metrics are computed."""
    return plugins.load(DATASETS, dataset.name).conventions(dataset)


def classes_of(dataset: DatasetOptions) -> tuple[str, ...]:
    """Return the names of a dataset's classes in the order of their numbers; () if labels are scores."""
    return plugins.load(DATASETS, dataset.name).classes(dataset)


def check_unused(config: TrialConfig, *names: str) -> list[Problem]:
    """Return a problem for each option of the readout that was set although it has no effect on classes.

    Args:
        config: of the trial; if its labels are scores, there is no problem.
        names: options that apply to scores only.
    """
    if not classes_of(config.dataset):
        return []
    what = f"this option has no meaning for the classes of {config.dataset.name}"
    defaults = type(config.readout)(name=config.readout.name)
    values = [(name, str(getattr(config.readout, name)), str(getattr(defaults, name))) for name in names]
    return [Problem(what, f"readout.{name}", got, usual, "remove it") for name, got, usual in values if got != usual]


def check_metric(name: str, dataset: DatasetOptions, where: str) -> list[Problem]:
    """Return a problem if a metric is not defined for a dataset.

    Args:
        name: of a known metric.
        dataset: options of the dataset.
        where: file and key that name the metric, for the message.
    """
    conventions = conventions_of(dataset)
    allowed = metrics_of(conventions)
    if name in (*allowed, *rates_of(conventions)) or METRICS[name].kind == "cost":
        return []
    return [Problem(f"this metric is not defined for {dataset.name}", where, name, ", ".join(allowed))]


def _plugin_options(kind: plugins.Kind[AnyPlugin], values: Any, where: str) -> type[Section]:
    """Return the class of the options of the plug-in that a section names."""
    name = values.get("name") if isinstance(values, dict) else None
    if not isinstance(name, str):
        raise InputError(_no_plugin(values, ", ".join(plugins.names(kind)), where))
    model: type[Section] = plugins.load(kind, name, where=f"{where}.name").Options
    return model


def _no_plugin(values: Any, existing: str, where: str) -> Problem:
    """Return the problem of a section that does not name a plug-in."""
    if not isinstance(values, dict):
        allowed = f"one of {existing}; or a mapping with the key name and further options"
        return Problem("not the name of a plug-in", where, shorten(values), allowed)
    if "name" not in values:
        return Problem("a key is missing", f"{where}.name", "", existing, "add name")
    return Problem("not the name of a plug-in", f"{where}.name", shorten(values["name"]), existing)


@lru_cache(maxsize=256)
def _trial_model(dataset: Any, backbone: Any, readout: Any) -> type[TrialConfig]:
    sections: dict[str, Any] = {"dataset": (dataset, ...), "backbone": (backbone, ...), "readout": (readout, ...)}
    return create_model("TrialConfig", __base__=TrialConfig, **sections)
