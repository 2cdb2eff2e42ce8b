"""Base classes of the configuration: frozen, strict, unknown keys forbidden."""

import os
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_NAME_BYTES_MAX, _PATH_BYTES_MAX = 255, 2000  # limits of file systems: beyond them even `is_dir` raises


class Section(BaseModel):
    """A part of a trial's configuration."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True, protected_namespaces=()
    )


def _absolute(folder: str) -> str:
    """Return an absolute path: trials run in other processes, whose working folder may differ."""
    raw = os.fsencode(folder)
    if b"\0" in raw or len(raw) > _PATH_BYTES_MAX or max(map(len, raw.split(b"/"))) > _NAME_BYTES_MAX:
        raise ValueError("too long for a path, or contains a null byte")
    return os.path.abspath(os.path.expanduser(folder))  # unlike pathlib, it keeps an unknown ~user unchanged


Folder = Annotated[str, AfterValidator(_absolute)]


def runtime_only(default: Any, **constraints: Any) -> Any:
    """Declare a field that does not change results, such as a folder or a device: it never enters an id."""
    return Field(default=default, json_schema_extra={"identity": False}, **constraints)


def added_later(value_of_introduction: Any, **constraints: Any) -> Any:
    """Declare a field added after a release: at this value it does not enter ids, so that older trials keep theirs."""
    extra = {"introduced_as": value_of_introduction}
    return Field(default=value_of_introduction, json_schema_extra=extra, **constraints)


def has_original_value(section: Section, name: str) -> bool:
    """Return whether a field was added later and still has the value it was introduced with."""
    extra = type(section).model_fields[name].json_schema_extra
    return isinstance(extra, dict) and "introduced_as" in extra and getattr(section, name) == extra["introduced_as"]


class DatasetOptions(Section):
    """Base class of the `Options` of a dataset plug-in, which narrows `name` and adds fields."""

    name: str
    root: Folder | None = runtime_only(None, description="folder of the corpus; its location does not change results")


class BackboneOptions(Section):
    """Base class of the `Options` of a backbone plug-in."""

    name: str
    quantization: str = "none"
    dtype: str = "float32"
    attention: str = "sdpa"
    weights: Folder | None = runtime_only(None, description="local folder with the weights; default: download them")


class ReadoutOptions(Section):
    """Base class of the `Options` of a readout plug-in."""

    name: str


SPLITS = ("train", "valid", "test")


Modality = Literal["text", "audio", "video"]


MODALITIES: tuple[Modality, ...] = ("text", "audio", "video")
