"""The least that a plug-in's options need: fields without a default take the example that they are declared with."""

from typing import Any

from omni_msa.config import plugins
from omni_msa.config.trial import PLUGIN_SECTIONS, conventions_of
from omni_msa.stats.metrics import metrics_of


def least(kind: str, name: str) -> dict[str, object]:
    """Return a plug-in's name and an example of each option without a default (`Field(examples=[...])`)."""
    fields = plugins.load(kind, name).Options.model_fields
    return {"name": name} | {key: field.examples[0] for key, field in fields.items() if field.is_required()}


def least_sections(section: str, name: str) -> dict[str, Any]:
    """Return the sections of a trial with this plug-in: its own, and a metric that its dataset has, the first one."""
    sections: dict[str, Any] = {section: least(PLUGIN_SECTIONS[section], name)}
    if section == "dataset":  # of all with scores the first metric is mae, the default
        options = plugins.load("datasets", name).Options(**sections[section])
        sections["training"] = {"select_metric": metrics_of(conventions_of(options))[0]}
    return sections
