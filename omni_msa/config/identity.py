"""Ids of trials and fits: hashes of every setting that can change the result, and of nothing else."""

import hashlib
import json
from typing import Any

from omni_msa.config import plugins
from omni_msa.config.plugin_facts import READOUTS
from omni_msa.config.sections import Section, has_original_value
from omni_msa.config.trial import MEDIA_OPTIONS, TrialConfig

PROTOCOL_VERSION = 1
"""Raised when the numbers of the golden trial in the tests change, so that older results are not reused."""


def trial_id(config: TrialConfig, fingerprint: str) -> str:
    """Return the id of a trial: 16 hex digits.

    Args:
        config: the configuration of the trial; only the sections that its readout `uses` enter the id.
        fingerprint: of the dataset, from its plug-in.
    """
    return _digest({**_dependencies(config, fingerprint), "readout": _identity(config.readout)})


def fit_id(config: TrialConfig, fingerprint: str) -> str:
    """Return the id of a trial's training, 16 hex digits: equal for trials that read one trained model differently.

    Args:
        config: the configuration of the trial.
        fingerprint: of the dataset, from its plug-in.
    """
    readout = plugins.load(READOUTS, config.readout.name)
    options = _identity(config.readout)
    fitted = {"name": readout.fit_as, **{field: options[field] for field in readout.fit_fields if field in options}}
    return _digest({**_dependencies(config, fingerprint), "readout": fitted})


def _dependencies(config: TrialConfig, fingerprint: str) -> dict[str, Any]:
    uses = plugins.load(READOUTS, config.readout.name).uses
    values = {section: _plain(getattr(config, section)) for section in uses if section != "readout"}
    if "media" in values:
        used = {name for modality in config.modalities for name in MEDIA_OPTIONS.get(modality, ())}
        values["media"] = {name: value for name, value in values["media"].items() if name in used}
    if config.repeat:  # enters the id only if set: the first run is repeat 0
        values["repeat"] = config.repeat
    if config.num_train_clips:  # likewise; in every id, because every readout learns from the training split
        values["num_train_clips"] = config.num_train_clips
    if config.dropped_clips:  # other data; in every id, whatever the readout uses
        values["dropped_clips"] = list(config.dropped_clips)
    return {"protocol": PROTOCOL_VERSION, "fingerprint": fingerprint, **values}


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return _identity(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _identity(section: Section) -> dict[str, Any]:
    """Return the values of a section that enter ids: no runtime fields, no later field at its original value."""
    values = {}
    for name, field in type(section).model_fields.items():
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        if extra.get("identity", True) and not has_original_value(section, name):
            values[name] = _plain(getattr(section, name))
    return values


def _digest(values: dict[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
