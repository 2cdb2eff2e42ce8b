"""Base classes of all configuration: frozen, strict, unknown keys forbidden."""

import os
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_NAME_BYTES_MAX, _PATH_BYTES_MAX = 255, 2000  # of file systems: asking for a longer name is an error there, not a "no"


class Section(BaseModel):
    """A part of a trial's configuration."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True, protected_namespaces=()
    )


def _absolute(folder: str) -> str:
    """Trials run in processes of their own: a folder must mean the same in each."""
    raw = os.fsencode(folder)
    if b"\0" in raw or len(raw) > _PATH_BYTES_MAX or max(map(len, raw.split(b"/"))) > _NAME_BYTES_MAX:
        raise ValueError("no folder can have that name")
    return os.path.abspath(os.path.expanduser(folder))  # unlike pathlib it leaves an unknown ~user as it is


Folder = Annotated[str, AfterValidator(_absolute)]


def runtime_only(default: Any, **constraints: Any) -> Any:
    """Declare a field that does not change results (a folder, a device): it is left out of every id."""
    return Field(default=default, json_schema_extra={"identity": False}, **constraints)


def added_later(value_of_introduction: Any, **constraints: Any) -> Any:
    """Declare a field added after a release: left out of ids at its value of introduction, so old trials stay found."""
    extra = {"introduced_as": value_of_introduction}
    return Field(default=value_of_introduction, json_schema_extra=extra, **constraints)


def has_original_value(section: Section, name: str) -> bool:
    """Return whether a field was added later and stands at its value of introduction: as if it were not there."""
    extra = type(section).model_fields[name].json_schema_extra
    return isinstance(extra, dict) and "introduced_as" in extra and getattr(section, name) == extra["introduced_as"]


class DatasetOptions(Section):
    """What every dataset plug-in's `Options` has; a plug-in narrows `name` and adds its own."""

    name: str
    root: Folder | None = runtime_only(None, description="folder of the corpus; where it lies does not change results")


class BackboneOptions(Section):
    """What every backbone plug-in's `Options` has."""

    name: str
    quantization: str = "none"
    dtype: str = "float32"
    attention: str = "sdpa"
    weights: Folder | None = runtime_only(None, description="local folder with the weights, instead of fetching them")


class ReadoutOptions(Section):
    """What every readout plug-in's `Options` has."""

    name: str


SPLITS = ("train", "valid", "test")


Modality = Literal["text", "audio", "video"]


MODALITIES: tuple[Modality, ...] = ("text", "audio", "video")
