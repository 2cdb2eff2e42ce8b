"""The JSON schema of sweep files, for editors: `omni-msa schema > sweep.schema.json`."""

from typing import Any

from pydantic import TypeAdapter

from omni_msa.config import plugins
from omni_msa.config.trial import PLUGIN_SECTIONS, TrialConfig
from omni_msa.errors import InputError
from omni_msa.sweep.settings import SECTIONS
from omni_msa.sweep.sweep import SweepFile


def sweep_schema() -> dict[str, Any]:
    """Return the JSON schema of sweep files: the sweep's own keys, all configuration sections, options of plug-ins."""
    schema = SweepFile.model_json_schema()
    definitions = schema.setdefault("$defs", {})
    for section in SECTIONS:
        part = _section_schema(section)
        definitions |= part.pop("$defs", {})
        schema["properties"][section] = part
    schema["title"] = "omni-msa sweep"
    return schema


def _section_schema(section: str) -> dict[str, Any]:
    if section not in PLUGIN_SECTIONS:
        annotation = TrialConfig.model_fields[section].annotation
        assert annotation is not None
        return TypeAdapter(annotation).json_schema()
    kind = PLUGIN_SECTIONS[section]
    usable = {name: plugin for name, plugin in plugins.load_each(kind).items() if not isinstance(plugin, InputError)}
    options = [plugin.Options.model_json_schema() for plugin in usable.values()]
    definitions = {name: value for schema in options for name, value in schema.pop("$defs", {}).items()}
    return {"anyOf": [{"enum": list(usable)}, *options], "$defs": definitions}
