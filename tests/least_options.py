"""The least that a plug-in's options need: fields without a default take the example that they are declared with."""

from omni_msa import plugins


def least(kind: str, name: str) -> dict[str, object]:
    """Return a plug-in's name and an example of each option without a default (`Field(examples=[...])`)."""
    fields = plugins.load(kind, name).Options.model_fields
    return {"name": name} | {key: field.examples[0] for key, field in fields.items() if field.is_required()}
